"""A file, or a part of one, in another format: for players that know only some; a part of the one door to PyAV.

Contents: `transcode`, into a file; `transcoded`, as bytes while it is decoded.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.audio.reading import what_is_wrong
from mirclr.audio.source import Span
from mirclr.audio.streaming import sound_blocks
from mirclr.errors import UnreadableAudio, is_fault_of_machine

_BLOCK_S = 10.0
_LIVE_BLOCK_S = 2.0  # of what somebody waits for


@dataclass(frozen=True)
class _Format:
    """A container of FFmpeg's with a codec, its samples, and the rates that it takes: any, where none is named."""

    container: str
    codec: str
    samples: str
    rates: tuple[int, ...] = ()
    lossy: bool = True


FORMATS: Mapping[str, _Format] = {
    "mp3": _Format("mp3", "libmp3lame", "fltp", (44100, 48000, 32000)),
    "m4a": _Format("ipod", "aac", "fltp", (44100, 48000, 32000, 96000)),
    "opus": _Format("opus", "libopus", "flt", (48000,)),
    "flac": _Format("flac", "flac", "s16", lossy=False),
    "wav": _Format("wav", "pcm_s16le", "s16", lossy=False),
}
"""What can be written, by the end of a file's name."""


def can_write(kind: str) -> bool:
    """Whether the FFmpeg that is installed writes this kind; that of PyAV's own wheels writes all."""
    import av

    return FORMATS[kind].codec in av.codec.codecs_available


def expected_bytes(seconds: float, kind: str, kbps: int) -> int:
    """About how large a transcoded song is, and no less than it will be."""
    return int(seconds * (kbps * 1000 / 8 if FORMATS[kind].lossy else 48_000 * 4) * 1.02) + 65536


def transcode(
    source: Path, target: Path, kind: str, *, kbps: int = 192, span: Span | None = None, tags: Mapping[str, str] = {}
) -> None:
    """Write a file's sound into a new file of another kind, in stereo or mono, at its rate or the nearest that fits.

    Parameters
    ----------
    source, target : Path
        What is read, and the file to write; one that is there is replaced.
    kind : str
        Of `FORMATS`.
    kbps : int
        Kilobits a second, of kinds that lose some of the sound.
    span : Span, optional
        The part of the source that is meant.
    tags : mapping of str to str
        ``title``, ``artist``, ``album``, ``album_artist``, ``genre``, ``date``, ``track``.

    Raises
    ------
    UnreadableAudio
        The source cannot be decoded, or has no sound.
    OSError
        The target cannot be written.
    """
    try:
        for _ in _encoded(source, str(target), kind, kbps, sound_blocks(source, span, block_s=_BLOCK_S), tags):
            pass
    except OSError as error:
        if not isinstance(error, UnreadableAudio) and error.filename is None:
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise


def transcoded(
    source: Path, kind: str, *, kbps: int = 192, span: Span | None = None, start_s: float = 0.0
) -> Iterator[bytes]:
    """A file's sound as a file of another kind, piece by piece while it is decoded.

    Parameters
    ----------
    source, kind, kbps, span
        As of `transcode`; of kinds those that are written without going back, such as ``opus``.
    start_s : float
        Where in the source, or in its part, to begin.

    Raises
    ------
    UnreadableAudio
        As of `transcode`; of what is damaged further on after the pieces before it.
    """
    pieces = _Pieces()
    sound = sound_blocks(source, span, start_s=start_s, block_s=_LIVE_BLOCK_S)
    for _ in _encoded(source, pieces, kind, kbps, sound, {}):
        yield from pieces.taken()
    yield from pieces.taken()


class _Pieces:
    """What PyAV writes to as to a file, and what is taken out as it comes."""

    def __init__(self) -> None:
        self._held: list[bytes] = []

    def write(self, data: Any) -> int:
        self._held.append(bytes(data))
        return len(data)

    def taken(self) -> Iterator[bytes]:
        held, self._held = self._held, []
        if data := b"".join(held):
            yield data


