"""What a web browser plays as it is: decided by the bytes of a file, as all is here; no decoder is asked.

Only what all current browsers play counts. AIFF and Apple Lossless are played by one alone, and are not among them.
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from mirclr.audio.content import Content, look, mpeg_layer
from mirclr.provenance import size_and_time
from mirclr.tags.block import Source, unsigned_le
from mirclr.tags.mp4 import sound_format

_HEAD = 1 << 16
_OGG = {b"\x01vorbis": "vorbis", b"OpusHead": "opus", b"\x7fFLAC": "flac"}
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE


def browser_type(path: Path) -> str | None:
    """The media type of a file that browsers play, such as ``audio/mpeg``; None of one that they do not.

    Raises
    ------
    OSError
        It is missing or may not be read.
    """
    return _type(path, *size_and_time(path))


@lru_cache(maxsize=1024)
def _type(path: Path, size: int, mtime_ns: int) -> str | None:
    with path.open("rb") as f:
        content = look(f, size)
        return _of(f, size, content)


def _of(f: BinaryIO, size: int, content: Content) -> str | None:
    f.seek(content.links[0])
    head = f.read(_HEAD)
    match content.demuxer:
        case "mp3":
            return "audio/mpeg" if mpeg_layer(f) == 3 else None
        case "aac":
            return None if head.startswith(b"ADIF") else "audio/aac"
        case "flac":
            return "audio/flac"
        case "ogg":
            found = [name for magic, name in _OGG.items() if magic in head[:512]]
            return f"audio/ogg; codecs={found[0]}" if len(found) == 1 else None
        case "wav":
            return "audio/wav" if head.startswith(b"RIFF") and _is_plain(head) else None
        case "mov":
            plain = head[4:8] == b"ftyp" and not head[8:12].startswith((b"qt", b"3g"))  # kinds that some refuse
            return "audio/mp4" if plain and sound_format(Source(f)) == "aac" else None
        case "matroska":
            coded = re.search(rb"A_(OPUS|VORBIS)", head)
            return "audio/webm" if b"\x42\x82\x84webm" in head[:256] and coded else None
    return None


def _is_plain(head: bytes) -> bool:
    """Whether a WAV file holds samples of 8 to 32 bits, and no codec."""
    at = 12
    while at + 28 <= len(head):
        if head[at : at + 4] == b"fmt ":
            tag, bits = unsigned_le(head[at + 8 : at + 10]), unsigned_le(head[at + 22 : at + 24])
            tag = unsigned_le(head[at + 32 : at + 34]) if tag == _EXTENSIBLE else tag
            return (tag == _PCM and bits in (8, 16, 24, 32)) or (tag == _FLOAT and bits == 32)
        at += 8 + unsigned_le(head[at + 4 : at + 8]) + head[at + 4] % 2
    return False
