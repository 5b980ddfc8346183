"""Excerpts, stretches and the whole of a file, by whichever decoder reads it."""

import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soxr

from mirclr.audio.content import look
from mirclr.audio.ffmpeg import open_by_ffmpeg
from mirclr.audio.samples import covariance, fit, polarity, resample, to_mono
from mirclr.audio.sndfile import open_by_libsndfile
from mirclr.audio.source import Source, Span, Stretch, Stumbled, clock
from mirclr.errors import (
    AudioError,
    MirclrError,
    UnreachableAudio,
    UnreadableAudio,
    UnusableAudio,
    in_words,
    is_fault_of_machine,
    is_out_of_memory,
)
from mirclr.processes import Lost
from mirclr.provenance import content_digest, digest_bytes, size_and_time
from mirclr.tags import Tags, read_tags
from mirclr.terminal import shown

MIN_SECONDS = 0.5
MAX_SECONDS = 24 * 3600.0
MAX_CHANNELS = 8
RATES = (8_000, 2_822_400)  # DSD is decoded at an eighth of its own rate, of 22.6 MHz at most
SILENCE = 1e-4  # peak amplitude, -80 dBFS
_BLOCK_SECONDS = 10.0
_ELSEWHERE = (0.5, 0.25, 0.75, 0.0, 1.0)  # where else to look when a place is silent, as fractions
_EVERY = 16  # samples of which one is looked at, to see whether a stretch is silent
_PROBES = 5  # places of one second by which the polarity of a whole file is found, and whether it is quiet
_MORE_PROBES = 30  # by which the level of a quiet one is found
_QUIET, _RAISED = 10 ** (-30 / 20), 10 ** (-15 / 20)  # peaks: from where on a file is quiet; and raised, to where


@dataclass(frozen=True)
class Excerpts:
    """Evenly spread excerpts of one file.

    Attributes
    ----------
    waveforms : (n, n_samples) float32 in [-1, 1]
        Mono, at the rate asked for; 1 <= n <= count. Silent excerpts are left out.
    duration_s : float
        Length of the whole file: of what is really there.
    digest : str
        Of the decoded samples: equal for files that differ in their tags or place alone.
    starts : (n,) float64
        Where they begin, in seconds.
    remark : str or None
        What is wrong with the file though it plays, such as "damaged near 1:20".
    content : str or None
        `mirclr.provenance.content_digest` of the file, where it was asked for.
    tags : Tags or None
        What the file says of itself, where it was asked for.
    """

    waveforms: np.ndarray
    duration_s: float
    digest: str
    starts: np.ndarray
    remark: str | None = None
    content: str | None = None
    tags: Tags | None = None


@dataclass(frozen=True)
class Section:
    """A stretch of a file as it is: `samples` (n, channels) float32 in [-1, 1], at `rate` Hz."""

    samples: np.ndarray
    rate: int
    path: Path

    @cached_property
    def mono(self) -> np.ndarray:
        """(n,) float32."""
        return to_mono(self.samples, self.path, polarity(covariance(self.samples)))


def excerpt_starts(duration_s: float, *, count: int, seconds: float) -> np.ndarray:
    """Where the excerpts of a track start, in seconds: (n,), as `read_excerpts` spreads them; n is 1 to `count`."""
    room = max(0.0, duration_s - seconds)
    n = min(count, max(1, int(2 * room / seconds)))
    starts: np.ndarray = (np.arange(n) + 0.5) / n * room
    return starts


def read_excerpts(path: Path | str, *, count: int, seconds: float, rate: int, span: Span | None = None) -> Excerpts:
    """Read `count` excerpts spread evenly over a file, or over a part of one, by seeking.

    Each of `count` equal sections gives the excerpt at its middle, so that fade-ins and applause at the very ends
    weigh little. A file shorter than one excerpt is repeated until it fills one; a short file gives fewer excerpts,
    overlapping by half at most. A file of which half of the excerpts can be decoded is read, with a remark.

    Parameters
    ----------
    path : Path or str
        The file.
    count : int
        How many excerpts, at most.
    seconds : float
        Length of each.
    rate : int
        Rate of the result, in Hz.
    span : Span, optional
        The part of the file that is meant; its excerpts are as if it were a file of its own.

    Returns
    -------
    Excerpts

    Raises
    ------
    UnreadableAudio
        The file is missing, empty, not audio, or less than half of it is there.
    UnusableAudio
        It is too short, silent, not finite, or its header is absurd.
    """
    path = Path(path)
    try:
        with open_source(path, span) as source:
            return excerpts_of(source, path, count, seconds, rate)
    except Stumbled as stumbled:
        with open_source(path, span, stumbled) as source:
            return excerpts_of(source, path, count, seconds, rate)


