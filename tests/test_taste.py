import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirclr.errors import NoMatch
from mirclr.library import Entry, LibraryStore, Listen
from mirclr.models.stamp import EncoderStamp
from mirclr.recommend.taste import centre_count, find_centres, match_listens, taste_of
from mirclr.tags import Tags
from tests.commands import invoke

ROOT = os.path.abspath(os.sep + "music")
NOW = 1_700_000_000.0
DAY = 86_400.0

TRACKS = [  # path, artist, title, album, direction
    ("a.ogg", "Björk", "Jóga", "Homogenic", (1, 0, 0, 0)),
    ("b.ogg", "Björk", "Jóga (Live)", "Live Box", (1, 0.1, 0, 0)),
    ("c.ogg", "Daft Punk feat. Pharrell Williams", "Get Lucky", "RAM", (0, 1, 0, 0)),
    ("d.ogg", "Simon & Garfunkel", "America - Remastered 2011", "Bookends", (0, 0, 1, 0)),
    ("e.ogg", "Simon & Garfunkel", "Mrs. Robinson", "Bookends", (0, 0, 1, 0.1)),
    ("f.ogg", "Simon & Garfunkel", "Mrs. Robinson", "Greatest Hits", (0, 0, 1, 0.2)),
    ("sub/g.ogg", None, None, None, (0, 0, 0, 1)),
    ("h.ogg", "Die Band", "Live", None, (0, 0, 0.1, 1)),
]
A, B, C, D, E, F, G, H = range(1, 9)


def make(path, root=ROOT):
    library = LibraryStore.open(path, create=True)
    library.bind(EncoderStamp("0123abcd" * 4, "a.safetensors", 4, 8, {}))
    library.write(
        entries=[
            Entry(
                root,
                path,
                10,
                20,
                f"f{path}",
                f"a{path}",
                100.0,
                Tags(artist=artist, title=title, album=album),
                np.array(vector, "f4"),
            )
            for path, artist, title, album, vector in TRACKS
        ]
    )
    return library


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with make(tmp_path_factory.mktemp("taste") / "lib.db") as library:
        yield library


def found(library, *listens):
    matched = match_listens(library, listens)
    ids = dict(zip(matched.rows.tolist(), matched.ids.tolist(), strict=True))
    return [ids.get(i) for i in range(len(listens))]


def of_file(name):
    return Listen("", "", file=os.path.join(ROOT, *name.split("/")))


# which listens are which tracks


@pytest.mark.parametrize(
    ("artist", "title", "track"),
    [
        ("Björk", "Jóga", A),
        ("BJORK", " joga ", A),
        ("Björk", "Jóga (Live)", B),
        ("Björk", "Jóga [Live at Shepherds Bush]", A),
        ("Björk feat. Nobody", "Jóga - 2011 Remaster", A),
        ("Björk", "Jóga (feat. The Icelandic String Octet)", A),
        ("Björk", "Jóga - Remastered 2011 [Live]", A),
        ("Björk", "Jóga (Howie B Remix)", None),
        ("Daft Punk", "Get Lucky", C),
        ("Daft Punk", "Get Lucky (feat. Pharrell Williams & Nile Rodgers) - Radio Edit", C),
        ("Daft Punk, Pharrell Williams", "Get Lucky", C),
        ("Simon and Garfunkel", "America", D),
        ("Simon & Garfunkel", "America", D),
        ("Simon", "America", D),
        ("Die Band", "Live", H),
        ("Die Band", "Live (Live)", H),
        ("Jóga", "Björk", None),
        ("Björk", "", None),
        ("", "Jóga", None),
    ],
)
def test_names_find_a_track(library, artist, title, track):
    assert found(library, Listen(artist, title)) == [track]


def test_the_album_tells_which_of_several_tracks(library):
    names = ("Simon & Garfunkel", "Mrs. Robinson")
    listens = [Listen(*names), Listen(*names, "GREATEST HITS"), Listen(*names, "Another")]
    assert found(library, *listens) == [E, F, E]
    assert match_listens(library, listens[:1]).copies == {F: E}
    assert match_listens(library, listens).copies == {}
    assert taste_of(library, [replace(listens[0], plays=1)], now_s=NOW).known == {E, F}


def test_files_find_what_the_library_finds(library):
    listens = [of_file("sub/g.ogg"), of_file("sub/../a.ogg"), of_file("none.ogg"), replace(of_file("c.ogg"), title="x")]
    asked = [library.find_file(Path(x.file)) for x in listens]
    assert found(library, *listens) == [track and track.id for track in asked] == [G, A, None, C]


def test_files_of_a_whole_drive_are_found(tmp_path):
    root = os.path.abspath(os.sep)
    with make(tmp_path / "lib.db", root) as library:
        assert found(library, Listen("", "", file=os.path.join(root, "sub", "g.ogg"))) == [G]


