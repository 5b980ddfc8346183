import json
import math
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from mirclr.errors import LibraryError
from mirclr.evaluation.report import Hubs, measure, owner_parts, report_on, research_parts, song_map, to_html
from mirclr.evaluation.report.parts import Bars
from mirclr.library import Description, Entry, Failure, LibraryStore
from mirclr.metrics import k_occurrence, skewness
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags
from tests.commands import invoke

HOSTILE = "</table><script>alert('x')</script> & <img src=http://evil.example/x.png> \x1b[31m"


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr(measure, "results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs))


def fill(path, vectors, tags=(), durations=(), root="/music"):
    vectors = np.asarray(vectors, np.float32)
    with LibraryStore.open(path, create=True) as library:
        if len(vectors):
            library.bind(EncoderStamp("d" * 32, "no such encoder", vectors.shape[1], 2, {}))
            library.write(
                entries=[
                    Entry(
                        root,
                        f"{i:05}.ogg",
                        1,
                        1,
                        f"{i}",
                        f"{i}",
                        durations[i] if len(durations) else 100.0 + 10 * i,
                        tags[i] if len(tags) else Tags(),
                        v,
                    )
                    for i, v in enumerate(vectors)
                ]
            )
    return path


def measured(path, **asked):
    with LibraryStore.open(path) as library:
        return report_on(library, **({"robustness": 0} | asked))


def circle(*degrees):
    return [(math.cos(math.radians(d)), math.sin(math.radians(d))) for d in degrees]


class Page(HTMLParser):
    """Checks that tags are closed in order; keeps tags, attributes and text."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


# metrics


def test_k_occurrence_counts_and_skewness_is_the_standardised_third_moment():
    counts = k_occurrence(np.array([[1, 2], [2, 0], [1, 0]]), 5)
    assert counts.tolist() == [2, 2, 2, 0, 0]
    assert skewness(counts) == pytest.approx(((3 * 0.8**3 - 2 * 1.2**3) / 5) / (0.96**1.5))
    assert skewness(np.ones(4)) == skewness(np.zeros(0)) == 0


# what is measured, against values worked out by hand


def test_same_artist_leaves_the_own_album_out(tmp_path):
    # by angle: a/one 0, a/one 1, b/x 3, a/two 10, and one without tags far off
    tags = [
        Tags(artist="Á", album="one"),
        Tags(artist="a", album="ONE"),
        Tags(artist="b", album="x"),
        Tags(artist="A", album="two"),
        Tags(),
    ]
    report = measured(fill(tmp_path / "l.db", circle(0, 1, 3, 10, 90), tags))
    # asked of 0 and 1: without the own album b, a/two, untagged: 1/2 each; of 10: b, 1, 0, untagged: (1/2 + 2/3) / 2
    assert report.artist.map == pytest.approx((0.5 + 0.5 + (1 / 2 + 2 / 3) / 2) / 3)
    assert (report.artist.queries, report.artist.hit) == (3, 1)
    one = (1 + 1 / 2 + 1 / 3) / 3  # chance: one of three
    two_of_four = np.mean(
        [1, (1 + 2 / 3) / 2, (1 + 2 / 4) / 2, (1 / 2 + 2 / 3) / 2, (1 / 2 + 2 / 4) / 2, (1 / 3 + 2 / 4) / 2]
    )
    assert report.artist.chance_map == pytest.approx((2 * one + two_of_four) / 3)
    assert (report.album.map, report.album.queries) == (1, 2)
    assert report.album.chance_map == pytest.approx(np.mean([1, 1 / 2, 1 / 3, 1 / 4]))


def test_albums_of_two_artists_with_one_title_are_two(tmp_path):
    tags = [Tags(artist=a, album="Greatest Hits") for a in "ab"]
    report = measured(fill(tmp_path / "l.db", circle(0, 1), tags))
    assert report.album is None
    assert "one album" in report.not_measured["same album"]
    together = [Tags(artist=a, album="Mix", album_artist="Various") for a in "ab"]
    assert measured(fill(tmp_path / "m.db", circle(0, 1), together)).album.queries == 2


def test_near_duplicates_are_as_long_and_nearly_equal(tmp_path):
    path = fill(tmp_path / "l.db", circle(0, 1, 2, 90), durations=[100, 101.9, 300, 100])
    with LibraryStore.open(path) as library:
        library.store_near_duplicates({(1, 2): 0.9, (2, 3): 0.6})
    found = measured(path).duplicates
    assert (found.near, found.of, found.fraction) == (2, 4, 0.5)
    assert measured(path).to_json()["duplicates"]["share"] == 0.5
    assert (found.stored_pairs, found.stored_tracks) == (2, 3)


def test_a_hub_is_named_and_counted(tmp_path):
    n = 25
    vectors = np.random.default_rng(0).normal(size=(24, 200))
    vectors = np.vstack([vectors, vectors.mean(axis=0)])  # the middle is near to all, and they are not to each other
    tags = [Tags(title=f"t{i}", artist=f"a{i}") for i in range(n)]
    hubs = measured(fill(tmp_path / "l.db", vectors, tags)).hubs
    assert (hubs.largest, hubs.largest_count) == ("a24 – t24", 24)
    assert hubs.skewness > 1
    assert sum(hubs.occurrences.counts) == n
    assert hubs.occurrences.counts[0] == pytest.approx(hubs.antihubs * n)
    assert hubs.occurrences.labels[:4] == ("0", "1", "2–3", "4–7")


def test_hubs_are_those_of_the_metric(tmp_path):
    from mirclr.metrics import hubness

    x = np.random.default_rng(0).normal(size=(60, 5))
    report = measured(fill(tmp_path / "l.db", x))
    assert report.hubs.skewness == pytest.approx(hubness(x))
    assert sum(report.nearest.counts) == 60


def test_artists_in_lists(tmp_path):
    # twelve in a ring and one artist's, then twelve of twelve artists far away
    rng = np.random.default_rng(0)
    vectors = np.vstack([np.eye(2)[i // 12] + rng.normal(size=2) * 0.01 for i in range(24)])
    tags = [Tags(artist="one") if i < 12 else Tags(artist=f"by {i}") for i in range(24)]
    diversity = measured(fill(tmp_path / "l.db", vectors, tags)).diversity
    assert (diversity.artists, diversity.crowded) == (5.5, 0.5)
    none = [Tags(artist="one") if i == 0 else Tags() for i in range(24)]
    assert measured(fill(tmp_path / "m.db", vectors, none)).diversity.artists == 10


def test_the_odd_one_comes_first_and_broken_files_are_listed(tmp_path):
    path = fill(tmp_path / "l.db", circle(0, 2, 4, 6, 150), [Tags(title=f"t{i}") for i in range(5)])
    with LibraryStore.open(path) as library:
        library.write(failures=[Failure("/music", "bad.ogg", 1, 1, "empty file")])
    report = measured(path)
    assert report.outliers[0].track == "t4"
    assert report.outliers[0].cosine == pytest.approx(np.mean(np.cos(np.radians([150, 148, 146, 144]))))
    assert [(b.file, b.reason) for b in report.broken] == [("/music/bad.ogg", "empty file")]
    assert report.gone == len(report.gone_files) == 5
    assert (report.failures, report.without_artist, report.without_title) == (1, 5, 0)


def test_many_equal_tracks_are_never_their_own_neighbours(tmp_path):
    report = measured(fill(tmp_path / "l.db", np.tile([[1.0, 0.0]], (30, 1)), durations=[100] * 30))
    assert report.duplicates.fraction == 1
    assert report.hubs.largest_count <= 29
    assert sum(report.nearest.counts) == 30


def test_a_large_library_is_sampled_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "NEIGHBOUR_QUERIES", 20)
    monkeypatch.setattr(measure, "RETRIEVAL_QUERIES", 7)
    monkeypatch.setattr(measure, "_CHUNK", 8)
    x = np.random.default_rng(0).normal(size=(50, 5))
    path = fill(tmp_path / "l.db", x, [Tags(artist="ab"[i % 2]) for i in range(50)])
    report = measured(path)
    assert (report.asked, report.artist.queries, sum(report.hubs.occurrences.counts)) == (20, 7, 50)
    assert any("sample of 20 tracks" in " ".join(part.note) for part in research_parts(report))
    assert measured(path) == report


# degenerate libraries


@pytest.mark.parametrize("n", [0, 1, 2, 3, 11, 12])
def test_small_libraries_say_what_cannot_be_measured(n, tmp_path):
    path = fill(tmp_path / "l.db", np.random.default_rng(1).normal(size=(n, 4)), [Tags(artist="a")] * n)
    report = measured(path, robustness=5)
    values = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert values["tracks"] == n
    expected = {"same album", "robustness"}
    expected |= {"near-duplicates", "same artist"} if n < 2 else set()
    expected |= {"hubs", "artists in lists"} if n < 12 else set()
    expected |= {"outliers"} if n < 3 else set()
    assert set(report.not_measured) == expected
    assert (report.hubs is None) == (n < 12)
    assert report.nearest is None or sum(report.nearest.counts) == n
    Page(to_html(report))


def test_a_damaged_vector_is_an_error_of_one_line(tmp_path):
    path = fill(tmp_path / "l.db", circle(0, 1))
    import sqlite3

    with sqlite3.connect(path) as db:
        db.execute("UPDATE vector SET components = ? WHERE track_id = 1", (np.full(2, np.nan, "<f4").tobytes(),))
    db.close()
    with pytest.raises(LibraryError, match="library verify"):
        measured(path)


# the page


def test_hostile_names_are_only_text(tmp_path):
    x = np.random.default_rng(0).normal(size=(14, 3))
    tags = [Tags(title=f"{HOSTILE}{i}", artist=f'" onload="x" {HOSTILE}') for i in range(14)]
    path = fill(tmp_path / "l.db", x, tags, root="/music/<b>")
    with LibraryStore.open(path) as library:
        library.write(failures=[Failure("/music/<b>", "<i>.ogg", 1, 1, f"odd {HOSTILE}")])
    html = to_html(measured(path))
    page = Page(html)
    assert not {"script", "img", "b", "i", "link", "iframe"} & set(page.tags)
    assert {name for name, _ in page.attributes if name.startswith("on")} == set()
    assert "<script>alert('x')</script>" in "".join(page.text)  # as text, whole
    assert "\x1b" not in html


def test_the_page_needs_nothing_else_and_fits_a_phone(tmp_path):
    path = fill(tmp_path / "l.db", np.random.default_rng(0).normal(size=(20, 3)), [Tags(artist="a")] * 20)
    html = to_html(measured(path))
    page = Page(html)
    assert not re.search(r"https?:|//|url\(|@import|src=|href=", html)
    assert "prefers-color-scheme" in html
    assert ("name", "viewport") in page.attributes
    assert page.tags.index("details") > page.text.index("Your music") > 0  # what researchers ask for comes last
    widths = [float(v.removeprefix("width:").removesuffix("%")) for name, v in page.attributes if name == "style"]
    assert widths
    assert all(0 <= width <= 100 for width in widths)


def test_the_largest_bar_is_the_longest():
    bars = Bars("t", ("0", "1", "2–3"), (1, 4, 2), ("1", "4", "2"))
    assert bars.lengths() == [0.25, 1, 0.5]
    assert Bars("t", ("a", "b"), (-0.5, 2.0), ("", ""), top=1).lengths() == [0, 1]
    assert Bars("t", ("a",), (0,), ("0",)).lengths() == [0]


# the owner's part


@pytest.fixture
def owned(tmp_path):
    """Ten songs with years and genres, two of one recording, one that is damaged, and what was found out of them."""
    years = [("Rock", 1969), ("rock; Pop", 1971), ("Hip-Hop", 1991), ("hip hop", 1999), ("Hip-Hop", 2001)]
    years += [("Unknown", None), (None, 0), (None, None)]
    tags = [Tags(title=f"t{i}", artist="a", genre=genre, year=year) for i, (genre, year) in enumerate(years)]
    tags += [Tags(), Tags(title="t9")]
    path = fill(tmp_path / "l.db", np.random.default_rng(0).normal(size=(10, 4)), tags)
    with LibraryStore.open(path) as library:
        library.store_near_duplicates({(1, 2): 0.9})
        library.write(
            entries=[
                Entry(
                    "/music", "odd.ogg", 5, 1, "x", "3", 9.0, Tags(title="copy"), np.ones(4), remark="damaged near 1:20"
                )
            ]
        )
        tempos = {1: 61.0, 2: 119.9, 3: 120.0, 4: 250.0}
        library.store_descriptions({i: Description(bpm, "C", 0.9, -10.0 - i) for i, bpm in tempos.items()})
        library.store_probabilities("mood", {1: {"happy": 0.9, "sad": 0.1}, 2: {"happy": 0.5, "calm": 0.6}}, "s")
    return path


def test_what_the_owner_sees_is_counted(owned):
    of = measured(owned).overview
    assert (of.bytes, of.first_year, of.last_year, of.without_year, of.without_genre) == (15, 1969, 2001, 6, 6)
    assert dict(zip(of.decades.labels, of.decades.counts, strict=True)) == {
        "1960s": 1, "1970s": 1, "1980s": 0, "1990s": 2, "2000s": 1
    }  # fmt: skip
    assert dict(zip(of.genres.labels, of.genres.counts, strict=True)) == {"Hip-Hop": 3, "Rock": 2, "Pop": 1}
    assert dict(zip(of.tempos.labels, of.tempos.counts, strict=True)) == {
        "60–80": 1, "80–100": 0, "100–120": 1, "120–140": 1, "140–160": 0, "160–180": 0, "180–200": 0, "over 200": 1
    }  # fmt: skip
    assert dict(zip(of.moods.labels, of.moods.counts, strict=True)) == {"happy": 1, "calm": 1}
    assert {e.what: e.track for e in of.extremes} == {
        "shortest": "copy", "longest": "t9", "slowest": "a – t0", "fastest": "a – t3",
        "quietest": "a – t3", "loudest": "a – t0",
    }  # fmt: skip
    assert (of.copies, of.copied, of.damaged) == (4, 2, 1)  # of the pair that was found, and of equal audio
    assert [c.files for c in of.copy_groups] == [
        ("/music/00000.ogg", "/music/00001.ogg"),
        ("/music/00003.ogg", "/music/odd.ogg"),
    ]


def test_the_owner_s_part_is_said_in_plain_words(owned):
    report = measured(owned)
    parts = {part.title: part for part in owner_parts(report)}
    assert next(iter(parts)) == "Your music"
    assert "11 songs, 1 artist" in parts["Your music"].note[0]
    rows = {row[0]: row[1:] for row in parts["What to look after"].rows}
    assert rows["songs whose file is gone"][0] == 11
    assert rows["songs that are there more than once"] == (2, f"mirclr duplicates --library {owned}")
    assert "Known of 4 of 11 songs" in parts["Tempo"].note[1]
    said = " ".join(str(part) for part in parts.values()).lower()
    for word in ("track", "vector", "cosine", "embed", "neighbour", "map"):
        assert word not in said


def test_the_owner_is_told_how_to_find_out_what_is_not_known(tmp_path):
    parts = {p.title: " ".join(p.note) for p in owner_parts(measured(fill(tmp_path / "l.db", circle(0, 40, 90))))}
    assert "mirclr describe" in parts["Tempo"]
    assert "mirclr classify predict" in parts["Mood"]
    empty = owner_parts(measured(fill(tmp_path / "m.db", [])))
    assert [part.title for part in empty] == ["Your music"]
    assert "mirclr embed" in empty[0].note[0]


def test_long_lists_are_cut_and_say_so_but_whole_on_the_page(tmp_path):
    path = fill(tmp_path / "l.db", np.random.default_rng(0).normal(size=(14, 4)))
    report = measured(path)
    short, whole = ({p.title: p for p in owner_parts(report, whole=w)}["Songs without a title"] for w in (False, True))
    assert (len(short.rows), short.note) == (10, ("The first 10 of 14.",))
    assert (len(whole.rows), whole.note) == (14, ())


def test_a_map_has_a_place_for_each_song_and_is_the_same_each_time(tmp_path):
    rng = np.random.default_rng(0)
    vectors = np.vstack([np.eye(6)[i // 10] + rng.normal(size=6) * 0.02 for i in range(20)])
    tags = [Tags(title=f"{HOSTILE}{i}", genre=("one", "two")[i // 10]) for i in range(20)]
    path = fill(tmp_path / "l.db", vectors, tags)
    with LibraryStore.open(path) as library:
        songs = song_map(library)
        assert song_map(library) == songs
    places = np.array([(p.x, p.y) for p in songs.points])
    assert places.min() == 0
    assert places.max() == 1
    middles = places[:10].mean(axis=0), places[10:].mean(axis=0)
    for group, middle, other in ((places[:10], *middles), (places[10:], *middles[::-1])):
        assert (np.linalg.norm(group - middle, axis=1) < np.linalg.norm(group - other, axis=1)).all()
    assert (songs.groups, [p.group for p in songs.points], songs.songs) == (("one", "two"), [0] * 10 + [1] * 10, 20)
    page = Page(to_html(measured(path), songs))
    assert page.tags.count("circle") == 20
    assert not {"script", "img"} & set(page.tags)
    few = fill(tmp_path / "few.db", circle(0, 10, 20))
    with LibraryStore.open(few) as library:
        assert song_map(library) is None


# robustness, on real music


@pytest.fixture(scope="module")
def music(songs, tmp_path_factory):
    """Real songs by a very small encoder in a checkpoint, and thirteen tracks whose files are gone."""
    import torch

    from mirclr.config import parse_recipe
    from mirclr.ingest.embedding import embed_files
    from mirclr.ingest.finding import find_audio
    from mirclr.models.checkpoint import save_checkpoint
    from mirclr.models.embedder import Embedder
    from mirclr.models.encoder import Model

    folder = tmp_path_factory.mktemp("music")
    encoder = "{name: resnet, widths: [4, 4], blocks: [1, 1], dim: 8}"
    recipe = parse_recipe(f"name: t\ndata: {{train: x}}\naudio: {{clip_seconds: 1}}\nencoder: {encoder}")
    torch.manual_seed(0)
    save_checkpoint(folder / "encoder.safetensors", Model(recipe), provenance={})
    embedder = Embedder.load(folder / "encoder.safetensors", excerpts=2)
    (folder / "music").mkdir()
    for song in songs:
        shutil.copy(song, folder / "music")
    (folder / "music" / "torn.ogg").write_bytes(songs[0].read_bytes())
    with pytest.MonkeyPatch.context() as patch, LibraryStore.open(folder / "l.db", create=True) as library:
        patch.setattr("mirclr.audio.decoding.results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs))
        list(embed_files(library, find_audio([folder / "music"], library)[0], embedder))
        rng = np.random.default_rng(0)
        library.write(
            entries=[
                Entry("/gone", f"{i}.ogg", 1, 1, f"{i}", f"{i}", 9.0, Tags(), v)
                for i, v in enumerate(rng.normal(size=(13, 8)))
            ]
        )
    (folder / "music" / "torn.ogg").write_bytes(b"torn")
    return folder


def test_what_is_embedded_again_unchanged_is_the_same(music, in_process):
    report = measured(music / "l.db", robustness=24)
    found = report.robustness
    assert report.gone == 13
    assert (found.tracks, len(found.problems)) == (4, 1)
    assert "torn.ogg" in found.problems[0]
    by = {c.name: c for c in found.changes}
    assert by["as it is"].overlap == 1
    assert by["as it is"].cosine == pytest.approx(1, abs=1e-4)
    assert by["noise"].cosine < by["as it is"].cosine
    assert 0 <= by["noise"].overlap <= 1
    assert report.to_json()["robustness"]["heard"] == 4  # keys of JSON are those of before
    if found.mp3_kbps:
        assert found.mp3_kbps == pytest.approx(64, rel=0.05)
        assert by["mp3"].cosine > 0.5
    assert {bars.top for part in research_parts(report) if part.title == "Robustness" for bars in part.bars} == {1}


def test_the_changes_are_what_they_are_called(songs):
    versions, _ = measure._versions(songs[0], 2, 1.0, 16000)
    plain = versions["as it is"]
    np.testing.assert_allclose(versions["-6 dB"], plain * 0.501187, rtol=1e-5)
    noise = versions["noise"] - plain
    assert 10 * np.log10(np.square(plain).mean() / np.square(noise).mean()) == pytest.approx(20, abs=0.2)
    if "mp3" in versions:
        assert versions["mp3"].shape == plain.shape
        assert np.corrcoef(versions["mp3"].ravel(), plain.ravel())[0, 1] > 0.98


def test_a_sample_is_embedded_again_and_another_encoder_is_not_used(music, in_process, tmp_path):
    two = measured(music / "l.db", robustness=2).robustness
    assert two.tracks + len(two.problems) == 2
    shutil.copy(music / "l.db", tmp_path / "l.db")
    import sqlite3

    with sqlite3.connect(tmp_path / "l.db") as db:
        text = db.execute("SELECT value FROM meta WHERE key = 'encoder'").fetchone()[0]
        changed = json.loads(text) | {"digest": "0" * 32}
        db.execute("UPDATE meta SET value = ? WHERE key = 'encoder'", (json.dumps(changed),))
    db.close()
    assert "another encoder" in measured(tmp_path / "l.db", robustness=3).not_measured["robustness"]


# the command


def run(*args):
    return invoke([str(a) for a in args])


def test_the_command_prints_writes_a_page_and_json(music, in_process, tmp_path):
    page = tmp_path / "deep" / "report.html"
    result = run("evaluate", "library", "--library", music / "l.db", "-o", page, "--robustness", 5)
    assert result.exit_code == 0, result.output
    for word in ("songs", "Odd ones", "For researchers", "Hubs", "Robustness", "Not measured", "torn.ogg"):
        assert word in result.stdout
    Page(page.read_text(encoding="utf-8"))
    assert [p.name for p in page.parent.iterdir()] == ["report.html"]
    result = run("evaluate", "library", "--library", music / "l.db", "--robustness", 0, "--json")
    facts = json.loads(result.stdout)
    assert facts["tracks"] == 18
    assert facts["robustness"] is None
    assert facts["not_measured"]["robustness"] == "was not asked for"
    assert Hubs(**facts["hubs"]).skewness == facts["hubs"]["skewness"]


def test_an_empty_library_is_reported_on(tmp_path):
    LibraryStore.open(tmp_path / "l.db", create=True).close()
    result = run("evaluate", "library", "--library", tmp_path / "l.db")
    assert result.exit_code == 0, result.output
    assert "holds none" in result.stdout


def test_the_page_never_replaces_the_library(tmp_path):
    path = fill(tmp_path / "l.db", circle(0, 1))
    before = path.read_bytes()
    result = run("evaluate", "library", "--library", path, "-o", path)
    assert result.exit_code == 2
    assert path.read_bytes() == before
