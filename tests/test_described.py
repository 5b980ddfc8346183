"""Search by words: what a text asks, held against a library by the log-odds of tags."""

import json
import subprocess
import sys

import numpy as np
import pytest

import mirclr
from mirclr.classify import Head, Heads, heads_path
from mirclr.classify.lifting import lifts_path, tag_lifts
from mirclr.errors import NoMatch, QueryError
from mirclr.index import open_index
from mirclr.library import Description, LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.recommend import Query, TagLifts, recommend
from mirclr.recommend.lifts import logit, probability
from tests.commands import exits
from tests.test_recommend import entry

TAGS = ("piano", "guitar", "calm", "loud", "metal", "no vocals")
STAMP = EncoderStamp("e" * 32, "a.safetensors", 6, 8, {})
SONGS = {  # log-odds above the base rate, by tag
    "calm piano": (3, -2, 3, -2, -2, 2),
    "loud piano": (3, -2, -2, 3, -1, -2),
    "calm guitar": (-2, 3, 3, -2, -2, -2),
    "metal": (-2, 2, -3, 3, 3, -2),
    "nothing": (-1, -1, -1, -1, -1, -1),
}
FREE = {"artist_cap": 0, "artist_gap": 0, "fill": True}


@pytest.fixture
def library(tmp_path):
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        library.bind(STAMP)
        years = dict(zip(SONGS, (1985, 1995, 1975, 1988, 2001), strict=True))
        genres = {"metal": "Zydeco; Metal"}
        rng = np.random.default_rng(1)
        for name in SONGS:
            vector = rng.standard_normal(6)
            library.write(
                entries=[
                    entry(
                        name,
                        vector / np.linalg.norm(vector),
                        title=name,
                        artist=name,
                        year=years[name],
                        genre=genres.get(name),
                    )
                ]
            )
        library.store_descriptions(
            {i: Description(60.0 + 20 * i, "Am" if i % 2 else "C", 0.9, -10.0) for i in library.ids().tolist()}
        )
        yield library


def lifts_of(library):
    ids = library.ids()
    names = [t.path for t in library.tracks(ids.tolist())]
    table = np.array([SONGS[name] for name in names], np.float16)
    return TagLifts(tuple(("tag", tag) for tag in TAGS), ids, table, {})


def found(library, text, *seeds, **asked):
    query = Query(text=text, seeds=seeds, **{**FREE, **asked})
    return recommend(library, open_index(library), query, lifts=lifts_of(library))


def names(answer):
    return [r.track.path for r in answer.recommendations]


def test_all_that_is_asked_counts_and_the_surest_comes_first(library):
    answer = found(library, "calm piano")
    assert names(answer) == ["calm piano"]  # what is its opposite in one thing is none
    assert 55 < answer.recommendations[0].match < 70  # of both tags 0.69
    assert answer.recommendations[0].reason == "calm, piano"
    assert answer.remarks[0] == "understood: calm .50, piano .50"
    assert set(names(found(library, "piano"))) == {"calm piano", "loud piano"}


def test_a_rare_tag_wins_by_how_much_likelier_it_is_than_usual():
    assert probability(logit(0.05) - logit(0.01)) > 0.35  # 5 % where 1 % is usual


def test_what_is_not_wanted_is_left_out(library):
    assert "metal" not in names(found(library, "no metal"))
    assert set(names(found(library, "piano, not loud"))) == {"calm piano"}
    assert set(names(found(library, "guitar without metal"))) == {"calm guitar"}


def test_bounds_of_a_text_are_the_filters_that_are_there(library):
    plain = recommend(library, open_index(library), Query(year=(1980, 1989), bpm=(75, 105), seed=0, **FREE))
    both = found(library, "from the 80s, around 90 bpm")
    assert set(names(both)) <= set(names(plain)) == {"calm piano"}
    assert names(found(library, "piano before 1990")) == ["calm piano"]
    assert names(found(library, "piano", year=(1990, 1999))) == ["loud piano"]
    assert {t.path for t in [r.track for r in found(library, "in a minor key").recommendations]} == {
        t.path for t in library.tracks() if library.descriptions()[t.id].key == "Am"
    }
    with pytest.raises(QueryError, match="no song can be both"):
        found(library, "before 1990", year=(1995, 2000))


def test_genres_of_files_count_as_sure(library):
    assert names(found(library, "zydeco")) == ["metal"]
    assert found(library, "metal").recommendations[0].match >= 85


