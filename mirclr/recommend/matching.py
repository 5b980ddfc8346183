"""Which tracks of a library are meant: by a file, by the end of a path of another machine, by artist and title.

Contents: `TrackReference` (what is known of a piece of music), `match_references` (the `MatchedTracks` of many).
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mirclr.library import LibraryStore
from mirclr.names import album_name, artist_name, artists, bare_title, first_artist, fold, loose, words

_SEPARATORS = re.compile(r"[/\\]+")
_SAME_LENGTH_S = 3.0
_LOOKED_UP = 200  # files that are asked for one by one; for more, the whole column is read
_COMMON_WORDS = re.compile(r"[\W\d_]+|track|titel|piste|pista|traccia|audio|untitled|unknown|intro|outro")
_DISTINCTIVE = 4  # letters of a file's name by which alone it is known


@dataclass(frozen=True)
class TrackReference:
    """What is known of a piece of music.

    Attributes
    ----------
    files : tuple of str
        Absolute paths here that may be meant, the likeliest first.
    elsewhere : tuple of str
        Paths of another machine, of which the end may be known here.
    names : tuple of (str, str)
        Artist and title, as they may be meant, the likeliest first.
    album : str
        Of several tracks those of this album are meant.
    duration_s : float, optional
        Of several tracks those of this length are meant.
    """

    files: tuple[str, ...] = ()
    elsewhere: tuple[str, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    album: str = ""
    duration_s: float | None = None


@dataclass(frozen=True)
class MatchedTracks:
    """The tracks of a piece of music.

    Attributes
    ----------
    ids : tuple of int
        The track that is meant, or those that are the parts of a file; empty where the library holds none.
    copies : tuple of int
        Other tracks of the same piece, such as those of a compilation.
    """

    ids: tuple[int, ...] = ()
    copies: tuple[int, ...] = ()


def match_references(library: LibraryStore, wanted: Sequence[TrackReference]) -> list[MatchedTracks]:
    """Find the tracks of a library that are meant.

    By file, with links and without; else by the longest end of its path that the library knows, in any case, Unicode
    form and suffix, decided by names where several are as long; else by names: artist and title, then these without
    what a title adds of the recording ("feat. …", "Remastered 2011", "Live"), then any artist of several.
    """
    by_file = _ByFile(library, sum(bool(one.files) for one in wanted) > _LOOKED_UP)
    found = [MatchedTracks(by_file.find(one.files)) for one in wanted]
    left = [(one, at) for at, one in enumerate(wanted) if not found[at].ids]
    named = _ByName(library, {artist for one, _ in left for artist, title in one.names if artist and title})
    ends: _ByEnd | None = None
    for one, at in left:
        ids = of_names = named.find_any(one)
        if one.elsewhere or one.files:
            ends = ends or _ByEnd(library)
            ids = ends.find(one, of_names) or of_names
        found[at] = MatchedTracks(tuple(ids[:1]), tuple(ids[1:]))
    return found


class _ByFile:
    """Tracks by their absolute path: of many the whole library is read once, of few each is looked up."""

    def __init__(self, library: LibraryStore, many: bool) -> None:
        self._library, self._many = library, many
        self._ids: dict[str, tuple[int, ...]] = {}
        if many:
            for track in sorted(library.parts(), key=lambda track: track.start_s):
                file = os.path.normcase(track.file)
                self._ids[file] = (*self._ids.get(file, ()), track.id)
            self._ids |= {os.path.normcase(file): (i,) for file, i in _files(library)}

    def find(self, files: Iterable[str]) -> tuple[int, ...]:
        """The track of the first file that the library holds, or its parts; looked for with links and without."""
        for file in files:
            if self._many:
                names = map(os.path.normcase, (os.path.abspath(file), os.path.realpath(file)))
                held = next((self._ids[name] for name in names if name in self._ids), ())
            else:
                held = tuple(track.id for track in self._library.find_files(Path(file)))
            if held:
                return held
        return ()


def _files(library: LibraryStore) -> Iterator[tuple[str, int]]:
    ids, files = library.column("file")
    for i, file in zip(ids.tolist(), files, strict=True):
        # of the root '/' a path begins with '//'
        yield os.path.normpath(file.removeprefix("/") if file.startswith("//") else file), i


class _ByEnd:
    """Tracks by the last components of their paths, in any case, accents, and suffix."""

    def __init__(self, library: LibraryStore) -> None:
        self._held: dict[str, list[tuple[str, int]]] = {}
        self._durations: dict[int, float] | None = None
        self._library = library
        for file, i in _files(library):
            self._held.setdefault(_stem(_components(file)[-1]), []).append((file, i))

    def find(self, one: TrackReference, of_names: Sequence[int]) -> list[int]:
        """The track whose path ends as the longest end of any of some paths; none where several do."""
        best: tuple[int, bool, bool] = (0, False, False)
        found: dict[int, int] = {}
        for path in (*one.elsewhere, *one.files):
            parts = _components(path)
            for file, i in self._held.get(_stem(parts[-1]), ()) if parts else ():
                others = _components(file)
                common = _shared(parts, others)
                exact = parts[-1] == others[-1]
                rank = (common or 1, exact, path.endswith(file.rpartition("/")[2]))
                if rank[:2] > best[:2]:
                    best, found = rank, {i: len(parts)}
                elif rank[:2] == best[:2]:
                    found.setdefault(i, len(parts))
        if len(found) > 1:
            agreed = [i for i in found if i in of_names] or self._as_long(list(found), one.duration_s)
            return agreed if len(agreed) == 1 or of_names else []
        if best[0] > 1 or not found:
            return list(found)
        (only, length), stem = next(iter(found.items())), _stem(_components((*one.elsewhere, *one.files)[0])[-1])
        if of_names:
            return [only] if only in of_names else []
        distinctive = length == 1 or len(_COMMON_WORDS.sub("", stem)) >= _DISTINCTIVE
        return [only] if distinctive and (one.duration_s is None or self._as_long([only], one.duration_s)) else []

    def _as_long(self, ids: Sequence[int], duration_s: float | None) -> list[int]:
        if duration_s is None:
            return []
        tracks = self._library.tracks(ids)
        return [t.id for t in tracks if abs(t.duration_s - duration_s) <= _SAME_LENGTH_S]


def _components(path: str) -> list[str]:
    return [part for part in _SEPARATORS.split(fold(path)) if part not in ("", ".", "..")]


def _stem(name: str) -> str:
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name


def _shared(a: Sequence[str], b: Sequence[str]) -> int:
    """How many components two paths share at their ends, the last one with any suffix."""
    count = 1
    while count < min(len(a), len(b)) and a[-1 - count] == b[-1 - count]:
        count += 1
    return count


class _ByName:
    """The tracks of some artists by artist and title, as they are and in plainer forms.

    Parameters
    ----------
    library : LibraryStore
        Where the tracks are.
    names : set of str
        The artists that are looked for, as texts.
    """

    def __init__(self, library: LibraryStore, names: set[str]) -> None:
        self._library = library
        self._albums: dict[int, str | None] = {}
        self._held: list[dict[tuple[str, str], list[int]]] = [{} for _ in _FORMS]
        if not names:
            return
        wanted = {name for text in names for name in (*artists(text), first_artist(text))}
        held = (a for a in library.artists() if not wanted.isdisjoint((*artists(a), first_artist(a))))
        for i, artist, title, album in library.titles_by(held):
            self._albums[i] = album
            for held_as, form in zip(self._held, _FORMS, strict=True):
                for key in form(artist, title):
                    held_as.setdefault(key, []).append(i)

    def find_any(self, one: TrackReference) -> list[int]:
        """The tracks that the first names mean that mean any; those of the album, or of the length, first."""
        found = next((ids for artist, title in one.names if (ids := self._find(artist, title))), [])
        if len(found) > 1 and one.album:
            album = album_name(one.album)
            found = sorted(found, key=lambda i: album_name(self._albums.get(i) or "") != album)
        elif len(found) > 1 and one.duration_s is not None:
            lengths = {t.id: abs(t.duration_s - one.duration_s) for t in self._library.tracks(found)}
            found = sorted(found, key=lambda i: round(lengths.get(i, 1e9)))
        return found

    def _find(self, artist: str, title: str) -> list[int]:
        if not (artist and title):
            return []
        for held, form in zip(self._held, _FORMS, strict=True):
            if found := sorted({i for key in form(artist, title) for i in held.get(key, ())}):
                return found
        return []


_FORMS = (
    lambda artist, title: ((words(artist), words(title)),),
    lambda artist, title: ((artist_name(artist), loose(words(title))),),
    lambda artist, title: ((artist_name(artist), bare_title(title)),),
    lambda artist, title: ((first_artist(artist), bare_title(title)),),
    lambda artist, title: tuple((name, bare_title(title)) for name in artists(artist)),
)
