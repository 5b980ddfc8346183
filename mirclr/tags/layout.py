"""What kind of file it is, by its content and never by its name, and where the tags in it stand."""

from collections.abc import Callable
from typing import Any

from mirclr.tags.asf import HEADER as _ASF
from mirclr.tags.asf import asf
from mirclr.tags.block import Damaged, Layout, Source
from mirclr.tags.chunks import aiff, dsf, wav
from mirclr.tags.comments import Ape, flac, leading, ogg, trailing
from mirclr.tags.id3 import ID3v2
from mirclr.tags.matroska import HEADER as _MATROSKA
from mirclr.tags.matroska import matroska
from mirclr.tags.mp4 import mp4

_SEARCHED = 1 << 16  # bytes in which the first frame of an MP3 file must begin
_MAX_JUNK = 4096  # bytes before the first frame of an MP3 file, such as a piece of the frame before
_OTHERS = (b"RIFF", b"riff", b"FORM", b"FRM8", b"caff", b".snd", b"FLV", b"tBaK", b"ajkg", b"#!AMR")
"""How containers begin that may hold frames of MPEG audio and whose tags are not known here."""


def layout_of(source: Source) -> Layout:
    """Find the tags of a file.

    Raises
    ------
    Damaged
        It is of no kind whose tags are known, or so damaged that they are not found.
    """
    before, at = leading(source)
    head = source.peek(at, 64)
    read = _reader(head)
    behind, end = trailing(source) if read in (flac, ogg, None) else ([], source.size)
    layout = read(source, at) if read else _frames(source, at, head)
    if layout is None and (before or behind):
        layout = Layout("mp3", refusal="no sound is found behind its tags")
    if layout is None:
        raise Damaged("not a kind of file whose tags can be read")
    found = [*before, *behind]
    if layout.demuxer in ("mp3", "aac") or (layout.demuxer == "tta" and not any(isinstance(b, Ape) for b in behind)):
        leads = [b for b in before if isinstance(b, ID3v2)] or [ID3v2(0)]
        layout.blocks = [*leads, *(b for b in found if b not in leads)]
    elif layout.demuxer in ("ape", "wv", "mpc", "mpc8", "tta"):
        apes = [b for b in behind if isinstance(b, Ape)] or [Ape(end)]
        layout.blocks = [*apes, *(b for b in behind if b not in apes), *before]
    else:
        layout.blocks += found
    return layout


def _reader(head: bytes) -> Callable[[Source, int], Layout] | None:
    if head[:4] == b"fLaC":
        return flac
    if head[:4] == b"OggS":
        return ogg
    if head[:4] in (b"RIFF", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        return wav
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return aiff
    if head[:4] == b"DSD ":
        return dsf
    if head[:16] == _ASF:
        return asf
    if head[:4] == _MATROSKA:
        return matroska
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return mp4
    return None


def _frames(source: Source, start: int, head: bytes) -> Layout | None:
    """A file of frames without a structure around them: tags at its start and end are all that it has."""
    import mutagen.aac
    import mutagen.monkeysaudio
    import mutagen.mp3
    import mutagen.musepack
    import mutagen.trueaudio
    import mutagen.wavpack

    kinds: tuple[tuple[str, tuple[bytes, ...], Callable[[Any], Any]], ...] = (
        ("wv", (b"wvpk",), mutagen.wavpack.WavPackInfo),
        ("ape", (b"MAC ", b"MACF"), mutagen.monkeysaudio.MonkeysAudioInfo),
        ("mpc8", (b"MPCK",), mutagen.musepack.MusepackInfo),
        ("mpc", (b"MP+",), mutagen.musepack.MusepackInfo),
        ("tta", (b"TTA1",), lambda f: mutagen.trueaudio.TrueAudioInfo(f, start)),
        ("aac", (b"\xff\xf0", b"\xff\xf1", b"\xff\xf8", b"\xff\xf9"), mutagen.aac.AACInfo),
    )
    for demuxer, beginnings, header in kinds:
        if head.startswith(beginnings):
            return Layout(demuxer, seconds=_stated(source, start, header))
    at = None if head.startswith(_OTHERS) else _first_frame(source, start)
    if at is None:
        return None
    layout = Layout("mp3", seconds=_stated(source, at, lambda f: mutagen.mp3.MPEGInfo(f, at)))
    if at > start + _MAX_JUNK and source.peek(start, at - start).strip(b"\0"):
        layout.refusal = "its sound does not begin where it should"
    return layout


def _stated(source: Source, start: int, read: Callable[[Any], Any]) -> float | None:
    source.file.seek(start)
    try:
        return float(read(source.file).length)
    except Exception:  # parsers of damaged files fail in every way there is
        return None


def _first_frame(source: Source, start: int) -> int | None:
    """Where two headers of MPEG audio follow each other as the first states."""
    data = source.peek(start, _SEARCHED + 4)
    at = data.find(b"\xff")
    while 0 <= at < _SEARCHED:
        length = _frame_length(data[at : at + 4])
        if length and (start + at + length >= source.size - 4 or _frame_length(source.peek(start + at + length, 4))):
            return start + at
        at = data.find(b"\xff", at + 1)
    return None


_KBPS = {
    1: (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    4: (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    5: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}


def _frame_length(head: bytes) -> int:
    """Bytes of a frame of MPEG audio by its header; 0 where it is none."""
    if len(head) < 4 or head[0] != 255 or head[1] & 0xE0 != 0xE0:
        return 0
    version, layer = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3)
    bits, rate = head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return 0
    old = version == 3
    kbps = _KBPS[layer if old else 4 if layer == 1 else 5][bits]
    hertz = (44100, 48000, 32000)[rate] >> (0 if old else 1 if version == 2 else 2)
    padding = head[2] >> 1 & 1
    if layer == 1:
        return (12 * kbps * 1000 // hertz + padding) * 4
    return (144 if old or layer == 2 else 72) * kbps * 1000 // hertz + padding
