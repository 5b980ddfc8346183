"""Shards of clips: what is in them, the order in which they are read, from here and elsewhere, and how they resume."""

import functools
import http.server
import io
import json
import logging
import pickle
import shutil
import tarfile
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.audio.views import ClipShape
from mirclr.data import shards as sharding
from mirclr.data.batches import ClipSource
from mirclr.data.clips import Cached
from mirclr.data.manifest import Track
from mirclr.data.shards import Plan, ShardSet, Written, finish, write_shards
from mirclr.data.streaming import LaneOrder, ShardFiles, ShardSource
from mirclr.errors import ManifestError, ObjectiveError, RecipeError, ShardsError, StorageError
from mirclr.objectives import is_useful
from mirclr.storage import Folder
from tests.commands import invoke
from tests.made_up_shards import Filled, made, of_ranks, recipe, tracks
from tests.ranks import losses, made_light, train_together, trainer

SHAPE = ClipShape("mel", 20)


@pytest.fixture(scope="module")
def fifty(tmp_path_factory: pytest.TempPathFactory) -> ShardSet:
    return made(tmp_path_factory.mktemp("fifty"))


def source(shards: ShardSet, *overrides: str, **more: Any) -> ShardSource:
    plan = recipe(*overrides)
    return ShardSource(shards, SHAPE, plan, is_useful=functools.partial(is_useful, plan.objective), **more)


# what is in them


def test_shards_are_tars_of_arrays_that_anything_reads(fifty: ShardSet) -> None:
    assert fifty.folder.local is not None
    assert [s.tracks for s in fifty.shards] == [8] * 6 + [2]
    seen = set()
    for number, shard in enumerate(fifty.shards):
        file = fifty.folder.local / f"{shard.name}.tar"
        with tarfile.open(file) as tar:
            inside = {name: tar.extractfile(name).read() for name in tar.getnames()}  # type: ignore[union-attr]
        arrays = {name[:-4]: np.load(io.BytesIO(data)) for name, data in inside.items() if name.endswith(".npy")}
        for (key, array), member in zip(arrays.items(), fifty.members(number), strict=True):
            message = json.loads(inside[f"{key}.json"])
            assert Track.model_validate(message["track"]) == member.track
            assert array.dtype == np.float16
            assert (array.shape, set(array[:, 0])) == ((member.length, 8), {int(member.track.id)})
            there = np.frombuffer(file.read_bytes(), "<f2", member.length * 8, member.offset).reshape(-1, 8)
            np.testing.assert_array_equal(there, array)
            seen.add(member.track.id)
    assert seen == {str(i) for i in range(50)}
    assert fifty.labels["genre"] == ("x", "y", "z")
    assert len(fifty.labels["artist"]) == 7


def test_shards_are_the_same_bytes_wherever_they_are_made(fifty: ShardSet, tmp_path: Path) -> None:
    again = made(tmp_path)
    assert again.digest == fifty.digest
    assert again.shards == fifty.shards


