"""What threads share: of now in a small library, of a moment ago in a large one, and never made twice at once."""

import pickle
import threading
from bisect import bisect_left
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mirclr.errors import LibraryError, MirclrError
from mirclr.library import Entry, LibraryStore
from mirclr.models.stamp import EncoderStamp
from mirclr.recommend import Catalogue, MetadataArrays, MetadataFilters, Query
from mirclr.recommend.vocabulary import Strings
from mirclr.serve import apart, service, shared
from mirclr.serve.apart import Apart
from mirclr.serve.service import Service
from mirclr.serve.settings import ServeSettings
from mirclr.serve.shared import Renewal, Shared
from mirclr.tags import Tags


class Changing:
    """Stands for a library that changes, of so many songs."""

    def __init__(self, songs: int) -> None:
        self.songs, self.version, self.made = songs, 0, 0

    def id_end(self) -> int:
        return self.songs

    def shared(self, make: Callable[[], Any] = lambda: None) -> "Shared[int]":
        def making(library: Any, before: int | None) -> int:
            self.made += 1
            make()
            return library.version

        return Shared(lambda library: library.version, making)


def test_of_a_small_library_it_is_of_now():
    library = Changing(shared.SMALL)
    one = library.shared()
    assert [one.of(library), one.of(library), library.made] == [0, 0, 1]
    library.version = 5
    assert [one.of(library), library.made] == [5, 2]


def test_of_a_large_library_the_last_answers_until_the_next_is_made(monkeypatch: pytest.MonkeyPatch):
    library = Changing(shared.SMALL + 1)
    one = library.shared()
    one.renew(library)
    assert library.made == 0  # nobody asked for it
    assert one.of(library) == 0
    library.version = 5
    assert one.of(library) == 0
    one.renew(library)
    assert [one.of(library), library.made] == [5, 2]
    one.renew(library)
    assert library.made == 2


def test_it_is_made_for_a_part_of_the_time_only(monkeypatch: pytest.MonkeyPatch):
    now = [100.0]
    monkeypatch.setattr(shared, "time", SimpleNamespace(monotonic=lambda: now[0]))
    library = Changing(shared.SMALL + 1)

    def takes_two_seconds() -> None:
        now[0] += 2

    one = library.shared(takes_two_seconds)
    one.of(library)
    versions = []
    for second in range(60):
        now[0], library.version = 110.0 + second, second + 1
        one.renew(library)
        versions.append(one.of(library))
    assert sorted(set(versions)) == [1, 21, 41]  # 2 seconds of work, 18 of rest


def test_threads_that_ask_at_once_get_one():
    together = threading.Barrier(4)
    library = Changing(3)
    one = library.shared()

    def ask(_: int) -> int:
        together.wait()
        return one.of(library)

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask, range(4))) == [0] * 4
    assert library.made == 1