@pytest.mark.skipif(os.name == "nt", reason="links need rights")
def test_a_file_is_found_behind_a_link(library, tmp_path):
    (tmp_path / "link").symlink_to(ROOT)
    assert found(library, Listen("", "", file=str(tmp_path / "link" / "a.ogg"))) == [A]


def test_what_is_not_there_is_counted(library):
    matched = match_listens(library, [Listen("Nobody", "X"), Listen("Björk", "Jóga"), Listen("Nobody", "Y")])
    assert (matched.rows.tolist(), matched.ids.tolist(), matched.missing) == ([1], [A], 2)
    assert match_listens(library, []).missing == 0


# a taste


def weight_beside_one_play(library, listen):
    """The weight of a track beside another that was played once just now, which has a centre of its own."""
    listens = [Listen("Björk", "Jóga", plays=1, last_s=NOW), replace(listen, artist="Die Band", title="Live")]
    _, vectors = library.vectors([A, H])
    taste = taste_of(library, listens, now_s=NOW)
    assert len(taste.centres) == 1
    # the centre is the mean of both, so the cosines with them tell their weights
    x, y = np.linalg.solve(vectors @ vectors.T, vectors @ taste.centres[0])
    return y / x


@pytest.mark.parametrize(
    ("listen", "weight"),
    [
        (Listen("", "", plays=1, last_s=NOW), 1),
        (Listen("", "", plays=7, last_s=NOW), 3),
        (Listen("", "", plays=7, last_s=NOW + 9 * DAY), 3),
        (Listen("", "", plays=7, last_s=NOW - 180 * DAY), 1.5),
        (Listen("", "", plays=7), 1.5),
        (Listen("", "", plays=7, last_s=NOW - 9999 * DAY), 0.3),
        (Listen("", "", plays=7, last_s=NOW, taste=1), 6),
        (Listen("", "", taste=1), np.log2(5)),
        (Listen("", "", plays=7, last_s=NOW, taste=-1), 0),
        (Listen("", ""), 0),
    ],
)
def test_the_weight_of_a_track(library, listen, weight):
    assert weight_beside_one_play(library, listen) == pytest.approx(weight, abs=1e-4)


def test_listens_of_one_track_are_added(library):
    names = [("Björk", "Jóga"), ("Björk", "Jóga - Remastered 2011")]
    apart = [Listen(*n, plays=3, last_s=NOW - i * 180 * DAY) for i, n in enumerate(names)]
    whole = [Listen(*names[0], plays=6, last_s=NOW)]
    other = [Listen("Die Band", "Live", plays=2, last_s=NOW)]
    first, second = (taste_of(library, [*x, *other], now_s=NOW) for x in (apart, whole))
    np.testing.assert_array_equal(first.centres, second.centres)


def test_of_very_many_tracks_the_weightiest_make_the_centres(library, monkeypatch):
    listens = [of_file("a.ogg"), of_file("c.ogg"), of_file("e.ogg")]
    listens = [replace(listen, plays=plays) for listen, plays in zip(listens, (1, 9, 3), strict=True)]
    monkeypatch.setattr("mirclr.recommend.taste._MOST_GROUPED", 2)
    taste = taste_of(library, listens, now_s=NOW)
    expected = [library.vector(C), library.vector(E)]
    mean = np.log2(10) * expected[0] + np.log2(4) * expected[1]
    np.testing.assert_allclose(taste.centres, [mean / np.linalg.norm(mean)], atol=1e-6)
    assert taste.known >= {A, C, E}


def test_disliked_heard_and_recent(library):
    listens = [
        Listen("Björk", "Jóga", plays=3, last_s=NOW - 14 * DAY),
        Listen("Die Band", "Live", plays=3, last_s=NOW - 15 * DAY),
        Listen("Daft Punk", "Get Lucky", plays=5, last_s=NOW, taste=-1),
        replace(of_file("c.ogg"), taste=1),
        replace(of_file("sub/g.ogg"), taste=1),
    ]
    taste = taste_of(library, listens, now_s=NOW)
    np.testing.assert_array_equal(taste.disliked, [library.vector(C)])
    assert taste.known == {A, C, G, H}
    assert taste.recent == {A, C}
    twice = [Listen("Simon & Garfunkel", "Mrs. Robinson", plays=1, last_s=NOW - DAY)]
    assert taste_of(library, twice, now_s=NOW).recent == {E, F}  # wherever it is from, it was heard
    none = taste_of(library, [Listen("Björk", "Jóga", taste=-1)], now_s=NOW)
    assert (none.centres.shape, none.weights.shape, none.disliked.shape) == ((0, 4), (0,), (1, 4))
    assert (taste.centres @ library.vector(C) < 0.1).all()


