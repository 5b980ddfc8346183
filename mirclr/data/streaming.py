"""Batches from shards, which are read one after another: a function of (seed, number) as those of the cache are.

A batch is made of lanes. The tracks of all shards, the shards in an order drawn for each epoch, are a line that is cut
into as many equal lanes as the recipe's `data.lanes` says; at any time a lane reads one shard, in an order of its
tracks that is drawn too, and gives its part of the batch. All follows from (seed, epoch, lane), and nothing from how
many processes there are: which rows of a batch a process reads says which lanes, and hence shards, it reads. With at
least half as many lanes as processes a shard is read by two of them in an epoch, as the two crops of a track are.

Where this differs from the cache: batches of the cache are drawn from all tracks anew; here each track comes once in an
epoch (but for fewer than a batch at the end of one), beside others of as many shards as there are lanes.

Axes: B tracks of a batch, N samples, F mel bands, T frames.
"""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from mirclr import config
from mirclr.audio.views import ClipShape
from mirclr.data.batches import Batch, Facts, facts_of, teaches_anything, two_crops, useful_draw
from mirclr.data.clips import SHARDS, clips_dir
from mirclr.data.sampling import pick_tracks
from mirclr.data.shards import Member, ShardSet
from mirclr.data.soft_labels import SoftLabels
from mirclr.data.targets import Targets
from mirclr.errors import ManifestError, MirclrError, ObjectiveError, RecipeError, ShardsError, in_words
from mirclr.provenance import content_digest, digest_bytes
from mirclr.terminal import counted

_AHEAD = 8  # batches before a shard is wanted, in which it is fetched
_KEPT = 3  # shards for each lane: that which is read, the next, and one that another process still reads
_OPEN = 128  # files
_FETCHES = 4  # at a time