def test_what_fails_is_tried_again_and_said_once_and_others_go_on(monkeypatch: pytest.MonkeyPatch):
    said: list[object] = []
    monkeypatch.setattr(shared.log, "warning", lambda _, line: said.append(line))
    monkeypatch.setattr(shared, "_EVERY_S", 0.001)
    library = Changing(shared.SMALL + 1)
    library.close = lambda: None
    fails, done = iter([True, True]), threading.Event()

    def make() -> None:
        if library.version and next(fails, False):
            raise LibraryError("locked")
        if library.version:
            done.set()

    one = library.shared(make)
    one.of(library)
    library.version = 1
    renewal = Renewal(lambda: library, (one,))
    renewal.start()
    assert done.wait(20)
    renewal.stop()
    assert one.of(library) == 1
    assert said == ["locked"]


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library that counts as large."""
    for module in (shared, service):
        monkeypatch.setattr(module, "SMALL", 3)
    monkeypatch.setattr("mirclr.index.index._SMALL", 3)
    path = tmp_path / "large.db"
    with LibraryStore.open(path, create=True) as library:
        library.bind(EncoderStamp("d" * 32, "none", 8, 1, {}))
        library.write(entries=entries(range(20)))
    return path


def entries(numbers: range) -> list[Entry]:
    rows = {n: np.random.default_rng(n).normal(size=8).astype(np.float32) for n in numbers}
    return [
        Entry(
            "/m",
            f"{n}.ogg",
            1,
            1,
            f"f{n}",
            f"a{n}",
            100.0,
            Tags(title=f"t{n}", year=1950 + n),
            row / np.linalg.norm(row),
        )
        for n, row in rows.items()
    ]


def test_what_is_made_apart_comes_back_whole(large: Path):
    made = Catalogue.of_parts(Apart().call(apart.read_catalogue, large))
    with LibraryStore.open(large) as library:
        assert made.page() == Catalogue(library).page()
        assert made.songs("t7", 3) == Catalogue(library).songs("t7", 3) != []
    assert Apart().call(apart.read_catalogue, large / "nowhere") == []
    assert Apart().call(apart.read_metadata, large / "nowhere", {}) == []
    ended = Apart()
    ended.close()
    with pytest.raises(MirclrError, match="ended"):
        ended.call(apart.read_catalogue, large)


def test_index_filters_and_catalogue_are_of_one_library_for_all_connections(
    large: Path, monkeypatch: pytest.MonkeyPatch
):
    """Songs that are added while the last ones answer are there the next time."""
    monkeypatch.setattr(Apart, "call", lambda _, function, *arguments: list(function(*arguments)))
    one = Service(ServeSettings(large))
    with one._open() as library, one._open() as other:
        query = Query(year=(1950, 1954), n=20)
        assert {r.track.year for r in library.answer(query).recommendations} == set(range(1950, 1955))
        assert large.with_name("large.db.index").exists()
        assert other.index is library.index
        assert one.catalogue_of(other) is one.catalogue_of(library)
        assert one.discography.of(other) is one.discography.of(library)
        with LibraryStore.open(large) as writer:
            writer.write(entries=[*entries(range(20, 22)), *entries(range(1))])
        wider = Query(year=(1950, 2000), n=40, artist_cap=0)
        before = other.answer(wider)
        assert {r.track.title for r in before.recommendations} == {f"t{n}" for n in range(20)}
        seed = Query(seeds=("id:21",), fill=True)  # which the index does not hold yet
        assert "t20" not in {r.track.title for r in other.answer(seed).recommendations}
        for made in (one.index, one.metadata, one.catalogue, one.discography):
            made._due_s = 0.0
            made.renew(library)
        assert {r.track.title for r in other.answer(wider).recommendations} == {f"t{n}" for n in range(22)}
        assert len(one.catalogue_of(library)) == len(one.discography.of(library).album_of) == 22
    one.close()


def test_heads_of_a_large_library_are_moved_by_what_is_corrected_while_it_is_served(large: Path):
    one = Service(ServeSettings(large))
    with one._open() as library:
        before = library.heads
        library.store_answers("genre", {1: {"funk": True}}, alone=True)
        assert library.heads is before  # until they are brought up to date
        for made in one._renewal._shared:
            made._due_s = 0.0
            made.renew(library)
        assert library.heads is not before
    one.close()


def test_filters_that_were_read_before_are_read_anew_with_all_that_was_asked(large: Path):
    with LibraryStore.open(large) as library:
        library.store_probabilities("genre", {1: {"rock": 0.9}, 2: {"jazz": 0.9}}, "heads")
        first = MetadataArrays.of(library)
        filters = MetadataFilters(library, first)
        asked = Query(genre=("Rock",), year=(1950, 1990))
        assert np.flatnonzero(filters.passing(asked)).tolist() == [1]
        library.store_probabilities("genre", {2: {"rock": 0.9}}, "heads")
        assert np.flatnonzero(filters.passing(asked)).tolist() == [1]
        second = MetadataArrays.read(library, first.names)
        assert first.fits.keys() == second.fits.keys()
        assert first.columns.keys() == second.columns.keys()
        assert np.flatnonzero(MetadataFilters(library, second).passing(asked)).tolist() == [2]
        assert second.version != first.version


def test_many_spellings_of_a_genre_take_the_room_of_one(large: Path):
    with LibraryStore.open(large) as library:
        library.store_probabilities("genre", {1: {f"genre {n}": 0.9 for n in range(60)}}, "heads")
        arrays = MetadataArrays.of(library)
        filters = MetadataFilters(library, arrays)
        for n in range(60):
            for name in (f"Genre {n}", f"GENRE  {n}", f"genre-{n}"):
                filters.passing(Query(genre=(name,)))
        assert len(arrays.fits) <= 32


@given(texts=st.lists(st.text(), max_size=20))
def test_texts_in_one_piece_are_the_texts(texts):
    strings = pickle.loads(pickle.dumps(Strings(texts)))
    assert list(strings) == texts
    assert [strings[at] for at in range(-len(texts), 0)] == texts
    assert strings[1:] == texts[1:]
    with pytest.raises(IndexError):
        strings[len(texts)]


@given(texts=st.lists(st.text(alphabet="aäß\u07ff\uffff\U00010000\U0010ffff", max_size=3)), wanted=st.text(max_size=3))
def test_a_place_among_sorted_texts_is_where_bisection_puts_it(texts, wanted):
    texts.sort()
    strings = Strings(texts)
    for text in (*texts, wanted):
        assert strings.place(text) == bisect_left(texts, text)
        assert strings.place(text, len(texts) // 2) == bisect_left(texts, text, len(texts) // 2)
