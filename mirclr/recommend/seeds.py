"""From what a person names to seeds: tracks of the library, files outside it, playlists of both."""

import os
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mirclr.errors import AudioError, LibraryError, NoMatch, QueryError
from mirclr.library import ExcerptEmbeddings, LibraryStore, LibraryTrack, shown
from mirclr.names import close_names, search_words
from mirclr.provenance import content_digest, file_digest
from mirclr.recommend.filters import genres_here
from mirclr.recommend.matching import TrackReference, match_references
from mirclr.recommend.playlist import READABLE, read_entries
from mirclr.recommend.query import Query
from mirclr.recommend.rules import absolute_texts, genre_name
from mirclr.recommend.words import command
from mirclr.terminal import counted, did_you_mean

_COMPARED = 10_000  # tracks whose names are compared with a text that none matches
_LISTED = 8

_ID = re.compile(r"id:(\d{1,18})")
_MOST_OF_A_FOLDER = 32  # files outside the library that are embedded as seeds

EmbedSeeds = Callable[[Sequence[Path]], Sequence["Seed | AudioError"]]
"""Makes seeds of audio files that a library does not hold: of each file one, or why there is none; see `mirclr.api`."""


@dataclass(frozen=True, eq=False)
class Seed:
    """A track to start from, of the library or not.

    Attributes
    ----------
    label : str
        For people.
    vector : (d,) float32, unit length
        What of its vector, by the library's encoder, is compared.
    track : LibraryTrack, optional
        The library's, or as much of it as is known of a file outside; none for a listener's taste.
    track_id : int, optional
        Its id when the library holds it.
    weight : float
        How much it counts beside other seeds.
    excerpts : ExcerptEmbeddings, optional
        Of a file outside the library.
    recording_of : int, optional
        The track of the library that such a file is a recording of, by its sound.
    start_s : float, optional
        Where in a long track the segment begins that the vector is of; see `mirclr.recommend.segments`.
    aspects : mapping of str to (d,) array, optional
        Harmony and rhythm of a file outside the library, where they were asked for.
    """

    label: str
    vector: np.ndarray
    track: LibraryTrack | None = None
    track_id: int | None = None
    weight: float = 1.0
    excerpts: ExcerptEmbeddings | None = None
    recording_of: int | None = None
    start_s: float | None = None
    aspects: Mapping[str, np.ndarray] | None = None


def find_seeds(
    library: LibraryStore,
    texts: Sequence[str],
    embed_seeds: EmbedSeeds | None = None,
    note: Callable[[str], None] = lambda _: None,
) -> tuple[Seed, ...]:
    """Find the seeds that texts mean, in their order, each once.

    Parameters
    ----------
    library : LibraryStore
        Where to look.
    texts : sequence of str
        Each a path of an audio file, a folder or a playlist, words as `match_tracks` takes them, or an id, ``id:17``.
    embed_seeds : callable, optional
        For files that the library does not hold.
    note : callable
        Called with a text for people: how much of a playlist or folder does not count.

    Raises
    ------
    NoMatch
        A text matches nothing, or a file is not in the library and `embed_seeds` is not given.
    AudioError
        A file that a text names cannot be decoded; of a folder it is skipped.
    LibraryError
        A track has no vector.
    """
    if not texts:
        return ()
    found: list[int | Path] = []
    try:
        for text in texts:
            found += _meant(library, text, note)
    except NoMatch:
        found = _as_one(library, texts, note)
        if not found:
            raise
    found = list(dict.fromkeys(found))
    outside = [item for item in found if isinstance(item, Path)]
    embedded = _embedded(library, outside, texts, embed_seeds, note)
    found = [item for item in found if isinstance(item, int) or item in embedded]
    held = {t.id: t for t in library.tracks([item for item in found if isinstance(item, int)])}
    ids, matrix = library.compared(list(held))
    vectors = dict(zip(ids.tolist(), matrix, strict=True))
    if without := held.keys() - vectors.keys():
        place = f"{library.path}: track {min(without)} ({held[min(without)].label})"
        raise LibraryError(f"{place} has no vector; see: {command(library, 'library', 'verify')}")
    return tuple(
        embedded[item] if isinstance(item, Path) else Seed(held[item].label, vectors[item], held[item], item)
        for item in found
        if isinstance(item, Path) or item in held  # what was removed this moment is none
    )


def _as_one(library: LibraryStore, texts: Sequence[str], note: Callable[[str], None]) -> list[int | Path]:
    """What words mean that were typed without quotes: together one name, where apart some mean nothing."""
    whole = " ".join(texts)
    if len(texts) < 2:
        return []
    try:
        found: list[int | Path] = [track.id for track in match_tracks(library, whole)]
    except NoMatch:
        return []
    note(f"taken as one name: {whole!r}; a name of several words goes in quotes")
    return found