def test_shards_hold_the_middle_of_each_track_where_that_is_asked(tmp_path: Path) -> None:
    steps = 16000 / 256
    shards = made(tmp_path, seconds=30 / steps)
    for member in shards.members(0):
        whole = 40 + int(member.track.id) % 30
        assert (member.length, member.first) == (30, (whole - 30) // 2)
    batch = source(shards).batch(0)
    assert batch.block[:, :, 1].min() >= 5


def test_shards_resume_and_several_machines_share_them(fifty: ShardSet, tmp_path: Path, monkeypatch: Any) -> None:
    cache, place, plan = (
        Filled(tmp_path / "cache", recipe()),
        Folder(str(tmp_path / "shards")),
        Plan.of(tracks(50), 8, None),
    )
    whole = sharding._pack

    def full(out: Any, first: int, *rest: Any) -> Any:
        if first == 16:
            out.write(b"half")
            raise OSError(28, "No space left on device")
        return whole(out, first, *rest)

    monkeypatch.setattr(sharding, "_pack", full)
    with pytest.raises(StorageError, match="no space is left"):
        list(write_shards(plan, cache, tmp_path, place))
    assert place.names() == {"00000.tar", "00000.json", "00001.tar", "00001.json"}
    assert finish(plan, cache, place) is None
    monkeypatch.undo()
    cache.asked = 0
    parts = [list(write_shards(plan, cache, tmp_path, place, part=(i, 2))) for i in (0, 1)]
    assert cache.asked == 34  # the rest alone
    assert [[w.number for w in part if isinstance(w, Written) and w.before] for part in parts] == [[0], [1]]
    found = finish(plan, cache, place)
    assert found is not None
    assert found.digest == fifty.digest
    with pytest.raises(ShardsError, match="shards of other tracks or settings; name another folder"):
        list(write_shards(Plan.of(tracks(49), 8, None), cache, tmp_path, place))


def test_shards_leave_out_what_cannot_be_decoded(tmp_path: Path) -> None:
    shards = made(tmp_path, n=5, size=1, bad=("3",))
    assert sum(s.tracks for s in shards.shards) == 4
    assert source(shards).n_tracks == 4
    with pytest.raises(ShardsError, match="none of the tracks can be used"):
        made(tmp_path / "none", n=2, bad=("0", "1"))


def test_shards_hold_no_evaluation_data(fifty: ShardSet, tmp_path: Path) -> None:
    held_out = [t.model_copy(update={"split": "test"}) for t in tracks(3)]
    with pytest.raises(ManifestError, match="never trained on"):
        Plan.of(held_out, 2, None)
    shards = made(tmp_path, n=4)  # nor are such read, whoever made them
    assert shards.folder.local is not None
    file = shards.folder.local / "00000.json"
    file.write_text(file.read_text().replace('"genre"', '"split": "test", "genre"'))
    with pytest.raises(ManifestError, match="never trained on"):
        source(shards)


# the order


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.integers(1, 40),
    st.integers(1, 24),
    st.integers(0, 5),
)
def test_an_epoch_holds_each_track_once(counts: list[int], size: int, lanes: int, seed: int) -> None:
    order = LaneOrder(counts, size, lanes, seed)
    everything = {(s, i) for s, count in enumerate(counts) for i in range(count)}
    for epoch in (0, 1):
        batches = [order.picks(epoch * order.epoch + step) for step in range(order.epoch)]
        assert all(len(batch) == size for batch in batches)
        seen = Counter(pick for batch in batches for pick in batch)
        assert set(seen) <= everything
        if size <= sum(counts):
            assert max(seen.values()) == 1
            assert len(everything) - len(seen) == sum(counts) % size
        else:
            assert max(seen.values()) - min(seen.values()) <= -(-size // sum(counts)) + 1
    again = pickle.loads(pickle.dumps(order))
    assert again.picks(3) == order.picks(3)


def test_an_epoch_is_in_another_order_and_lanes_read_a_shard_at_a_time() -> None:
    order = LaneOrder([100] * 40, 32, 16, seed=1)
    assert order.epoch == 125
    first, second = order.picks(0), order.picks(order.epoch)
    assert first != second
    assert LaneOrder([100] * 40, 32, 16, seed=2).picks(0) != first
    for step in range(order.epoch):
        assert 16 <= len({shard for shard, _ in order.picks(step)}) <= 32
    reads = [{order.picks(step)[lane * 2][0] for step in range(order.epoch)} for lane in range(16)]
    assert all(len(of) <= 4 for of in reads)  # 2.5 shards of the epoch, and not all of them


# batches


def test_batches_are_crops_of_the_tracks_with_what_is_known_of_them(fifty: ShardSet, tmp_path: Path) -> None:
    labelled = source(fifty, "data.labels=genre", "objective={name: sup_con}")
    cache = Filled(tmp_path, recipe())
    cached = [c for c in cache.fill(tracks(50), tmp_path) if isinstance(c, Cached)]
    plan = recipe("data.labels=genre", "objective={name: sup_con}")
    known = ClipSource(cache, cached, SHAPE, plan, is_useful=functools.partial(is_useful, plan.objective)).facts
    batch = labelled.batch(3)
    ids = [int(i) for i in batch.tracks]
    assert len(set(ids)) == 12
    of_cache = known.targets(np.array(ids))
    torch.testing.assert_close(batch.targets.labels, of_cache.labels)
    for name in ("instance", "recording"):  # equal for the same rows; the numbers themselves say nothing
        a, b = getattr(batch.targets, name), getattr(of_cache, name)
        torch.testing.assert_close(a[:, None] == a[None, :], b[:, None] == b[None, :])
    assert batch.block[:, 0, 0].tolist() == ids * 2
    starts = batch.block[:, 0, 1]
    assert torch.equal(batch.block[:, :, 1], starts[:, None] + torch.arange(20))
    numbers = {int(n) for i in range(labelled.order.epoch) for n in labelled.batch(i).targets.index.tolist()}  # type: ignore[union-attr]
    assert numbers <= set(range(50))


@pytest.mark.parametrize("world", [2, 3, 5])
def test_batches_are_the_same_in_any_number_of_processes_which_read_their_own_shards(
    fifty: ShardSet, world: int, monkeypatch: Any
) -> None:
    whole = source(fifty).batch(7)
    read = [set() for _ in range(world)]
    for rank in range(world):
        own = slice(rank * 24 // world, (rank + 1) * 24 // world)
        here = source(fifty)
        monkeypatch.setattr(here.files, "expect", lambda numbers: None)
        original = here.files.read
        monkeypatch.setattr(here.files, "read", lambda n, *r, rank=rank, f=original: (read[rank].add(n), f(n, *r))[1])
        part = here.batch(7, own)
        assert torch.equal(part.block, whole.block[own])
        assert torch.equal(part.targets.instance, whole.targets.instance)
        assert torch.equal(part.targets.recording, whole.targets.recording)  # type: ignore[arg-type]
    if world == 5:  # fewer than all
        assert max(map(len, read)) < len({shard for shard, _ in source(fifty).order.picks(7)})


def test_batches_that_teach_nothing_are_drawn_anew_from_the_shards_at_hand(tmp_path: Path) -> None:
    cache, place = Filled(tmp_path / "cache", recipe()), Folder(str(tmp_path / "shards"))
    few = [t.model_copy(update={"artist": "rare" if i == 30 else "a"}) for i, t in enumerate(tracks(40))]
    plan = Plan.of(few, 10, None)
    list(write_shards(plan, cache, tmp_path, place))
    shards = finish(plan, cache, place)
    assert shards is not None
    apart = source(shards, "data.never_negative=artist", "training.batch=2")
    drawn = [apart.batch(i) for i in range(8)]
    assert any(b.redrawn for b in drawn)
    assert all("30" in b.tracks for b in drawn)
    assert apart.batch(3).tracks == drawn[3].tracks
    one = source(shards, "data={train: s, never_negative: artist, lanes: 1}", "training.batch=2")
    assert all("30" in one.batch(i).tracks for i in range(one.order.epoch))  # also where its lane is in other shards
    with pytest.raises(ObjectiveError, match="no two of the 10 tracks"):
        source(_alike(tmp_path / "same"), "data={train: s, never_negative: artist}")


def _alike(folder: Path) -> ShardSet:
    """Tracks of one artist."""
    cache, place = Filled(folder / "cache", recipe()), Folder(str(folder / "shards"))
    plan = Plan.of([t.model_copy(update={"artist": "a"}) for t in tracks(10)], 4, None)
    list(write_shards(plan, cache, folder, place))
    found = finish(plan, cache, place)
    assert found is not None
    return found


def test_a_recipe_that_shards_cannot_serve_is_refused(fifty: ShardSet, tmp_path: Path) -> None:
    for override, message in (
        ("mel={n_mels: 9}", "set mel to that"),
        ("audio={clip_seconds: 0.5, sample_rate: 22050}", "holds mel at 16000 Hz"),
        ("data={train: s, tracks_per_class: 2, labels: genre}", "tracks_per_class: cannot go with shards"),
        (
            "data={train: s, labels_file: a.csv, labels: genre}\nobjective={name: sup_con}",
            "put into shards when these are made",
        ),
        ("data={train: s, fraction: 0.5}", "fraction: cannot go"),
    ):
        with pytest.raises(RecipeError, match=message):
            source(fifty, *override.split("\n"))
    with pytest.raises(ManifestError, match="no track has the field 'moods'"):
        source(fifty, "data={train: s, labels: moods}", "objective={name: generalized_sup_con}")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("shards.json", lambda b: b"{", "does not describe shards"),
        ("shards.json", lambda b: b.replace(b'"format": 1', b'"format": 9'), "of format 9"),
        ("shards.json", lambda b: b.replace(b"00000", b"../aa"), "is damaged"),
        ("00000.json", lambda b: b[:-20], "it is damaged"),
        ("00000.json", lambda b: b.replace(b'"length": ', b'"length": 9'), "does not fit"),
        ("00000.tar", lambda b: b[:1000], "was cut off"),
        ("00000.tar", None, "there is no such file"),
    ],
)
def test_damage_is_reported_in_a_line(tmp_path: Path, name: str, change: Any, message: str) -> None:
    folder = made(tmp_path, n=8).folder.local
    assert folder is not None
    file = folder / name
    if change is None:
        file.unlink()
    else:
        file.write_bytes(change(file.read_bytes()))
    with pytest.raises(ShardsError, match=message):
        source(ShardSet.open(str(folder / "shards.json"))).batch(0)


