"""Albums and artists as tags name them: discs, compilations, guests, spellings, and what has no name."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from mirclr.library import Entry, LibraryStore
from mirclr.library.discography import NO_ALBUM, UNKNOWN, VARIOUS, Discography
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags

STAMP = EncoderStamp("0123abcd" * 4, "a.safetensors", 4, 8, {"audio": {"rate": 16000}})
ROOT = str(Path("/music").absolute())


@pytest.fixture
def library(tmp_path: Path):
    with LibraryStore.open(tmp_path / "l.db", create=True) as library:
        library.bind(STAMP)
        yield library


def filled(library: LibraryStore, *songs: tuple[str, dict]) -> Discography:
    entries = [
        Entry(ROOT, path, 1, 10**18 + n, path, path, 100.0, Tags(**tags), np.eye(4, dtype="f4")[n % 4])
        for n, (path, tags) in enumerate(songs)
    ]
    library.write(entries=entries)
    return Discography.of(library)


def titles(library: LibraryStore, found: Discography) -> dict[str, list[str | None]]:
    return {
        f"{a.artist} – {a.name}": [track.title for track in library.tracks(a.tracks)] for a in found.albums.values()
    }


def test_tracks_come_by_disc_and_number_and_else_by_path(library):
    album = {"artist": "A", "album": "Both"}
    found = filled(
        library,
        ("a/10 ten.ogg", album | {"title": "10"}),
        ("a/9 nine.ogg", album | {"title": "9"}),
        ("b/2.ogg", album | {"title": "second", "album": "Two (Disc 2)", "track_number": 1}),
        ("b/1.ogg", album | {"title": "last of first", "album": "Two (Disc 1)", "track_number": 2}),
        ("b/0.ogg", album | {"title": "first", "album": "Two (Disc 1)", "track_number": 1}),
        ("c/CD2/1.ogg", album | {"title": "2-1", "album": "Folders", "track_number": 1}),
        ("c/CD1/1.ogg", album | {"title": "1-1", "album": "Folders", "track_number": 1}),
        ("d/z.ogg", album | {"title": "3", "album": "Tagged", "track_number": 3, "disc_number": 1}),
        ("d/y.ogg", album | {"title": "11", "album": "Tagged", "track_number": 11, "disc_number": 1}),
        ("d/x.ogg", album | {"title": "on 2", "album": "Tagged", "track_number": 1, "disc_number": 2}),
    )
    assert titles(library, found) == {
        "A – Both": ["9", "10"],
        "A – Folders": ["1-1", "2-1"],
        "A – Tagged": ["3", "11", "on 2"],
        "A – Two": ["first", "last of first", "second"],
    }


def test_an_album_of_many_is_of_various_and_each_of_them_has_it(library):
    many = [(f"m/{a}.ogg", {"artist": a, "album": "Mix", "title": a}) for a in ("Ann", "Bob", "Cas", "Dee")]
    tagged = [(f"{a}/t.ogg", {"artist": a, "album": "Tagged", "album_artist": "Various Artists"}) for a in ("Ann", "X")]
    found = filled(library, *many, *tagged)
    assert {album.name: (album.artist, album.compilation) for album in found.albums.values()} == {
        "Mix": ("Various Artists", True),
        "Tagged": ("Various Artists", True),
    }
    albums = {artist.name: [found.album(key).name for key in artist.albums] for artist in found.artists.values()}
    assert albums["Ann"] == ["Mix", "Tagged"]
    assert albums["Bob"] == ["Mix"]
    assert albums["Various Artists"] == ["Mix", "Tagged"]


def test_guests_and_spellings_make_no_other_artist_or_album(library):
    found = filled(
        library,
        ("1.ogg", {"artist": "The Quintet", "album": "One Night", "year": 1958}),
        ("2.ogg", {"artist": "Quintet feat. Guest", "album": "One Night (Deluxe Edition)", "year": 1958}),
        ("3.ogg", {"artist": "The Quintet; Pat", "album": "one night"}),
        ("4.ogg", {"artist": "The Quintet", "album": "One Night"}),
    )
    (album,) = found.albums.values()
    assert (album.name, album.artist, album.year, len(album.tracks)) == ("One Night", "The Quintet", 1958, 4)
    assert {artist.name for artist in found.artists.values()} == {"The Quintet", "Pat"}
    assert [artist.name for artist in found.artists_of[3]] == ["The Quintet", "Pat"]


def test_every_track_is_of_one_album_and_of_an_artist(library):
    found = filled(
        library,
        ("1.ogg", {}),
        ("2.ogg", {"artist": "A", "title": "T"}),
        ("3.ogg", {"artist": "A", "album": "Unknown Album"}),
        ("4.ogg", {"album": "Nameless"}),
        ("5.ogg", {"artist": "A", "album": "Named", "genre": "Rock; Pop"}),
        ("x/6.ogg", {"artist": "B", "album": "Named", "genre": "rock"}),
    )
    assert sorted(i for album in found.albums.values() for i in album.tracks) == sorted(found.album_of)
    assert sorted(found.album_of) == sorted(found.artists_of) == [1, 2, 3, 4, 5, 6]
    assert found.album_of[2] is found.album_of[3]
    assert found.album_of[2].name == NO_ALBUM
    assert found.album_of[5] is not found.album_of[6]
    assert found.artists_of[1][0].key == found.artists_of[4][0].key == UNKNOWN
    assert found.genres == {"Pop": (1, 1), "Rock": (2, 2)}
    reached = {i for artist in found.artists.values() for key in artist.albums for i in found.album(key).tracks}
    assert reached == {1, 2, 3, 4, 5, 6}


def test_ids_stay_when_files_move_and_others_come(library):
    before = filled(library, ("a/1.ogg", {"artist": "A", "album": "X"}), ("a/2.ogg", {"artist": "B", "album": "Y"}))
    library.move(1, ROOT, "elsewhere/1.ogg", 1, 1, "f", Tags(artist="a", album="X"))
    after = filled(library, ("a/0.ogg", {"artist": "A", "album": "X"}), ("b/0.ogg", {"artist": "C", "album": "X"}))
    assert before.albums.keys() <= after.albums.keys()
    assert before.artists.keys() <= after.artists.keys()


def test_albums_of_one_name_and_nobody_are_kept_apart(library):
    songs = [(f"{d}/{a}.ogg", {"artist": f"{a}{d}", "album": "Hits of Summer"}) for d in "xy" for a in "abcd"]
    found = filled(library, *songs)
    assert sorted(len(album.tracks) for album in found.albums.values()) == [4, 4]
    assert {album.artists for album in found.albums.values()} == {(VARIOUS,)}


def test_it_comes_from_another_process_in_parts_and_is_the_same(library, monkeypatch):
    monkeypatch.setattr("mirclr.library.discography._PART", 2)
    songs = [
        (f"{d}/{a}.ogg", {"artist": f"{a}{d}; Guest", "album": f"Hits {a}", "genre": "Pop"})
        for d in "xy"
        for a in "abcd"
    ]
    found = filled(library, *songs, ("z.ogg", {}))
    parts = pickle.loads(pickle.dumps(list(found.parts())))
    assert len(parts) > 6
    again = Discography.of_parts(parts)
    assert again == found
    assert list(again.albums) == list(found.albums)
    assert list(again.artists) == list(found.artists)
