"""Audio files to mono float32 at one rate; the only door to soundfile, soxr and PyAV.

Conventions: a waveform is (n_samples,) float32 in [-1, 1], mono. Times are in seconds, rates in Hz. Formats that
libsndfile knows (wav, flac, ogg, opus, mp3, aiff) are read by soundfile; others (m4a, aac, wma) by PyAV where the
extra ``formats`` is installed. Nothing here holds more than one block or the asked excerpts in memory, however long
the file is or claims to be.

Contents: `excerpt_starts`, `read_excerpts` and `read_middle` (seek), `decode_blocks` (a whole file, streamed),
`resample`, `write_wav`.
"""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile
import soxr

from mirclr.errors import AudioError, MirclrError, MissingExtra, UnreadableAudio, UnusableAudio
from mirclr.provenance import content_digest, digest_bytes, size_and_time
from mirclr.tags import AUDIO_SUFFIXES

MIN_SECONDS = 0.5
MAX_SECONDS = 24 * 3600.0
MAX_CHANNELS = 8
RATES = (8_000, 192_000)
SILENCE = 1e-4  # peak amplitude, -80 dBFS
_BLOCK_SECONDS = 10.0
_MP3_LEVEL = 0.8889  # of libsndfile's 0 to 1 for 320 to 32 kbps
Span = tuple[float, float]
"""Begin and end of a part of a file, in seconds; an end of infinity is that of the file."""


@dataclass(frozen=True)
class Excerpts:
    """Evenly spread excerpts of one file.

    Attributes
    ----------
    waveforms : (n, n_samples) float32 in [-1, 1]
        Mono, at the rate asked for; 1 <= n <= count. Silent excerpts are left out.
    duration_s : float
        Length of the whole file.
    digest : str
        Of the decoded samples: equal for files that differ in their tags or place alone.
    starts : (n,) float64
        Where they begin, in seconds.
    content : str or None
        `mirclr.provenance.content_digest` of the file, where it was asked for.
    """

    waveforms: np.ndarray
    duration_s: float
    digest: str
    starts: np.ndarray
    content: str | None = None


class _Source(Protocol):
    """An open file: `frames` may be what a header claims, reads return what is really there."""

    rate: int
    channels: int
    seconds: float

    def read_at(self, start_s: float, seconds: float) -> np.ndarray: ...  # (frames, channels) float32

    def blocks(self, seconds: float) -> Iterator[np.ndarray]: ...


def excerpt_starts(duration_s: float, *, count: int, seconds: float) -> np.ndarray:
    """Where the excerpts of a track start, in seconds: (n,), as `read_excerpts` spreads them; n is 1 to `count`."""
    room = max(0.0, duration_s - seconds)
    n = min(count, max(1, int(2 * room / seconds)))
    starts: np.ndarray = (np.arange(n) + 0.5) / n * room
    return starts


def read_excerpts(path: Path, *, count: int, seconds: float, rate: int, span: Span | None = None) -> Excerpts:
    """Read `count` excerpts spread evenly over a file, or over a part of one, by seeking.

    Each of `count` equal sections gives the excerpt at its middle, so that fade-ins and applause at the very ends
    weigh little. A file shorter than one excerpt is repeated until it fills one; a short file gives fewer excerpts,
    overlapping by half at most.

    Parameters
    ----------
    path : Path
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
        The file is missing, empty, truncated, or not audio.
    UnusableAudio
        It is too short, silent, not finite, or its header is absurd.
    MissingExtra
        Its format needs PyAV.
    """
    with _open(path, span) as source:
        wanted = min(seconds, source.seconds)
        starts = excerpt_starts(source.seconds, count=count, seconds=seconds)
        excerpts = []
        for start in starts:
            samples = source.read_at(float(start), wanted)
            if len(samples) < 0.5 * wanted * source.rate:
                raise UnreadableAudio(
                    f"{path}: the audio ends near {start + len(samples) / source.rate:.1f} s, its header says "
                    f"{source.seconds:.1f} s; the file is truncated: obtain it again"
                )
            waveform = resample(_to_mono(samples, path), source.rate, rate)
            excerpts.append(_fit(waveform, round(seconds * rate)))
        waveforms = np.stack(excerpts)
        heard = np.abs(waveforms).max(axis=1) >= SILENCE
        if not heard.any():
            raise UnusableAudio(
                f"{path}: silent (no sample above -80 dBFS in {len(heard)} excerpts); nothing to learn from"
            )
        pcm = np.round(waveforms * 32767).astype("<i2")
        return Excerpts(waveforms[heard], source.seconds, digest_bytes(pcm.tobytes()), starts[heard])


