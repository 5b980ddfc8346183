"""Whether a voice is heard, as a filter: what passes, what is counted, and what is known of no track."""

import json

import numpy as np
import pytest

from mirclr.api import Library
from mirclr.errors import QueryError
from mirclr.library import Entry, LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.recommend import MetadataFilters, Query
from mirclr.recommend.counts import count_values, filters_of
from mirclr.recommend.words import filters_in_words
from mirclr.tags import Tags
from tests.commands import invoke

VOICES = {1: 0.9, 2: 0.5, 3: 0.49, 4: 0.02}


@pytest.fixture
def library_path(tmp_path):
    """Five tracks, of the last of which nothing is known."""
    path = tmp_path / "l.db"
    vectors = np.random.default_rng(0).normal(size=(5, 8))
    with LibraryStore.open(path, create=True) as library:
        library.bind(EncoderStamp("d" * 32, "e", 8, 1, {}))
        library.write(
            entries=[
                Entry("/m", f"{i}", 1, 1, f"{i}", f"{i}", 60.0, Tags(title=f"song {i}"), vectors[i]) for i in range(5)
            ]
        )
        library.store_probabilities("voice", {i: {"vocal": p, "male voice": 0.9} for i, p in VOICES.items()}, "heads")
    return path


def passing(library, **asked):
    mask = MetadataFilters(library).passing(Query(seed=0, **asked))
    return set(range(len(mask))) if mask is None else {int(i) for i in np.flatnonzero(mask)}


def test_what_is_not_known_is_neither_with_a_voice_nor_without(library_path):
    with LibraryStore.open(library_path) as library:
        assert passing(library, vocal=True) == {1, 2}
        assert passing(library, vocal=False) == {3, 4}


def test_it_is_counted_beside_other_filters(library_path):
    with LibraryStore.open(library_path) as library:
        filters, ids = MetadataFilters(library), np.arange(1, 6)
        for query in (None, Query(seed=0, vocal=False), Query(seed=0, vocal=True)):
            counts = count_values(filters, ids, query and filters_of(query))
            assert [(one.value, one.songs) for one in counts.vocal] == [("yes", 2), ("no", 2)]
            assert counts.total == (5 if query is None else 2)
        shorter = count_values(filters, ids, Query(seed=0, vocal=True, duration_s=(0, 10)))
        assert [one.songs for one in shorter.vocal] == [0, 0]


@pytest.mark.parametrize("value", [True, False])
def test_a_query_keeps_it_in_every_form(value):
    query = Query.of(vocal=value)
    assert query.asks_of_tracks
    assert Query.from_json(json.loads(json.dumps(query.to_json()))) == query
    assert filters_of(query).vocal is value
    assert filters_in_words(query) == {"vocal": "with vocals" if value else "without vocals"}


@pytest.mark.parametrize("value", ["no", 0, (), 1.0])
def test_only_yes_or_no_is_asked(value):
    with pytest.raises(QueryError, match="vocal: found"):
        Query(vocal=value)


def test_where_it_is_known_of_no_track_a_line_says_how_to_find_it_out(library_path):
    with LibraryStore.open(library_path) as library:
        library.store_probabilities("voice", {}, "heads")
        with pytest.raises(QueryError, match="classify predict"):
            passing(library, vocal=False)


def test_the_command_line_and_python_take_it(library_path):
    done = invoke(["library", "list", "--library", library_path, "--vocal", "no", "--json"])
    assert {row["title"] for row in json.loads(done.stdout)} == {"song 2", "song 3"}
    with Library.open(library_path) as library:
        assert {r.track.title for r in library.recommend(vocal=True)} == {"song 0", "song 1"}
        assert {t.title for t in library.select(vocal=False)} == {"song 2", "song 3"}
