"""Work on a cluster: a Ray of two cores on this machine, shared by all tests here; s3 by moto's server."""

import json
import operator
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mirclr.cluster.embedding import divided, embed_on_cluster
from mirclr.cluster.listing import list_songs
from mirclr.cluster.session import Cluster, request, session
from mirclr.cluster.shards import VectorFolder
from mirclr.data.manifest import read_manifest
from mirclr.errors import ClusterError, ManifestError, MissingExtra, VectorsError
from mirclr.library import LibraryStore
from mirclr.models.embedder import Embedder
from mirclr.models.pretrained import builtin_checkpoint
from tests.commands import exits

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'mirclr[ray]'")
psutil = pytest.importorskip("psutil", reason="psutil, which finds the processes of Ray, is not installed")


@pytest.fixture(scope="session")
def s3():
    """A server that stands for object storage; its address is in the environment of what is started later."""
    server = pytest.importorskip("moto.server", reason="moto is not installed").ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield environment["AWS_ENDPOINT_URL"]
    server.stop()


@pytest.fixture(scope="session")
def cluster_here(s3):
    """A Ray of two cores; gives its address."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with session(cores=2):
            yield ray.get_runtime_context().gcs_address


@pytest.fixture(scope="module")
def embedder():
    return Embedder.load(builtin_checkpoint(), device="cpu")


def made_up(folder, count):
    """Short songs, each another."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        noise = np.random.default_rng(i).standard_normal(16000).astype(np.float32) * 0.1
        soundfile.write(folder / f"{i:03}.wav", noise, 16000)
    return folder


@pytest.fixture
def music(tmp_path, songs):
    """Real songs, one in a folder, one of two parts by a CUE sheet; and two files that are none."""
    folder = tmp_path / "music"
    (folder / "below").mkdir(parents=True)
    for song in songs[:2]:
        shutil.copy(song, folder)
    shutil.copy(songs[2], folder / "below" / "ünïcode ♫.ogg")
    samples, rate = soundfile.read(songs[3])
    soundfile.write(folder / "long.flac", np.concatenate([samples, samples[::-1]]), rate)
    (folder / "long.cue").write_text(
        'PERFORMER "Ann"\nTITLE "Record"\nFILE "long.flac" WAVE\n'
        '  TRACK 01 AUDIO\n    TITLE "One"\n    INDEX 01 00:00:00\n'
        '  TRACK 02 AUDIO\n    TITLE "Two"\n    INDEX 01 00:08:00\n'
    )
    (folder / "bad.mp3").write_bytes(b"no music " * 100)
    (folder / "empty.ogg").touch()
    (folder / "notes.txt").write_text("passed over")
    return folder


def held(library_path):
    """All that a library holds of songs but for when they came."""
    import sqlite3

    with sqlite3.connect(library_path) as db:
        columns = [row[1] for row in db.execute("PRAGMA table_info(track)") if row[1] not in ("id", "added_s")]
        tracks = db.execute(
            f"SELECT {', '.join(columns)}, v.components, m.rows FROM track t JOIN vector v ON v.track_id = t.id"
            " LEFT JOIN moment m ON m.track_id = t.id ORDER BY root, path"
        ).fetchall()
        return columns, tracks, db.execute("SELECT * FROM failure ORDER BY root, path").fetchall()


def rows(vectors):
    """How many rows there are of each song, and how many of them have a vector."""
    folder, songs, whole = VectorFolder(str(vectors)), Counter(), 0
    for name in folder.names():
        table, _ = folder.read(name)
        songs.update(table.column("path").to_pylist())
        whole += len(table) - table.column("vector").null_count
    assert not folder.damaged
    return songs, whole


def workers_of(pid):
    """The processes that run tasks for a session of Ray, or wait for some."""
    family = psutil.Process(pid).children(recursive=True)
    return [p for p in family if command_of(p).startswith(("ray::IDLE", "ray::_checked"))]


