"""mirclr for Python: `Library`, a library that embeds folders and recommends.

    import mirclr

    with mirclr.Library.open("lib.db", create=True) as library:
        library.embed(["~/Music"])
        for r in library.recommend("Nils Frahm", n=20, year=(1990, 2020)):
            print(r.track.label, r.match, r.reason)

Nothing here imports torch before a file is to be embedded.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mirclr.derived import DerivedLibrary
from mirclr.errors import AudioError, EncoderMismatch, LibraryError, QueryError
from mirclr.extensions import is_class_name
from mirclr.ingest.report import EmbedReport
from mirclr.library import LibraryTrack
from mirclr.models.pretrained import builtin_checkpoint, checkpoint_named, is_there
from mirclr.models.stamp import EncoderStamp
from mirclr.recommend import Answer, Query, Recommendation, Seed, recommend

if TYPE_CHECKING:
    from mirclr.identify import Found
    from mirclr.library.kept_files import KeptFile
    from mirclr.models.encoding import Encoder

PathName = str | PathLike[str]
Names = PathName | Iterable[PathName]
_FILTERS = frozenset(("genre", "mood", "vocal", "bpm", "key", "year", "duration_s", "exclude"))
Bounds = str | float | tuple[float | None, float | None]


class Library(DerivedLibrary):
    """A library of music that embeds, recommends and lists: one SQLite file, opened by `Library.open`.

    Used by the thread that opened it, best as a context manager. Its index is kept between queries, and brought up to
    date when the library was written to, by whomever. All that the store offers is there too: ``tracks()``,
    ``vectors()``, ``find(text)``, ``failures()``, ``info()``, ``remove(ids)``, ``add_blocks(rules)``,
    ``add_exclusions(root, patterns)``.

    Examples
    --------
    >>> import mirclr
    >>> with mirclr.Library.open("lib.db", create=True) as library:
    ...     report = library.embed(["Music"])
    ...     found = library.recommend("Nils Frahm", n=2, artist_cap=0)
    >>> print(report)
    3 embedded
    >>> [r.rank for r in found]
    [1, 2]
    """

    _encoder: Encoder | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.path)!r})"

    @classmethod
    def open(cls, path: PathName | None = None, *, create: bool = False) -> Self:
        """Open a library file.

        Parameters
        ----------
        path : str or Path, optional
            The file; ``~`` is the home folder. Where it cannot be written, it is opened for reading. Without one, the
            library that the command line means where none is named.
        create : bool
            Make an empty library where there is no file.

        Returns
        -------
        Library
            Close it, or use it as a context manager.

        Raises
        ------
        LibraryNotFound
            There is no such file.
        LibraryError
            The file is something else, or was made by a newer mirclr.
        """
        from mirclr.settings import default_library

        return super().open(default_library() if path is None else Path(os.path.expanduser(path)), create=create)

    def embed(
        self,
        paths: Names,
        *,
        encoder: Encoder | None = None,
        root: PathName | None = None,
        workers: int = 0,
        retry: bool = False,
        device: str = "auto",
        progress: Callable[[int, int], object] | None = None,
    ) -> EmbedReport:
        """Bring the library up to date with folders and files, as ``mirclr embed`` does.

        What is as it was is not opened, what moved or was tagged anew keeps its vector, and a file that cannot be
        decoded is a failure that ends no run. What is embedded is on disk a batch at a time. Where songs have
        fingerprints, those that have none get theirs.

        Parameters
        ----------
        paths : str, Path, or several
            Folders and files; ``~`` is the home folder.
        encoder : Encoder, optional
            As `mirclr.load_encoder` gives it; the library's own unless given, or for a new library the built-in one.
        root : str or Path, optional
            The folder that those of `paths` below it belong to, where the library holds none above them.
        workers : int
            Processes that decode; 0: one a core.
        retry : bool
            Try again files that failed before and have not changed.
        device : str
            A device of torch for the encoder, where none is given or loaded yet.
        progress : callable, optional
            Called after each file as ``progress(done, total)``.

        Returns
        -------
        EmbedReport
            How many of each outcome, and the failures by file.

        Raises
        ------
        EncoderMismatch
            The library holds vectors of another encoder.
        LibraryError
            A path is not there, or the library's encoder is not where it was.
        TypeError
            `encoder` is none.

        Examples
        --------
        >>> import mirclr
        >>> with mirclr.Library.open("lib.db", create=True) as library:
        ...     report = library.embed("Music", progress=lambda done, total: print(done, "of", total))
        1 of 3
        2 of 3
        3 of 3
        """
        from mirclr.data.scan import PassedOver
        from mirclr.ingest.embedding import embed_files
        from mirclr.ingest.finding import find_audio
        from mirclr.ingest.fingerprints import complete_fingerprints
        from mirclr.ingest.seen import superseded

        if encoder is not None:
            self.encoder = encoder
        elif self._encoder is None:
            self._encoder = self._load_encoder(None, device)
        embedder = self.encoder
        passed = PassedOver()
        files, problems = find_audio(
            [Path(path) for path in _several(paths)], self, passed, None if root is None else Path(root)
        )
        report = EmbedReport(failures={problem.file: problem.reason for problem in problems})
        outcomes = embed_files(self, files, embedder, workers=workers, retry=retry)
        for done, outcome in enumerate(outcomes, 1):
            if outcome.did == "failed":
                report.failures[outcome.file] = outcome.reason or ""
            else:
                setattr(report, outcome.did, getattr(report, outcome.did) + 1)
            if progress:
                progress(done, len(files))
        self.write(failures=problems)
        self.remove([track.track_id for track in superseded(self, files)])
        for track, reason in complete_fingerprints(self, workers=workers):
            report.failures[track.file] = f"no fingerprint could be made: {reason}"
        report.remarks = passed.lines()
        return report

    def matching(self, name: PathName) -> list[LibraryTrack]:
        """The songs that a name means, as ``mirclr library remove`` takes it.

        Parameters
        ----------
        name : str or Path
            A file, or a folder with all below it, which may be gone; or as a str, words of an artist, a title or an
            album.

        Returns
        -------
        list of LibraryTrack
            Empty where a Path is of no song.

        Raises
        ------
        NoMatch
            Words match nothing.

        Examples
        --------
        >>> import mirclr
        >>> with mirclr.Library.open("lib.db", create=True) as library:
        ...     report = library.embed("Music")
        ...     print([song.label for song in library.matching("Nils Frahm")])
        ['Nils Frahm – First']
        """
        from mirclr.ingest.removal import tracks_at
        from mirclr.recommend import match_tracks

        found = tracks_at(self, os.fspath(name))
        return found or ([] if isinstance(name, PathLike) else match_tracks(self, name))

    def remove(self, which: int | PathName | LibraryTrack | Iterable[int | PathName | LibraryTrack]) -> int:
        """Remove songs from the library; no audio file is touched.

        Parameters
        ----------
        which : int, str, Path, LibraryTrack, or several
            Ids, songs, or what `matching` takes: files, folders, words.

        Returns
        -------
        int
            How many are removed.

        Raises
        ------
        NoMatch
            Words match nothing; then nothing is removed.
        """
        several = [which] if isinstance(which, int | str | PathLike | LibraryTrack) else list(which)
        ids: dict[int, None] = {}
        for one in several:
            if isinstance(one, LibraryTrack):
                ids[one.id] = None
            elif isinstance(one, str | PathLike):
                ids |= dict.fromkeys(track.id for track in self.matching(one))
            else:
                ids[int(one)] = None
        return super().remove(list(ids))

    @property
    def files(self) -> list[KeptFile]:
        """The library's own files, such as its index, each with ``what``, ``path`` and ``bytes``; itself the last."""
        from mirclr.library.kept_files import files_of_library

        return files_of_library(self.path)

    def delete(self) -> list[KeptFile]:
        """Close the library and delete its files; no audio file is touched.

        What was written into tags stays there; the file that ``mirclr tag undo`` takes it out by stays too.

        Returns
        -------
        list of KeptFile
            What was deleted.

        Raises
        ------
        LibraryError
            Another program has it open.
        OSError
            A file cannot be deleted.
        """
        from mirclr.library.kept_files import JOURNAL, check_unused, delete_files

        self._index = self._filters = self._encoder = None  # Windows deletes no file that is mapped
        self.close()
        check_unused(self.path)
        doomed = [file for file in self.files if file.what != JOURNAL]
        delete_files(doomed)
        return doomed

    def recommend(
        self,
        seeds: Names = (),
        n: int = 20,
        *,
        avoid: Names = (),
        to: PathName | None = None,
        diversity: float = 0.0,
        artist_cap: int = 2,
        artist_gap: int = 3,
        same_album: bool = False,
        versions: bool = False,
        like: str | Iterable[str] = (),
        exclude: str | Iterable[str] = (),
        genre: str | Iterable[str] = (),
        mood: str | Iterable[str] = (),
        vocal: bool | None = None,
        bpm: Bounds | None = None,
        octaves: bool = False,
        year: Bounds | None = None,
        duration_s: Bounds | None = None,
        key: str | None = None,
        text: str | None = None,
        profile: str | None = None,
        shuffle: int | None = None,
        seed: int | None = None,
        length_s: str | float | None = None,
        fill: bool = False,
        excerpts: bool = False,
    ) -> list[Recommendation]:
        """Recommend tracks that belong with the given ones, or that pass the filters where none is given.

        What is asked of tracks and not known yet is found out first: see `prepare`.

        Parameters
        ----------
        seeds : str, Path, or several
            Audio files and folders, in the library or not, playlists, or words of an artist, a title or an album.
        n : int
            How many are wanted, at least 1; with `to` from 2 to 500, both ends among them.
        avoid : str, Path, or several
            What to stay away from, named as seeds are.
        to : str or Path, optional
            Where a path from the one seed ends. It has an order of its own: no diversity, no seed.
        diversity : float in [0, 1]
            How much a track unlike those chosen before it is preferred to one like the seeds.
        artist_cap, artist_gap : int
            At most so many tracks of one artist (0: no limit); so many by others come between two of one, at least.
        same_album : bool
            Whether tracks of a seed's own album may come.
        versions : bool
            Whether several versions of one song may come. Copies of one recording never do.
        like : str or several
            In what songs are to be alike to the seeds: ``"timbre"`` unless given, ``"harmony"`` (in any key and tempo,
            so covers are found), ``"rhythm"``; each may have a weight from 0 to 1, as ``"harmony=0.7"``.
        exclude : str or several
            Rules such as ``"artist:X"``, ``"album:…"``, ``"genre:…"``, ``"path:…"`` or ``"track:…"``.
        genre, mood : str or several
            One of these is wanted: of the tags, or likely by ``mirclr classify``.
        vocal : bool, optional
            Only tracks with a voice, or only those without, as ``mirclr classify`` guesses.
        bpm, year, duration_s : str, number or (number, number), optional
            As on the command line: ``bpm=120`` and ``"~120"`` are about that, or half or twice it; ``"115..125"``,
            ``year="1990s"``, ``"before 1990"``, ``duration_s="under 5m"``. Or least and most, of which None is no
            limit: ``year=(1990, None)``.
        octaves : bool
            Whether a tempo at half or twice of bounds for `bpm` passes too.
        key : str, optional
            A key such as ``"Am"``, or with ``",compatible"`` those that mix well with it too.
        text : str, optional
            Words of what songs should be, as `search` takes them; beside seeds also ``"calmer"``, ``"less loud"``.
        profile : str, optional
            The listener to recommend for.
        shuffle, seed : int, optional
            Another list that is about as good; the same number gives the same list. `seed` is the former name.
        length_s : str or float, optional
            How long the list is to play, in place of `n`: ``"45m"``, ``"1h30m"``, or seconds.
        fill : bool
            Whether tracks that are not alike may come, where too few are.
        excerpts : bool
            Find the most similar excerpts for each `Explanation` too.

        Returns
        -------
        list of Recommendation
            At most n, in the order of playing, each with ``track``, ``alike`` (which fraction of the library's pairs of
            songs are less alike), ``match`` (the same in per cent), ``similarity`` (a cosine), ``reason`` (a few words
            or none) and ``explanation``.

        Raises
        ------
        QueryError
            It asks for what cannot be.
        NoMatch
            A seed matches nothing, or the library is empty.

        Examples
        --------
        >>> import mirclr
        >>> with mirclr.Library.open("lib.db", create=True) as library:
        ...     report = library.embed("Music")
        ...     for r in library.recommend("Nils Frahm", n=5, year=(1990, 2010)):
        ...         print(r.rank, r.track.label)
        1 Other – Second
        """
        query = Query.of(
            seeds=seeds,
            n=n,
            avoid=avoid,
            to=to,
            diversity=diversity,
            artist_cap=artist_cap,
            artist_gap=artist_gap,
            same_album=same_album,
            versions=versions,
            like=like,
            exclude=exclude,
            genre=genre,
            mood=mood,
            vocal=vocal,
            bpm=bpm,
            octaves=octaves,
            year=year,
            duration_s=duration_s,
            key=key,
            text=text,
            profile=profile,
            seed=seed if shuffle is None else shuffle,
            length_s=length_s,
            fill=fill,
        )
        self.prepare(query)
        return self.answer(query, excerpts=excerpts).recommendations

    def search(self, text: str, n: int = 20, **asked: Any) -> Answer:
        """Search songs by words of what they are like, as ``mirclr search`` does.

        Parameters
        ----------
        text : str
            English, such as ``"calm piano, no vocals, around 90 bpm, before 1990"``.
        n : int
            How many are wanted.
        **asked
            What `recommend` takes beside, such as ``year`` and ``diversity``.

        Returns
        -------
        Answer
            With ``recommendations``, and ``described``, what was understood.

        Raises
        ------
        NoMatch
            Nothing of it is understood.
        QueryError
            It asks for what cannot be.
        """
        query = Query.of(text=text, n=n, **asked)
        self.prepare(query)
        return self.answer(query)

    def select(self, *texts: PathName, **filters: Any) -> list[LibraryTrack]:
        """Select songs, as ``mirclr library list`` does.

        Parameters
        ----------
        *texts : str or Path
            One of these is meant: a file or folder, or words of artist, title, album or path; all unless given.
        **filters
            ``genre``, ``mood``, ``vocal``, ``bpm``, ``key``, ``year``, ``duration_s`` and ``exclude``, as `recommend`
            takes them. What is not known yet is found out first.

        Returns
        -------
        list of LibraryTrack
            In the order of their ids.

        Raises
        ------
        QueryError
            A filter that cannot be, or is none.
        NoMatch
            A text matches nothing.
        """
        from mirclr.recommend import select_tracks

        if unknown := filters.keys() - _FILTERS:
            raise QueryError(f"found {', '.join(sorted(unknown))}; expected filters: {', '.join(sorted(_FILTERS))}")
        given = {name: value for name, value in filters.items() if value is not None}
        query = Query.of(**given) if given else None
        if query:
            self.prepare(query)
        with self.snapshot():
            return select_tracks(self, self.filters, query, [os.fspath(text) for text in texts])

    def answer(self, query: Query, *, checkpoint: Path | None = None, excerpts: bool = False) -> Answer:
        """Answer a query, with the seeds that it means and remarks.

        Parameters
        ----------
        query : Query
            What is asked.
        checkpoint : Path, optional
            The library's encoder, if it is no longer where it was.
        excerpts : bool
            Find the most similar excerpts too.

        Returns
        -------
        Answer
            With ``recommendations``, ``seeds`` and ``remarks``.
        """
        with self.snapshot():  # whatever others write meanwhile
            return recommend(
                self,
                self.index,
                query,
                filters=self.filters,
                lifts=None if query.text is None else self.lifts,
                embed_seeds=lambda files: self._embed_seeds(files, checkpoint, aspects=not query.like_by_sound),
                excerpts=excerpts,
            )

    @property
    def encoder(self) -> Encoder:
        """The encoder of its vectors, loaded when it is first needed; of a library without any the built-in one.

        Set it where it cannot be found by itself: a checkpoint that was moved, or a module of one's own.

        Raises
        ------
        LibraryError
            It is not where it was when the library was made.
        EncoderMismatch
            What it is set to is another than that of the vectors.
        """
        stamp = self.stamp
        if self._encoder is None or (stamp and not self._encoder.stamp.makes_vectors_of(stamp)):
            self._encoder = self._load_encoder(None)
        return self._encoder

    @encoder.setter
    def encoder(self, encoder: Encoder) -> None:
        if not isinstance(getattr(encoder, "stamp", None), EncoderStamp):
            raise TypeError(f"encoder: found {encoder!r}; expected an Encoder, as mirclr.load_encoder gives it")
        if self.stamp is not None:
            self.bind(encoder.stamp)  # refuses another
        self._encoder = encoder

    def _embed_seeds(
        self, files: Sequence[Path], checkpoint: Path | None, aspects: bool = False
    ) -> list[Seed | AudioError]:
        try:
            encoder = self.encoder if checkpoint is None else self._load_encoder(checkpoint)
        except EncoderMismatch:
            raise
        except LibraryError as error:
            raise LibraryError(f"{files[0]} is not in the library, and {error}") from None
        from mirclr.classify.readying import embed_seeds

        seeds = embed_seeds(files, encoder, aspects=aspects)
        return self._recognised(files, seeds) if self.has_fingerprints else seeds

    def _recognised(self, files: Sequence[Path], seeds: Sequence[Seed | AudioError]) -> list[Seed | AudioError]:
        """The same seeds, with the tracks that their files are recordings of."""
        from mirclr.identify import Identifier

        identifier, known = Identifier(self), []
        for file, seed in zip(files, seeds, strict=True):
            found = None
            if isinstance(seed, Seed):
                with suppress(AudioError):  # such as of one that is too short to say
                    found = identifier.identify(file)
            known.append(replace(seed, recording_of=found.track.id) if found and isinstance(seed, Seed) else seed)
        return known

    def identify(self, clip: PathName) -> Found | None:
        """Find the song that a recording is of, as ``mirclr identify`` does.

        Parameters
        ----------
        clip : str or Path
            An audio file, of some seconds; ``~`` is the home folder.

        Returns
        -------
        Found or None
            With ``track``, ``at_s``, ``speed``, ``pitch``, ``matched`` and ``evidence``; None of what is not there.

        Raises
        ------
        NoMatch
            No song has a fingerprint; they are made by ``mirclr library fingerprint``.
        AudioError
            The file cannot be decoded, or is too short.
        """
        from mirclr.identify import Identifier

        return Identifier(self).identify(Path(os.path.expanduser(clip)))

    def _load_encoder(self, checkpoint: Path | None, device: str = "auto") -> Encoder:
        """That of a checkpoint, or the one that the library was made with, for a new one the built-in one."""
        stamp = self.stamp
        if checkpoint is None:
            checkpoint = builtin_checkpoint() if stamp is None else checkpoint_named(stamp.name)
            if not is_there(checkpoint) and is_class_name(str(checkpoint)):
                raise LibraryError(
                    f"the library's encoder is {checkpoint}, a class that is not imported because a library names it; "
                    f"if you trust that code, say so: --checkpoint {checkpoint}, or in Python: "
                    f"mirclr.allow_code({str(checkpoint)!r})"
                )
            if not is_there(checkpoint):
                raise LibraryError(
                    f"the library's encoder is not where it was; name that encoder: --checkpoint {checkpoint}, or in "
                    "Python: library.encoder = mirclr.load_encoder(…)"
                )
        from mirclr.models.encoding import Encoder

        encoder = Encoder.load(checkpoint, excerpts=stamp.excerpts if stamp else None, device=device)
        if stamp is not None:
            self.bind(encoder.stamp)  # refuses another than the library's
        return encoder


def _several(names: Names) -> list[PathName]:
    several = [names] if isinstance(names, str | PathLike) else list(names)
    if "" in several:  # which Path takes for the folder that a script happens to run in
        raise LibraryError("found an empty text; expected the name of a file or folder")
    return several