def test_without_anything_likely_there_is_no_answer_and_nonsense_is_refused(library):
    assert names(found(library, "calm metal")) == []
    with pytest.raises(NoMatch, match="nothing of 'xylophobia' is understood"):
        found(library, "xylophobia")
    answer = found(library, "piano xylophobia")
    assert answer.remarks[0] == "understood: piano 1; not understood: xylophobia"
    with pytest.raises(QueryError, match="text"):
        Query(text=" ")


def test_beside_seeds_the_list_is_alike_and_as_described(library):
    ids = {t.path: t.id for t in library.tracks()}
    assert "metal" not in names(found(library, "but calmer", f"id:{ids['loud piano']}"))
    assert names(found(library, "but calmer", f"id:{ids['calm piano']}")) == []  # none is calmer
    louder = found(library, "louder", f"id:{ids['calm guitar']}")
    assert set(names(louder)) == {"loud piano", "metal"}
    assert all(r.explanation.seed for r in louder.recommendations)


def test_the_same_text_gives_the_same_list_and_a_query_is_kept(library):
    query = Query(text="calm piano")
    assert Query.from_json(query.to_json()) == query
    assert "text" not in Query(seed=1).to_json()
    assert names(found(library, "piano")) == names(found(library, "piano"))


@pytest.fixture
def with_heads(library):
    """A library whose own heads tell tags by single components of vectors."""
    heads = Heads()
    heads.tasks["tag"] = Head("many", TAGS, np.eye(6, dtype="f4") * 8, np.full(6, -2.0, "f4"), np.ones(6, "f4"))
    heads.encoder = {"digest": STAMP.digest, "name": STAMP.name, "dim": STAMP.dim}
    heads.save(heads_path(library.path))
    return library


def test_lifts_are_of_the_library_as_it_is(with_heads, monkeypatch):
    monkeypatch.setattr("mirclr.classify.lifting.SMALL", 0)
    first = tag_lifts(with_heads)
    assert first.labels == tuple(("tag", tag) for tag in TAGS)
    assert lifts_path(with_heads.path).exists()
    again = tag_lifts(with_heads)
    assert np.array_equal(again.lifts, first.lifts)
    with_heads.write(entries=[entry("new", np.eye(6)[0], title="new", artist="new")])
    with_heads.remove([int(first.ids[0])])
    changed = tag_lifts(with_heads)
    assert changed.ids.tolist() == with_heads.ids().tolist()
    assert changed.lifts[-1].argmax() == 0
    kept = np.isin(first.ids, changed.ids)
    assert np.array_equal(changed.lifts[:-1], first.lifts[kept])
    lifts_path(with_heads.path).write_bytes(b"PK\x03\x04 not lifts")
    assert TagLifts.load(lifts_path(with_heads.path)) is None
    assert tag_lifts(with_heads).ids.tolist() == changed.ids.tolist()


def test_the_command_says_what_it_understood_and_lists(with_heads, capsys):
    name = with_heads.path
    code, out, err = exits(capsys, "search", "piano,", "before", "2010", "--library", name, "--json")
    answer = json.loads(out)
    assert answer["understood"] == {
        "tags": {"piano": 1.0},
        "without": [],
        "filters": {"year": "before 2010"},
        "taken_as": {},
        "not_understood": [],
    }
    assert "understood: piano 1; before 2010" in err
    assert code == (0 if answer["recommendations"] else 1)
    code, _, err = exits(capsys, "search", "xylophobia", "--library", name)
    assert code == 1
    assert "nothing of 'xylophobia' is understood" in err
    assert exits(capsys, "search", "--library", name)[0] == 2


def test_python_searches_too(with_heads):
    path = with_heads.path
    with mirclr.Library.open(path) as library:
        answer = library.search("piano", 2, artist_cap=0)
        assert answer.described.understood.weights == {"piano": 1}
        assert [r.track.id for r in answer.recommendations] == [
            r.track.id for r in library.recommend(text="piano", n=2, artist_cap=0)
        ]


def test_search_imports_no_torch(with_heads):
    script = (
        "import sys, mirclr; library = mirclr.Library.open(sys.argv[1]); library.search('piano');"
        "print(sorted({'torch', 'onnxruntime', 'sklearn', 'fastapi'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script, str(with_heads.path)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