class LaneOrder:
    """Which tracks a batch is made of.

    Parameters
    ----------
    counts : sequence of int
        Tracks of each shard, at least 1.
    size : int
        Tracks of a batch.
    lanes : int
        Shards that are read at a time; one for each track of a batch at most.
    seed : int
        Of the recipe.

    Attributes
    ----------
    epoch : int
        Batches of an epoch. At its end fewer tracks than a batch has are left out, others in each.
    """

    def __init__(self, counts: Sequence[int], size: int, lanes: int, seed: int) -> None:
        self.counts, self.seed = np.asarray(counts, np.int64), seed % 2**64
        self.total = int(self.counts.sum())
        lanes = min(lanes, size) if self.total >= size else 1
        self.rows = np.arange(lanes + 1) * size // lanes
        self.spans = self.rows * self.total // size  # as long as the rows are many: lanes end together
        self.epoch = max(1, int((np.diff(self.spans) // np.diff(self.rows)).min()))
        self._shards, self._inside = lru_cache(maxsize=2)(self._shard_order), lru_cache(maxsize=4 * lanes)(self._order)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_shards", "_inside")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        lanes = len(self.spans) - 1
        self._shards, self._inside = lru_cache(maxsize=2)(self._shard_order), lru_cache(maxsize=4 * lanes)(self._order)

    def _shard_order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """The shards of an epoch in their order, and where the tracks of each end in the line of all tracks."""
        order = np.random.Generator(np.random.PCG64([self.seed, epoch, 1])).permutation(len(self.counts))
        return order, self.counts[order].cumsum()

    def _order(self, epoch: int, shard: int) -> np.ndarray:
        """The tracks of a shard in the order of an epoch."""
        return np.random.Generator(np.random.PCG64([self.seed, epoch, 2, shard])).permutation(self.counts[shard])

    def picks(self, number: int) -> list[tuple[int, int]]:
        """Shard and place in it of each of the tracks of a batch, in the order of the lanes."""
        epoch, step = divmod(number, self.epoch)
        order, ends = self._shards(epoch)
        spans, rows = np.diff(self.spans), np.diff(self.rows)
        places = np.concatenate(
            [
                begin + (step * count + np.arange(count)) % span  # which goes round only where a batch is an epoch
                for begin, span, count in zip(self.spans, spans, rows, strict=False)
            ]
        )
        found = []
        for place, at in zip(places.tolist(), np.searchsorted(ends, places, "right").tolist(), strict=True):
            shard = int(order[at])
            found.append((shard, int(self._inside(epoch, shard)[place - ends[at] + self.counts[shard]])))
        return found


class ShardFiles:
    """Shards as files of this machine; those from elsewhere are fetched, and let go after a while.

    Processes of one machine fetch a shard once.

    Parameters
    ----------
    shards : ShardSet
        What there is.
    keep : int
        How many of those that were fetched stay.
    folder : Path, optional
        Where they are put; by default in the cache of clips.
    """

    def __init__(self, shards: ShardSet, keep: int, folder: Path | None = None) -> None:
        self.shards, self.keep = shards, keep
        self.spool = (folder or clips_dir() / "shards") / digest_bytes(shards.digest.encode())[:16]
        self._begin()

    def _begin(self) -> None:
        self._open: OrderedDict[int, BinaryIO] = OrderedDict()
        self._coming: dict[int, Future[Path]] = {}
        self._lock, self._few = threading.RLock(), threading.Semaphore(_FETCHES)

    def __getstate__(self) -> dict[str, Any]:
        """A process that this is sent to opens files, and fetches, by itself."""
        return {name: vars(self)[name] for name in ("shards", "keep", "spool")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def expect(self, numbers: set[int]) -> None:
        """Begin to fetch shards that will be read soon."""
        if self.shards.folder.local is not None:
            return
        with self._lock:
            for number in sorted(numbers - self._open.keys() - self._coming.keys()):
                future: Future[Path] = Future()
                self._coming[number] = future
                # no pool: it would keep a process that ends until all is fetched that was asked for
                threading.Thread(target=self._fetch, args=(number, future), daemon=True).start()

    def _fetch(self, number: int, future: "Future[Path]") -> None:
        with self._few:
            try:
                future.set_result(self._fetched(number))
            except BaseException as error:  # raised where the shard is read
                future.set_exception(error)

    def read(self, number: int, member: Member, start: int, length: int) -> np.ndarray:
        """Read `length` frames or samples of a track from `start`, the track repeated where it ends.

        Returns
        -------
        (length, F) float16 or (length, 1) int16

        Raises
        ------
        ShardsError
            The shard was removed or changed while it was in use.
        StorageError
            It cannot be fetched.
        """
        shards = self.shards
        count, row = min(length, member.length - start), shards.dtype.itemsize * shards.row
        with self._lock:
            file = self._open.get(number) or self._opened(number)
            try:
                file.seek(member.offset + start * row)
                data = file.read(count * row)
            except OSError as error:
                raise ShardsError(f"{self._name(number)}: {in_words(error)}") from error
        if len(data) < count * row:
            raise ShardsError(f"{self._name(number)}: was cut off since its index was written; make the shards again")
        rows = np.frombuffer(data, shards.dtype).reshape(-1, shards.row)
        return np.resize(rows, (length, shards.row)) if len(rows) < length else rows

    def _name(self, number: int) -> str:
        return f"{self.shards.folder}/{self.shards.shards[number].name}.tar"

    def _opened(self, number: int) -> BinaryIO:
        coming = self._coming.pop(number, None)
        try:
            path = coming.result() if coming else self._fetched(number)
            if self.shards.folder.local is None and not path.exists():  # let go by another process just now
                path = self._fetched(number)
            file = path.open("rb")
            if not _has_size(path, self.shards.shards[number].bytes):
                raise ShardsError(f"{self._name(number)}: was cut off, or is no more what {SHARDS} says; make it again")
        except FileNotFoundError as error:
            raise ShardsError(f"{self._name(number)}: there is no such file; make the shards again") from error
        except OSError as error:
            if isinstance(error, MirclrError):
                raise
            raise ShardsError(f"{self._name(number)}: {in_words(error)}") from error
        self._open[number] = file
        while len(self._open) > _OPEN:
            self._open.popitem(last=False)[1].close()
        return file

    def _fetched(self, number: int) -> Path:
        """A shard as a file of this machine."""
        shard = self.shards.shards[number]
        local = self.shards.folder.local
        if local is not None:
            return local / f"{shard.name}.tar"
        file = self.spool / f"{shard.name}.tar"
        file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(file.with_suffix(".lock")):
            if not _has_size(file, shard.bytes):
                whole = partial(_is_whole, size=shard.bytes, digest=shard.digest)
                self.shards.folder.fetch(f"{shard.name}.tar", file, whole)
            os.utime(file)
        self._let_go()
        return file

    def _let_go(self) -> None:
        """Remove what was fetched longest ago, beyond what is kept."""
        files = []
        for file in self.spool.glob("*.tar"):
            with suppress(OSError):  # another process was faster
                files.append((file.stat().st_mtime_ns, file))
        for _, file in sorted(files)[: -self.keep]:
            with suppress(OSError):  # which is open in another process, where the system minds
                file.unlink()


def _is_whole(file: Path, size: int, digest: str) -> bool:
    return _has_size(file, size) and content_digest(file) == digest


def _has_size(file: Path, size: int) -> bool:
    try:
        return file.stat().st_size == size
    except OSError:
        return False


class ShardSource:
    """Draws batches of pairs of crops from shards. Attributes are those of `mirclr.data.batches.ClipSource`.

    Parameters
    ----------
    shards : ShardSet
        At least two recordings, none of a split for evaluation.
    shape : ClipShape
        The length of a crop.
    recipe : config.Recipe
        Its seed, batch, lanes and gap between crops; its front end must be that of the shards.
    soft_labels : callable, optional
        Given the keys of all tracks, a teacher's outputs for them.
    is_useful : callable
        Whether rows of which this is known give the objective anything to learn from.
    spool : Path, optional
        Where shards from elsewhere are put.

    Raises
    ------
    RecipeError
        The shards were made with another front end, or the recipe asks for what they cannot give.
    ManifestError
        There are fewer than two tracks, or tracks of a split for evaluation.
    ObjectiveError
        They give the objective nothing to learn from.
    """

    def __init__(
        self,
        shards: ShardSet,
        shape: ClipShape,
        recipe: config.Recipe,
        soft_labels: Callable[[Sequence[str]], SoftLabels] | None = None,
        *,
        is_useful: Callable[[Targets], bool],
        spool: Path | None = None,
    ) -> None:
        _check(shards, shape, recipe)
        counts = [s.tracks for s in shards.shards]
        self.shards, self.length, self.data = shards, shape.length, recipe.data
        self.seed, self.objective, self._is_useful = recipe.seed % 2**64, recipe.objective.name, is_useful
        self.order = LaneOrder(counts, recipe.training.batch, recipe.data.lanes, recipe.seed)
        lanes = len(self.order.spans) - 1
        self.files = ShardFiles(shards, _KEPT * lanes, spool)
        self.first = np.cumsum([0, *counts])
        self._cache_of_members(3 * lanes)
        mel = recipe.audio.sample_rate / recipe.mel.hop_length
        self.steps_a_second = mel if shards.domain == "mel" else recipe.audio.sample_rate
        gap = recipe.augment.gap_seconds
        self.gap = None if gap is None else round(gap * self.steps_a_second)
        names = shards.labels[recipe.data.labels] if recipe.data.labels else ()
        if recipe.data.labels and not names:
            raise ManifestError(
                f"{shards.folder}: no track has the field {recipe.data.labels!r}, which data.labels names"
            )
        self.n_tracks, self.n_labels = self.order.total, len(names)
        self.digest = shards.digest
        self.soft_labels = None
        if soft_labels is not None:
            self.soft_labels = soft_labels([m.key for i in range(len(counts)) for m in shards.members(i)])
        self.teacher_digest = self.soft_labels.digest if self.soft_labels else None
        self.teacher_columns = self.soft_labels.columns if self.soft_labels else {}
        self._draw(0)

    def _cache_of_members(self, count: int) -> None:
        self._kept = count
        self.known = lru_cache(maxsize=count)(self._known)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "known"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._cache_of_members(self._kept)

    def _known(self, number: int) -> tuple[list[Member], Facts]:
        """The tracks of a shard, and what batches ask of them."""
        members = self.shards.members(number)
        names = self.shards.labels[self.data.labels] if self.data.labels else None
        try:
            facts = facts_of(
                [m.track for m in members], self.data, names=names, number=_digested, first=int(self.first[number])
            )
        except KeyError as error:
            raise ShardsError(f"{self.shards.folder}: a track has the label {error}, which its index lacks") from None
        return members, facts

    def batch(self, number: int, own: slice = slice(None)) -> Batch:
        """The batch of a number: the same for the same seed and number, on any machine and in any number of processes.

        Clips and a teacher's outputs are of the rows `own` alone, and no other shards than theirs are read.
        """
        picks, facts, redrawn, rng = self._draw(number)
        members = [self.known(shard)[0][place] for shard, place in picks]
        pairs = [two_crops(m.length, self.length, self.gap, rng) for m in members]
        rows = [(i, pair[view]) for view in (0, 1) for i, pair in enumerate(pairs)][own]
        coming = self.order.picks(number + _AHEAD) * 2
        self.files.expect({shard for shard, _ in coming[own]} | {picks[i][0] for i, _ in rows})
        crops = [self.files.read(picks[i][0], members[i], start, self.length) for i, start in rows]
        block = torch.from_numpy(np.stack(crops)) if crops else torch.empty(0)
        teacher = self._teacher([(members[i], start) for i, start in rows])
        return Batch(block, facts.targets(np.arange(len(picks))), tuple(m.track.id for m in members), teacher, redrawn)

    def _draw(self, number: int) -> tuple[list[tuple[int, int]], Facts, int, np.random.Generator]:
        """Shard and place of the tracks of a batch, what is known of them, and how many draws were of no use.

        What comes in order is taken, unless the objective learns nothing from it: then tracks are drawn as from the
        cache, out of the shards that are read or, where those are of no use, out of more and more of the others.
        """
        rng = np.random.Generator(np.random.PCG64([self.seed, number]))
        picks = self.order.picks(number)
        facts = _joined([self.known(shard)[1] for shard, _ in picks], [place for _, place in picks])
        if teaches_anything(facts, self._is_useful, np.arange(len(picks))):
            return picks, facts, 0, rng
        near = sorted({shard for shard, _ in picks})
        further = [shard for shard in range(len(self.order.counts)) if shard not in near]
        while True:
            there = [(shard, place) for shard in near for place in range(self.order.counts[shard])]
            at_hand = _joined([self.known(shard)[1] for shard, _ in there], [place for _, place in there])
            draw = partial(pick_tracks, len(there), len(picks), rng)
            if found := useful_draw(draw, at_hand, self._is_useful, rng):
                drawn = [there[i] for i in found[0]]
                facts = _joined([self.known(shard)[1] for shard, _ in drawn], [place for _, place in drawn])
                return drawn, facts, found[1] + 1, rng
            if not further:
                raise ObjectiveError(
                    f"no two of the {counted(self.n_tracks, 'track')} of {self.shards.folder} give {self.objective} a "
                    f"positive and a negative; see data.labels ({self.data.labels}) and data.never_negative "
                    f"({self.data.never_negative})"
                )
            near, further = near + further[: len(near)], further[len(near) :]

    def _teacher(self, crops: Sequence[tuple[Member, int]]) -> dict[str, Tensor]:
        if self.soft_labels is None:
            return {}
        rows = [self.soft_labels.at(m.key, (m.first + start) / self.steps_a_second) for m, start in crops]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def _joined(facts: Sequence[Facts], places: Sequence[int]) -> Facts:
    """What is known of tracks, each by its shard's facts and its place there."""

    def of(name: str) -> np.ndarray:
        return np.array([getattr(each, name)[place] for each, place in zip(facts, places, strict=True)], np.int64)

    labels = None
    if facts[0].labels is not None:
        labels = torch.stack([each.labels[place] for each, place in zip(facts, places, strict=True)])  # type: ignore[index]
    return Facts(of("recording"), of("album"), of("artist"), labels, of("index"), facts[0].soft)


def _digested(names: Sequence[str | None]) -> np.ndarray:
    """(n,) int64: a number for each name that is the same in every shard; -1 for None."""
    return np.array([-1 if n is None else int(digest_bytes(n.encode())[:15], 16) for n in names], np.int64)


def _check(shards: ShardSet, shape: ClipShape, recipe: config.Recipe) -> None:
    """Raise unless shards are what the recipe takes, and can give what it asks for."""
    where, data = shards.folder, recipe.data
    here = (shape.domain, recipe.audio.sample_rate)
    if (shards.domain, shards.sample_rate) != here:
        raise RecipeError(
            f"{where}: holds {shards.domain} at {shards.sample_rate} Hz, the recipe takes {here[0]} at {here[1]} Hz; "
            "make shards by this recipe"
        )
    if shards.domain == "mel" and shards.mel != recipe.mel.model_dump(mode="json"):
        raise RecipeError(f"{where}: holds log-mel of {shards.mel}; set mel to that, or make shards by this recipe")
    for key, found, rest in (
        ("labels_file", data.labels_file, "labels are put into shards when these are made"),
        ("tracks_per_class", data.tracks_per_class, "a class-balanced batch needs all tracks at hand"),
        ("fraction", None if data.fraction == 1 else data.fraction, "make shards of a part of the tracks"),
    ):
        if found is not None:
            raise RecipeError(f"data.{key}: cannot go with shards; {rest}")
    if sum(s.tracks for s in shards.shards) < 2:
        raise ManifestError(f"{where}: holds one track; contrast needs at least two recordings")