@pytest.mark.parametrize("listens", [[], [Listen("No", "X", plays=1)]])
def test_no_taste_without_a_track(library, listens):
    with pytest.raises(NoMatch, match=r"lib\.db: holds no song of this history"):
        taste_of(library, listens, now_s=NOW)


some_listens = st.lists(
    st.builds(
        lambda track, plays, last_s, taste, by_name: Listen(
            track[1] if by_name and track[1] else "",
            track[2] if by_name and track[1] else "",
            file=os.path.join(ROOT, *track[0].split("/")),
            plays=plays,
            last_s=last_s,
            taste=taste,
        ),
        st.sampled_from(TRACKS),
        st.integers(0, 99),
        st.none() | st.floats(9e8, 1.8e9),
        st.sampled_from([-1, 0, 0, 1]),
        st.booleans(),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(some_listens, st.randoms())
def test_a_taste_hangs_on_the_listens_alone(library, listens, rng):
    if not listens:
        return
    taste = taste_of(library, listens, now_s=NOW)
    if len(taste.centres):
        assert taste.weights.sum() == pytest.approx(1, abs=1e-6)
    else:
        assert not any(x.plays or x.taste == 1 for x in listens) or any(x.taste == -1 for x in listens)
    assert (np.diff(taste.weights) <= 0).all()
    for rows in (taste.centres, taste.disliked):
        assert rows.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert taste.recent <= taste.known
    rng.shuffle(listens)
    again = taste_of(library, listens, now_s=NOW)
    for name in ("centres", "weights", "disliked"):
        np.testing.assert_array_equal(getattr(again, name), getattr(taste, name))
    assert (again.known, again.recent) == (taste.known, taste.recent)


# centres


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 999), st.booleans())
@settings(deadline=None)
def test_each_centre_is_the_mean_direction_of_the_tracks_nearest_to_it(n, k, seed, doubled):
    rng = np.random.default_rng(seed)
    x, weights = unit(rng.standard_normal((n, 5))), rng.uniform(0.1, 4, n)
    if doubled:
        x, weights = np.vstack([x, x]), np.hstack([weights, weights])
    centres, shares = find_centres(x, weights, k)
    assert len(centres) <= k
    assert shares.sum() == pytest.approx(1, abs=1e-6)
    joined = (x.astype(float) @ centres.astype(float).T).argmax(axis=1)
    for j, (centre, share) in enumerate(zip(centres, shares, strict=True)):
        mean = weights[joined == j] @ x[joined == j]
        np.testing.assert_allclose(centre, mean / np.linalg.norm(mean), atol=1e-5)
        assert share == pytest.approx(weights[joined == j].sum() / weights.sum(), abs=1e-6)


def test_groups_that_are_apart_are_found():
    rng = np.random.default_rng(1)
    group_of = np.repeat([0, 1, 2], [30, 5, 15])
    x = unit(np.eye(6)[group_of] + 0.1 * rng.standard_normal((50, 6)))
    order = rng.permutation(50)
    centres, shares = find_centres(x[order], np.ones(50), 3)
    assert (centres @ np.eye(6)).argmax(axis=1).tolist() == [0, 2, 1]
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=1e-6)


def test_vectors_that_cancel_out_have_a_direction_all_the_same():
    x = np.array([[1, 0], [-1, 0]], np.float32)
    centres, shares = find_centres(x, np.array([1.0, 1.0]), 1)
    np.testing.assert_array_equal(np.abs(centres), [[1, 0]])
    assert shares.tolist() == [1]


def test_the_number_of_centres():
    assert [centre_count(n) for n in (1, 6, 7, 12, 27, 75, 192, 10_000)] == [1, 1, 2, 2, 3, 5, 8, 8]


# the command


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "lib.db"
    make(path).close()

    def run(*words, code=0):
        result = invoke(["profile", *map(str, words), "--library", str(path)])
        assert result.exit_code == code, result.output
        if code:
            return str(result.exception)
        return json.loads(result.stdout) if "--json" in words else result.stdout

    return run


