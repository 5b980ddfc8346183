"""What the bytes of a file show it to be, whatever its name: no decoder is asked.

A file is opened by the one decoder and demuxer of its content. What is not in the table here (playlists, session
descriptions, anything that names other files or addresses) is never given to FFmpeg.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_SEARCHED = 1 << 16  # bytes in which the first frame of a bare stream is looked for, behind tags
_CHUNK = 1 << 20
_ZEROS = 4096  # more zeros than this at the end of compressed audio are no audio
_LINKS = 500  # a recording of the radio has one a song
_FLAC_PLACES = 32
_MPEG_PLACES, _MPEG_WINDOW = 32, 1 << 14
_UNLIKE = 0.25  # by which frames of varying rate in some places may differ from all; beyond it a count is doubted
_SLACK = 4096  # bytes by which a header may be wrong about the size of the audio

# offset, bytes, FFmpeg's demuxer
_MAGIC = (
    (0, b"fLaC", "flac"),
    (0, b"OggS", "ogg"),
    (8, b"WAVE", "wav"),
    (0, b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb", "w64"),
    (0, b"caff", "caf"),
    (8, b"AIFF", "aiff"),
    (8, b"AIFC", "aiff"),
    (0, b".snd", "au"),
    (4, b"ftyp", "mov"),
    (4, b"moov", "mov"),
    (4, b"mdat", "mov"),
    (4, b"wide", "mov"),
    (4, b"free", "mov"),
    (4, b"skip", "mov"),
    (4, b"pnot", "mov"),
    (0, b"\x1a\x45\xdf\xa3", "matroska"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "asf"),
    (0, b"MAC ", "ape"),
    (0, b"wvpk", "wv"),
    (0, b"MPCK", "mpc8"),
    (0, b"MP+", "mpc"),
    (0, b"DSD ", "dsf"),
    (0, b"FRM8", "iff"),
    (0, b"TTA1", "tta"),
    (0, b"tBaK", "tak"),
    (0, b"#!AMR", "amr"),
    (0, b"ADIF", "aac"),
    (0, b"\x7f\xfe\x80\x01", "dts"),
    (8, b"AVI ", "avi"),
    (0, b"FLV\x01", "flv"),
    (0, b"ajkg", "shn"),
)
_INSIDE = {b"fLaC\0\0\0\x22": "flac", b"OggS\0\x02": "ogg"}  # long enough to be no accident
_PCM = {"wav", "w64", "caf", "aiff", "au"}  # zeros at their end are silence
DEMUXERS = frozenset(demuxer for _, _, demuxer in _MAGIC) | {"mp3", "aac", "loas", "ac3", "eac3"}
"""What FFmpeg may open a file as."""


@dataclass(frozen=True)
class Content:
    """What a file holds.

    Attributes
    ----------
    demuxer : str or None
        FFmpeg's name of the container; None where the bytes are of none that is known here.
    end : int
        Where the audio ends at the latest, in bytes: zeros that fill up a file are left out.
    links : tuple of int
        Where the streams of a chained Ogg file begin, in bytes; otherwise (0,).
    sure : bool
        Whether what the header says of the length can be relied on.
    libsndfile : bool
        Whether libsndfile is to try first.
    claimed_s : float or None
        The length in the header of an MPEG stream, in seconds.
    gaps : tuple of float
        Where pages of an Ogg file are missing, in seconds.
    """

    demuxer: str | None
    end: int
    links: tuple[int, ...] = (0,)
    sure: bool = True
    libsndfile: bool = True
    claimed_s: float | None = None
    gaps: tuple[float, ...] = ()


def look(f: BinaryIO, size: int) -> Content:
    """Look at an open file of `size` bytes."""
    start = _behind_tags(f)
    f.seek(start)
    head = f.read(_SEARCHED)
    demuxer = next((d for at, magic, d in _MAGIC if head[at : at + len(magic)] == magic), None)
    first: _Frame | None = None
    place = 0
    if demuxer is None:
        if found := _first_frame(head):
            first, place = found
            demuxer = first.demuxer
        elif inside := [(place, d) for magic, d in _INSIDE.items() if (place := head.find(magic)) > 0]:
            place, demuxer = min(inside)  # behind what is no audio
        else:
            return Content(None, size)
        start, head = start + place, head[place:]
    end = size if demuxer in _PCM else _without_zeros(f, size)
    whole = end == size
    if demuxer == "ogg":
        links, codec, gaps = _links(f, end)
        plain = len(links) == 1 and whole and not place and codec in ("vorbis", "flac")
        return Content("ogg", end, links, len(links) == 1, plain, gaps=gaps if len(links) == 1 else ())
    if demuxer == "flac":
        known = int.from_bytes(head[18:26], "big") & (1 << 36) - 1 > 0
        plain = known and whole and not place and _flac_is_sound(f, start, end)
        return Content("flac", end, (place and start,), known, plain)
    if demuxer == "wav":
        sure = _wav_is_sure(f, size)
        return Content("wav", end, sure=sure, libsndfile=sure)
    if demuxer == "mp3" and first:
        claimed_s, counted = _mpeg_claim(head, first)
        there = _before_tags(f, size) - start
        known = counted is not None and abs(counted - there) <= _SLACK + counted // 1000
        if known and claimed_s:  # all bytes are there; whether these are so many frames is another question
            length = _mean_length(f, start, start + there)
            likely = length is not None and abs(length * claimed_s * first.rate / first.samples / there - 1) < _UNLIKE
            known, claimed_s = known and likely, claimed_s if likely else None
        return Content("mp3", end, sure=known, libsndfile=known and whole, claimed_s=claimed_s)
    return Content(demuxer, end, libsndfile=demuxer in _PCM)


def mpeg_layer(f: BinaryIO) -> int | None:
    """The layer, 1 to 3, of a stream of MPEG audio by its first frame."""
    f.seek(_behind_tags(f))
    head = f.read(_SEARCHED)
    found = _first_frame(head)
    return None if found is None else 4 - (head[found[1] + 1] >> 1 & 3)


def _behind_tags(f: BinaryIO) -> int:
    """Where an ID3v2 tag, or several, end."""
    at = 0
    while True:
        f.seek(at)
        head = f.read(10)
        if len(head) < 10 or head[:3] != b"ID3" or max(head[6:10]) > 127:
            return at
        at += 10 + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
        at += 10 if head[5] & 0x10 else 0


def _before_tags(f: BinaryIO, size: int) -> int:
    """Where ID3v1 and APEv2 tags at the end of a file begin."""
    end = size
    f.seek(max(0, end - 128))
    if f.read(3) == b"TAG":
        end -= 128
    f.seek(max(0, end - 32))
    foot = f.read(32)
    if foot[:8] == b"APETAGEX":
        end -= int.from_bytes(foot[12:16], "little") + (32 if foot[23] & 0x80 else 0)
    return max(0, end)


def _without_zeros(f: BinaryIO, size: int) -> int:
    """Where a file ends without the zeros that fill it up; its size where they are few."""
    end = size
    while end > 0:
        begin = max(0, end - _CHUNK)
        f.seek(begin)
        left = f.read(end - begin).rstrip(b"\0")
        end = begin + len(left)
        if left:
            break
    return end if size - end > _ZEROS else size


def _links(f: BinaryIO, end: int) -> tuple[tuple[int, ...], str, tuple[float, ...]]:
    """Where the links of an Ogg file begin, the codec of its first stream, and where pages of that are missing."""
    starts: list[int] = []
    codec, beginning, at = "", False, 0
    rate, before, time, gaps = 0, 0, 0.0, list[float]()
    serial = b""
    while at < end:
        f.seek(at)
        head = f.read(27 + 255 + 32)
        if head[:4] != b"OggS" or len(head) < 28:
            at = _find(f, b"OggS", at + 1, end)
            beginning = False
            continue
        body = 27 + head[26]
        if head[5] & 2:
            if not beginning:
                starts.append(at)
            codec = codec or _ogg_codec(head[body : body + 8])
            if codec and not rate:
                rate, serial = _ogg_rate(codec, head[body:]), head[14:18]
        if rate and head[14:18] == serial:
            number, ticks = int.from_bytes(head[18:22], "little"), int.from_bytes(head[6:14], "little", signed=True)
            if number > before + 1:
                gaps.append(time)
            before, time = number, ticks / rate if ticks > 0 else time
        beginning = bool(head[5] & 2)
        at += body + sum(head[27:body])
    return tuple(starts) if 1 <= len(starts) <= _LINKS else (0,), codec, tuple(gaps)


def _find(f: BinaryIO, sought: bytes, at: int, end: int) -> int:
    """Where `sought` is next, from `at` on; `end` where it is not."""
    while at < end:
        f.seek(at)
        data = f.read(min(_CHUNK, end - at))
        if (place := data.find(sought)) >= 0:
            return at + place
        at += max(1, len(data) - len(sought) + 1)
    return end


def _flac_is_sound(f: BinaryIO, start: int, end: int) -> bool:
    """Whether frames begin in all of some places: libFLAC seeks for minutes where none do."""
    f.seek(start + 4)
    last, largest = False, 0
    while not last and len(head := f.read(4)) == 4:  # the blocks before the frames
        last, kind, length = head[0] > 127, head[0] & 127, int.from_bytes(head[1:], "big")
        block = f.read(34) if kind == 0 else b""
        largest = int.from_bytes(block[7:10], "big") or largest
        f.seek(length - len(block), 1)
    begin, window = f.tell(), min(max(2 * (largest or 1 << 17), 1 << 14), _CHUNK)
    for part in range(_FLAC_PLACES):
        f.seek(begin + max(0, end - begin - window) * part // (_FLAC_PLACES - 1))
        data = f.read(window)
        at = -1
        while (at := data.find(b"\xff", at + 1)) >= 0 and not _is_flac_frame(data[at : at + 16]):
            pass
        if at < 0:
            return False
    return True


def _is_flac_frame(h: bytes) -> bool:
    """Whether bytes begin with the header of a frame, by its own check sum."""
    if len(h) < 16 or h[1] & 0xFE != 0xF8 or h[2] >> 4 == 0 or h[2] & 15 == 15 or h[3] >> 4 > 10 or h[3] & 1:
        return False
    number = max(1, 8 - (h[4] ^ 0xFF).bit_length())  # bytes of the frame's number, as UTF-8 has them
    length = 4 + number + {6: 1, 7: 2}.get(h[2] >> 4, 0) + {12: 1, 13: 2, 14: 2}.get(h[2] & 15, 0)
    crc = 0
    for byte in h[: length + 1]:  # with the check sum itself, what is left is 0
        crc ^= byte
        for _ in range(8):
            crc = (crc << 1 ^ 0x07 if crc & 0x80 else crc << 1) & 0xFF
    return crc == 0


def _ogg_codec(packet: bytes) -> str:
    return {b"\x01vor": "vorbis", b"\x7fFLA": "flac", b"Opus": "opus"}.get(packet[:4], "")


def _ogg_rate(codec: str, packet: bytes) -> int:
    """The rate by which the positions of pages are counted, in Hz."""
    if codec == "opus":
        return 48000
    if codec == "vorbis":
        return int.from_bytes(packet[12:16], "little")
    return int.from_bytes(packet[27:30], "big") >> 4  # FLAC, behind its marks and half of its first block


def _wav_is_sure(f: BinaryIO, size: int) -> bool:
    """Whether the data chunk of a RIFF, RF64 or BW64 file ends where the file does, or another chunk begins."""
    at, large = 12, None
    while at + 8 <= size:
        f.seek(at)
        head = f.read(8)
        name, length = head[:4], int.from_bytes(head[4:], "little")
        if name == b"ds64":
            large = int.from_bytes(f.read(16)[8:], "little")
        if name == b"data":
            length = length if large is None else large
            stop = at + 8 + length
            f.seek(stop + length % 2)
            after = f.read(4)
            return stop >= size - 1 or (length > 0 and after.strip(b"\0 ").isalnum())
        at += 8 + length + length % 2
    return True


@dataclass(frozen=True)
class _Frame:
    """The header of a frame of a bare stream: its length in bytes, and what two of one stream have in common."""

    demuxer: str
    length: int
    constants: tuple[int, ...]
    rate: int = 0
    samples: int = 0
    mono: bool = False


def _first_frame(head: bytes) -> tuple[_Frame, int] | None:
    """The first frame that others follow, and its place."""
    at = -1
    while (
        at := min((p for s in (b"\xff", b"\x0b\x77", b"\x56") if (p := head.find(s, at + 1)) >= 0), default=-1)
    ) >= 0:
        if (first := _frame(head, at)) is None:
            continue
        place, seen = at + first.length, 1
        while seen < 3 and (following := _frame(head, place)) and following.constants == first.constants:
            place, seen = place + following.length, seen + 1
        if seen == 3 or (seen == 2 and place >= len(head) - 8 and at == 0):
            return first, at
    return None


def _frame(data: bytes, at: int) -> _Frame | None:
    h = data[at : at + 7]
    if len(h) < 7:
        return None
    if h[:2] == b"\x0b\x77":
        return _dolby_frame(h)
    if h[0] == 0x56 and h[1] & 0xE0 == 0xE0:  # LATM
        return _Frame("loas", 3 + ((h[1] & 0x1F) << 8 | h[2]), ())
    if h[0] != 0xFF or h[1] & 0xE0 != 0xE0:
        return None
    if h[1] & 0xF6 == 0xF0:  # ADTS
        length = (h[3] & 3) << 11 | h[4] << 3 | h[5] >> 5
        return _Frame("aac", length, (h[1], h[2], h[3] & 0xF0)) if length > 7 and h[2] >> 2 & 15 < 13 else None
    version, layer, bits, rate = h[1] >> 3 & 3, 4 - (h[1] >> 1 & 3), h[2] >> 4, h[2] >> 2 & 3
    if version == 1 or layer == 4 or bits in (0, 15) or rate == 3:
        return None
    hz = (44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    low = version != 3
    kbps = _KBPS[3 if low and layer == 1 else 4 if low else layer - 1][bits - 1]
    padding = h[2] >> 1 & 1
    samples = {1: 384, 2: 1152, 3: 576 if low else 1152}[layer]
    length = (12000 * kbps // hz + padding) * 4 if layer == 1 else samples * 125 * kbps // hz + padding
    return _Frame("mp3", length, (h[1] & 0xFE, h[2] & 0x0C), hz, samples, h[3] >> 6 == 3)


_KBPS = (
    (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
)
"""Of MPEG-1 layers I, II, III; of the half rates of MPEG-2 layer I, then II and III."""
_AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)


def _dolby_frame(h: bytes) -> _Frame | None:
    if h[5] >> 3 > 10:  # E-AC-3
        return _Frame("eac3", 2 * ((h[2] & 7) << 8 | h[3]) + 2, (h[5] >> 3,))
    code, rate = h[4] & 0x3F, h[4] >> 6
    if rate == 3 or code > 37:
        return None
    words = _AC3_KBPS[code // 2] * 96000 // (48000, 44100, 32000)[rate]
    return _Frame("ac3", 2 * (words + (code & 1 if rate == 1 else 0)), (h[5], rate))


def _mean_length(f: BinaryIO, start: int, end: int) -> float | None:
    """The mean length in bytes of the frames of an MPEG stream in some places; None where there are none."""
    lengths: list[float] = []
    for part in range(_MPEG_PLACES):
        f.seek(start + (end - start) * part // _MPEG_PLACES)
        data = f.read(_MPEG_WINDOW)
        if found := _first_frame(data):
            frame: _Frame | None
            (frame, at), own = found, []
            while frame and frame.length and at + frame.length < len(data):
                own.append(frame.length)
                at += frame.length
                frame = _frame(data, at)
            lengths += [len(own) / sum(own)] if own else []  # places are spread by bytes, frames are by time
    return len(lengths) / sum(lengths) if lengths else None


def _mpeg_claim(head: bytes, first: _Frame) -> tuple[float | None, int | None]:
    """The length in seconds and in bytes that a Xing, Info or VBRI header gives; None where it does not."""
    half = first.samples == 576
    side = (9 if first.mono else 17) if half else (17 if first.mono else 32)
    at = 4 + side
    if head[at : at + 4] in (b"Xing", b"Info"):
        flags, place = head[at + 7], at + 8
        frames = int.from_bytes(head[place : place + 4], "big") if flags & 1 else 0
        place += 4 if flags & 1 else 0
        counted = int.from_bytes(head[place : place + 4], "big") if flags & 2 else 0
        return (frames * first.samples / first.rate, counted or None) if frames else (None, None)
    if head[36:40] == b"VBRI" and (frames := int.from_bytes(head[50:54], "big")):
        return frames * first.samples / first.rate, None  # mpg123 does not read it
    return None, None


class Part:
    """A stretch of an open file as a file of its own, for reading.

    Parameters
    ----------
    f : BinaryIO
        The open file.
    begin, end : int
        In bytes.
    """

    def __init__(self, f: BinaryIO, begin: int, end: int) -> None:
        self._f, self._begin, self._end = f, begin, end
        self._at = 0

    def read(self, count: int = -1) -> bytes:
        """Read up to `count` bytes, all of them if negative."""
        left = max(0, self._end - self._begin - self._at)
        self._f.seek(self._begin + self._at)
        data = self._f.read(left if count < 0 else min(count, left))
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place, as the method of files does."""
        self._at = max(0, offset + {0: 0, 1: self._at, 2: self._end - self._begin}[whence])
        return self._at

    def tell(self) -> int:
        """The place where the next read begins."""
        return self._at


def parts(f: BinaryIO, content: Content) -> Iterator[Part]:
    """The links of a file, one after the other."""
    ends = (*content.links[1:], content.end)
    for begin, end in zip(content.links, ends, strict=True):
        yield Part(f, begin, end)