def _embedded(
    library: LibraryStore,
    files: Sequence[Path],
    texts: Sequence[str],
    embed_seeds: EmbedSeeds | None,
    note: Callable[[str], None],
) -> dict[Path, Seed]:
    """Seeds of files that the library does not hold; one that no text names itself is left out if it cannot be read."""
    if not files:
        return {}
    if embed_seeds is None:
        raise NoMatch(f"{files[0]} is not in your library; add it: {command(library, 'embed', str(files[0]))}")
    named = {Path(os.path.expanduser(text)) for text in texts}
    embedded: dict[Path, Seed] = {}
    for file, seed in zip(files, embed_seeds(files), strict=True):
        if isinstance(seed, Seed):
            embedded[file] = seed
        elif file in named:
            raise seed
        else:
            note(f"left out {shown(str(seed))}")
    if not embedded:
        raise NoMatch(f"{files[0].parent}: none of its files can be read")
    return embedded


def _meant(library: LibraryStore, text: str, note: Callable[[str], None]) -> list[int | Path]:
    if by_id := _ID.fullmatch(text):
        return [track.id for track in _of_id(library, int(by_id[1]))]
    file = Path(os.path.expanduser(text))
    if file.suffix.lower() in READABLE and _is_file(file):
        listed = read_entries(file)
        if not listed:
            raise NoMatch(f"{file}: a playlist without songs")
        wanted = [TrackReference(one.paths, one.elsewhere, one.names, one.album, one.duration_s) for one in listed]
        pieces = match_references(library, wanted)
        found = [i for piece in pieces for i in piece.ids]
        if not found:
            raise NoMatch(f"{file}: of its {len(listed)} songs none is in your library")
        if missing := sum(not piece.ids for piece in pieces):
            note(f"{file}: {missing} of its {len(listed)} songs are not in your library, and do not count")
        return list(found)
    if held := library.find_files(file):
        return [track.id for track in held]
    if text.strip() and _is_folder(file):
        return _in_folder(library, file, text, note)
    if _is_file(file):
        similar = library.with_file_digest(file_digest(file))
        whole = content_digest(file) if similar else ""
        copies = [
            c for c in similar if c.content_digest in (None, whole)
        ]  # None of one of before: three places must do
        return [copies[0].track_id] if copies else [file]
    return [track.id for track in match_tracks(library, text)]


def tracks_below(library: LibraryStore, folder: Path) -> list[int]:
    """The tracks of a library whose files are below a folder, which may be gone."""
    try:
        places = (os.path.abspath(folder), os.path.realpath(folder))
    except (OSError, ValueError):
        return []  # no path, but a text
    below = tuple({os.path.normcase(os.path.join(place, "")) for place in places})
    ids, files = library.column("file")
    return [int(i) for i, file in zip(ids, files, strict=True) if os.path.normcase(file).startswith(below)]


def _of_id(library: LibraryStore, track_id: int) -> list[LibraryTrack]:
    if found := library.tracks([track_id]):
        return found
    raise NoMatch(f"no song in your library has the id {track_id}")


def without_files(library: LibraryStore, query: Query) -> Query:
    """The same query with ids, such as ``id:17``, in place of the words that name songs, so that no text is a path.

    For queries that come from elsewhere: no file of this machine is looked at by what they say.

    Raises
    ------
    NoMatch
        Words mean nothing in the library.
    """

    def ids(text: str) -> list[str]:
        by_id = _ID.fullmatch(text)
        found = _of_id(library, int(by_id[1])) if by_id else match_tracks(library, text)
        return [f"id:{track.id}" for track in found]

    seeds, avoid = (tuple(i for text in texts for i in ids(text)) for texts in (query.seeds, query.avoid))
    if query.to is None:
        return replace(query, seeds=seeds, avoid=avoid)
    ends = ids(query.to)
    if len(ends) > 1 or len(seeds) > 1:
        raise QueryError(
            f"a path leads from one song to one other; {query.to!r} means {len(ends)}, and the start {len(seeds)}"
        )
    return replace(query, seeds=seeds, avoid=avoid, to=ends[0])


def held_seeds(library: LibraryStore, query: Query) -> Query:
    """The same query with ids in place of the files and folders of the library that it names, as saved ones do."""

    def ids(text: str) -> tuple[str, ...]:
        if not os.path.isabs(text):
            return (text,)
        file = Path(text)
        held = [track.id for track in library.find_files(file)] or tracks_below(library, file)
        return tuple(f"id:{i}" for i in held) or (text,)

    seeds, avoid = (tuple(i for text in texts for i in ids(text)) for texts in (query.seeds, query.avoid))
    return replace(query, seeds=seeds, avoid=avoid, to=query.to and ids(query.to)[0])


def named_seeds(library: LibraryStore, query: Query) -> Query:
    """The same query with the names of songs in place of their ids, for people."""
    texts = (*query.seeds, *query.avoid, *((query.to,) if query.to else ()))
    asked = {text: int(by_id[1]) for text in texts if (by_id := _ID.fullmatch(text))}
    labels = {track.id: track.label for track in library.tracks(list(asked.values()))}
    names = {text: labels.get(i, "a song that is gone") for text, i in asked.items()}
    seeds, avoid = (tuple(names.get(text, text) for text in texts) for texts in (query.seeds, query.avoid))
    return replace(query, seeds=seeds, avoid=avoid, to=query.to and names.get(query.to, query.to))


