"""A manifest to batches of clips, each track decoded once into a compact cache on disk.

The cache holds log-mel as float16 (12 kB a second) or samples as int16 (32 kB a second), one raw file a track, named
by the digest of all bytes of the audio file in a folder named by the digest of the settings: it never goes stale, and
clearing it costs only time. A batch is a function of (seed, step) alone, so that a resumed run sees what an unbroken
one would.

Axes: B batch of clips, N samples, F mel bands, T frames.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mirclr import audio, config
from mirclr.audio.mel import LogMel
from mirclr.audio.views import ClipShape
from mirclr.data.corpora import find_manifest
from mirclr.data.manifest import Track, inside, read_manifest
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
from mirclr.errors import CacheError, ManifestError, MirclrError, ObjectiveError, in_words, is_fault_of_machine
from mirclr.names import album_name, known_artist
from mirclr.processes import Lost, begin_worker, results_in_order, seconds_for_file
from mirclr.provenance import cache_dir, content_digest, digest_bytes, digest_json, size_and_time, writing
from mirclr.tags import read_tags

_CHUNK_FRAMES = 4096
_DIGESTS = "digests.json"  # of audio files, so that not all of them are read at every start
_DRAWS = 8  # of a batch, before one that teaches is put together
_PART = 32  # tracks of a batch that are looked at first


@dataclass(frozen=True)
class Cached:
    """A track in the cache: `length` frames (mel) or samples (waveform)."""

    track: Track
    file: Path
    length: int

    @property
    def key(self) -> str:
        """Digest of the audio: the same in every cache, and in a folder of soft labels."""
        return self.file.stem


@dataclass(frozen=True)
class Place:
    """Where a track is: its `source` of audio, the `span` of seconds in it (None: all), and its `file` in the cache."""

    track: Track
    source: Path
    file: Path
    span: tuple[float, float] | None


@dataclass(frozen=True)
class Skipped:
    """A track that cannot be used, and why."""

    track: Track
    reason: str


def tracks_of(
    name: str, folder: Path, *, audio_root: str | None = None, splits: Collection[str | None]
) -> tuple[list[Track], Path]:
    """Find the tracks that a recipe names, and the folder that their paths are relative to.

    Parameters
    ----------
    name : str
        A manifest file (relative to `folder`), or a corpus that has been fetched.
    folder : Path
        The recipe's folder.
    audio_root : str, optional
        By default the manifest's folder, or the corpus' own.
    splits : collection of str or None
        Keep the tracks of these splits alone; None stands for a track without one.

    Raises
    ------
    ManifestError, CorpusError
        There is no such manifest or corpus, or no track is left.
    """
    manifest = (folder / name).expanduser()
    root = manifest.parent
    if not manifest.is_file():
        if name.endswith(".jsonl"):
            raise ManifestError(f"{manifest}: no such manifest; make one with: mirclr manifest scan FOLDER -o FILE")
        manifest, root = find_manifest(name)
    if audio_root is not None:
        root = (folder / audio_root).expanduser()
    tracks = [t for t in read_manifest(manifest) if t.split in splits]
    if not tracks:
        wanted = " or ".join(sorted(s for s in splits if s) or ["any"])
        raise ManifestError(f"{manifest}: holds no track of the split {wanted}; evaluation data is never trained on")
    return tracks, root


class ClipCache:
    """The decoded form of tracks at one setting.

    Parameters
    ----------
    recipe : config.Recipe
        Its `audio` and `mel` settings name the cache's folder.
    domain : {"mel", "waveform"}
        What is kept.
    folder : Path, optional
        Where; by default ``clips`` in the user's cache.
    """

    def __init__(self, recipe: config.Recipe, domain: str, folder: Path | None = None) -> None:
        self.rate, self.mel, self.domain = recipe.audio.sample_rate, recipe.mel, domain
        settings = {"rate": self.rate, "domain": domain, "version": 1}
        if domain == "mel":
            settings["mel"] = config.digested(recipe.mel)
        self.folder = (folder or clips_dir()) / digest_json(settings)[:16]
        self.row = recipe.mel.n_mels if domain == "mel" else 1
        self.dtype = np.dtype("<f2" if domain == "mel" else "<i2")

    def fill(self, tracks: Sequence[Track], root: Path, *, workers: int | None = None) -> Iterator[Cached | Skipped]:
        """Decode what is not in the cache yet, in parallel, yielding each track when it is ready.

        Parameters
        ----------
        tracks : sequence of Track
            Their paths are below `root`.
        root : Path
            The manifest's audio root.
        workers : int, optional
            Processes that decode; by default one a core.

        Raises
        ------
        CacheError
            The cache cannot be written: no space, or no permission. What is in it already stays.
        """
        missing: list[Place] = []
        for place in self.places(tracks, root):
            if isinstance(place, Skipped):
                yield place
            elif place.file.exists():
                yield self._cached(place.track, place.file)
            else:
                missing.append(place)
        if not missing:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _no_cache(self.folder, error) from error
        jobs = [(place.source, place.file, self.domain, self.rate, self.mel, place.span) for place in missing]
        workers = min(workers or os.cpu_count() or 1, len(jobs))
        results = results_in_order(_decode, jobs, workers=workers, begin=_begin_worker, seconds_for=seconds_for_file)
        for place, (_, reason) in zip(missing, results, strict=True):
            if isinstance(reason, Lost):
                reason = audio.why_lost(place.source, reason)
            yield Skipped(place.track, reason) if reason else self._cached(place.track, place.file)

    def add(self, track: Track, key: str, blocks: Iterator[np.ndarray]) -> Cached:
        """Keep a track whose samples are at hand, unless it is there already.

        Parameters
        ----------
        track : Track
            What is known of it.
        key : str
            Digest of its audio.
        blocks : iterator of (n_samples,) float32
            Mono, at the cache's rate.

        Raises
        ------
        CacheError
            The cache cannot be written.
        """
        file = self.folder / f"{key}.raw"
        if not file.exists():
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                _write(file, blocks, self.domain, self.rate, self.mel)
            except OSError as error:
                raise _no_cache(self.folder, error) from error
        return self._cached(track, file)

    def held(self, tracks: Sequence[Track], root: Path) -> list[Cached]:
        """Those of some tracks that are in the cache; nothing is decoded."""
        places = [place for place in self.places(tracks, root) if isinstance(place, Place)]
        return [self._cached(place.track, place.file) for place in places if place.file.exists()]

    def places(self, tracks: Sequence[Track], root: Path) -> Iterator[Place | Skipped]:
        """Each track with its audio file and its file in the cache, which need not be there; nothing is decoded."""
        shared = {path for path, count in Counter(t.path for t in tracks).items() if count > 1}
        with _known_files(self.folder.parent / _DIGESTS) as look_at:
            for track in tracks:
                try:
                    source = inside(root, track.path)
                    digest, seconds = look_at(source)
                    span = _span(track, track.path in shared, seconds)
                    key = digest_bytes(digest.encode(), repr(span).encode())
                except (MirclrError, OSError) as error:
                    if is_fault_of_machine(error, music=True):
                        raise
                    yield Skipped(track, f"{track.path}: {getattr(error, 'strerror', None) or error}")
                    continue
                yield Place(track, source, self.folder / f"{key}.raw", span)

    def _cached(self, track: Track, file: Path) -> Cached:
        return Cached(track, file, file.stat().st_size // (self.dtype.itemsize * self.row))

    def read(self, cached: Cached, start: int, length: int) -> np.ndarray:
        """Read `length` frames or samples from `start`, the track repeated where it ends.

        Returns
        -------
        (length, F) float16 or (length, 1) int16
        """
        count = min(length, cached.length - start)
        bytes_a_row = self.dtype.itemsize * self.row
        rows = np.fromfile(cached.file, self.dtype, count * self.row, offset=start * bytes_a_row).reshape(-1, self.row)
        if len(rows) < length:
            rows = np.resize(rows, (length, self.row))
        return rows

    def stack(self, rows: Sequence[np.ndarray]) -> Tensor:
        """Equal-length reads to (B, F, T) log-mel or (B, N) samples in [-1, 1], float32."""
        block = torch.from_numpy(np.stack(rows))
        if self.domain == "mel":
            return block.float().transpose(1, 2)
        return block[:, :, 0].float() / 32767


@contextmanager
def _known_files(kept: Path) -> Iterator[Callable[[Path], tuple[str, float | None]]]:
    """The digest of all bytes of a file, and the seconds that its header states.

    It is read where its size or time stamp is not what it was before.
    """
    try:
        known = json.loads(kept.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        known = None
    files: dict[str, Any] = known if isinstance(known, dict) else {}
    changed = False

    def look_at(file: Path) -> tuple[str, float | None]:
        nonlocal changed
        now = [*size_and_time(file)]
        digest = None
        match files.get(str(file)):
            case [*then, str(found), None | int() | float() as length] if then == now:
                return found, length
            case [*then, str(found)] if then == now:  # as it was kept before there were seconds
                digest = found
        digest, seconds = digest or content_digest(file), read_tags(file).duration_s
        files[str(file)] = [*now, digest, seconds]
        changed = True
        return digest, seconds

    try:
        yield look_at
    finally:
        if changed:
            with suppress(OSError, UnicodeError), writing(kept, "w", sync=False) as f:  # it can be found out again
                json.dump(files, f)


def clips_dir() -> Path:
    """The folder of all caches of clips."""
    return cache_dir() / "clips"


def cache_size() -> tuple[int, int]:
    """Number of cached tracks and their size in bytes, all settings together."""
    files = list(clips_dir().glob("*/*.raw")) if clips_dir().exists() else []
    return len(files), sum(f.stat().st_size for f in files)


def clear_cache() -> int:
    """Remove the cache; returns how many bytes that freed."""
    _, size = cache_size()
    shutil.rmtree(clips_dir(), ignore_errors=True)
    return size


def _span(track: Track, shared: bool, seconds: float | None) -> tuple[float, float] | None:
    """Begin and end in seconds of a track that is a part of a file of so many; None for one that is the whole.

    One that begins at 0 is a part if the file holds others too, or goes on after it: what follows may be a track of
    another manifest or split. Lengths are not stated to the second everywhere, so that a little more is no part.
    """
    length = track.duration_s
    goes_on = length is not None and (seconds is None or seconds > length + min(2.0, 0.2 + 0.01 * length))
    if not (track.start_s or shared or goes_on):
        return None
    return track.start_s, track.start_s + length if length else float("inf")


def _cut(blocks: Iterator[np.ndarray], begin: int, end: float) -> Iterator[np.ndarray]:
    """The part of a stream of samples between two places."""
    at = 0
    for block in blocks:
        yield block[max(0, begin - at) : max(0, int(min(end - at, len(block))))]
        at += len(block)


def _begin_worker() -> None:
    begin_worker()
    torch.set_num_threads(1)


def _decode(
    source: Path, target: Path, domain: str, rate: int, mel: config.Mel, span: tuple[float, float] | None
) -> str | None:
    """Decode one file into the cache, in a process of its own; returns why it could not be, or None.

    Raises
    ------
    CacheError
        The file in the cache cannot be written.
    """
    try:
        _write(target, _audio_of(source, rate, span), domain, rate, mel)
        if not target.stat().st_size:
            target.unlink()
            return f"{source}: no audio between {span} s"
    except _Unusable as error:
        return str(error)
    except OSError as error:  # what is wrong with the source is no OSError any more
        raise _no_cache(target.parent, error) from error
    return None


def _write(target: Path, blocks: Iterator[np.ndarray], domain: str, rate: int, mel: config.Mel) -> None:
    pieces = _samples(blocks) if domain == "waveform" else _mel_blocks(blocks, LogMel.of(mel, rate))
    kind = "<i2" if domain == "waveform" else "<f2"
    with writing(target) as out:
        for piece in pieces:
            out.write(piece.astype(kind).tobytes())


class _Unusable(Exception):
    """A file cannot be decoded, for a reason of its own."""


def _audio_of(source: Path, rate: int, span: tuple[float, float] | None) -> Iterator[np.ndarray]:
    """The samples of a track, block by block; what is wrong with its file is raised as `_Unusable`."""
    try:
        blocks = audio.decode_blocks(source, rate=rate)
        yield from _cut(blocks, round(span[0] * rate), span[1] * rate) if span else blocks
    except MirclrError as error:
        raise _Unusable(str(error)) from None
    except MemoryError:
        raise  # which whoever runs the processes knows how to take
    except Exception as error:  # a decoder may fail in any way; it must not end the run
        if is_fault_of_machine(error, music=True):
            raise CacheError(f"decoding stopped at {source}: {in_words(error)}") from error
        said = f"{source}: {in_words(error)}" if isinstance(error, OSError) else None
        raise _Unusable(said or f"{source}: cannot be decoded ({type(error).__name__}: {error})") from None


def _samples(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    return (np.round(block * 32767) for block in blocks)


def _no_cache(folder: Path, error: OSError) -> CacheError:
    """The same, whatever operation failed."""
    if isinstance(error, CacheError):
        return error
    reason = in_words(type(error)(error.errno, error.strerror) if error.errno else error)
    return CacheError(
        f"{folder}: the cache of clips cannot be written ({reason}); make room or give permission, or set MIRCLR_HOME "
        "to another disk"
    )


def _mel_blocks(blocks: Iterator[np.ndarray], mel: LogMel) -> Iterator[np.ndarray]:
    """Stream (n_samples,) blocks to (frames, F) log-mel, the same as of the whole waveform at once."""
    hop = mel.hop_length
    context = -(-mel.n_fft // 2 // hop)  # frames on each side that see beyond their chunk
    held = np.zeros(0, np.float32)
    first = True
    for block in blocks:
        held = np.concatenate([held, block])
        while len(held) >= (_CHUNK_FRAMES + 2 * context) * hop:
            piece = held[: (_CHUNK_FRAMES + 2 * context) * hop]
            frames = _frames(mel, piece)
            yield frames[0 if first else context : context + _CHUNK_FRAMES]
            held, first = held[_CHUNK_FRAMES * hop :], False
    if len(held):
        yield _frames(mel, held)[0 if first else context :]


def _frames(mel: LogMel, waveform: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        result: np.ndarray = mel(torch.from_numpy(waveform)[None])[0].T.numpy()
    return result


def label_rows(tracks: Sequence[Track], field: str | None) -> Tensor | None:
    """The labels of tracks as (n, C) float32 rows of weight: one-hot, or for moods and tags multi-hot.

    A track without the field has a row of zeros. None where no field is asked for.

    Raises
    ------
    ManifestError
        No track has the field.
    """
    if field is None:
        return None
    values = [getattr(t, field) or () for t in tracks]
    held = [(v,) if isinstance(v, str) else tuple(v) for v in values]
    names = {name: i for i, name in enumerate(sorted({n for each in held for n in each}))}
    if not names:
        raise ManifestError(f"none of the {len(tracks)} tracks has the field {field!r}, which data.labels names")
    rows = torch.zeros(len(tracks), len(names))
    for row, each in zip(rows, held, strict=True):
        row[[names[n] for n in each]] = 1.0
    return rows


@dataclass(frozen=True)
class Batch:
    """Two crops of each of B recordings, as they are in the cache.

    Attributes
    ----------
    clips : (2 B, F, T') log-mel or (2 B, N') samples, float32
        All first crops, then all second ones; or those of them that were asked for.
    targets : Targets
        Of the 2 B rows.
    tracks : tuple of str
        The ids of the B tracks, for messages.
    teacher : dict of str to (2 B, K) float32
        A teacher's outputs for each crop, where soft labels were given; see `config.Distillation.outputs`.
    redrawn : int
        How many draws before gave the objective nothing to learn from.
    """

    clips: Tensor
    targets: Targets
    tracks: tuple[str, ...]
    teacher: dict[str, Tensor] = field(default_factory=dict)
    redrawn: int = 0


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
            raise ManifestError(f"{len(tracks)} usable track(s); contrast needs at least two recordings")
        self.cache, self.tracks, self.length = cache, list(tracks), shape.length
        self.seed, self.size = recipe.seed % 2**64, recipe.training.batch
        self.objective, self._is_useful = recipe.objective.name, is_useful
        self.soft_labels = soft_labels
        self.steps_a_second = recipe.audio.sample_rate / (recipe.mel.hop_length if cache.domain == "mel" else 1)
        gap = recipe.augment.gap_seconds
        self.gap = None if gap is None else round(gap * self.steps_a_second)
        never = recipe.data.never_negative
        # compared as names are: "Queen feat. David Bowie" is of Queen, "The Wall (Disc 2)" is The Wall
        albums, artists = [album_name(t.album or "") for t in found], [known_artist(t.artist) for t in found]
        wider = {"recording": [""] * len(found), "album": albums, "artist": artists}[never]
        apart = [f"{never} {w}" if w else r for w, r in zip(wider, recordings, strict=True)]
        self.recording = group_numbers(apart)
        self.data = recipe.data
        self.labels = label_rows(found, recipe.data.labels) if labels is None else labels
        self.n_tracks, self.n_labels = len(tracks), 0 if self.labels is None else self.labels.shape[1]
        self.digest = digest_json(sorted((c.track.id, c.file.name) for c in tracks))
        self.teacher_digest = soft_labels.digest if soft_labels else None
        self.teacher_columns = soft_labels.columns if soft_labels else {}
        self.album, self.artist = (group_numbers([n or None for n in names]) for names in (albums, artists))
        if self.data.tracks_per_class and self.data.labels:
            self.classes = group_numbers([getattr(t, self.data.labels) for t in found])
        self._draw(0)

    def batch(self, step: int, own: slice = slice(None)) -> Batch:
        """The batch of a step: the same for the same seed and step, on any machine.

        Parameters
        ----------
        step : int
            Its number.
        own : slice
            Rows of which clips and a teacher's outputs are read; the rest of the batch is known whole.
        """
        picks, redrawn, rng = self._draw(step)
        pairs = [self._two_crops(self.tracks[i], rng) for i in picks]
        crops = [(self.tracks[i], pair[view]) for view in (0, 1) for i, pair in zip(picks, pairs, strict=True)][own]
        clips = self.cache.stack([self.cache.read(track, start, self.length) for track, start in crops])
        names = tuple(self.tracks[i].track.id for i in picks)
        return Batch(clips, self._targets(picks), names, self._teacher(crops), redrawn)

    def _draw(self, step: int) -> tuple[np.ndarray, int, np.random.Generator]:
        """The tracks of a step, how many draws before were of no use, and the generator that crops are drawn from."""
        rng = np.random.Generator(np.random.PCG64([self.seed, step]))
        for redrawn in range(_DRAWS):
            if self.data.tracks_per_class:
                picks = pick_classes(self.classes, self.size, self.data.tracks_per_class, rng)
            else:
                picks = pick_tracks(len(self.tracks), self.size, rng)
            if self._teaches(picks):
                return picks, redrawn, rng
        pair = useful_pair(picks, rng.permutation(len(self.tracks)), self._teaches)
        if pair is None:
            raise ObjectiveError(
                f"no two of the {len(self.tracks)} tracks give {self.objective} a positive and a negative; see "
                f"data.labels ({self.data.labels}) and data.never_negative ({self.data.never_negative})"
            )
        others = picks[~np.isin(picks, pair)]
        return np.concatenate([pair, others, picks])[: self.size], _DRAWS, rng

    def _teaches(self, picks: np.ndarray) -> bool:
        """Whether a batch of these tracks gives the objective anything to learn from."""
        # what a part teaches, the whole does too, and most parts do
        parts = (picks[:_PART], picks) if len(picks) > _PART else (picks,)
        return any(self._is_useful(self._targets(part)) for part in parts)

    def _targets(self, picks: np.ndarray) -> Targets:
        """What is known of two crops of each of some tracks."""
        index = torch.from_numpy(np.tile(picks, 2))
        instance = torch.arange(len(picks)).repeat(2)
        recording = torch.from_numpy(np.tile(self.recording[picks], 2))
        return Targets(instance, recording, self._label_rows(instance, index), index)

    def _teacher(self, crops: Sequence[tuple[Cached, int]]) -> dict[str, Tensor]:
        if self.soft_labels is None:
            return {}
        rows = [self.soft_labels.at(track.key, start / self.steps_a_second) for track, start in crops]
        return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}

    def _label_rows(self, instance: Tensor, index: Tensor) -> Tensor | None:
        soft, rows = self.data.soft_positives, index.numpy()
        if soft is None:
            return None if self.labels is None else self.labels[index]
        album, artist = self.album[rows], self.artist[rows]
        return soft_positive_rows(instance.numpy(), album, artist, album_weight=soft.album, artist_weight=soft.artist)

    def _two_crops(self, cached: Cached, rng: np.random.Generator) -> tuple[int, int]:
        last = max(0, cached.length - self.length)
        first = int(rng.integers(0, last + 1))
        if self.gap is None:
            return first, int(rng.integers(0, last + 1))
        return first, int(rng.integers(max(0, first - self.gap), min(last, first + self.gap) + 1))
