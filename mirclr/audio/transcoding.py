"""A file, or a part of one, in another format: for players that know only some; a part of the one door to PyAV."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.audio.reading import open_source, what_is_wrong
from mirclr.audio.source import Span, Stumbled
from mirclr.errors import UnreadableAudio, is_fault_of_machine

_BLOCK_S = 10.0


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
        _transcode(source, target, kind, kbps, span, tags, None)
    except Stumbled as stumbled:  # libsndfile gave up; FFmpeg begins anew
        _transcode(source, target, kind, kbps, span, tags, stumbled)


def _transcode(
    source: Path,
    target: Path,
    kind: str,
    kbps: int,
    span: Span | None,
    tags: Mapping[str, str],
    stumbled: Stumbled | None,
) -> None:
    import av

    form = FORMATS[kind]
    with open_source(source, span, stumbled) as opened:
        rate = opened.rate if opened.rate in form.rates or not form.rates else form.rates[0]
        layout = "mono" if opened.channels == 1 else "stereo"
        try:
            with av.open(str(target), "w", format=form.container) as out:
                stream: Any = out.add_stream(form.codec, rate=rate, layout=layout)
                stream.codec_context.format = form.samples
                if form.lossy:
                    stream.bit_rate = kbps * 1000
                out.metadata.update({name: value for name, value in tags.items() if value})
                stream.codec_context.open()
                resampler = av.AudioResampler(form.samples, layout, rate, stream.codec_context.frame_size or None)
                written = 0
                for frame in _frames(opened.blocks(_BLOCK_S), opened.rate, layout):
                    for fitted in resampler.resample(frame):
                        written += fitted.samples
                        out.mux(stream.encode(fitted))
                for fitted in resampler.resample(None):
                    written += fitted.samples
                    out.mux(stream.encode(fitted))
                out.mux(stream.encode(None))
        except av.FFmpegError as error:
            if is_fault_of_machine(error):
                raise OSError(error.errno, error.strerror, str(target)) from error
            raise UnreadableAudio(f"{source}: cannot be written as {kind} ({error.strerror})") from error
    if not written:
        raise UnreadableAudio(f"{source}: no sound is found in it")


def _frames(blocks: Iterable[np.ndarray], rate: int, layout: str) -> Iterator[Any]:
    """Blocks of (frames, channels) as frames of PyAV, of more than two channels their mean on both sides."""
    import av

    at = 0
    for block in blocks:
        if not len(block):
            continue
        if block.shape[1] > 2:
            block = np.repeat(block.mean(axis=1, keepdims=True), 2, axis=1)
        samples = np.ascontiguousarray(np.clip(np.nan_to_num(block), -1.0, 1.0).T, np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, at
        at += len(block)
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