@dataclass(frozen=True)
class Section:
    """A stretch of a file as it is: `samples` (n, channels) float32 in [-1, 1], at `rate` Hz."""

    samples: np.ndarray
    rate: int
    path: Path

    @property
    def mono(self) -> np.ndarray:
        """(n,) float32."""
        return _to_mono(self.samples, self.path)


def read_middle(path: Path, *, seconds: float, span: Span | None = None) -> Section:
    """Read the middle of a file, or of a part of one, all of it where it is shorter; its own rate, all its channels.

    Raises
    ------
    AudioError, MissingExtra
        As `read_excerpts`.
    """
    with _open(path, span) as source:
        wanted = min(seconds, source.seconds)
        section = Section(source.read_at(max(0.0, (source.seconds - wanted) / 2), wanted), source.rate, path)
    if len(section.samples) < MIN_SECONDS * section.rate:
        raise UnreadableAudio(f"{path}: no audio near its middle; the file is truncated: obtain it again")
    if np.abs(section.mono).max() < SILENCE:
        raise UnusableAudio(f"{path}: silent (no sample above -80 dBFS in its middle); nothing to describe")
    return section


def try_excerpts(path: Path, count: int, seconds: float, rate: int, span: Span | None = None) -> "Excerpts | str":
    """`read_excerpts` for a worker process, with the digest of the file: what is wrong with it comes back as text."""
    try:
        seen = size_and_time(path)  # before it is decoded: of one that changes meanwhile the time tells later
        excerpts = read_excerpts(path, count=count, seconds=seconds, rate=rate, span=span)
        return replace(excerpts, content=_content(path, *seen))
    except Exception as error:  # a decoder may fail in any way; it must not end the run
        return what_is_wrong(path, error)


@lru_cache(maxsize=1)  # the parts of one file come one after the other
def _content(path: Path, size: int, mtime_ns: int) -> str:
    return content_digest(path)


def try_blocks(path: Path, rate: int, span: Span | None = None) -> "Iterator[np.ndarray | str]":
    """`decode_blocks` for a worker process: what is wrong with a file comes as text, last."""
    try:
        yield from decode_blocks(path, rate=rate, span=span)
    except Exception as error:
        yield what_is_wrong(path, error)


def what_is_wrong(path: Path, error: Exception, cannot: str = "decoded") -> str:
    """What is said of a file whose decoder, or what came after it, failed in whatever way."""
    return (
        str(error)
        if isinstance(error, MirclrError)
        else f"{path}: cannot be {cannot} ({type(error).__name__}: {error})"
    )


def why_crashed(path: Path | str) -> str:
    """What is said of a file whose decoder took its process down."""
    return f"{path}: its decoder crashed; the file is damaged: obtain it again"


def decode_blocks(path: Path, *, rate: int, span: Span | None = None) -> Iterator[np.ndarray]:
    """Decode a whole file, or a part of one, as a stream of mono blocks at `rate`, in bounded memory.

    Yields
    ------
    (n_samples,) float32 in [-1, 1]
        About ten seconds each.

    Raises
    ------
    AudioError
        As `read_excerpts`; a file that ends early raises after the blocks that could be read.
    """
    with _open(path, span) as source:
        stream = soxr.ResampleStream(source.rate, rate, 1, dtype="float32")
        read, peak = 0, 0.0
        for samples in source.blocks(_BLOCK_SECONDS):
            read += len(samples)
            if read > MAX_SECONDS * source.rate:
                raise UnusableAudio(f"{path}: longer than {MAX_SECONDS / 3600:.0f} h; split it")
            waveform = stream.resample_chunk(_to_mono(samples, path))
            peak = max(peak, float(np.abs(waveform).max(initial=0.0)))
            yield np.clip(waveform, -1, 1)
        yield np.clip(stream.resample_chunk(np.zeros(0, np.float32), last=True), -1, 1)
        if read < 0.5 * source.seconds * source.rate:
            raise UnreadableAudio(
                f"{path}: the audio ends at {read / source.rate:.1f} s, its header says {source.seconds:.1f} s; "
                "the file is truncated: obtain it again"
            )
        if peak < SILENCE:
            raise UnusableAudio(f"{path}: silent (no sample above -80 dBFS); nothing to learn from")


def resample(waveform: np.ndarray, rate: int, to: int) -> np.ndarray:
    """Resample (n_samples,) float32 from `rate` to `to` Hz by soxr, high quality, clipped to [-1, 1]."""
    if rate != to:
        waveform = soxr.resample(waveform, rate, to, quality="HQ")
    return np.clip(waveform, -1.0, 1.0).astype(np.float32, copy=False)


