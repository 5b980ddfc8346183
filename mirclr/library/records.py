"""What a library stores and returns: records without behaviour of their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mirclr.library.excerpts import ExcerptEmbeddings
from mirclr.library.outlines import Outline
from mirclr.tags import Tags
from mirclr.terminal import shown


@dataclass(frozen=True, eq=False)
class Entry:
    """A file that was embedded, to be stored.

    Attributes
    ----------
    root, path : str
        The absolute folder that was embedded, and the file relative to it, with '/'.
    size, mtime_ns : int
        In bytes and nanoseconds, as the system states them.
    file_digest : str
        `mirclr.provenance.file_digest`; changes with the tags.
    audio_digest : str
        Of the decoded excerpts; the same after re-tagging.
    duration_s : float
        Length in seconds.
    tags : Tags
    vector : (dim,) float32
        Of any length above 0; stored at unit length, and bit for bit where it is of unit length.
    excerpts : ExcerptEmbeddings, optional
        The embeddings of its excerpts.
    audio_path : str, optional
        Of a track that is a part of a file: that file, relative to the root; `path` then only names the track.
    start_s : float
        Where in its file the track begins.
    content_digest : str, optional
        `mirclr.provenance.content_digest`, of all bytes of the file; None where it is not known.
    remark : str, optional
        What is wrong with a file that plays all the same, such as "damaged near 1:20".
    """

    root: str
    path: str
    size: int
    mtime_ns: int
    file_digest: str
    audio_digest: str
    duration_s: float
    tags: Tags
    vector: np.ndarray
    excerpts: ExcerptEmbeddings | None = None
    audio_path: str | None = None
    start_s: float = 0.0
    content_digest: str | None = None
    remark: str | None = None


@dataclass(frozen=True)
class Failure:
    """A file that could not be embedded, and why."""

    root: str
    path: str
    size: int
    mtime_ns: int
    reason: str

    @property
    def file(self) -> Path:
        """The file that could not be embedded. It may be gone."""
        return Path(self.root, self.path)

    @property
    def why(self) -> str:
        """The reason, without the file's name before it."""
        return self.reason.removeprefix(f"{self.file}: ")


@dataclass(frozen=True)
class FileState:
    """The file of a track as it was when last seen."""

    track_id: int
    root: str
    path: str
    size: int
    mtime_ns: int
    file_digest: str
    audio_digest: str
    audio_path: str | None = None
    content_digest: str | None = None
    tags_read: int = 0

    @property
    def file(self) -> Path:
        """The audio file. It may be gone."""
        return Path(self.root, self.audio_path or self.path)

    @property
    def place(self) -> Path:
        """What names the track, as `LibraryTrack.place`."""
        return Path(self.root, self.path)

    @property
    def mark(self) -> str:
        """Of a part of a file what `Part.mark` was, which stands behind the file's digest; else empty."""
        return self.file_digest.partition(":")[2]


@dataclass(frozen=True)
class Description:
    """Tempo, key and loudness of a track; None where there is none to find.

    Attributes
    ----------
    tempo_bpm : float or None
        Beats a minute.
    key : str or None
        Such as ``Eb`` or ``F#m``.
    key_strength : float
        How well the pitches fit the key: a correlation.
    loudness_lufs : float or None
        Integrated loudness.
    outline : Outline, optional
        Beats and chords, of a track that was just described; a library has them apart.
    aspects : mapping of str to array, optional
        Likewise its harmony and rhythm, as of `mirclr.library.aspects.ASPECTS`, each where there is any.
    """

    tempo_bpm: float | None
    key: str | None
    key_strength: float
    loudness_lufs: float | None
    outline: Outline | None = field(default=None, compare=False, repr=False)
    aspects: Mapping[str, np.ndarray] | None = field(default=None, compare=False, repr=False)

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        plain = {name: value for name, value in vars(self).items() if name not in ("outline", "aspects")}
        return plain | (self.outline.as_json() if self.outline else {})


@dataclass(frozen=True)
class Listen:
    """What a listener did with one piece of music, which the library may hold or not.

    Attributes
    ----------
    artist, title, album : str
        As the listener's history names them; empty where it does not.
    file : str
        Path of the file, where the history names one; else empty.
    plays : int
        How often it was played.
    last_s : float or None
        When last, in seconds since 1970 (UTC).
    taste : {-1, 0, 1}
        Disliked, no opinion, liked.
    """

    artist: str
    title: str
    album: str = ""
    file: str = ""
    plays: int = 0
    last_s: float | None = None
    taste: int = 0


@dataclass(frozen=True)
class SongList:
    """A list of songs that a person put together, without them.

    Attributes
    ----------
    id : int
    name : str
    made_s, changed_s : float
        In seconds since 1970 (UTC).
    comment : str
        For people.
    songs : int
        How many it holds.
    duration_s : float
        How long they play together.
    """

    id: int
    name: str
    made_s: float
    changed_s: float
    comment: str
    songs: int
    duration_s: float


@dataclass(frozen=True)
class LibraryTrack:
    """A track of a library, without its vector.

    One that is a part of a file has the file's path as `audio_path`, and begins there at `start_s`; its own `path`, the
    file's with a number after it, is its name alone.

    ``compilation`` is whether the album is one of several artists, by its tags; None where they do not have it.
    ``track_number`` and ``disc_number`` are its place in its album. ``added_s`` is when it came into the library, in
    seconds since 1970; None where that was before this was noted.
    """

    id: int
    root: str
    path: str
    duration_s: float
    title: str | None
    artist: str | None
    album: str | None
    album_artist: str | None
    genre: str | None
    year: int | None
    audio_digest: str
    audio_path: str | None = None
    start_s: float = 0.0
    compilation: bool | None = None
    remark: str | None = None
    track_number: int | None = None
    disc_number: int | None = None
    added_s: float | None = None

    @property
    def file(self) -> Path:
        """The audio file. It may be gone."""
        return Path(self.root, *(self.audio_path or self.path).split("/"))

    @property
    def place(self) -> Path:
        """What names the track among all others: its file, with a number after it where it is a part of one."""
        return Path(self.root, *self.path.split("/"))

    @property
    def span(self) -> tuple[float, float] | None:
        """Begin and end of a part of a file, in seconds; None of a track that is a whole file."""
        return (self.start_s, self.start_s + self.duration_s) if self.audio_path is not None else None

    @property
    def label(self) -> str:
        """For people: "artist – title", the title alone, or else the path; can be printed."""
        if not self.title:
            return shown(self.path)
        return shown(f"{self.artist} – {self.title}" if self.artist else self.title)


class Song(NamedTuple):
    """What a track is called and sorted by.

    Attributes
    ----------
    title : str
        That of the tags, or else the name of the file.
    searched : str
        The folded text that is searched: artist, title, album and path, a line each.
    id : int
    artist, album : str or None
    year, disc_number, track_number : int or None
    duration_s : float
    """

    title: str
    searched: str
    id: int
    artist: str | None
    album: str | None
    year: int | None
    disc_number: int | None
    track_number: int | None
    duration_s: float
