"""Which recordings and songs a list has already, so that none comes twice."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Set

import numpy as np

from mirclr.library import ExcerptEmbeddings, LibraryStore, LibraryTrack
from mirclr.library.names import song_key

_NEAR = 0.4  # of the mean distance of two tracks: copies are nearer, also quieter ones, and much other music is
_COPY_SECONDS = 0.1


class SeenRecordings:
    """The recordings and songs that a list has already: those of the seeds, then of each chosen track.

    Parameters
    ----------
    near_duplicates : callable
        Gives the tracks that `mirclr duplicates` found to be the recording of a track, by id.
    mean : float
        Mean similarity of two tracks: to some encoders all music is similar.
    sound_the_same : callable
        Whether two tracks, as long and near by their vectors, are one recording by more than that: a library of music
        for one instrument is full of such.
    versions : bool
        Add no song, so that its versions may come: copies of a recording alone are excluded.
    """

    def __init__(
        self,
        near_duplicates: Callable[[int], Set[int]],
        mean: float,
        sound_the_same: Callable[[LibraryTrack, LibraryTrack], bool],
        *,
        versions: bool = False,
    ) -> None:
        self._near_duplicates, self._sound_the_same, self._versions = near_duplicates, sound_the_same, versions
        self._near = 1 - _NEAR * (1 - mean)
        self._ids: set[int] = set()
        self._digests: set[str] = set()
        self._songs: set[tuple[str, str]] = set()
        self._by_tenth: dict[int, list[tuple[LibraryTrack, np.ndarray]]] = defaultdict(list)

    def contains(self, track: LibraryTrack, vector: np.ndarray) -> bool:
        """Whether a track has been seen: itself, its audio, its song, a near-duplicate, or what sounds the same."""
        if track.audio_digest and track.audio_digest in self._digests:
            return True
        if track.id in self._ids or song_key(track) in self._songs or self._near_duplicates(track.id) & self._ids:
            return True
        tenth = int(track.duration_s / _COPY_SECONDS)
        return any(
            abs(seen.duration_s - track.duration_s) <= _COPY_SECONDS
            and float(vector @ other) > self._near
            and self._sound_the_same(seen, track)
            for near in (tenth - 1, tenth, tenth + 1)
            for seen, other in self._by_tenth.get(near, ())
        )

    def add(self, track: LibraryTrack, vector: np.ndarray) -> None:
        """Add a track."""
        self._ids.add(track.id)
        if track.audio_digest:
            self._digests.add(track.audio_digest)
        if not self._versions and (song := song_key(track)):
            self._songs.add(song)
        self._by_tenth[int(track.duration_s / _COPY_SECONDS)].append((track, vector))


def same_sound(
    library: LibraryStore, outside: Mapping[int, ExcerptEmbeddings]
) -> Callable[[LibraryTrack, LibraryTrack], bool]:
    """Whether two tracks are one recording by the excerpts that a library keeps of them.

    Parameters
    ----------
    library : LibraryStore
        Keeps excerpts of its tracks, but of those that an early mirclr embedded.
    outside : mapping of int to ExcerptEmbeddings
        Those of tracks that it does not hold, by ``id(track)``.
    """
    known: dict[int, ExcerptEmbeddings] = {}

    def is_same(first: LibraryTrack, second: LibraryTrack) -> bool:
        if missing := {first.id, second.id} - known.keys():
            known.update(library.excerpt_embeddings(sorted(missing)))
        a, b = (outside.get(id(track)) or known.get(track.id) for track in (first, second))
        return a is not None and b is not None and a.are_of_one_recording(b)

    return is_same