def _in_folder(library: LibraryStore, folder: Path, text: str, note: Callable[[str], None]) -> list[int | Path]:
    """The tracks of the library below a folder; else what its name means as words; else its audio files."""
    held: list[int | Path] = [*tracks_below(library, folder)]
    if held:
        return held
    if os.sep not in text and "/" not in text and library.find(text):
        return [track.id for track in match_tracks(library, text)]
    from mirclr.data.scan import ScanFailure, audio_files, audio_of

    found = [one for one in audio_files(folder) if not isinstance(one, ScanFailure)]
    outside = list(dict.fromkeys(audio_of(one) for one in found))
    add = command(library, "embed", str(folder))
    if not outside:
        raise NoMatch(f"{folder}: holds no music")
    if len(outside) > _MOST_OF_A_FOLDER:
        step = len(outside) / _MOST_OF_A_FOLDER
        note(
            f"{folder} is not in your library, so {_MOST_OF_A_FOLDER} of its {len(outside)} songs count; add it: {add}"
        )
        outside = [outside[int(i * step)] for i in range(_MOST_OF_A_FOLDER)]
    return [*outside]


def with_absolute_paths(query: Query) -> Query:
    """The same query with the files that its texts name as absolute paths, so that it can be asked from any folder."""

    def absolute(text: str) -> str:
        file = Path(os.path.expanduser(text))
        return os.path.abspath(file) if _is_file(file) or (_is_folder(file) and os.sep in text) else text

    seeds, avoid = (tuple(map(absolute, texts)) for texts in (query.seeds, query.avoid))
    exclude = absolute_texts(query.exclude)
    to = None if query.to is None else absolute(query.to)
    return replace(query, seeds=seeds, avoid=avoid, to=to, exclude=exclude)


def _is_file(path: Path) -> bool:
    """Whether there is a file; a text that cannot be a path, such as a long title, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def match_tracks(library: LibraryStore, text: str) -> list[LibraryTrack]:
    """Find the tracks that a text means.

    Among the tracks that `LibraryStore.find` finds: the one whose title, or artist and title, the text is; else
    all of the artist or album that it names; else all of them, if they are of one artist.

    Parameters
    ----------
    library : LibraryStore
        Where to look.
    text : str
        Words of artist, title, album or path, in any case, accents or not.

    Returns
    -------
    list of LibraryTrack
        At least one.

    Raises
    ------
    NoMatch
        Nothing matches, or tracks of several artists do; the text lists what may have been meant.
    """
    words = search_words(text)
    found = library.find(words)
    if not found:
        meant = _suggestions(library, text)
        raise NoMatch(
            f"no song, artist or album in your library is called {shown(text)!r}{meant}", *_as_label(library, text)
        )
    titled = [t for t in found if t.title and words in (search_words(t.title), search_words(f"{t.artist} {t.title}"))]
    if titled and len(_artists(titled)) == 1:
        return titled[:1]  # the same song on several albums is one seed
    if not titled:
        for name in ("artist", "album"):
            if named := [t for t in found if search_words(getattr(t, name) or "") == words]:
                return named
    found = titled or found
    if len(found) == 1 or (len(_artists(found)) == 1 and found[0].artist):
        return found
    several = f"{text!r} may mean {len(found)} songs of several artists; add a word, such as the artist:"
    listed = [f"{t.label} ({shown(t.path)})" for t in found]
    if len(found) > _LISTED:  # those who made them say more
        by = Counter(shown(t.artist or "unknown artist") for t in found)
        listed = [f"{artist} ({counted(n, 'song')})" for artist, n in by.most_common()]
    more = (f"and {len(listed) - _LISTED} more",) if len(listed) > _LISTED else ()
    raise NoMatch(several, *listed[:_LISTED], *more, *_as_label(library, text))


def _as_label(library: LibraryStore, text: str) -> tuple[str, ...]:
    """Where words are a genre or a mood of the library's songs, how to ask for it."""
    for task, names in (("genre", genres_here(library)), ("mood", library.labels("mood"))):
        if genre_name(text) in map(genre_name, names):
            return (f"for the {task}: {command(library, 'recommend', f'--{task}', shown(text))}",)
    return ()


def _artists(tracks: Sequence[LibraryTrack]) -> set[str]:
    return {search_words(track.artist or "") for track in tracks}


def _suggestions(library: LibraryStore, text: str) -> str:
    tracks = library.find_similar(text, _COMPARED)
    close = close_names(text, (n for t in tracks for n in (t.artist, t.title, t.album, t.label) if n))
    return did_you_mean(close) or f"; what there is: {command(library, 'library', 'list')}"
