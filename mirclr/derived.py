"""`DerivedLibrary`: a library with what is derived of it, and kept between queries, and what they need found out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from mirclr.index import Engine, Index, open_engine, open_index
from mirclr.library import LibraryStore
from mirclr.recommend import MetadataFilters, Query, TagLifts, asks_for_guesses
from mirclr.recommend.described import describe

if TYPE_CHECKING:
    from mirclr.classify.predict import HeadsInUse
    from mirclr.classify.readying import Progress


class DerivedLibrary(LibraryStore):
    """The store with an index, filters, heads and lifts of tags, each made when asked for, and again on changes."""

    engine: Engine | None = None
    """Where its index is, if not in the file beside it."""
    _index: tuple[int, Index] | None = None
    _filters: MetadataFilters | None = None
    _heads: tuple[object, list[HeadsInUse]] | None = None
    _lifts: tuple[object, TagLifts] | None = None

    @property
    def index(self) -> Index:
        """Nearest neighbours among its vectors as they are now."""
        generation = self.generation
        if self._index is None or self._index[0] != generation:
            self._index = generation, self.engine.open(self) if self.engine else open_index(self)
        return self._index[1]

    def use_index(self, address: str) -> None:
        """Find neighbours by the index of an address from now on, such as ``milvus://localhost:19530/songs``.

        Raises
        ------
        EngineError
            It is no address.
        MissingExtra
            Its client is not installed.
        """
        self.engine, self._index = open_engine(address), None

    def close(self) -> None:
        """Close the file, and the connection to its index. Closing twice does no harm."""
        if self.engine:
            self.engine.close()
        super().close()

    @property
    def filters(self) -> MetadataFilters:
        """What its filters look at."""
        self._filters = self._filters or MetadataFilters(self)
        return self._filters

    @property
    def heads(self) -> list[HeadsInUse]:
        """What predicts for its songs, moved by what a person corrected."""
        from mirclr.classify.predict import heads_ready, heads_version

        version = heads_version(self)
        if self._heads is None or self._heads[0] != version:
            self._heads = version, heads_ready(self)
        return self._heads[1]

    @property
    def lifts(self) -> TagLifts:
        """How much more each tag is a song's than music's at large, as words are searched by."""
        from mirclr.classify.lifting import lifts_version, tag_lifts

        version = lifts_version(self)
        if self._lifts is None or self._lifts[0] != version:
            self._lifts = version, tag_lifts(self, self._lifts[1] if self._lifts else None)
        return self._lifts[1]

    def prepare(self, query: Query, *, progress: Progress | None = None) -> list[str]:
        """Find out what a query asks of tracks and is not known yet, and keep it: genre and mood, tempo and key.

        Genre and mood are guessed of all tracks, which takes no time. Tempo and key are found of those that pass all
        other filters, beats and chords of all, where these are 500 at most: about a second a track. A library that
        cannot be written is left as it is.

        Parameters
        ----------
        query : Query
            What is to be asked.
        progress : callable, optional
            Called as ``progress(label, total)``; gives a context manager of a function that is called after each track.

        Returns
        -------
        list of str
            For people: what was found out, and what is left to be.
        """
        if query.text is not None:
            query = describe(self, query, self.lifts, self.filters).query
        measures = query.bpm is not None or query.key is not None or not query.like_by_sound
        if not (measures or asks_for_guesses(query, self.blocks())) or not os.access(self.path, os.W_OK):
            return []
        from mirclr.classify.readying import make_ready

        return make_ready(self, self.index.ids, self.filters, query, progress)
