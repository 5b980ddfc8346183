"""Predicted genre, moods, valence and arousal, voice, sound, instruments: of files, and of a library's tracks.

A file is decoded and embedded here; a library's vectors are there already, so torch is not needed for them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mirclr.classify.corrections import Corrections, corrected, obeyed
from mirclr.classify.heads import TASKS, Heads, heads_path
from mirclr.data.scan import Found, ScanFailure, audio_files, audio_of, place_of, span_of
from mirclr.errors import EncoderMismatch, UnreadableAudio
from mirclr.ingest.tagging.guesses import GenreRule
from mirclr.library import NO_VECTOR, LibraryStore, is_usable
from mirclr.models import pretrained
from mirclr.models.pretrained import builtin_checkpoint, checkpoint_named, is_there

if TYPE_CHECKING:
    from mirclr.models.embedder import Embedder
    from mirclr.models.encoding import Encoder

_BATCH = 16
_LIKELY = 0.5
_EACH_BY_ITSELF = ("voice", "sound", "instrument")  # tasks of which any, several or no label may hold


@dataclass(frozen=True)
class Prediction:
    """What heads predict of one track; empty or None where they have no such task.

    Attributes
    ----------
    genre : dict of str to float
        Probability of each genre, the likeliest first; they add up to 1.
    top_genre : str or None
        The likeliest, or `mirclr.classify.UNKNOWN` where it is less probable than the heads' threshold.
    moods : dict of str to float
        Probability of each mood, the likeliest first; each by itself.
    affect : dict of str to float
        Valence and arousal, from 0 to 1, by name.
    voice, sound, instruments : dict of str to float
        Probabilities of a voice (vocal, female voice, male voice), of how it sounds (acoustic, electronic, danceable)
        and of instruments, the likeliest first; each label by itself.
    """

    genre: dict[str, float]
    top_genre: str | None
    moods: dict[str, float]
    affect: dict[str, float]
    voice: dict[str, float] = field(default_factory=dict)
    sound: dict[str, float] = field(default_factory=dict)
    instruments: dict[str, float] = field(default_factory=dict)

    @property
    def likely(self) -> dict[str, float]:
        """What of `voice`, `sound` and `instruments` is more likely than not."""
        return {name: p for name, p in (self.voice | self.sound | self.instruments).items() if p >= _LIKELY}

    @property
    def valence(self) -> float | None:
        """How pleasant, from 0 to 1; None where the heads do not predict it."""
        return self.affect.get("valence")

    @property
    def arousal(self) -> float | None:
        """How energetic, from 0 to 1; None where the heads do not predict it."""
        return self.affect.get("arousal")


def predictions(heads: Heads, probabilities: Mapping[str, np.ndarray]) -> Iterator[Prediction]:
    """A prediction for each row of the probabilities, (n, C) by task as of `Heads.predict_proba`."""
    genres = heads.genres(probabilities["genre"]) if "genre" in probabilities else None
    for row in range(len(next(iter(probabilities.values())))):
        yield Prediction(
            genre=_ranked(heads, probabilities, "genre", row),
            top_genre=genres[row] if genres else None,
            moods=_ranked(heads, probabilities, "mood", row),
            affect=mean_affect(heads, {task: table[row : row + 1] for task, table in probabilities.items()}),
            voice=_ranked(heads, probabilities, "voice", row),
            sound=_ranked(heads, probabilities, "sound", row),
            instruments=_ranked(heads, probabilities, "instrument", row),
        )


def count_labels(heads: Heads, probabilities: Mapping[str, np.ndarray]) -> dict[str, dict[str, int]]:
    """By task, how many rows have each label, the commonest first.

    Of genres (or `UNKNOWN`) and moods that on top counts, of voice, sound and instruments all that are likely.
    """
    tops: dict[str, list[str]] = {}
    if "genre" in probabilities:
        tops["genre"] = heads.genres(probabilities["genre"])
    if "mood" in probabilities:
        tops["mood"] = [heads.tasks["mood"].labels[i] for i in probabilities["mood"].argmax(axis=1)]
    for task in _EACH_BY_ITSELF:
        if task in probabilities:
            labels = heads.tasks[task].labels
            tops[task] = [labels[i] for i in np.nonzero(probabilities[task] >= _LIKELY)[1].tolist()]
    return {task: dict(Counter(labels).most_common()) for task, labels in tops.items()}


def mean_affect(heads: Heads, probabilities: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Valence and arousal by name, on average over the rows; empty where the heads have none, or of no rows."""
    if "affect" not in probabilities or not len(probabilities["affect"]):
        return {}
    return dict(zip(heads.tasks["affect"].labels, probabilities["affect"].mean(axis=0).tolist(), strict=True))


def _ranked(heads: Heads, probabilities: Mapping[str, np.ndarray], task: str, row: int) -> dict[str, float]:
    if task not in probabilities:
        return {}
    numbers, labels = probabilities[task][row], heads.tasks[task].labels
    return {labels[i]: float(numbers[i]) for i in (-numbers).argsort(kind="stable").tolist()}