def through_mp3(waveforms: np.ndarray, rate: int, to: int) -> tuple[np.ndarray | None, float | None]:
    """What mp3 at about 64 kbps, mono, makes of waveforms.

    Parameters
    ----------
    waveforms : np.ndarray
        (n, n_samples) float32 in [-1, 1], coded one after the other.
    rate : int
        Theirs, in Hz; 44,100 gives 64 kbps.
    to : int
        Rate of the result, in Hz.

    Returns
    -------
    waveforms : (n, n_samples) float32 at `to`, or None
        None where libsndfile writes no mp3.
    kbps : float or None
        What it came to.
    """
    if "MP3" not in soundfile.available_formats():
        return None, None
    x = waveforms.reshape(-1)
    with io.BytesIO() as file:
        how = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
        soundfile.write(file, x, rate, compression_level=_MP3_LEVEL, **how)
        kbps = file.tell() * 8 / (len(x) / rate) / 1000
        file.seek(0)
        decoded = soundfile.read(file, dtype="float32")[0][: len(x)]
    decoded = np.pad(decoded, (0, len(x) - len(decoded))).reshape(waveforms.shape)
    return np.stack([resample(row, rate, to) for row in decoded]), kbps


def write_wav(path: Path, waveform: np.ndarray, rate: int) -> None:
    """Write (n_samples,) float32 in [-1, 1] as a 16-bit wav file; its folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.clip(waveform, -1, 1), rate, subtype="PCM_16", format="WAV")


def _to_mono(samples: np.ndarray, path: Path) -> np.ndarray:
    """(frames, channels) -> (frames,); channels that cancel each other give the loudest one instead."""
    channels = np.ascontiguousarray(samples.T)  # a mean over two neighbours at a time is slow
    if not np.isfinite(channels).all():
        raise UnusableAudio(f"{path}: holds samples that are NaN or infinite; export it again")
    mono: np.ndarray = channels.mean(axis=0)
    power = np.square(channels).mean(axis=1) if len(samples) else np.zeros(len(channels))
    if power.max() > 0 and np.square(mono).mean() < 1e-3 * power.max():
        mono = channels[power.argmax()]
    return mono


def _fit(waveform: np.ndarray, n_samples: int) -> np.ndarray:
    """Repeat or cut to exactly `n_samples`."""
    if len(waveform) < n_samples:
        waveform = np.tile(waveform, -(-n_samples // max(1, len(waveform))))
    return waveform[:n_samples]


@contextmanager
def _open(path: Path, span: Span | None = None) -> Iterator[_Source]:
    """Open by soundfile, else by PyAV; check the header; turn decoder errors into ours."""
    try:
        facts = path.stat()
    except OSError as error:
        raise UnreadableAudio(f"{path}: cannot be read ({error.strerror or error})") from error
    if not stat.S_ISREG(facts.st_mode):
        raise UnreadableAudio(f"{path}: not a regular file")  # reading a pipe or a device may have no end
    if facts.st_size == 0:
        raise UnreadableAudio(f"{path}: empty file (0 bytes)")
    try:
        with _decoder(path) as source:
            _check_header(path, source)
            if span is not None:
                source = _Part(path, source, span)
            yield source
    except (soundfile.LibsndfileError, soundfile.SoundFileRuntimeError) as error:
        raise UnreadableAudio(f"{path}: cannot be decoded ({_reason(error)})") from error
    except (AudioError, MissingExtra):
        raise
    except (OSError, MemoryError) as error:
        raise UnreadableAudio(f"{path}: cannot be read ({_reason(error)})") from error


@contextmanager
def _decoder(path: Path) -> Iterator[_Source]:
    try:
        file = soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))  # a name need not be UTF-8
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a .raw file, which has no header
        with _open_by_av(path, str(_reason(error))) as source:
            yield source
        return
    with file:
        yield _SndSource(file)


def _check_header(path: Path, source: _Source) -> None:
    if not 1 <= source.channels <= MAX_CHANNELS:
        raise UnusableAudio(f"{path}: {source.channels} channels; 1 to {MAX_CHANNELS} are supported")
    if not RATES[0] <= source.rate <= RATES[1]:
        raise UnusableAudio(f"{path}: sampled at {source.rate} Hz; {RATES[0]} to {RATES[1]} Hz are supported")
    if not MIN_SECONDS <= source.seconds <= MAX_SECONDS:
        raise UnusableAudio(
            f"{path}: {source.seconds:.4g} s long; {MIN_SECONDS} s to {MAX_SECONDS / 3600:.0f} h are supported"
        )


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "error_string", "") or getattr(error, "strerror", "") or error)
    return text.strip().rstrip(".") or type(error).__name__


class _SndSource:
    """A file open in libsndfile."""

    def __init__(self, file: Any) -> None:
        self.file = file
        self.rate = int(file.samplerate)
        self.channels = int(file.channels)
        self.seconds = file.frames / self.rate if self.rate else 0.0

    def read_at(self, start_s: float, seconds: float) -> np.ndarray:
        self.file.seek(min(round(start_s * self.rate), max(0, self.file.frames - 1)))
        samples: np.ndarray = self.file.read(round(seconds * self.rate), dtype="float32", always_2d=True)
        return samples

    def blocks(self, seconds: float) -> Iterator[np.ndarray]:
        self.file.seek(0)
        while len(samples := self.file.read(round(seconds * self.rate), dtype="float32", always_2d=True)):
            yield samples


class _Part:
    """A stretch of an open file, as if it were all there is."""

    def __init__(self, path: Path, source: _Source, span: Span) -> None:
        self._source, self._begin = source, span[0]
        self.rate, self.channels = source.rate, source.channels
        self.seconds = min(span[1], source.seconds) - span[0]
        if self.seconds < MIN_SECONDS:
            raise UnusableAudio(
                f"{path}: its part from {span[0]:.1f} s is {max(0.0, self.seconds):.1f} s long, as the audio ends at "
                f"{source.seconds:.1f} s; {MIN_SECONDS} s or more are supported"
                if span[1] > source.seconds
                else f"{path}: its part from {span[0]:.1f} s is {self.seconds:.1f} s long; {MIN_SECONDS} s or more are "
                "supported"
            )

    def read_at(self, start_s: float, seconds: float) -> np.ndarray:
        return self._source.read_at(self._begin + start_s, min(seconds, self.seconds - start_s))

    def blocks(self, seconds: float) -> Iterator[np.ndarray]:
        frames, at = round(self.seconds * self.rate), 0
        while at < frames and len(samples := self.read_at(at / self.rate, seconds)):
            yield samples
            at += len(samples)


@contextmanager
def _open_by_av(path: Path, reason: str) -> Iterator[_Source]:
    """Open what libsndfile does not know; `reason` is what libsndfile said."""
    if path.suffix.lower() not in AUDIO_SUFFIXES:
        raise UnreadableAudio(f"{path}: not audio ({reason})")
    try:
        import av
    except ImportError:
        if path.suffix.lower() in {".m4a", ".mp4", ".aac", ".wma"}:
            raise MissingExtra.of(f"{path}: a {path.suffix} file", "formats") from None
        raise UnreadableAudio(f"{path}: cannot be decoded ({reason})") from None
    try:
        with path.open("rb") as f, av.open(f, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise UnreadableAudio(f"{path}: holds no audio stream")
            if container.streams.audio[0].codec_context is None:
                raise UnreadableAudio(f"{path}: its audio has a codec that is not known; convert it to flac")
            yield _AvSource(container)
    except av.FFmpegError as error:
        raise UnreadableAudio(f"{path}: cannot be decoded ({_reason(error)})") from error


class _AvSource:
    """A file open in FFmpeg's libraries, through PyAV."""

    def __init__(self, container: Any) -> None:
        self.container = container
        self.stream = container.streams.audio[0]
        self.rate = int(self.stream.rate or 0)
        self.channels = int(self.stream.channels or 0)
        if self.stream.duration:
            self.seconds = float(self.stream.duration * self.stream.time_base)
        else:
            self.seconds = (container.duration or 0) / 1e6

    def _frames(self) -> Iterator[tuple[float, np.ndarray]]:
        """(start in seconds, (frames, channels) float32) as they are decoded."""
        import av

        planar = av.AudioResampler(format="fltp", layout=self.stream.layout, rate=self.rate)
        for frame in self.container.decode(self.stream):
            start = frame.time or 0.0
            for part in planar.resample(frame):
                samples = part.to_ndarray().T
                yield start, samples
                start += len(samples) / self.rate

    def read_at(self, start_s: float, seconds: float) -> np.ndarray:
        self.container.seek(int(start_s / self.stream.time_base), stream=self.stream, backward=True)
        parts: list[np.ndarray] = []
        needed = round(seconds * self.rate)
        for start, samples in self._frames():
            skip = max(0, round((start_s - start) * self.rate)) if not parts else 0
            if skip < len(samples):
                parts.append(samples[skip : skip + needed])
                needed -= len(parts[-1])
            if needed <= 0:
                break
        return np.concatenate(parts) if parts else np.zeros((0, self.channels), np.float32)

    def blocks(self, seconds: float) -> Iterator[np.ndarray]:
        self.container.seek(0)
        for _, samples in self._frames():
            yield samples