def excerpts_of(source: Source, path: Path, count: int, seconds: float, rate: int) -> Excerpts:
    """Excerpts of whatever gives samples; `path` is what messages call it."""
    starts = excerpt_starts(source.seconds, count=count, seconds=seconds)
    wanted = min(seconds, source.seconds)
    parts, products = _mono_parts(source, path, starts, wanted, None)
    if (signs := polarity(products)) is not None:
        parts, _ = _mono_parts(source, path, starts, wanted, signs)
    there = np.array([len(part) >= 0.5 * wanted * source.rate for part in parts])
    if there.sum() < 0.5 * len(parts):
        raise UnreadableAudio(
            f"{path}: damaged: {there.sum()} of {len(parts)} excerpts can be decoded; obtain it again"
        )
    waveforms = np.stack(
        [fit(resample(p, source.rate, rate), round(seconds * rate)) for p, ok in zip(parts, there, strict=True) if ok]
    )
    audible = np.abs(waveforms).max(axis=1) >= SILENCE
    if not audible.any():
        raise UnusableAudio(
            f"{path}: silent (no sample above -80 dBFS in {len(audible)} excerpts); nothing to learn from"
        )
    pcm = np.round(waveforms * 32767).astype("<i2")
    remark = source.damage.remark(source.seconds)
    return Excerpts(waveforms[audible], source.seconds, digest_bytes(pcm.tobytes()), starts[there][audible], remark)


def _mono_parts(
    source: Source, path: Path, starts: np.ndarray, seconds: float, signs: np.ndarray | None
) -> tuple[list[np.ndarray], np.ndarray]:
    """The excerpts of a source as mono, and the sums of the products of its channels over them."""
    parts: list[np.ndarray] = []
    products = np.zeros((source.channels, source.channels))
    for start in starts:
        samples = source.read_at(float(start), seconds)
        parts.append(to_mono(samples, path, signs))
        products += covariance(samples)
    return parts, products


def read_sections(path: Path | str, *, count: int, seconds: float, span: Span | None = None) -> list[Section]:
    """Read stretches of a file, or of a part of one, as they are, at its own rate, with all its channels.

    Each of `count` equal parts of it gives the stretch at its middle; a file that is no longer than all of them
    together is read whole. In place of one that is silent or cannot be decoded, others are looked for.

    Returns
    -------
    list of Section
        1 to `count`.

    Raises
    ------
    AudioError
        As `read_excerpts`.
    """
    path = Path(path)
    try:
        with open_source(path, span) as source:
            sections = _sections(source, path, count, seconds)
    except Stumbled as stumbled:
        with open_source(path, span, stumbled) as source:
            sections = _sections(source, path, count, seconds)
    there = [section for section in sections if len(section.samples) >= MIN_SECONDS * section.rate]
    if not there:
        raise UnreadableAudio(f"{path}: nothing near its middle can be decoded; obtain it again")
    if max(float(np.abs(section.mono).max()) for section in there) < SILENCE:
        raise UnusableAudio(f"{path}: silent (no sample above -80 dBFS in five places); nothing to describe")
    return there


def _sections(source: Source, path: Path, count: int, seconds: float) -> list[Section]:
    """The stretches that are asked for where they sound, else others that do; else the loudest of all."""
    if source.seconds <= count * seconds:
        count, seconds = 1, source.seconds
    room = source.seconds - seconds
    wanted = [(i + 0.5) / count for i in range(count)]
    found: list[Section] = []
    silent: list[Section] = []
    for place in dict.fromkeys((*wanted, *(_ELSEWHERE if room else ()))):
        section = Section(source.read_at(place * room, seconds), source.rate, path)
        (silent if _mostly_silent(section.samples) else found).append(section)
        if len(found) == count:
            return found
    return found or [max(silent, key=lambda section: _loudness(section.samples))]


def _loudness(samples: np.ndarray) -> float:
    return float(np.square(samples).sum())


def _mostly_silent(samples: np.ndarray) -> bool:
    """Whether more than half of a section is below -80 dBFS."""
    some = samples[::_EVERY]
    return len(some) == 0 or bool((np.abs(some).max(axis=1) < SILENCE).mean() > 0.5)