@pytest.mark.parametrize("name", ["00000.tar", "00001.tar", "00000.json", "shards.json"])
def test_files_of_somebody_else_are_not_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / name).write_bytes(b'{"mine": 1}')
    with pytest.raises(ShardsError, match="name another folder"):
        made(tmp_path, n=10)
    assert {f.name: f.read_bytes() for f in (tmp_path / "shards").iterdir()} == {name: b'{"mine": 1}'}


def test_what_a_killed_run_left_is_gone_on_with(tmp_path: Path) -> None:
    folder = made(tmp_path, n=10).folder.local
    assert folder is not None
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    for name in ("00000.json", "00001.json", "00001.tar"):
        (folder / name).unlink()
    (folder / "00000.tar").write_bytes(before["00000.tar"][:2000])
    made(tmp_path, n=10)
    assert {f.name: f.read_bytes() for f in folder.iterdir()}.keys() == before.keys()
    assert (folder / "00000.tar").read_bytes() == before["00000.tar"]


# elsewhere


class Server(http.server.ThreadingHTTPServer):
    """Serves a folder on loopback; fails as often as it is asked to, and counts what is asked for."""

    failures = 0
    cut = 0

    def __init__(self, folder: Path) -> None:
        self.asked: Counter[str] = Counter()
        super().__init__(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))


