"""What people type for what they want: bounds in words, filters without a song, rules that say what they do."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mirclr
from mirclr.errors import AudioError, NoMatch, QueryError, UnreadableAudio
from mirclr.index import open_index
from mirclr.library import Description, LibraryStore
from mirclr.names import close_names
from mirclr.recommend import MetadataFilters, Query, Seed, find_seeds, parse_rule, recommend, rule_effects
from mirclr.recommend.ranges import parse_bpm, parse_duration, parse_length, parse_years
from mirclr.recommend.rules import Rules
from mirclr.recommend.words import in_words, settings_in_words, wish_in_words
from mirclr.terminal import counted
from tests.commands import exits, invoke
from tests.test_recommend import STAMP, entry

INF = math.inf

# bounds


@pytest.mark.parametrize(
    ("text", "least", "most", "about"),
    [
        *((text, 115, 125, True) for text in ("120", "~120", "about 120", "120 bpm", "~ 120", "~115..125")),
        *((text, 115, 125, False) for text in ("115..125", "115-125", "115 to 125", "between 115 and 125", "115…125")),
        *((text, 115, INF, False) for text in ("115..", "over 115", "from 115", ">=115", "at least 115")),
        *((text, -INF, 90, False) for text in ("..90", "under 90", "<90", "up to 90", "at most 90")),
    ],
)
def test_tempo(text, least, most, about):
    assert parse_bpm(text) == (least, most, about)
    assert parse_bpm(text.upper()) == (least, most, about)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("1994", 1994, 1994),
        *((text, 1990, 1999) for text in ("1990s", "90s", "'90s", "the 90s", "1990..1999", "1990-1999", "1990's")),
        ("00s", 2000, 2009),
        ("2020s", 2020, 2029),
        *((text, 1980, 1999) for text in ("1980s..1990s", "1980s to 1990s", "80s-90s", "from 1980 to 1999")),
        *(
            (text, -INF, 1989)
            for text in ("before 1990", "before-1990", "<1990", "before 1990s", "until 1989", "..1989")
        ),
        *(
            (text, 2000, INF)
            for text in ("since 2000", "since-2000", "2000..", "after 1999", "from 2000s", "after 1990s")
        ),
        ("~1994", 1992, 1996),
    ],
)
def test_years(text, least, most):
    assert parse_years(text)[:2] == (least, most)


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("3m", 162, 198),
        ("2m..8m", 120, 480),
        ("2:30..4:00", 150, 240),
        ("under 5m", -INF, 300),
        ("over 1h", 3600, INF),
        ("90s..2m30", 90, 150),
    ],
)
def test_durations(text, least, most):
    assert parse_duration(text)[:2] == pytest.approx((least, most))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("45m", 2700),
        ("45", 2700),
        ("1h30m", 5400),
        ("1h30", 5400),
        ("1.5 hours", 5400),
        ("1:15:00", 4500),
        ("45:00", 2700),
    ],
)
def test_lengths(text, seconds):
    assert parse_length(text) == seconds


@pytest.mark.parametrize(
    ("parser", "texts"),
    [
        (parse_bpm, ["fast", "", "0", "-3", "nan", "inf..", "120..110", "..", "12O"]),
        (parse_years, ["94", "1995s", "soon", "", "1999..1990", "before", "19900", "nan"]),
        (parse_duration, ["x", "", "3q", "nan..", "2m..1m"]),
        (parse_length, ["x", "1:30", "0", "-5", "nan", "inf", ""]),
    ],
)
def test_what_is_no_bound_is_refused_with_examples(parser, texts):
    for text in texts:
        with pytest.raises(QueryError, match=r"found .*; expected "):
            parser(text)


@given(st.floats(1, 9999), st.floats(1, 9999))
def test_two_numbers_are_bounds_as_they_stand(a, b):
    low, high = sorted((round(a, 2), round(b, 2)))
    assert parse_bpm(f"{low}..{high}") == (low, high, False)


@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text):
    for parser in (parse_bpm, parse_years, parse_duration):
        try:
            least, most, _ = parser(text)
        except QueryError:
            continue
        assert least <= most
        assert not math.isnan(least + most) or (least, most) == (-INF, INF)


def test_a_query_takes_texts_and_survives_json():
    query = Query(bpm="~120", year="1990s", duration_s="under 5m", length_s="45m")
    assert (query.bpm, query.octaves, query.year, query.length_s) == ((115, 125), True, (1990, 1999), 2700)
    assert Query.from_json(json.loads(json.dumps(query.to_json()))) == query
    assert not Query(bpm="115..125").octaves
    with pytest.raises(QueryError, match="year: found 'x'"):
        Query(year="x")


# a library of songs


@pytest.fixture
def library(tmp_path):
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        library.bind(STAMP)
        yield library


@pytest.fixture
def songs(library):
    """Forty songs: a second each of genre, mood and tempo, some of them below a folder of Christmas."""
    rng = np.random.default_rng(0)
    library.write(
        entries=[
            entry(
                f"{'Xmas/Merry Christmas' if i % 10 == 3 else 'Pop'}/{i}.ogg",
                rng.standard_normal(4),
                title=f"Song {i}",
                artist=f"Artist {i // 2}",
                album=f"Album {i // 4}",
                genre=("Rock", "Jazz", None)[i % 3],
                year=1985 + i if i % 5 else None,
                duration_s=120.0 + 7 * i,
            )
            for i in range(40)
        ]
    )
    library.store_probabilities("genre", {i + 1: {"rock": 0.6 if i % 6 == 2 else 0.1} for i in range(40)}, "h")
    library.store_probabilities("mood", {i + 1: {"party": i / 40, "calm": 1 - i / 40} for i in range(40)}, "h")
    library.store_descriptions(
        {i + 1: Description((60.0, 90.0, 119.0, 240.0)[i % 4], "Am", 0.5, -9.0) for i in range(40)}
    )
    return library


def ask(library, **asked):
    return recommend(library, open_index(library), Query(**asked))


def ids(answer):
    return [r.track.id for r in answer.recommendations]


def test_filters_alone_make_a_list_the_surest_first(songs):
    answer = ask(songs, mood="party", n=10, artist_gap=0)
    assert ids(answer) == list(range(40, 30, -1))
    assert answer.seeds == ()
    first = answer.recommendations[0]
    assert (first.match, first.similarity, first.explanation.seed) == (98, None, "")
    assert ids(ask(songs, mood="party", n=10, artist_gap=0, exclude="path:Christmas")) == [
        i for i in range(40, 29, -1) if i != 34
    ]


def test_what_is_as_sure_comes_in_any_order_and_a_number_gives_another(songs):
    first, again = (ids(ask(songs, year="1990s")) for _ in range(2))
    assert first == again
    assert first not in (sorted(first), sorted(first, reverse=True))
    assert {t.year for t in songs.tracks(first)} <= set(range(1990, 2000))
    assert first != ids(ask(songs, year="1990s", seed=7))
    assert ask(songs, year="1990s").recommendations[0].match is None


def test_a_tempo_is_also_that_at_half_or_twice(songs):
    def tempos(bpm):
        found = ids(ask(songs, bpm=bpm, n=40, artist_cap=0, artist_gap=0))
        return {songs.descriptions([i])[i].tempo_bpm for i in found}

    assert tempos("120") == tempos("~115..125") == {60, 119, 240}
    assert tempos("115..125") == {119}
    assert tempos("under 100") == {60, 90}


def test_limits_and_rules_hold_without_a_song_too(songs):
    found = [t.artist for t in songs.tracks(ids(ask(songs, n=20, exclude="artist:artist 3", seed=1, artist_cap=1)))]
    assert len(set(found)) == len(found) == 19
    assert "Artist 3" not in found


def test_nothing_to_start_from():
    with pytest.raises(QueryError, match="nothing to start from"):
        Query()


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"year": "1930s"}, "no song is from 1930 to 1939; your songs are of 1986 to 2024"),
        (
            {"genre": "jazz", "bpm": "200..250"},
            "no song is both jazz and 200 to 250 bpm; jazz: 13 songs; 200 to 250 bpm: 10 songs",
        ),
        ({"duration_s": "over 1h"}, "no song is at least 1:00:00 long; your songs are 2:00 to 6:33 long"),
    ],
)
def test_an_empty_list_names_the_filter_that_emptied_it(songs, asked, line):
    if "bpm" in asked:
        songs.store_descriptions({i: Description(240.0 if i % 3 != 2 else 90.0, "Am", 0.5, -9.0) for i in range(1, 41)})
        n = sum(i % 3 != 2 for i in range(1, 41))
        line = line.replace("10 songs", f"{n} songs")
    assert ask(songs, **asked).remarks == [line]


def test_a_short_list_says_why(songs):
    assert ask(songs, genre="jazz", n=20, artist_cap=0, artist_gap=0).remarks == [
        "only 13 songs in your library are jazz"
    ]
    song = songs.tracks([2])[0]
    named = {"seeds": str(song.file), "genre": "jazz", "n": 20, "artist_cap": 0, "artist_gap": 0, "same_album": True}
    assert ask(songs, **named, fill=True).remarks == ["only 12 other songs in your library are jazz"]
    first, *lines = ask(songs, mood="party", n=40, artist_cap=1, artist_gap=0, exclude="path:Christmas").remarks
    assert first == "found 13 songs, not 40: 26 songs in your library are party (mood)"
    assert lines == [
        "11 more are by an artist of whom 1 is listed; to let more of one artist come: --artist-cap 0",
        "2 more are kept out by a rule: mirclr block list shows those that are kept",
    ]


def test_a_list_is_not_padded_with_what_is_not_alike(songs):
    seed = str(songs.tracks([1])[0].file)
    common = {"seeds": seed, "n": 40, "artist_cap": 0, "artist_gap": 0, "same_album": True}
    alike, filled = ask(songs, **common), ask(songs, **common, fill=True)
    assert ids(filled)[: len(ids(alike))] == ids(alike)
    assert 0 < len(ids(alike)) < len(ids(filled)) == 39
    left = 39 - len(ids(alike))
    assert f"{left} more are not alike; to fill the list with them: --fill yes" in alike.remarks
    assert min(r.similarity for r in alike.recommendations) > max(r.similarity for r in filled.recommendations[-5:])


def test_a_genre_that_no_tag_names_is_said_to_be_a_guess(songs):
    found = ask(songs, genre="rock", n=30, artist_cap=0, artist_gap=0)
    n = sum(t.genre != "Rock" for t in songs.tracks(ids(found)))
    assert 0 < n < len(ids(found)) == 21
    assert f"the genre is a guess for {n} of these 21 songs" in found.remarks
    assert not [line for line in ask(songs, genre="jazz", n=3).remarks if "guess" in line]


def test_what_half_and_twice_a_tempo_would_add_is_said(songs):
    lines = ask(songs, bpm="115..125", n=30, artist_cap=0, artist_gap=0).remarks
    assert lines == [
        "only 10 songs in your library are 115 to 125 bpm",
        "20 songs more at half or twice that tempo: --bpm '~115..125'",
    ]
    lines = ask(songs, year="1990s", n=30, artist_cap=0, artist_gap=0).remarks
    assert lines[1:] == ["8 songs of your library have no year in the tags"]


# how long


@pytest.mark.parametrize("minutes", [10, 20, 45, 60])
@pytest.mark.parametrize("asked", [{"mood": "calm"}, {"seeds": "Song 5", "fill": True}])
def test_a_list_plays_as_long_as_was_asked_and_no_longer(songs, minutes, asked):
    answer = ask(songs, length_s=f"{minutes}m", **asked)
    plays_s = sum(r.track.duration_s for r in answer.recommendations)
    assert 60 * minutes - 60 < plays_s <= 60 * minutes
    assert answer.remarks == []
    names = [r.track.artist for r in answer.recommendations]
    assert all(name not in names[i + 1 : i + 4] for i, name in enumerate(names))


def test_a_library_that_is_too_short_says_so(songs):
    answer = ask(songs, length_s="10h", genre="jazz", artist_cap=0, artist_gap=0)
    assert len(answer.recommendations) == 13
    assert answer.remarks == ["only 13 songs in your library are jazz"]


def test_a_path_of_a_length(songs):
    answer = ask(songs, seeds="Song 5", to="Song 30", length_s="40m")
    found = [r.track for r in answer.recommendations]
    assert (found[0].title, found[-1].title) == ("Song 5", "Song 30")
    assert 30 * 60 < sum(t.duration_s for t in found) <= 40 * 60


# rules


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("path:Christmas", "path:Christmas keeps out 4 songs"),
        ("path:merry chris", "path:merry chris keeps out 4 songs"),
        ("folder:Xmas/Merry", "path:Xmas/Merry keeps out 4 songs"),
        ("path:Xmas/", "path:Xmas/ keeps out 4 songs"),
        (
            "path:mas/",
            "path:mas/ keeps out nothing: no path contains it; did you mean path:Xmas?",
        ),
        ("path:Chrismas", "did you mean path:Merry Christmas?"),
        ("artist:Christmas", "no song is by an artist of this name; did you mean path:Christmas?"),
        ("album:the song 39", "album:the song 39 keeps out nothing: no album has this name"),
        ("album:Song 39", "no album has this name; did you mean track:Song 39"),
        ("track:Rock", "and no file this name; did you mean genre:Rock?"),
        ("artist:Artits 7", "did you mean artist:Artist 7"),
        ("genre:jaz", "no song has this genre; did you mean genre:Jazz?"),
        ("genre:rock", "genre:rock keeps out 21 songs"),
        ("song:Song 3", "track:Song 3 keeps out 1 song"),
        ("album:zzzz", "album:zzzz keeps out nothing: no album has this name"),
    ],
)
def test_a_rule_says_what_it_keeps_out(songs, rule, line):
    (effect,) = rule_effects(songs, [parse_rule(rule)])
    assert line in effect


def test_a_library_of_one_song_has_no_other(library):
    library.write(entries=[entry("a.ogg", np.ones(4), title="Alone")])
    answer = ask(library, seeds="Alone")
    assert answer.remarks == ["there is no other song in your library; add more: mirclr embed FOLDER"]
    library.write(entries=[entry("b.ogg", np.ones(4), title="Beside")])
    assert ask(library, seeds="Alone").remarks == ["only 1 other song is in your library"]


def test_rules_are_reported_by_the_command(songs):
    done = invoke(["recommend", "--mood", "party", "--exclude", "path:Xmas", "--library", songs.path])
    assert "path:Xmas keeps out 4 songs" in done.stderr


@given(
    st.lists(st.text("abcä/.", min_size=1, max_size=8), min_size=1, max_size=5), st.text("abcä", min_size=1, max_size=3)
)
def test_a_path_rule_is_any_part_of_a_path(parts, text):
    from types import SimpleNamespace

    path = "/".join(part.strip("/") or "x" for part in parts)
    track = SimpleNamespace(
        path=path, root="/music", title=None, artist=None, album=None, album_artist=None, genre=None
    )
    folded = path.replace("ä", "a")
    assert Rules([parse_rule(f"path:{text}")]).exclude(track) is (text.replace("ä", "a") in folded)


def test_close_names():
    assert close_names("metalica", ["Metallica", "Megadeth", "Beck"]) == ["Metallica"]
    assert close_names("beatles", ["The Beatles", "Beat Happening"])[0] == "The Beatles"
    assert close_names("qqq", ["Metallica"]) == []


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ({"genre": "rokc"}, "no song in your library is rokc; did you mean rock"),
        ({"mood": "partys"}, "no song in your library is partys \\(mood\\); did you mean party"),
        ({"mood": "zzz"}, "there are: calm, party"),
    ],
)
def test_a_label_that_there_is_not_names_those_that_there_are(songs, asked, match):
    with pytest.raises(QueryError, match=match):
        ask(songs, **asked)


# songs to start from


def test_a_folder_of_the_library_is_all_its_songs(songs, tmp_path, monkeypatch):
    folder = tmp_path / "music" / "live"
    folder.mkdir(parents=True)
    songs.write(entries=[entry(f"live/{i}.ogg", (1, i, 0, 0), root=str(tmp_path / "music")) for i in range(3)])
    found = {s.track_id for s in find_seeds(songs, [str(folder)])}
    assert found == {41, 42, 43}
    monkeypatch.chdir(tmp_path / "music")
    assert {s.track_id for s in find_seeds(songs, ["live"])} == found
    assert {s.track_id for s in find_seeds(songs, ["./live/"])} == found


def test_a_folder_outside_is_embedded_but_for_what_cannot_be_read(songs, tmp_path):
    folder = tmp_path / "stick"
    folder.mkdir()
    for name in ("a.ogg", "b.ogg", "bad.ogg"):
        (folder / name).write_bytes(b"OggS" + name.encode())
    notes = []

    def embed(files):
        return [
            UnreadableAudio(f"{f}: not audio") if f.stem == "bad" else Seed(f.name, np.array([1, 0, 0, 0], "f4"))
            for f in files
        ]

    assert [s.label for s in find_seeds(songs, [str(folder)], embed, notes.append)] == ["a.ogg", "b.ogg"]
    assert notes == [f"left out {folder}/bad.ogg: not audio".replace("/", __import__("os").sep)]
    with pytest.raises(AudioError):
        find_seeds(songs, [str(folder / "bad.ogg")], embed)
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoMatch, match="holds no music"):
        find_seeds(songs, [str(tmp_path / "empty")], embed)


def test_a_folder_of_the_name_of_an_artist_is_the_artist(songs, tmp_path, monkeypatch):
    (tmp_path / "Artist 3").mkdir()
    monkeypatch.chdir(tmp_path)
    assert [s.track_id for s in find_seeds(songs, ["Artist 3"])] == [7, 8]


# what is found out on the spot


class Counting:
    """A progress that counts."""

    def __init__(self):
        self.steps = 0

    def __call__(self, label, total):
        self.label, self.total = label, total
        return self

    def __enter__(self):
        return lambda *_, **__: setattr(self, "steps", self.steps + 1)

    def __exit__(self, *_):
        pass


def test_tempo_is_found_out_of_what_passes_all_else(songs, tmp_path, monkeypatch):
    files = [tmp_path / f"{i}.ogg" for i in range(3)]
    for file in files:
        file.touch()
    songs.write(entries=[entry(f.name, (1, 0, i, 0), root=str(tmp_path), year=1950) for i, f in enumerate(files)])
    described = []

    def describe(library, tracks):
        for track in tracks:
            described.append(track.path)
            library.store_descriptions({track.id: Description(100.0, "C", 0.5, -9.0)})
            yield track, "cannot be read" if track.path == "2.ogg" else Description(100.0, "C", 0.5, -9.0)

    monkeypatch.setattr("mirclr.ingest.description.describe_tracks", describe)
    with mirclr.Library.open(songs.path) as library:
        shown = Counting()
        query = Query(bpm="100", year="1950")
        assert library.prepare(query, progress=shown) == [
            "found tempo and key of 2 songs, but not of 1 song that cannot be read"
        ]
        assert described == ["0.ogg", "1.ogg", "2.ogg"]
        assert (shown.total, shown.steps) == (3, 3)
        assert library.prepare(query) == []
        assert library.prepare(Query(bpm="100")) == []
        assert library.recommend(bpm="90..110", n=2)
        monkeypatch.setattr("mirclr.classify.readying.MOST_MEASURED", 1)
        library.write(
            entries=[entry(f.name + "x", (1, 0, 9, i), root=str(tmp_path), year=1949) for i, f in enumerate(files)]
        )
        for file in files:
            file.with_name(file.name + "x").touch()
        (line,) = library.prepare(Query(bpm="100", year="1949"))
        assert line.startswith("tempo and key of 3 songs are not known yet; to find them out: mirclr describe")


def test_the_command_needs_no_song(songs, capsys):
    code, out, err = exits(
        capsys, "recommend", "--genre", "rock", "--year", "1990s", "-n", 3, "--json", "--library", songs.path
    )
    rows = json.loads(out)["recommendations"]
    assert (code, len(rows)) == (0, 3)
    assert {r["seed"] for r in rows} == {None}
    assert all(1990 <= r["year"] <= 1999 for r in rows)
    code, _, err = exits(capsys, "recommend", "--library", songs.path)
    assert code == 2
    assert "nothing to start from" in err


def test_the_old_name_of_shuffle(songs, capsys):
    asked = ("recommend", "--mood", "party", "--json", "--library", songs.path)
    new, old = exits(capsys, *asked, "--shuffle", 7), exits(capsys, *asked, "--seed", 7)
    assert new[:2] == old[:2]
    assert "--seed is now called --shuffle" in old[2]


def test_python_asks_as_the_command_line_does(songs, capsys):
    with mirclr.Library.open(songs.path) as library:
        found = library.recommend(genre="rock", year="1990s", bpm=120, n=5)
        alone = library.recommend(mood="party", length_s="20m", shuffle=3)
        assert sum(r.track.duration_s for r in alone) <= 1200
    rows = exits(
        capsys,
        *("recommend", "--genre", "rock", "--year", "1990s", "--bpm", "120", "-n", 5, "--json"),
        "--library",
        songs.path,
    )[1]
    assert [r.track.id for r in found] == [r["id"] for r in json.loads(rows)["recommendations"]]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"genre": ("rock", "pop"), "year": "1990s"}, "rock or pop, from 1990 to 1999"),
        (
            {"bpm": "120", "key": "Am,compatible"},
            "115 to 125 bpm (or half or twice that), in Am (or a key that mixes with it)",
        ),
        ({"year": "before 1990"}, "before 1990"),
        ({"year": "since 2000", "duration_s": "under 5m"}, "since 2000, at most 5:00 long"),
        ({"exclude": "path:Christmas", "length_s": "45m"}, "without path:Christmas"),
        ({"length_s": "45m"}, "a mix of all your songs"),
        ({"seed": 3}, "a mix of all your songs"),
    ],
)
def test_a_query_in_words(asked, words):
    assert in_words(Query(**asked)) == words


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"seeds": "Creep", "n": 3}, "3 songs like Creep"),
        ({"genre": "rock", "length_s": "45m"}, "45 minutes: rock"),
        ({"profile": "me"}, "20 songs for me"),
        ({"seeds": "a", "to": "b", "n": 9}, "9 songs from a to b"),
    ],
)
def test_a_wish_in_words(asked, words):
    assert wish_in_words(Query(**asked)) == words


def test_settings_that_are_not_as_usual_in_words():
    assert settings_in_words(Query(genre="rock")) == {}
    found = settings_in_words(Query(genre="rock", artist_cap=0, fill=True, seed=7))
    assert found == {"songs of one artist": "any number", "what is not alike": "may fill the list", "shuffle": "7"}


def test_masks_name_their_filters(songs):
    masks = MetadataFilters(songs).masks(Query(genre="rock", mood="party", bpm="60..100", year="1990s", key="Am"))
    assert list(masks) == ["genre", "mood", "bpm", "year", "key"]


# words and lists


def test_words_that_were_typed_without_quotes_are_one_name(songs):
    notes = []
    assert [s.track_id for s in find_seeds(songs, ["artist", "3"], note=notes.append)] == [7, 8]
    assert notes == ["taken as one name: 'artist 3'; a name of several words goes in quotes"]


def test_a_genre_is_offered_where_words_name_one(songs):
    songs.write(
        entries=[
            entry("j.ogg", (1, 0, 0, 0), title="Jazz it up", artist="A"),
            entry("k.ogg", (1, 1, 0, 0), title="All that jazz", artist="B"),
        ]
    )
    for text, ask_for in (("jazz", "--genre jazz"), ("party", "--mood party")):
        with pytest.raises(NoMatch, match=f"for the .*: mirclr recommend {ask_for}"):
            find_seeds(songs, [text])


def test_the_list_of_a_library_takes_the_same_filters(songs, capsys):
    def listed(*asked):
        code, out, err = exits(capsys, "library", "list", *asked, "--library", songs.path)
        return code, [int(line.split("\t")[0]) for line in out.splitlines()], err

    assert listed()[1] == list(range(1, 41))
    code, found, err = listed("--genre", "jazz", "--year", "1990s", "--exclude", "path:Christmas")
    assert code == 0
    assert found == [
        t.id
        for t in songs.tracks()
        if t.genre == "Jazz" and t.year and 1990 <= t.year <= 1999 and "Christmas" not in t.path
    ]
    assert err == f"path:Christmas keeps out 4 songs\n{counted(len(found), 'song')}\n"
    assert listed("Artist 3")[1] == [7, 8]
    assert listed("Song 3")[1] == [4]
    assert listed("Merry", "--mood", "party")[1] == [24, 34]
    code, found, err = listed("--year", "1930s")
    assert (code, found) == (1, [])
    assert "no song is from 1930 to 1939; your songs are of 1986 to 2024" in err
    with mirclr.Library.open(songs.path) as library:
        assert [t.id for t in library.select(genre="jazz", year="1990s", exclude="path:Christmas")] == listed(
            "--genre", "jazz", "--year", "1990s", "--exclude", "path:Christmas"
        )[1]
        with pytest.raises(QueryError, match="expected filters"):
            library.select(colour="red")