def decode_blocks(
    path: Path | str,
    *,
    rate: int,
    span: Span | None = None,
    raised: bool = False,
    report: Callable[[str], object] | None = None,
) -> Iterator[np.ndarray]:
    """Decode a whole file, or a part of one, as a stream of mono blocks at `rate`, in bounded memory.

    Parameters
    ----------
    path : Path or str
        The file.
    rate : int
        Rate of the result, in Hz.
    span : Span, optional
        The part of the file that is meant.
    raised : bool
        Whether a quiet file, by places spread over it below -30 dBFS, is given louder: with their peak at -15 dBFS.
    report : callable, optional
        Given a line on what was found wrong with a file that is read all the same; not called of a file that is whole.

    Yields
    ------
    (n_samples,) float32 in [-1, 1]
        About ten seconds each.

    Raises
    ------
    AudioError
        As `read_excerpts`; a file that ends early raises after the blocks that could be read.
    """
    path, stream = Path(path), None
    try:
        with open_source(path, span) as source:
            stream = _Mono(source, path, rate, raised)
            yield from stream.of(source)
            remark = source.damage.remark(source.seconds)
    except Stumbled as stumbled:
        with open_source(path, span, stumbled) as source:
            stream = stream or _Mono(source, path, rate, raised)
            yield from stream.of(source)
            remark = source.damage.remark(source.seconds)
    yield from stream.end()
    if report and remark:
        report(remark)


def mono_blocks_of(source: Source, path: Path, rate: int, raised: bool = False) -> Iterator[np.ndarray]:
    """All of whatever gives samples, as `decode_blocks`; `path` is what messages call it."""
    stream = _Mono(source, path, rate, raised)
    yield from stream.of(source)
    yield from stream.end()


class _Mono:
    """A file's samples as a stream at another rate, which another source may take over."""

    def __init__(self, source: Source, path: Path, to: int, raised: bool) -> None:
        self._raised, self._gain = raised, 1.0
        self._path, self._rate, self._to = path, source.rate, to
        self._resampler = soxr.ResampleStream(source.rate, to, 1, dtype="float32")
        self._read, self._peak = 0, 0.0

    def of(self, source: Source) -> Iterator[np.ndarray]:
        """What a source gives from where the last one stopped."""
        signs = _polarity_of(source)
        if self._raised and not self._read:
            self._gain = _gain_of(source, signs)
        for samples in source.blocks(_BLOCK_SECONDS, self._read / self._rate):
            mono = to_mono(samples, self._path, signs)
            if source.rate != self._rate:
                mono = soxr.resample(mono, source.rate, self._rate)
            self._read += len(mono)
            if self._read > MAX_SECONDS * self._rate:
                raise UnusableAudio(f"{self._path}: longer than {MAX_SECONDS / 3600:.0f} h; split it")
            waveform = self._resampler.resample_chunk(mono)
            self._peak = max(self._peak, float(np.abs(waveform).max(initial=0.0)))
            yield np.clip(np.float32(self._gain) * waveform, -1, 1)

    def end(self) -> Iterator[np.ndarray]:
        """What the resampler still holds."""
        rest = self._resampler.resample_chunk(np.zeros(0, np.float32), last=True)
        yield np.clip(np.float32(self._gain) * rest, -1, 1)
        if self._read < MIN_SECONDS * self._rate:
            raise UnreadableAudio(f"{self._path}: only {self._read / self._rate:.2f} s of it can be decoded")
        if self._peak < SILENCE:
            raise UnusableAudio(f"{self._path}: silent (no sample above -80 dBFS); nothing to learn from")


def _polarity_of(source: Source) -> np.ndarray | None:
    if source.channels == 1:
        return None
    products = np.zeros((source.channels, source.channels))
    for start in excerpt_starts(source.seconds, count=_PROBES, seconds=1.0):
        products += np.nan_to_num(covariance(source.read_at(float(start), min(1.0, source.seconds))))
    return polarity(products)


def _gain_of(source: Source, signs: np.ndarray | None) -> float:
    """By what a quiet file is raised: 1 of one that is not, and of silence."""
    peak = 0.0
    for count in (_PROBES, _MORE_PROBES):
        for start in excerpt_starts(source.seconds, count=count, seconds=1.0):
            samples = source.read_at(float(start), min(1.0, source.seconds))
            mono = (samples if signs is None else samples * signs).mean(axis=1)
            peak = max(peak, float(np.abs(mono).max(initial=0.0)))
        if not peak < _QUIET:  # nor of what is not finite
            return 1.0
    return _RAISED / peak if peak >= SILENCE else 1.0


def try_excerpts(path: Path, count: int, seconds: float, rate: int, span: Span | None = None) -> "Excerpts | str":
    """`read_excerpts` for a worker process, with the file's digest and tags: what is wrong comes back as text."""
    try:
        seen = size_and_time(path)  # before it is decoded: of one that changes meanwhile the time shows it later
        excerpts = read_excerpts(path, count=count, seconds=seconds, rate=rate, span=span)
        content, tags = _facts(path, *seen)
        return replace(excerpts, content=content, tags=tags)
    except Exception as error:  # a decoder may fail in any way; it must not end the run
        return what_is_wrong(path, error)


@lru_cache(maxsize=1)  # the parts of one file come one after the other
def _facts(path: Path, size: int, mtime_ns: int) -> tuple[str, Tags]:
    return content_digest(path), read_tags(path)