def _encoded(
    source: Path,
    target: str | _Pieces,
    kind: str,
    kbps: int,
    sound: Iterator[tuple[np.ndarray, int, float]],
    tags: Mapping[str, str],
) -> Iterator[None]:
    """Encode sound into a target, a block at each step."""
    import av

    form = FORMATS[kind]
    first = next(sound, None)
    while first is not None and not len(first[0]):
        first = next(sound, None)
    if first is None:
        raise UnreadableAudio(f"{source}: no sound is found in it")
    rate = first[1] if first[1] in form.rates or not form.rates else form.rates[0]
    layout = "mono" if first[0].shape[1] == 1 else "stereo"
    try:
        with av.open(target, "w", format=form.container) as out:
            stream: Any = out.add_stream(form.codec, rate=rate, layout=layout)
            stream.codec_context.format = form.samples
            if form.lossy:
                stream.bit_rate = kbps * 1000
            out.metadata.update({name: value for name, value in tags.items() if value})
            stream.codec_context.open()
            fitting = Fitting(form.samples, layout, rate, stream.codec_context.frame_size or None)
            for samples, its_rate in _chained(first, sound):
                for frame in fitting.of(samples, its_rate):
                    out.mux(stream.encode(frame))
                yield
            for frame in fitting.end():
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
    except av.FFmpegError as error:
        if is_fault_of_machine(error):
            raise OSError(error.errno, error.strerror) from error
        raise UnreadableAudio(f"{source}: cannot be written as {kind} ({error.strerror})") from error


def _chained(
    first: tuple[np.ndarray, int, float], rest: Iterator[tuple[np.ndarray, int, float]]
) -> Iterator[tuple[np.ndarray, int]]:
    yield first[:2]
    for samples, rate, _ in rest:
        if len(samples):
            yield samples, rate


class Fitting:
    """Blocks as frames that an encoder takes, of mono or stereo; of more channels their mean on both sides."""

    def __init__(self, samples: str, layout: str, rate: int, size: int | None) -> None:
        self._to = samples, layout, rate, size
        self._rate: int | None = None
        self._at = self._given = 0

    def of(self, samples: np.ndarray, rate: int) -> Iterator[Any]:
        """The frames that a block fills; another decoder may have gone on at another rate."""
        import av

        if rate != self._rate:
            if self._rate is not None:
                yield from self.end()
            self._rate, self._at = rate, 0
            self._resampler = av.AudioResampler(*self._to)
        mono = self._to[1] == "mono"
        if samples.shape[1] > 2 or (samples.shape[1] == 2 and mono):
            samples = samples.mean(axis=1, keepdims=True)
        if samples.shape[1] == 1 and not mono:
            samples = np.repeat(samples, 2, axis=1)
        planes = np.ascontiguousarray(np.clip(np.nan_to_num(samples), -1.0, 1.0).T, np.float32)
        frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout=self._to[1])
        frame.sample_rate, frame.pts = rate, self._at
        self._at += len(samples)
        yield from self._timed(self._resampler.resample(frame))

    def end(self) -> Iterator[Any]:
        """What is left."""
        yield from self._timed(self._resampler.resample(None))

    def _timed(self, frames: Sequence[Any]) -> Iterator[Any]:
        """Frames that follow each other, whatever resampler they come from."""
        for frame in frames:
            frame.pts, frame.time_base = self._given, Fraction(1, self._to[2])
            self._given += frame.samples
            yield frame


def try_transcode(
    source: Path, target: Path, kind: str, kbps: int, span: Span | None, tags: Mapping[str, str]
) -> str | None:
    """`transcode` for a worker process: what is wrong with the source comes back as text."""
    try:
        transcode(source, target, kind, kbps=kbps, span=span, tags=tags)
    except Exception as error:  # a decoder may fail in any way; it must not end the run
        return what_is_wrong(source, error)
    return None


def try_transcoded(source: Path, kind: str, kbps: int, span: Span | None, start_s: float) -> "Iterator[bytes | str]":
    """`transcoded` for a worker process: what is wrong with the source comes as text, last."""
    try:
        yield from transcoded(source, kind, kbps=kbps, span=span, start_s=start_s)
    except Exception as error:
        yield what_is_wrong(source, error)