def find_files(paths: Sequence[Path]) -> tuple[dict[Found, str], list[tuple[Path, str]]]:
    """The audio of files and folders, each with a short name, and what cannot be followed, with the reason.

    Raises
    ------
    UnreadableAudio
        There is nothing of such a name.
    """
    files: dict[Found, str] = {}
    failures = []
    for given in paths:
        path = given.expanduser().resolve()
        if not path.exists():
            raise UnreadableAudio(f"{given}: no such file or folder; expected audio files or folders of them")
        for found in audio_files(path) if path.is_dir() else [path]:
            if isinstance(found, ScanFailure):
                failures.append((path / found.path, found.reason))
            else:
                place = place_of(found)
                files.setdefault(found, str(place.relative_to(path)) if path.is_dir() else place.name)
    return files, failures


def load_embedder(heads: Heads, heads_file: Path, *, checkpoint: Path | None = None, device: str = "auto") -> Encoder:
    """Load the encoder whose vectors the heads take.

    Parameters
    ----------
    heads, heads_file : Heads, Path
        The heads, and where they are from.
    checkpoint : Path, optional
        The encoder; the one that the heads name unless given, or the built-in one where that file is gone.
    device : str
        As of `Embedder.load`.

    Raises
    ------
    EncoderMismatch
        The heads were fitted on vectors of another encoder.
    """
    from mirclr.models.encoding import Encoder

    if checkpoint is None:
        theirs = checkpoint_named(heads.encoder["name"])
        checkpoint = theirs if is_there(theirs) else builtin_checkpoint()
    embedder = Encoder.load(checkpoint, device=device)
    if not heads.are_of(embedder.stamp):
        raise EncoderMismatch(
            f"{checkpoint}: the encoder {embedder.stamp.digest[:8]}; the heads {heads_file} were fitted on "
            f"{heads.encoder['name']} ({heads.encoder['digest'][:8]}); name that with --checkpoint, or others with "
            "--heads (mirclr classify train fits some)"
        )
    return embedder


def predict_files(
    files: Sequence[Found], embedder: Embedder, heads: Heads, *, workers: int = 0
) -> Iterator[tuple[Found, Prediction | str]]:
    """Predict for each file, or part of one; the reason instead where it cannot be decoded or embedded.

    Parameters
    ----------
    files : sequence of Found
        Files, or parts of files that a CUE sheet names.
    embedder, heads : Embedder, Heads
        As of `load_embedder`.
    workers : int
        Processes that decode; 0: one a core.
    """
    from mirclr.audio.decoding import decode_files

    batch: list[tuple[Found, np.ndarray]] = []

    def predicted() -> Iterator[tuple[Found, Prediction | str]]:
        if batch:
            vectors = embedder.embed_tracks([waveforms for _, waveforms in batch])
            rows = predictions(heads, heads.predict_proba(vectors))
            for (file, _), prediction, vector in zip(batch, rows, vectors, strict=True):
                yield file, prediction if is_usable(vector) else NO_VECTOR
            batch.clear()

    decoded = decode_files(
        map(audio_of, files),
        spans=map(span_of, files),
        count=embedder.excerpts,
        seconds=embedder.seconds,
        rate=embedder.rate,
        workers=workers,
    )
    for file, one in zip(files, decoded, strict=True):
        if one.excerpts is None:
            yield file, one.error or "cannot be decoded"
            continue
        batch.append((file, one.excerpts.waveforms))
        if len(batch) == _BATCH:
            yield from predicted()
    yield from predicted()