class Handler(http.server.SimpleHTTPRequestHandler):
    server: Server

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked[self.path.rpartition("/")[2]] += 1
        if self.server.failures:
            self.server.failures -= 1
            self.send_error(503)
        elif self.server.cut:
            self.server.cut -= 1
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"half of it")
        else:
            super().do_GET()


@pytest.fixture
def served(fifty: ShardSet, monkeypatch: Any) -> Iterator[Server]:
    monkeypatch.setattr("mirclr.storage._FIRST_WAIT_S", 0.0)
    assert fifty.folder.local is not None
    server = Server(fifty.folder.local)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def address(server: Server) -> str:
    return f"http://127.0.0.1:{server.server_address[1]}/shards.json"


def test_shards_from_elsewhere_give_the_same_batches(fifty: ShardSet, served: Server, tmp_path: Path) -> None:
    here, there = source(fifty), source(ShardSet.open(address(served)), spool=tmp_path)
    assert there.digest == here.digest
    for number in range(2 * here.order.epoch):
        assert torch.equal(there.batch(number).block, here.batch(number).block)
    sent = pickle.loads(pickle.dumps(there))  # as to a process that makes batches
    assert torch.equal(sent.batch(5).block, here.batch(5).block)
    assert all(count == 1 for name, count in served.asked.items() if name.endswith(".tar"))


def test_shards_from_elsewhere_are_let_go(fifty: ShardSet, served: Server, tmp_path: Path) -> None:
    shards = ShardSet.open(address(served))
    files = ShardFiles(shards, keep=2, folder=tmp_path)
    for _ in range(2):
        for number in range(7):
            files.read(number, shards.members(number)[0], 0, 5)
            files._open.clear()
            assert len(list(tmp_path.glob("*/*.tar"))) <= 2
    assert not list(tmp_path.glob("*/.mirclr-*"))


def test_faults_that_pass_are_tried_again_and_others_said_in_a_line(served: Server, tmp_path: Path) -> None:
    served.failures = 2
    shards = ShardSet.open(address(served))
    files = ShardFiles(shards, keep=9, folder=tmp_path)
    members = shards.members(0)
    served.failures, served.cut = 1, 1
    assert len(files.read(0, members[0], 0, 5)) == 5
    served.cut = 100
    with pytest.raises(StorageError, match=r"00001\.tar: what was read is damaged"):
        files.read(1, members[0], 0, 5)
    served.cut = 0
    with pytest.raises(ShardsError, match=r"other\.json|there is no such file"):
        ShardSet.open(address(served).replace("shards.json", "none/shards.json"))
    with pytest.raises(StorageError, match="expected a path, or a URL"):
        Folder("gopherx://host/clips")