def test_a_profile_is_made_shown_updated_and_deleted(run, tmp_path):
    likes, plays = tmp_path / "likes.txt", tmp_path / "plays.csv"
    likes.write_text("+ Björk - Jóga\n- Daft Punk - Get Lucky\n+ Nobody - Nothing\nx\n", encoding="utf-8")
    plays.write_text("Björk,Homogenic,Jóga,02 Jan 2023 10:11\n" * 3, encoding="utf-8")
    made = run("import", "anna", likes, plays, "--json")
    assert (made["pieces"], made["matched"], made["tracks"]) == (3, 2, 2)
    assert [(f["kind"], f["pieces"]) for f in made["files"]] == [("likes and dislikes", 3), ("Last.fm", 1)]
    assert len(made["problems"]) == 1
    shown = run("show", "anna", "--json")
    assert (shown["pieces"], shown["plays"], shown["matched"], shown["recent"]) == (3, 3, 2, [])
    assert shown["disliked"] == ["Daft Punk feat. Pharrell Williams – Get Lucky"]
    assert shown["centres"][0]["weight"] == 1
    assert shown["centres"][0]["nearest"][0] == "Björk – Jóga"
    assert "Björk – Jóga" in run("show", "anna")

    plays.write_text("bjork,Homogenic,Joga,02 Jan 2023 10:11\n" * 4, encoding="utf-8")
    assert "3 songs, 0 of them new; 2 of them are in" in run("update", "anna", plays)
    assert run("show", "anna", "--json")["plays"] == 4
    run("import", "bo", plays)
    assert run("list", "--json") == {"anna": 3, "bo": 1}
    assert "1 song; all of them are in" in run("import", "anna", plays, "--replace")
    assert run("delete", "anna", "--json") == {"name": "anna", "pieces": 1}
    assert run("list") == "bo\t1 song\n"
    assert "there is: bo" in run("show", "anna", code=1)
    assert "did you mean bo?" in run("show", "bob", code=1)


def test_a_second_export_is_added_and_no_play_counts_twice(run, tmp_path):
    earlier, later = tmp_path / "earlier.csv", tmp_path / "later.csv"
    earlier.write_text("Björk,Homogenic,Jóga,02 Jan 2023 10:11\n" * 3, encoding="utf-8")
    later.write_text("Björk,Homogenic,Jóga,02 Jan 2023 10:11\n" * 5 + "X,A,New,02 Jan 2024 10:11\n", encoding="utf-8")
    likes = tmp_path / "likes.txt"
    likes.write_text("- Daft Punk - Get Lucky\n", encoding="utf-8")
    run("import", "anna", earlier)
    made = run("import", "anna", later, "--json")
    assert (made["pieces"], made["new"], made["matched"]) == (2, 1, 1)
    assert run("show", "anna", "--json")["plays"] == 6
    assert "3 songs, 1 of them new" in run("import", "anna", likes)
    shown = run("show", "anna", "--json")
    assert (shown["plays"], len(shown["disliked"])) == (6, 1)
    again = run("import", "anna", likes, earlier, later, "--json")  # what is known already
    assert (again["pieces"], again["new"]) == (3, 0)


def test_an_unpacked_export_is_read_by_its_folder(run, tmp_path):
    export = tmp_path / "my_spotify_data" / "Spotify Account Data"
    export.mkdir(parents=True)
    (export / "Userdata.json").write_text("{}", encoding="utf-8")
    for year in (2022, 2023):
        play = {"endTime": f"{year}-01-02 10:11", "artistName": "Björk", "trackName": "Jóga", "msPlayed": 200_000}
        (export / f"StreamingHistory_music_{year}.json").write_text(json.dumps([play]), encoding="utf-8")
    made = run("import", "anna", tmp_path / "my_spotify_data", "--json")
    assert (made["pieces"], made["matched"], len(made["files"])) == (1, 1, 2)
    assert run("show", "anna", "--json")["plays"] == 2
    (tmp_path / "other").mkdir()
    assert "a folder without" in run("import", "anna", tmp_path / "other", code=1)


def test_songs_that_the_library_lacks_come_the_most_played_first(run, tmp_path):
    plays = tmp_path / "plays.csv"
    lines = ["Björk,Homogenic,Jóga,02 Jan 2023 10:11"]
    lines += [f"Artist,Album,Lacking {i},02 Jan 2023 10:11" for i in range(5) for _ in range(i + 1)]
    plays.write_text("\n".join(lines), encoding="utf-8")
    run("import", "anna", plays)
    assert [row["title"] for row in run("show", "anna", "--missing", "--json")] == [
        f"Lacking {i}" for i in (4, 3, 2, 1, 0)
    ]
    listed = run("show", "anna", "--missing", "-n", "2")
    assert "Lacking 4" in listed
    assert "Lacking 2" not in listed


def test_a_file_that_cannot_be_read_leaves_the_profile_as_it_was(run, tmp_path):
    good, bad = tmp_path / "good.txt", tmp_path / "bad.txt"
    good.write_text("+ Björk - Jóga\n", encoding="utf-8")
    bad.write_text("nothing of use\n", encoding="utf-8")
    assert len(run("import", "anna", good, bad, "--json")["problems"]) == 1
    assert "not a listening history" in run("import", "anna", bad, code=1)
    assert run("list", "--json") == {"anna": 1}
    assert "there is: anna" in run("delete", "bo", code=1)