def predict_library(
    library: LibraryStore, heads: Heads, tasks: Collection[str] | None = None, *, source: str = ""
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Predict for all tracks of a library, and store the probabilities in it; what a person corrected holds.

    Parameters
    ----------
    library : LibraryStore
        Whose tracks.
    heads : Heads
        Of its encoder.
    tasks : collection of str, optional
        Which of the heads' tasks; all of `TASKS` unless given.
    source : str
        What the library keeps of who guessed: that of `HeadsInUse`; the heads' digest unless given.

    Returns
    -------
    ids : (n,) int
        Of the tracks.
    probabilities : dict of str to (n, C) float
        As of `Heads.predict_proba`.

    Raises
    ------
    EncoderMismatch, LibraryError
        As of `Heads.check_encoder`.
    """
    heads.check_encoder(library)
    ids, vectors = library.vectors()
    wanted = TASKS if tasks is None else tasks
    probabilities = {task: p for task, p in heads.predict_proba(vectors).items() if task in wanted}
    for task, table in probabilities.items():
        head = heads.tasks[task]
        probabilities[task] = table = obeyed(head, ids, table, library.answers(task))
        names = head.labels
        rows = {int(i): dict(zip(names, p.tolist(), strict=True)) for i, p in zip(ids, table, strict=True)}
        library.store_probabilities(task, rows, source or heads.digest)
    return ids, probabilities


@dataclass(frozen=True)
class HeadsInUse:
    """Heads that predict for a library.

    Attributes
    ----------
    file : Path
        Where they are from.
    fitted : Heads
        As they are there.
    tasks : frozenset of str
        What they predict there.
    library : LibraryStore, optional
        By whose corrections they are moved; by none unless given.
    """

    file: Path
    fitted: Heads
    tasks: frozenset[str]
    library: LibraryStore | None = None

    @cached_property
    def _corrections(self) -> Corrections | None:
        kept = Corrections.of(self.library) if self.library is not None else None
        return kept if kept and self.library and self.library.stamp and self.fitted.are_of(self.library.stamp) else None

    @cached_property
    def heads(self) -> Heads:
        """What predicts: moved by a person's corrections, made when asked for."""
        if self._corrections is None or self.library is None:
            return self.fitted
        return corrected(self.fitted, self.library, self._corrections)

    @property
    def source(self) -> str:
        """What a library keeps of who guessed: the digest of the fitted heads, and of the corrections."""
        return f"{self.fitted.digest}+{self._corrections.digest}" if self._corrections else self.fitted.digest

    def made(self, source: str) -> bool:
        """Whether guesses of this source are of these heads, with the corrections of then."""
        return source.partition("+")[0] == self.fitted.digest

    def replaces(self, source: str) -> bool:
        """Whether guesses of this source are out of date: by fewer corrections, or by heads that mirclr once had."""
        former = self.file == pretrained.builtin_heads() and source.partition("+")[0] in pretrained.FORMER_HEADS
        return former or (self.made(source) and source != self.source)


def heads_for(library: LibraryStore, named: Path | None = None) -> list[HeadsInUse]:
    """Find the heads that predict for a library: the named ones; or those fitted on it, and the built-in ones beside.

    What heads fitted on a library do not predict, such as moods where they learned genres alone, the built-in ones do,
    where the library's vectors are of the built-in encoder. Heads that were not named are moved by corrections.
    """
    own = heads_path(library.path)
    if named or own.exists():
        first = Heads.load(named or own)
        of = None if named else library
        found = [HeadsInUse(named or own, first, frozenset(first.tasks).intersection(TASKS), of)]
        if named:
            return found
    else:
        found = []
    file = pretrained.builtin_heads()
    builtin = Heads.load(file)
    rest = frozenset(builtin.tasks).intersection(TASKS).difference(*(one.tasks for one in found))
    if not found or (rest and library.stamp and builtin.are_of(library.stamp)):
        found.append(HeadsInUse(file, builtin, rest, library))
    return found


def heads_version(library: LibraryStore) -> object:
    """Another value whenever `heads_ready` gives other heads."""
    own = heads_path(library.path)
    return library.generation, library.corrections_version, own.stat().st_mtime_ns if own.exists() else None


def heads_ready(library: LibraryStore) -> list[HeadsInUse]:
    """Those of `heads_for`, moved by corrections already, so that they may be kept and used from any thread."""
    found = heads_for(library)
    for one in found:
        _ = one.heads  # made now, by this thread's connection
    return found


def predict_missing(library: LibraryStore, tasks: Collection[str] = TASKS) -> int:
    """Predict for all tracks of a library where some have no probabilities yet, as after new songs were embedded.

    Those of heads that mirclr came with before, or of before more was corrected, are replaced. Those of heads that were
    named when they were asked for, and are not at hand now, are left as they are.

    Parameters
    ----------
    library : LibraryStore
        Whose tracks.
    tasks : collection of str
        Of `mirclr.classify.heads.TASKS`: what is needed.

    Returns
    -------
    int
        How many tracks had none.

    Raises
    ------
    EncoderMismatch, LibraryError
        As of `Heads.check_encoder`.
    """
    held, missing = library.tasks(), set[int]()
    for one in heads_for(library):
        lacking = {task: library.without_probabilities(task) for task in one.tasks.intersection(tasks)}
        due = {t for t, ids in lacking.items() if ids and (t not in held or one.made(held[t]))}
        due |= {t for t in lacking if t in held and one.replaces(held[t])}
        if due:
            predict_library(library, one.heads, due, source=one.source)
            missing.update(*(lacking[task] for task in due))
    return len(missing)


def genre_rule(library: LibraryStore) -> GenreRule:
    """When a genre that a library holds guesses of is written into a file, by what was measured of its heads."""
    source = library.tasks().get("genre")
    heads = next((one.fitted for one in heads_for(library) if source and one.made(source)), None)
    if heads is None:
        return GenreRule()
    sure = heads.sureness
    if sure is None:
        return GenreRule(names=heads.written_as)
    return GenreRule(sure.threshold, sure.in_words(), heads.written_as, sure.genres)