@pytest.fixture
def bucket(monkeypatch: Any) -> Iterator[str]:
    """A bucket of a server of S3 on loopback."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    s3 = pytest.importorskip("s3fs").S3FileSystem
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    for name, value in (
        ("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.get_host_and_port()[1]}"),
        ("AWS_ACCESS_KEY_ID", "any"),
        ("AWS_SECRET_ACCESS_KEY", "any"),
        ("AWS_DEFAULT_REGION", "us-east-1"),
    ):
        monkeypatch.setenv(name, value)
    s3.clear_instance_cache()  # one of another server
    s3().mkdir("clips")
    yield "s3://clips"
    s3.clear_instance_cache()
    server.stop()


def test_shards_are_written_to_s3_and_read_from_there(fifty: ShardSet, bucket: str, tmp_path: Path) -> None:
    cache, place, plan = Filled(tmp_path / "cache", recipe()), Folder(f"{bucket}/fifty/"), Plan.of(tracks(50), 8, None)
    assert place.names() == set()
    assert len(list(write_shards(plan, cache, tmp_path, place, part=(0, 2)))) == 4
    again = [w for w in write_shards(plan, cache, tmp_path, place) if isinstance(w, Written)]
    assert sum(w.before for w in again) == 4
    shards = finish(plan, cache, place)
    assert shards is not None
    assert shards.digest == fifty.digest
    there = source(ShardSet.open(f"{bucket}/fifty/shards.json"), spool=tmp_path / "spool")
    assert torch.equal(there.batch(6).block, source(fifty).batch(6).block)
    with pytest.raises(ShardsError, match=r"s3://clips/none/shards\.json: there is no such file; make shards with"):
        ShardSet.open(f"{bucket}/none/shards.json")


def test_a_password_in_a_url_is_not_shown(monkeypatch: Any) -> None:
    monkeypatch.setattr(Folder, "_there", lambda self: None)
    folder = Folder("ftp://me:se%21cret@host/clips/")
    assert str(folder) == "ftp://host/clips"
    assert folder._said(ValueError("no bucket 'me:se%21cret@host', nor me, se!cret")) == "no bucket 'host', nor me, "
    signed = Folder("https://host/clips?signature=abcdef")
    assert str(signed) == "https://host/clips"
    assert "abcdef" not in signed._said(ValueError("https://host/clips?signature=abcdef: gone"))


# several processes


def test_four_processes_give_the_losses_of_one_and_resume_in_mid_epoch(tmp_path: Path, monkeypatch: Any) -> None:
    """Two are tried in tests/test_distributed.py."""
    made_light(monkeypatch)
    overrides = of_ranks(tmp_path)
    alone = losses(overrides, tmp_path / "alone", tmp_path)
    first = trainer(overrides, tmp_path / "stopped", tmp_path)
    steps = first.train()
    begun = [float(next(steps).loss) for _ in range(3)]
    first.save()
    steps.close()
    shutil.copytree(tmp_path / "stopped", tmp_path / "stopped 4")
    assert begun + losses(overrides, tmp_path / "stopped", tmp_path, resume=True) == alone  # bit for bit
    job = {"kind": "train", "clips": str(tmp_path), "overrides": overrides}
    jobs = [job | {"run": str(tmp_path / "4")}, job | {"run": str(tmp_path / "stopped 4"), "resume": True}]
    whole, after = train_together(jobs, tmp_path, world=4)
    np.testing.assert_allclose(whole, alone, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(after, alone[3:], rtol=1e-5, atol=1e-5)


# the command

SMOKE = Path(__file__).parents[1] / "recipes" / "smoke" / "recipe.yaml"


def test_the_command_packs_and_a_recipe_trains_on_it(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("MIRCLR_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("mirclr.data.clips.results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs))
    out = tmp_path / "shards"
    line = ["clips", "shard", str(SMOKE), "-o", str(out), "--tracks", "3"]
    first = invoke([*line, "--json", "--part", "1/2"])
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout) == {"written": 1, "there_before": 0, "tracks": 3, "bytes": 296960, "index": None}
    second = invoke([*line, "--json"])
    answer = json.loads(second.stdout)
    assert (answer["written"], answer["there_before"], answer["tracks"]) == (1, 1, 4)
    assert answer["index"] == f"{out}/shards.json"
    trained = invoke(
        ["train", str(SMOKE), "-o", str(tmp_path / "run"), "--device", "cpu", "--json"]
        + [w for s in (f"data.train={answer['index']}", "data.audio_root=null", "training.steps=3", "validation=null")
           for w in ("--set", s)]
    )  # fmt: skip
    assert trained.exit_code == 0, trained.output
    refused = invoke(["teacher", "label", answer["index"], "-o", str(tmp_path / "labels")])
    assert refused.exit_code == 1
    assert invoke([*line, "--part", "3/2"]).exit_code == 2