def try_blocks(path: Path, rate: int, span: Span | None = None) -> "Iterator[np.ndarray | str]":
    """`decode_blocks` for a worker process: what is wrong with a file comes as text, last."""
    try:
        yield from decode_blocks(path, rate=rate, span=span)
    except Exception as error:
        yield what_is_wrong(path, error)


def what_is_wrong(path: Path, error: Exception, cannot: str = "decoded") -> str:
    """What is reported of a file whose decoder, or what came after it, failed in whatever way.

    Raises
    ------
    MemoryError, OSError
        The machine is at fault, and no file.
    """
    if is_out_of_memory(error):
        raise MemoryError(str(error)) from error
    if is_fault_of_machine(error, music=True):
        raise error
    if isinstance(error, UnreachableAudio):
        return NotRead(error)
    if isinstance(error, MirclrError):
        return str(error)
    if isinstance(error, OSError):
        return NotRead(f"{path}: cannot be read ({in_words(error, path)})")
    return f"{path}: cannot be {cannot} ({type(error).__name__}: {error})"


class NotRead(str):
    """What is reported of a file that the system does not give: it may at another time, as it is."""


def why_lost(path: Path | str, lost: Lost) -> str:
    """What is reported of a file that took its process down, or that was given up."""
    return f"{path}: {_WHY[lost]}"


_WHY = {
    Lost.CRASHED: "its decoder crashed; convert it with another program, or obtain it again",
    Lost.OUT_OF_TIME: "took too long and was given up; convert it with another program, or obtain it again",
    Lost.OUT_OF_MEMORY: "there was not enough memory for it; close other programs, or try with --workers 1",
}


@contextmanager
def open_source(path: Path, span: Span | None, stumbled: Stumbled | None = None) -> Iterator[Source]:
    """Open by libsndfile, or by FFmpeg where that does not know the content or has `stumbled`; check the header."""
    try:
        with ExitStack() as stack:
            if "\0" in str(path):
                raise UnreadableAudio(f"{shown(str(path))}: not the name of a file")
            facts = path.stat()
            if not stat.S_ISREG(facts.st_mode):
                raise UnreadableAudio(f"{path}: not a regular file")  # reading a pipe or a device may have no end
            if facts.st_size == 0:
                raise UnreadableAudio(f"{path}: empty file (0 bytes)")
            f = stack.enter_context(path.open("rb"))
            source = _source(path, f, facts.st_size, stumbled, stack)
            _check_header(path, source)
            yield source if span is None else _part(path, source, span)
    except AudioError:
        raise
    except OSError as error:
        if is_fault_of_machine(error, music=True):
            raise
        raise UnreachableAudio(f"{path}: cannot be read ({in_words(error, path)})") from error


def _source(path: Path, f: BinaryIO, size: int, stumbled: Stumbled | None, stack: ExitStack) -> Source:
    content = look(f, size)
    if stumbled is None and (content.libsndfile or content.demuxer is None):
        try:
            source: Source = stack.enter_context(open_by_libsndfile(path))
            source.damage.places.extend(content.gaps)
            return source
        except Stumbled as error:
            stumbled = error
    if content.demuxer is None:
        raise UnreadableAudio(f"{path}: cannot be decoded ({stumbled})")
    source = stack.enter_context(open_by_ffmpeg(path, f, content))
    source.damage.places.extend(content.gaps)
    return source


def _part(path: Path, source: Source, span: Span) -> Stretch:
    part = Stretch(source, span)
    if part.seconds < MIN_SECONDS:
        ends = f", as the audio ends at {source.seconds:.1f} s" if span[1] > source.seconds else ""
        raise UnusableAudio(
            f"{path}: its part from {span[0]:.1f} s is {max(0.0, part.seconds):.1f} s long{ends}; {MIN_SECONDS} s or "
            "more are supported"
        )
    return part


def _check_header(path: Path, source: Source) -> None:
    if not 1 <= source.channels <= MAX_CHANNELS:
        raise UnusableAudio(f"{path}: {source.channels} channels; 1 to {MAX_CHANNELS} are supported")
    if not RATES[0] <= source.rate <= RATES[1]:
        raise UnusableAudio(f"{path}: sampled at {source.rate} Hz; {RATES[0]} to {RATES[1]} Hz are supported")
    claimed = source.damage.claimed_s
    if claimed and source.seconds < 0.5 * claimed:
        raise UnreadableAudio(
            f"{path}: ends at {clock(source.seconds)}, its header says {clock(claimed)}; the file is truncated: "
            "obtain it again"
        )
    if not MIN_SECONDS <= source.seconds <= MAX_SECONDS:
        raise UnusableAudio(
            f"{path}: {source.seconds:.4g} s long; {MIN_SECONDS} s to {MAX_SECONDS / 3600:.0f} h are supported"
        )
