"""The tracks of a manifest, each decoded once into a compact cache on disk.

The cache holds log-mel as float16 (12 kB a second) or samples as int16 (32 kB a second), one raw file a track, named
by the digest of all bytes of the audio file in a folder named by the digest of the settings: it never goes stale, and
clearing it costs only time. `mirclr.data.batches` makes batches of it.

Axes: B batch of clips, N samples, F mel bands, T frames.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mirclr import audio, config
from mirclr.audio.mel import LogMel
from mirclr.data.corpora import find_manifest
from mirclr.data.manifest import Track, inside, read_manifest
from mirclr.errors import CacheError, ManifestError, MirclrError, in_words, is_fault_of_machine
from mirclr.processes import Lost, begin_worker, results_in_order, seconds_for_file
from mirclr.provenance import cache_dir, content_digest, digest_bytes, digest_json, size_and_time, writing
from mirclr.tags import read_tags

_CHUNK_FRAMES = 4096
SHARDS = "shards.json"
_DIGESTS = "digests.json"  # of audio files, so that not all of them are read at every start


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


def names_shards(train: str) -> bool:
    """Whether what a recipe's `data.train` names is an index of shards (`mirclr.data.shards`), by path or URL."""
    return train.replace(os.sep, "/").rpartition("/")[2] == SHARDS


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
    if names_shards(name):
        raise ManifestError(
            f"{name}: holds clips in shards, which are trained on alone; name the manifest of the tracks"
        )
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
        self.steps_a_second = self.rate / (recipe.mel.hop_length if domain == "mel" else 1)

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
            elif self._is_whole(place.file):
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
        if not self._is_whole(file):
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                _write(file, blocks, self.domain, self.rate, self.mel)
            except OSError as error:
                raise _no_cache(self.folder, error) from error
        return self._cached(track, file)

    def held(self, tracks: Sequence[Track], root: Path) -> list[Cached]:
        """Those of some tracks that are in the cache; nothing is decoded."""
        places = [place for place in self.places(tracks, root) if isinstance(place, Place)]
        return [self._cached(place.track, place.file) for place in places if self._is_whole(place.file)]

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

    def _is_whole(self, file: Path) -> bool:
        """Whether a track is there; what is empty, or ends within a row, was cut off and is decoded anew."""
        try:
            size = file.stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return False
        return size > 0 and size % (self.dtype.itemsize * self.row) == 0

    def _cached(self, track: Track, file: Path) -> Cached:
        return Cached(track, file, file.stat().st_size // (self.dtype.itemsize * self.row))

    def read(self, cached: Cached, start: int, length: int) -> np.ndarray:
        """Read `length` frames or samples from `start`, the track repeated where it ends.

        Returns
        -------
        (length, F) float16 or (length, 1) int16

        Raises
        ------
        CacheError
            The file was removed or cut off since it was found.
        """
        count = min(length, cached.length - start)
        begin = start * self.dtype.itemsize * self.row
        try:
            numbers = np.fromfile(cached.file, self.dtype, count * self.row, offset=begin)
        except FileNotFoundError:
            numbers = np.empty(0, self.dtype)
        if not count or len(numbers) < count * self.row:
            raise CacheError(f"{cached.file}: was removed or cut off while it was in use; start again to decode anew")
        rows = numbers.reshape(-1, self.row)
        if len(rows) < length:
            rows = np.resize(rows, (length, self.row))
        return rows

    def stack(self, rows: Sequence[np.ndarray]) -> Tensor:
        """Equal-length reads to (B, F, T) log-mel or (B, N) samples in [-1, 1], float32."""
        return as_clips(torch.from_numpy(np.stack(rows)))


def as_clips(block: Tensor) -> Tensor:
    """(B, T, F) float16 of the cache to (B, F, T) log-mel, or (B, N, 1) int16 to (B, N) samples in [-1, 1]; float32."""
    if block.dtype == torch.float32:
        return block  # which was no block of the cache
    if block.dtype == torch.float16:
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
    """Number of cached tracks, and the size in bytes of all that is kept, all settings and fetched shards together."""
    files = list(clips_dir().glob("*/*.raw")) if clips_dir().exists() else []
    shards = clips_dir().glob("shards/*/*.tar")
    return len(files), sum(f.stat().st_size for f in (*files, *shards))


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