def command_of(process):
    """How a process was started, or calls itself; nothing of one that has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def test_vectors_tags_and_statistics_are_those_of_embed_bit_for_bit(cluster_here, music, tmp_path, capsys):
    plain, there, vectors = tmp_path / "plain.db", tmp_path / "there.db", tmp_path / "vectors"
    code, out, _ = exits(capsys, "embed", music, "--library", plain, "--json")
    assert code == 0
    code, printed, _ = exits(capsys, "embed", music, "--on", "ray", "-o", vectors, "--json")
    assert code == 0
    answer, expected = json.loads(printed), json.loads(out)
    assert {k: answer[k] for k in ("embedded", "failed", "failures", "passed_over")} == {
        k: expected[k] for k in ("embedded", "failed", "failures", "passed_over")
    }
    code, printed, _ = exits(capsys, "library", "import", vectors, "--library", there, "--json")
    assert code == 0
    assert json.loads(printed)["embedded"] == 5
    assert held(there) == held(plain)
    # nothing is done again, by either; and the library takes its folder for what it is
    assert json.loads(exits(capsys, "embed", music, "--on", "ray", "-o", vectors, "--json")[1])["embedded"] == 0
    assert json.loads(exits(capsys, "library", "import", vectors, "--library", there, "--json")[1])["unchanged"] == 5
    assert json.loads(exits(capsys, "embed", music, "--library", there, "--json")[1])["unchanged"] == 5
    assert held(there) == held(plain)
    elsewhere = ("--audio-root", tmp_path / "mounted", "--library", tmp_path / "elsewhere.db")
    assert exits(capsys, "library", "import", vectors, *elsewhere)[0] == 0
    with LibraryStore.open(tmp_path / "elsewhere.db") as library:
        assert list(library.roots()) == [str(tmp_path / "mounted")]


def test_a_worker_that_is_killed_loses_no_song_and_none_is_there_twice(cluster_here, embedder, tmp_path, capfd):
    music, vectors = made_up(tmp_path / "music", 32), tmp_path / "vectors"
    listing, killed = list_songs([str(music)]), 0
    for done in embed_on_cluster(listing, str(vectors), embedder, builtin_checkpoint(), Cluster()):
        if done.embedded and not killed:
            for process in workers_of(os.getpid()):
                process.send_signal(signal.SIGKILL)
                killed += 1
    assert killed
    songs, whole = rows(vectors)
    assert songs == Counter({f"{i:03}.wav": 1 for i in range(32)})
    assert whole == 32
    assert capfd.readouterr().out == ""  # where a command prints JSON


def test_a_driver_that_is_killed_is_resumed_where_it_was(cluster_here, embedder, tmp_path, capsys):
    music, vectors = made_up(tmp_path / "music", 48), tmp_path / "vectors"
    driver = started("embed", music, "--on", "ray", "--address", cluster_here, "-o", vectors)
    first = until_there(vectors, driver)
    driver.kill()
    driver.wait()
    wait_for_idle()
    committed = {file: file.read_bytes() for file in vectors.glob("*.parquet")}
    assert first <= set(committed)
    before, _ = rows(vectors)
    assert sum(before.values()) < 48
    code, printed, _ = exits(capsys, "embed", music, "--on", "ray", "-o", vectors, "--json")
    assert code == 0
    assert json.loads(printed)["unchanged"] == sum(before.values())
    assert rows(vectors) == (Counter({f"{i:03}.wav": 1 for i in range(48)}), 48)
    assert {file: file.read_bytes() for file in committed} == committed


@pytest.mark.skipif(sys.platform == "win32", reason="no Ctrl-C for one process alone")
def test_ctrl_c_ends_a_run_and_keeps_what_is_whole(cluster_here, tmp_path):
    music, vectors = made_up(tmp_path / "music", 48), tmp_path / "vectors"
    driver = started("embed", music, "--on", "ray", "--address", cluster_here, "-o", vectors)
    until_there(vectors, driver)
    driver.send_signal(signal.SIGINT)
    _, errors = driver.communicate(timeout=60)
    wait_for_idle()
    assert driver.returncode == 130, errors
    assert errors.strip().splitlines()[-1] == "mirclr: interrupted; what was done is kept"
    assert "Traceback" not in errors
    songs, whole = rows(vectors)
    assert 0 < whole == sum(songs.values()) < 48


def started(*arguments):
    """A command in a process of its own."""
    command = [sys.executable, "-m", "mirclr", *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    # what is started in the background ignores SIGINT, and so do its children
    heeding = None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=heeding
    )


def until_there(vectors, driver):
    """Wait for the first shard."""
    while not (found := set(vectors.glob("*.parquet"))):
        assert driver.poll() is None, driver.communicate()[1]
        time.sleep(0.01)
    return found


def wait_for_idle():
    """Wait until no task of a driver that is gone runs any more."""
    while any("_checked" in command_of(process) for process in workers_of(os.getpid())):
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [0, 1, 3, 50])
def test_no_number_of_workers_asks_for_more_than_there_is(cluster_here, workers):
    kind = type("Holder", (), {"there": lambda self: True})  # of no module, so that nothing is imported for it
    holder = ray.remote(num_cpus=1)(kind).remote()  # as another job that reads
    assert ray.get(holder.there.remote(), timeout=60)
    try:
        cluster = Cluster(workers)
        assert sorted(cluster.run(operator.neg, ((i,) for i in range(12)))) == sorted(-i for i in range(12))
    finally:
        ray.kill(holder)


def test_what_a_task_raises_arrives_as_it_is(cluster_here, tmp_path):
    with pytest.raises(FileNotFoundError):
        list(Cluster().run(os.listdir, [(str(tmp_path / "nowhere"),)]))
    (tmp_path / "m.jsonl").write_text("no")
    with pytest.raises(ManifestError, match="not a line of JSON"):
        list(Cluster().run(read_manifest, [(tmp_path / "m.jsonl",)]))
    with pytest.raises(ClusterError, match="no GPU"):
        Cluster(gpus=True)


@given(
    nodes=st.lists(st.floats(0.01, 256), min_size=1, max_size=9),
    workers=st.integers(0, 5000),
    gpus=st.integers(0, 64),
)
def test_a_task_asks_for_less_than_a_core_and_fits_on_some_machine(nodes, workers, gpus):
    asked = request(sum(nodes), max(nodes), workers, gpus)
    assert 0 < asked < 1
    assert asked <= max(nodes)
    if len(nodes) == 1 and (workers or gpus):
        assert asked * (workers or gpus) <= max(nodes[0], 1e-4 * (workers or gpus))


@given(st.integers(0, 5000), st.integers(1, 300))
def test_songs_are_divided_in_order_and_each_is_in_one_part(songs, at_once):
    parts = divided(list(range(songs)), at_once)
    assert [song for part in parts for song in part] == list(range(songs))
    assert all(0 < len(part) <= 256 for part in parts)


def test_what_is_started_here_listens_here_alone(cluster_here):
    family = [psutil.Process(), *psutil.Process().children(recursive=True)]
    listening = [c.laddr.ip for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert listening
    assert {ip.removeprefix("::ffff:") for ip in listening} <= {"127.0.0.1", "::1"}
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_songs_and_vectors_at_s3(cluster_here, s3, songs, tmp_path, capsys):
    import fsspec

    bucket = fsspec.filesystem("s3", skip_instance_cache=True)
    bucket.mkdir("shop")
    for i, song in enumerate(songs):
        bucket.put_file(str(song), f"shop/music/album {i}/{song.name}")
    bucket.put_file(str(songs[0]), "shop/music/3f1e")  # named by a digest, without a suffix
    for name in ("cover.jpg", ".hidden/a.ogg", "bad.mp3", "no-music"):
        bucket.pipe_file(f"shop/music/{name}", b"no music at all")
    code, printed, _ = exits(capsys, "embed", "s3://shop/music", "--on", "ray", "-o", "s3://shop/vectors", "--json")
    answer = json.loads(printed)
    assert code == 0
    assert (answer["embedded"], answer["failed"], answer["left_out"]) == (5, 1, {"hidden": 1})
    assert answer["passed_over"] == {".jpg": 1, "": 1}
    assert answer["failures"][0]["file"] == "s3://shop/music/bad.mp3"
    again = json.loads(exits(capsys, "embed", "s3://shop/music", "--on", "ray", "-o", "s3://shop/vectors", "--json")[1])
    assert (again["embedded"], again["unchanged"], again["failed"]) == (0, 5, 1)
    # into a library, whose files are in a folder, or would be
    code, _, err = exits(capsys, "library", "import", "s3://shop/vectors", "--library", tmp_path / "s3.db")
    assert (code, "--audio-root FOLDER" in err) == (1, True)
    here = tmp_path / "mounted"
    for i, song in enumerate(songs):
        (here / f"album {i}").mkdir(parents=True)
        shutil.copy(song, here / f"album {i}")
    shutil.copy(songs[0], here / "3f1e")
    arguments = ("--audio-root", here, "--library", tmp_path / "s3.db", "--json")
    assert json.loads(exits(capsys, "library", "import", "s3://shop/vectors", *arguments)[1])["embedded"] == 5
    exits(capsys, "embed", here, "--library", tmp_path / "here.db")
    there, plain = (library_of(tmp_path / name) for name in ("s3.db", "here.db"))
    assert there == plain


def library_of(path):
    """Places, digests and vectors of a library."""
    with LibraryStore.open(path) as library:
        states = {
            s.place: (s.audio_digest, s.content_digest, s.track_id)
            for r in library.roots()
            for s in library.states(r).values()
        }
        return {p: (a, c, library.vector(i).tobytes()) for p, (a, c, i) in states.items()}


def test_a_manifest_and_songs_on_the_web(cluster_here, songs, tmp_path, capsys):
    folder = tmp_path / "web"
    folder.mkdir()
    for song in songs[:2]:
        shutil.copy(song, folder / f"a {song.name}")
    lines = [{"id": "one", "path": f"a {songs[0].name}", "title": "Song one", "artist": "Ann"}]
    lines += [{"id": "part", "path": f"a {songs[1].name}", "start_s": 2.0, "duration_s": 4.0, "title": "A part"}]
    lines += [{"id": "gone", "path": "gone.ogg"}]
    (folder / "m.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        found = {}
        for name, source in (("here", folder / "m.jsonl"), ("web", f"{address}/m.jsonl"), ("listed", f"{address}/")):
            vectors = tmp_path / name
            code, printed, _ = exits(capsys, "embed", source, "--on", "ray", "-o", vectors, "--json")
            assert code == 0
            found[name] = (json.loads(printed), table_of(vectors))
    finally:
        server.shutdown()
        server.server_close()
    for name in ("here", "web"):
        answer, songs_of = found[name]
        assert (answer["embedded"], answer["failed"]) == (2, 1)
        assert songs_of["one"]["tags"]["artist"] == "Ann"
        assert songs_of["part"]["start_s"] == 2.0
    assert found["web"][1]["gone"]["passing"]
    for one in ("one", "part"):
        assert found["here"][1][one]["vector"] == found["web"][1][one]["vector"]
    assert found["listed"][0]["embedded"] == 2
    assert found["listed"][1][f"a {songs[0].name}"]["vector"] == found["here"][1]["one"]["vector"]


def table_of(vectors):
    folder = VectorFolder(str(vectors))
    return {row["id"]: row for name in folder.names() for row in folder.read(name)[0].to_pylist()}


def test_a_shard_that_is_not_whole_is_none_and_its_songs_are_done_again(cluster_here, embedder, tmp_path, capsys):
    music, vectors = made_up(tmp_path / "music", 16), tmp_path / "vectors"
    exits(capsys, "embed", music, "--on", "ray", "-o", vectors)
    victim = sorted(vectors.iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:-100])
    (vectors / "00001-000099.parquet").write_bytes(b"something else")
    (vectors / "other.parquet").write_bytes(b"not ours")
    exits(capsys, "embed", music, "--on", "ray", "-o", vectors)
    code, printed, _ = exits(capsys, "library", "import", vectors, "--library", tmp_path / "l.db", "--json")
    answer = json.loads(printed)
    assert (code, answer["embedded"], sorted(answer["damaged"])) == (
        0,
        16,
        sorted([victim.name, "00001-000099.parquet"]),
    )


def test_what_changed_is_embedded_again_and_failures_when_asked(cluster_here, songs, tmp_path, capsys):
    music, vectors = made_up(tmp_path / "music", 3), tmp_path / "vectors"
    (music / "bad.wav").write_bytes(b"RIFF no music")

    def embed(*more):
        answer = json.loads(exits(capsys, "embed", music, "--on", "ray", "-o", vectors, "--json", *more)[1])
        return answer["embedded"], answer["unchanged"], answer["failed"]

    assert embed() == (3, 0, 1)
    assert embed("--retry") == (0, 3, 1)
    shutil.copy(songs[0], music / "000.wav")
    shutil.copy(songs[1], music / "bad.wav")
    assert embed() == (2, 2, 0)
    code, printed, _ = exits(capsys, "library", "import", vectors, "--library", tmp_path / "l.db", "--json")
    assert (code, json.loads(printed)["embedded"], json.loads(printed)["failed"]) == (0, 4, 0)
    exits(capsys, "embed", music, "--library", tmp_path / "plain.db")
    assert library_of(tmp_path / "l.db") == library_of(tmp_path / "plain.db")


def test_another_encoder_or_folder_is_refused_in_a_line(cluster_here, tmp_path, checkpoint, capsys):
    music, vectors = made_up(tmp_path / "music", 2), tmp_path / "vectors"
    exits(capsys, "embed", music, "--on", "ray", "-o", vectors)
    arguments = ("embed", music, "--on", "ray", "-o", vectors, "--checkpoint", checkpoint)
    code, _, err = exits(capsys, *arguments)
    assert (code, "holds vectors of the encoder builtin" in err) == (1, True)
    with pytest.raises(VectorsError, match="no vectors"):
        next(iter_import(tmp_path / "empty"))


def iter_import(folder):
    from mirclr.cluster.importing import import_vectors

    folder.mkdir()
    with LibraryStore.open(folder / "l.db", create=True) as library:
        yield from import_vectors(library, VectorFolder(str(folder)))


def test_without_ray_a_line_says_what_to_install(monkeypatch, tmp_path, capsys):
    for missing in ("ray", "pyarrow"):  # as where mirclr alone was installed
        monkeypatch.setitem(sys.modules, missing, None)
    code, _, err = exits(capsys, "embed", made_up(tmp_path / "m", 1), "--on", "ray", "-o", tmp_path / "v")
    assert code == 1
    assert "pip install 'mirclr[ray]'" in err
    with pytest.raises(MissingExtra), session():
        pass


def test_a_cluster_that_does_not_answer_is_a_line(monkeypatch):
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)

    def refuse(**_):
        raise ConnectionError("nobody there\nand more")

    monkeypatch.setattr(ray, "init", refuse)
    with (
        pytest.raises(ClusterError, match=r"cannot be reached at 10.0.0.1:6379 \(nobody there\)"),
        session("10.0.0.1:6379"),
    ):
        pass


def test_what_is_for_ray_alone_is_wrong_usage_without_it(tmp_path, capsys):
    for arguments in (("s3://bucket/music",), (tmp_path, "-o", tmp_path), (tmp_path, "--address", "auto")):
        assert exits(capsys, "embed", *arguments)[0] == 2
    assert exits(capsys, "embed", tmp_path, "--on", "ray")[0] == 2
    assert exits(capsys, "embed", tmp_path, "--on", "ray", "-o", tmp_path, "--device", "cuda:1")[0] == 2


def test_guesses_are_those_of_a_library_and_come_with_its_songs(cluster_here, music, tmp_path, capsys):
    vectors, there, plain = tmp_path / "vectors", tmp_path / "there.db", tmp_path / "plain.db"
    where = ("--on", "ray", "-o", vectors, "--json")
    code, printed, _ = exits(capsys, "classify", "predict", music, *where)
    answer = json.loads(printed)
    assert (code, answer["songs"], len(answer["failures"])) == (0, 5, 2)
    assert sum(answer["counts"]["genre"].values()) == 5
    committed = {file: file.read_bytes() for file in vectors.iterdir()}
    # once more, and of all that the folder holds: nothing is done again
    assert json.loads(exits(capsys, "classify", "predict", *where)[1])["counts"] == answer["counts"]
    assert {file: file.read_bytes() for file in vectors.iterdir()} == committed
    for arguments in (("library", "import", vectors, "--library", there), ("embed", music, "--library", plain)):
        assert exits(capsys, *arguments)[0] == 0
    assert exits(capsys, "classify", "predict", "--library", plain)[0] == 0
    with LibraryStore.open(there) as one, LibraryStore.open(plain) as other:
        assert one.tasks() == other.tasks()
        for task in other.tasks():
            found, expected = ({s.place: lib.probabilities(task)[s.id] for s in lib.tracks()} for lib in (one, other))
            assert found.keys() == expected.keys()
            for place, labels in expected.items():
                assert found[place] == pytest.approx(labels, abs=1e-5)
    assert exits(capsys, "classify", "predict", music, *where, "--top", "2")[0] == 2


def test_a_teacher_labels_on_a_cluster_as_it_does_here(cluster_here, checkpoint, songs, tmp_path, capsys):
    for song in songs[:2]:
        shutil.copy(song, tmp_path)
    lines = [{"id": song.stem, "path": song.name} for song in songs[:2]] + [{"id": "gone", "path": "gone.ogg"}]
    manifest = tmp_path / "tracks.jsonl"
    manifest.write_text("".join(json.dumps(line) + "\n" for line in lines))
    answer = {}
    for name, more in (("here", ()), ("there", ("--on", "ray"))):
        arguments = ("teacher", "label", manifest, "-o", tmp_path / name, "--teacher", checkpoint, "--json", *more)
        code, printed, _ = exits(capsys, *arguments)
        answer[name] = json.loads(printed)
        assert code == 0
    assert {k: v for k, v in answer["there"].items() if k != "labels"} == {
        k: v for k, v in answer["here"].items() if k != "labels"
    }
    assert answer["there"]["new"] == 2
    files = sorted(file.name for file in (tmp_path / "here").iterdir())
    assert sorted(file.name for file in (tmp_path / "there").iterdir()) == files
    for file in files:
        if file.endswith(".raw"):
            here, there = (np.fromfile(tmp_path / name / file, "<f4") for name in ("here", "there"))
            np.testing.assert_allclose(there, here, atol=1e-5)
    assert json.loads(exits(capsys, *arguments)[1])["new"] == 0
