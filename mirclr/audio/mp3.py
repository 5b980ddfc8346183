"""A file's sound as mp3 whose length is known before it is made, and that can be begun at any of its bytes.

At 48 kHz and a constant rate all frames are equally long, and without a reservoir of bits none needs another. So the
frame at a byte is known, and with it the time from which to decode: a client seeks in what is made for it as in a file.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mirclr.audio.reading import what_is_wrong
from mirclr.audio.source import Span
from mirclr.audio.streaming import sound_blocks
from mirclr.audio.transcoding import Fitting
from mirclr.errors import UnreadableAudio

KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
"""Kilobits a second that mp3 knows."""
_RATE, _SAMPLES = 48000, 1152
FRAME_S = _SAMPLES / _RATE
_DELAY = 1105  # samples by which the encoder, and any decoder, lag behind
_BEFORE = 3  # frames that are made and dropped at least, as the first ones of an encoder fade in
_WHOLE = 5  # frames that are a whole number of samples at every usual rate, such as 44.1 kHz
_BLOCK_S = 2.0
_TAG = b"TSSE" + (7).to_bytes(4, "big") + b"\0\0\0mirclr"
HEADER = b"ID3\3\0\0" + bytes((0, 0, 0, len(_TAG))) + _TAG
"""What stands before the frames: a tag, as without one programs look for another at the end of the file."""


def frame_bytes(kbps: int) -> int:
    """How long a frame is."""
    return kbps * 125 * _SAMPLES // _RATE


def count_frames(seconds: float) -> int:
    """Of how many frames sound of some length is made."""
    return -(-(round(seconds * _RATE) + _DELAY) // _SAMPLES)


def silent_frame(kbps: int) -> bytes:
    """A frame in which there is nothing."""
    head = bytes((0xFF, 0xFB, (KBPS.index(kbps) + 1) << 4 | 4, 0))
    return head.ljust(frame_bytes(kbps), b"\0")


def mp3_frames(source: Path, *, kbps: int, span: Span | None = None, first: int = 0) -> Iterator[bytes]:
    """Make the frames of a file's sound, in stereo, some at a time while it is decoded.

    Parameters
    ----------
    source : Path
        What is read.
    kbps : int
        Of `KBPS`.
    span : Span, optional
        The part of the source that is meant.
    first : int
        The number of the first frame that is wanted.

    Yields
    ------
    bytes
        Whole frames; of sound that is as long as was stated `count_frames` in all, from the first wanted on.

    Raises
    ------
    AudioError
        As `mirclr.audio.read_excerpts`; of what is damaged further on after the frames before it.
    """
    import av

    encoder: Any = av.CodecContext.create("libmp3lame", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = _RATE, "stereo", "fltp", kbps * 1000
    encoder.options = {"reservoir": "0", "compression_level": "7"}
    encoder.open()
    fitting = Fitting("fltp", "stereo", _RATE, _SAMPLES)
    begin = max(0, first - _BEFORE) // _WHOLE * _WHOLE
    dropped = first - begin
    size = frame_bytes(kbps)

    def whole(packets: list[Any]) -> bytes:
        nonlocal dropped
        frames = [bytes(packet) for packet in packets]
        if any(len(frame) != size for frame in frames):
            raise UnreadableAudio(f"{source}: cannot be written as mp3 (its frames differ in length)")
        frames, dropped = frames[dropped:], max(0, dropped - len(frames))
        return b"".join(frames)

    for samples, rate, _ in sound_blocks(source, span, start_s=begin * FRAME_S, block_s=_BLOCK_S):
        made = [packet for frame in fitting.of(samples, rate) for packet in encoder.encode(frame)]
        if frames := whole(made):
            yield frames
    last = [packet for frame in fitting.end() for packet in encoder.encode(frame)]
    if frames := whole([*last, *encoder.encode(None)]):
        yield frames


def try_mp3_frames(source: Path, kbps: int, span: Span | None, first: int) -> "Iterator[bytes | str]":
    """`mp3_frames` for a worker process: what is wrong with the source comes as text, last."""
    try:
        yield from mp3_frames(source, kbps=kbps, span=span, first=first)
    except Exception as error:  # a decoder may fail in any way
        yield what_is_wrong(source, error)
