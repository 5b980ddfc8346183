"""mirclr for Python: `Library`, a library that recommends.

    import mirclr

    with mirclr.Library.open("lib.db") as library:
        for r in library.recommend(["a.mp3"], n=20, exclude=["artist:X"]):
            print(r.track.title, r.similarity, r.reason)

Nothing here imports torch before a file is to be heard that the library does not hold.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mirclr import library as store
from mirclr.errors import LibraryError, UnreadableAudio, UnusableAudio
from mirclr.index import Index, open_index
from mirclr.library import NO_VECTOR, LibraryTrack, Moments, is_usable, shown
from mirclr.models.pretrained import checkpoint_named
from mirclr.recommend import Answer, Facts, Query, Recommendation, Seed, recommend


class Library(store.Library):
    """A library that recommends; see `mirclr.library.Library` for all else that it is asked.

    Used by the thread that opened it. Its index and facts are kept between queries, and read again when the library
    was written to, by whomever.
    """

    _index: tuple[int, Index] | None = None
    _facts: Facts | None = None

    def recommend(
        self, seeds: str | Path | Iterable[str | Path] = (), n: int = 20, *, moments: bool = False, **asked: Any
    ) -> list[Recommendation]:
        """Recommend tracks that belong with the given ones.

        Parameters
        ----------
        seeds : str, Path, or several
            Audio files, playlists, or words of an artist, a title or an album.
        n : int
            How many are wanted.
        moments : bool
            Find the most alike moments too.
        **asked
            Everything else that a `mirclr.Query` has, such as ``exclude=["artist:X"]`` or ``year=(1970, 1985)``.

        Returns
        -------
        list of Recommendation
            Each with ``track``, ``similarity``, ``reason`` and ``explanation``; at most n.

        Raises
        ------
        QueryError
            It asks for what cannot be.
        NoMatch
            A seed matches nothing, or the library is empty.
        """
        query = Query(**{name: _plain(value) for name, value in {"seeds": seeds, "n": n, **asked}.items()})
        return self.answer(query, moments=moments).recommendations

    def answer(self, query: Query, *, checkpoint: Path | None = None, moments: bool = False) -> Answer:
        """Answer a query, with the seeds that it means and remarks.

        Parameters
        ----------
        query : Query
            What is asked.
        checkpoint : Path, optional
            The library's encoder, if it is no longer where it was.
        moments : bool
            Find the most alike moments too.
        """
        with self.snapshot():  # whatever others write meanwhile
            return recommend(
                self,
                self.index,
                query,
                facts=self.facts,
                hear=lambda files: hear_seeds(self, files, checkpoint),
                moments=moments,
            )

    @property
    def index(self) -> Index:
        """Nearest neighbours among its vectors as they are now."""
        generation = self.generation
        if self._index is None or self._index[0] != generation:
            self._index = generation, open_index(self)
        return self._index[1]

    @property
    def facts(self) -> Facts:
        """What its filters look at."""
        self._facts = self._facts or Facts(self)
        return self._facts


def _plain(value: Any) -> Any:
    """A value as a `Query` holds it: several as a tuple, paths as texts."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(map(_plain, value))
    return value


def hear_seeds(library: store.Library, files: Sequence[Path], checkpoint: Path | None = None) -> list[Seed]:
    """Embed files that a library does not hold with its own encoder, and make seeds of them.

    Raises
    ------
    LibraryError
        The library's encoder is not to be found.
    UnreadableAudio
        A file cannot be heard.
    EncoderMismatch
        The checkpoint is of another encoder.
    """
    stamp = library.stamp
    if checkpoint is None and stamp is not None and checkpoint_named(stamp.name).is_file():
        checkpoint = checkpoint_named(stamp.name)
    if checkpoint is None or stamp is None:
        raise LibraryError(
            f"{files[0]} is not in the library, and the library's encoder is not where it was; to hear the file, "
            f"name that encoder: --checkpoint {stamp.name if stamp else 'CHECKPOINT'}"
        )
    from mirclr.audio.decoding import decode_files
    from mirclr.models.embedder import Embedder, raised
    from mirclr.tags import read_tags

    embedder = Embedder.load(checkpoint, excerpts=stamp.excerpts)
    library.bind(embedder.stamp)  # refuses another encoder than the library's
    seeds = []
    for heard in decode_files(files, count=embedder.excerpts, seconds=embedder.seconds, rate=embedder.rate):
        excerpts = heard.excerpts
        if excerpts is None:
            raise UnreadableAudio(heard.error or f"{heard.file}: cannot be heard")
        tags, file = read_tags(heard.file), heard.file.absolute()
        track = LibraryTrack(
            0,  # of no track of the library
            str(file.parent),
            file.name,
            excerpts.duration_s,
            tags.title,
            tags.artist,
            tags.album,
            tags.album_artist,
            tags.genre,
            tags.year,
            excerpts.digest,
            compilation=tags.compilation,
        )
        embedded = embedder.embed_excerpts(raised(excerpts.waveforms))
        vector = embedder.pool(embedded)
        if not is_usable(vector):
            raise UnusableAudio(f"{heard.file}: {NO_VECTOR}")
        moments = Moments.of(excerpts.starts, embedded)
        seeds.append(Seed(shown(track.label), vector, track, moments=moments))
    return seeds
