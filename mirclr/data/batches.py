"""Batches of pairs of crops, each a function of (seed, number), so that a resumed run sees what an unbroken one would.

Axes: B recordings of a batch, N samples, F mel bands, T frames, C labels, K outputs of a teacher.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from mirclr import config
from mirclr.audio.augment import Draws
from mirclr.audio.views import ClipShape, Views
from mirclr.data.clips import Cached, ClipCache, as_clips
from mirclr.data.manifest import Track
from mirclr.data.sampling import (
    group_numbers,
    pick_classes,
    pick_tracks,
    refuse_evaluation_data,
    soft_positive_rows,
    useful_pair,
)
from mirclr.data.soft_labels import SoftLabels
from mirclr.data.targets import Targets
from mirclr.errors import ManifestError, ObjectiveError
from mirclr.names import album_name, known_artist
from mirclr.provenance import digest_json
from mirclr.terminal import counted

_DRAWS = 8  # of a batch, before one that is useful is put together
_PART = 32  # tracks of a batch that are looked at first


def label_rows(tracks: Sequence[Track], field: str | None, names: Sequence[str] | None = None) -> Tensor | None:
    """The labels of tracks as (n, C) float32 rows of weight: one-hot, or for moods and tags multi-hot.

    A track without the field has a row of zeros. None where no field is asked for. The columns are for `names`, or for
    those that these tracks have.

    Raises
    ------
    ManifestError
        No track has the field.
    """
    if field is None:
        return None
    values = [getattr(t, field) or () for t in tracks]
    held = [(v,) if isinstance(v, str) else tuple(v) for v in values]
    columns = {name: i for i, name in enumerate(names or sorted({n for each in held for n in each}))}
    if not columns:
        raise ManifestError(f"none of the {len(tracks)} tracks has the field {field!r}, which data.labels names")
    rows = torch.zeros(len(tracks), len(columns))
    for row, each in zip(rows, held, strict=True):
        row[[columns[n] for n in each]] = 1.0
    return rows


@dataclass(frozen=True)
class Batch:
    """Two crops of each of B recordings, as they are in the cache.

    Attributes
    ----------
    block : (2 B, T', F) float16 log-mel or (2 B, N', 1) int16 samples, or float32 as `clips`
        All first crops, then all second ones, or those of them that were asked for: half as much to move as float32.
    targets : Targets
        Of the 2 B rows.
    tracks : tuple of str
        The ids of the B tracks, for messages.
    teacher : dict of str to (2 B, K) float32
        A teacher's outputs for each crop, where soft labels were given; see `config.Distillation.outputs`.
    redrawn : int
        How many draws before gave the objective nothing to learn from.
    draws : list of dict of str to Tensor
        The random numbers of the views, as `mirclr.audio.views.Views.draw` gives them; see `WithDraws`.
    """

    block: Tensor
    targets: Targets
    tracks: tuple[str, ...]
    teacher: dict[str, Tensor] = field(default_factory=dict)
    redrawn: int = 0
    draws: list[Draws] = field(default_factory=list)

    @property
    def clips(self) -> Tensor:
        """The crops: (2 B, F, T') log-mel or (2 B, N') samples in [-1, 1], float32, where the block is."""
        return as_clips(self.block)

    def map(self, change: Callable[[Any], Any]) -> "Batch":
        """The same with all tensors changed: moved, or made arrays to be sent."""
        targets: Any = {name: None if of is None else change(of) for name, of in vars(self.targets).items()}
        return replace(
            self,
            block=change(self.block),
            targets=Targets(**targets),
            teacher={name: change(rows) for name, rows in self.teacher.items()},
            draws=[{name: change(values) for name, values in drawn.items()} for drawn in self.draws],
        )


@dataclass(frozen=True)
class Facts:
    """What is known of n tracks, of which batches take some.

    Attributes
    ----------
    recording, album, artist : (n,) int64
        Groups: of what is never a negative of each other, of albums and of artists; -1 where not known.
    labels : (n, C) float32 Tensor or None
        Rows of label weight.
    index : (n,) int64
        Their numbers in the corpus.
    soft : SoftPositives or None
        Where albums and artists are learned from.
    """

    recording: np.ndarray
    album: np.ndarray
    artist: np.ndarray
    labels: Tensor | None
    index: np.ndarray
    soft: config.SoftPositives | None

    def targets(self, picks: np.ndarray) -> Targets:
        """What is known of two crops of each of some tracks, by their places."""
        rows = np.tile(picks, 2)
        instance = torch.arange(len(picks)).repeat(2)
        labels = None if self.labels is None else self.labels[torch.from_numpy(rows)]
        if self.soft is not None:
            weights = {"album_weight": self.soft.album, "artist_weight": self.soft.artist}
            labels = soft_positive_rows(instance.numpy(), self.album[rows], self.artist[rows], **weights)
        recording, index = torch.from_numpy(self.recording[rows]), torch.from_numpy(self.index[rows])
        return Targets(instance, recording, labels, index)


def facts_of(
    tracks: Sequence[Track],
    data: config.Data,
    *,
    labels: Tensor | None = None,
    names: Sequence[str] | None = None,
    number: Callable[[Sequence[str | None]], np.ndarray] = group_numbers,
    first: int = 0,
) -> Facts:
    """Find out what batches ask of tracks.

    Parameters
    ----------
    tracks : sequence of Track
        All of them, or those of a shard.
    data : config.Data
        What a recipe asks for.
    labels : (n, C) float32 Tensor, optional
        In place of the field that `data.labels` names.
    names : sequence of str, optional
        The columns of label rows, where these tracks are not all.
    number : callable
        Numbers names; of a part of the tracks the same as of others.
    first : int
        The number of the first track in the corpus.
    """
    # compared as names are: "Queen feat. David Bowie" is of Queen, "The Wall (Disc 2)" is The Wall
    albums, artists = [album_name(t.album or "") for t in tracks], [known_artist(t.artist) for t in tracks]
    never = data.never_negative
    wider = {"recording": [""] * len(tracks), "album": albums, "artist": artists}[never]
    apart = [f"{never} {w}" if w else t.recording or t.id for w, t in zip(wider, tracks, strict=True)]
    return Facts(
        number(apart),
        number([name or None for name in albums]),
        number([name or None for name in artists]),
        label_rows(tracks, data.labels, names) if labels is None else labels,
        np.arange(first, first + len(tracks)),
        data.soft_positives,
    )


def useful_draw(
    draw: Callable[[], np.ndarray], facts: Facts, is_useful: Callable[[Targets], bool], rng: np.random.Generator
) -> tuple[np.ndarray, int] | None:
    """Draw a batch that gives an objective anything to learn from, or put one together; None where none does.

    Parameters
    ----------
    draw : callable
        Gives the places of a batch's tracks; asked again where they are of no use.
    facts : Facts
        Of all tracks at hand.
    is_useful : callable
        Whether rows of which this is known give the objective anything to learn from.
    rng : numpy.random.Generator
        Of the batch.

    Returns
    -------
    picks, redrawn : (B,) int64, int
        How many draws before were of no use.
    """
    teaches = partial(teaches_anything, facts, is_useful)
    for redrawn in range(_DRAWS):
        if teaches(picks := draw()):
            return picks, redrawn
    pair = useful_pair(picks, rng.permutation(len(facts.index)), teaches)
    if pair is None:
        return None
    others = picks[~np.isin(picks, pair)]
    return np.concatenate([pair, others, picks])[: len(picks)], _DRAWS


def teaches_anything(facts: Facts, is_useful: Callable[[Targets], bool], picks: np.ndarray) -> bool:
    """Whether a batch of some tracks, by their places, gives an objective anything to learn from."""
    # what a part teaches, the whole does too, and most parts do
    parts = (picks[:_PART], picks) if len(picks) > _PART else (picks,)
    return any(is_useful(facts.targets(part)) for part in parts)


def two_crops(length: int, wanted: int, gap: int | None, rng: np.random.Generator) -> tuple[int, int]:
    """Where two crops of a track begin, at most `gap` apart where that is given."""
    last = max(0, length - wanted)
    first = int(rng.integers(0, last + 1))
    if gap is None:
        return first, int(rng.integers(0, last + 1))
    return first, int(rng.integers(max(0, first - gap), min(last, first + gap) + 1))


class ClipSource:
    """Draws batches of pairs of crops from cached tracks.

    Parameters
    ----------
    cache : ClipCache
        Where the tracks are.
    tracks : sequence of Cached
        At least two recordings, none of a split for evaluation.
    shape : ClipShape
        The length of a crop.
    recipe : config.Recipe
        Its seed, batch and gap between crops.
    soft_labels : SoftLabels, optional
        Of the tracks.
    labels : (n, C) float32 Tensor, optional
        Rows of labels of the tracks, in place of the field that the recipe's `data.labels` names.
    is_useful : callable
        Whether rows of which this is known give the objective anything to learn from.

    Attributes
    ----------
    n_tracks, n_labels : int
        How many tracks there are, and columns of label rows.
    digest : str
        Of the tracks.
    teacher_digest : str or None
        Of a teacher's outputs, where there are any.
    teacher_columns : dict of str to int
        How many tags that teacher gives, and numbers of embedding.

    Raises
    ------
    ManifestError
        There are fewer than two recordings.
    ObjectiveError
        No batch of these tracks gives the objective anything to learn from.
    """

    def __init__(
        self,
        cache: ClipCache,
        tracks: Sequence[Cached],
        shape: ClipShape,
        recipe: config.Recipe,
        soft_labels: SoftLabels | None = None,
        *,
        labels: Tensor | None = None,
        is_useful: Callable[[Targets], bool],
    ) -> None:
        found = [c.track for c in tracks]
        refuse_evaluation_data(found)
        recordings = [t.recording or t.id for t in found]
        if len(set(recordings)) < 2:
            raise ManifestError(f"{counted(len(tracks), 'usable song')}; contrast needs at least two recordings")
        self.cache, self.tracks, self.length = cache, list(tracks), shape.length
        self.seed, self.size = recipe.seed % 2**64, recipe.training.batch
        self.objective, self._is_useful = recipe.objective.name, is_useful
        self.soft_labels = soft_labels
        gap = recipe.augment.gap_seconds
        self.gap = None if gap is None else round(gap * cache.steps_a_second)
        self.data = recipe.data
        self.facts = facts_of(found, recipe.data, labels=labels)
        self.recording, self.labels = self.facts.recording, self.facts.labels
        self.n_tracks, self.n_labels = len(tracks), 0 if self.labels is None else self.labels.shape[1]
        self.digest = digest_json(sorted((c.track.id, c.file.name) for c in tracks))
        self.teacher_digest = soft_labels.digest if soft_labels else None
        self.teacher_columns = soft_labels.columns if soft_labels else {}
        if self.data.tracks_per_class and self.data.labels:
            self.classes = group_numbers([getattr(t, self.data.labels) for t in found])
        self._draw(0)

    def batch(self, number: int, own: slice = slice(None)) -> Batch:
        """The batch of a number: the same for the same seed and number, on any machine.

        Parameters
        ----------
        number : int
            Of the batch.
        own : slice
            Rows of which clips and a teacher's outputs are read; the rest of the batch is known whole.
        """
        picks, redrawn, rng = self._draw(number)
        pairs = [two_crops(self.tracks[i].length, self.length, self.gap, rng) for i in picks]
        crops = [(self.tracks[i], pair[view]) for view in (0, 1) for i, pair in zip(picks, pairs, strict=True)][own]
        block = torch.from_numpy(np.stack([self.cache.read(track, start, self.length) for track, start in crops]))
        names = tuple(self.tracks[i].track.id for i in picks)
        return Batch(block, self.facts.targets(picks), names, self._teacher(crops), redrawn)

    def _draw(self, step: int) -> tuple[np.ndarray, int, np.random.Generator]:
        """The tracks of a step, how many draws before were of no use, and the generator that crops are drawn from."""
        rng = np.random.Generator(np.random.PCG64([self.seed, step]))

        def draw() -> np.ndarray:
            if self.data.tracks_per_class:
                return pick_classes(self.classes, self.size, self.data.tracks_per_class, rng)
            return pick_tracks(len(self.tracks), self.size, rng)

        found = useful_draw(draw, self.facts, self._is_useful, rng)
        if found is None:
            raise ObjectiveError(
                f"no two of the {len(self.tracks)} tracks give {self.objective} a positive and a negative; see "
                f"data.labels ({self.data.labels}) and data.never_negative ({self.data.never_negative})"
            )
        return *found, rng

    def _teacher(self, crops: Sequence[tuple[Cached, int]]) -> dict[str, Tensor]:
        if self.soft_labels is None:
            return {}
        rows = [self.soft_labels.at(track.key, start / self.cache.steps_a_second) for track, start in crops]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


class Source(Protocol):
    """What batches come from."""

    def batch(self, number: int, own: slice = slice(None)) -> Batch:
        """The batch of a number, with clips of its `own` rows: the same for the same seed and number, anywhere."""


@dataclass(frozen=True)
class WithDraws:
    """Batches of a source, with the random numbers of their views: a function of (seed, number) likewise.

    Attributes
    ----------
    source : Source
        Of the batches.
    views : Views
        On the CPU; the numbers are drawn there whatever device the views are made on.
    seed : int
        Of the recipe.
    own : slice
        The rows that this process works on; clips and draws are of these.
    """

    source: Source
    views: Views
    seed: int
    own: slice = field(default_factory=lambda: slice(None))

    def batch(self, number: int) -> Batch:
        """The batch of a number, with draws."""
        batch = self.source.batch(number, self.own)
        generator = torch.Generator().manual_seed(mixed_seed(self.seed, number))
        return replace(batch, draws=self.views.draw(len(batch.targets.instance), generator, self.own))


def mixed_seed(seed: int, number: int) -> int:
    """A seed of a torch generator that no other pair of numbers has."""
    return int(np.random.SeedSequence([seed % 2**64, number]).generate_state(1, np.uint64)[0] >> 2)
