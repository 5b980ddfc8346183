"""Small audio files of all containers, codecs and kinds of tags, made here: what is damaged afterwards."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import mutagen
import numpy as np
import soundfile
from mutagen.aiff import AIFF
from mutagen.apev2 import APEv2
from mutagen.flac import FLAC, Picture
from mutagen.id3 import APIC, COMM, GEOB, ID3, PRIV, TALB, TBPM, TCON, TIT2, TPE1, TXXX, UFID
from mutagen.mp4 import MP4, MP4Cover
from mutagen.wave import WAVE

RATE = 44100
_TEXTS = {"title": "Dréam ドリーム", "artist": "Anna B", "album": "One", "genre": "Rock", "date": "1999"}


def make_music(folder: Path) -> None:
    """Write one file of each kind into a folder."""
    for name, (write, tag) in _KINDS.items():
        path = folder / name
        write(path)
        tag(path)


def make_journal(folder: Path) -> None:
    """The journal of what was written into a song, and the song."""
    from mirclr.ingest.tagging import Journal, write_values

    song, journal = folder / "_song.mp3", Journal(folder / "song")
    _mp3(song)
    _id3(3)(song)
    write_values(song, {"genre": ("Electronic",), "mood": ("calm", "sad"), "bpm": ("123",)}, record=journal.add)


def _tones(seconds: float = 2.0, rate: int = RATE) -> np.ndarray:
    """(n, 2) float32: two tones that swell, and noise."""
    t = np.arange(int(seconds * rate)) / rate
    swell = 0.5 + 0.4 * np.sin(2 * np.pi * 2 * t)
    noise = np.random.default_rng(0).standard_normal((len(t), 2)) * 0.01
    both = np.stack([np.sin(2 * np.pi * 330 * t), np.sin(2 * np.pi * 523 * t)], axis=1) * swell[:, None] * 0.4
    return (both + noise).astype(np.float32)


def _by_av(form: str, codec: str, rate: int = RATE, **options: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with av.open(str(path), "w", format=form, options=options) as out:
            stream: Any = out.add_stream(codec, rate=rate, layout="stereo")
            if codec not in ("flac", "alac", "pcm_s16le", "wavpack", "tta"):
                stream.bit_rate = 96_000
            frame = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(_tones(rate=rate).T), format="fltp", layout="stereo"
            )
            frame.sample_rate = rate
            to = av.AudioResampler(
                format=stream.format, layout="stereo", rate=rate, frame_size=stream.frame_size or 1024
            )
            for part in (*to.resample(frame), *to.resample(None)):
                out.mux(stream.encode(part))
            out.mux(stream.encode(None))

    return write


def _by_sndfile(form: str, subtype: str | None = None) -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, _tones(), RATE, format=form, subtype=subtype)


def _changed(write: Callable[[Path], None], change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """What is written, with its bytes changed by hand."""

    def both(path: Path) -> None:
        write(path)
        path.write_bytes(change(path.read_bytes()))

    return both


# tags


def _none(path: Path) -> None:
    """No tags."""


def _frames(tags: Any) -> None:
    for kind, text in ((TIT2, "title"), (TPE1, "artist"), (TALB, "album"), (TCON, "genre")):
        tags.add(kind(encoding=1, text=[_TEXTS[text]]))
    tags.add(TBPM(encoding=0, text=["120"]))
    tags.add(TXXX(encoding=1, desc="MOOD", text=["calm"]))
    tags.add(COMM(encoding=1, lang="eng", desc="", text=["a comment"]))
    tags.add(APIC(encoding=0, mime="image/png", type=3, desc="", data=bytes(range(256)) * 20))
    tags.add(PRIV(owner="a.program", data=b"\x00\x01" * 50))
    tags.add(UFID(owner="http://musicbrainz.org", data=b"0" * 36))
    tags.add(GEOB(encoding=0, mime="application/x", filename="a", desc="b", data=b"object" * 30))


def _id3(version: int, v1: int = 0) -> Callable[[Path], None]:
    def tag(path: Path) -> None:
        tags = ID3()
        _frames(tags)
        tags.save(path, v2_version=version, v1=v1)

    return tag


def _id3_v22(path: Path) -> None:
    texts = {b"TT2": "Song", b"TP1": "Anna", b"TAL": "One", b"TCO": "(17)", b"TBP": "120", b"XYZ": "unknown"}
    frames = b"".join(
        name + (len(text) + 1).to_bytes(3, "big") + b"\0" + text.encode("latin-1") for name, text in texts.items()
    )
    n = len(frames) + 64
    size = bytes([n >> 21 & 127, n >> 14 & 127, n >> 7 & 127, n & 127])
    path.write_bytes(b"ID3\x02\x00\x00" + size + frames + bytes(64) + path.read_bytes())


def _ape(path: Path) -> None:
    tags = APEv2()
    tags.update({"Title": "Song", "Artist": ["Anna", "Bert"], "Genre": "Rock", "Year": "1999"})
    tags.save(path)


def _ape_and_id3(path: Path) -> None:
    _id3(3, v1=2)(path)
    _ape(path)


def _mp4(path: Path) -> None:
    file = MP4(path)
    file["\xa9nam"], file["\xa9ART"], file["\xa9gen"], file["tmpo"] = ["Song"], ["Anna"], ["Rock", "Pop"], [120]
    file["----:com.apple.iTunes:MOOD"] = [b"calm"]
    file["covr"] = [MP4Cover(bytes(range(256)) * 20, MP4Cover.FORMAT_PNG)]
    file.save()


def _comments(path: Path) -> None:
    file: Any = mutagen.File(path)
    if file.tags is None:
        file.add_tags()
    for name, text in _TEXTS.items():
        file[name.upper()] = [text, "second"] if name == "genre" else [text]
    if isinstance(file, FLAC):
        picture = Picture()
        picture.data, picture.mime = bytes(range(256)) * 20, "image/png"
        file.add_picture(picture)
    file.save()


def _asf(path: Path) -> None:
    file: Any = mutagen.File(path)
    file["Title"], file["WM/Genre"], file["WM/Mood"], file["WM/BeatsPerMinute"] = "Song", ["Rock"], ["calm"], "120"
    file.save()


def _wave_id3(path: Path) -> None:
    file = WAVE(path)
    file.add_tags()
    _frames(file.tags)
    file.save()


def _aiff_id3(path: Path) -> None:
    file = AIFF(path)
    file.add_tags()
    _frames(file.tags)
    file.save()


def _riff_info(path: Path) -> None:
    data = path.read_bytes()
    fields = {b"INAM": b"Song\0", b"IART": b"Anna\0", b"IGNR": b"Rock", b"IPRD": b"One\0"}
    told = b"INFO" + b"".join(k + struct.pack("<I", len(v)) + v + b"\0" * (len(v) % 2) for k, v in fields.items())
    data += b"LIST" + struct.pack("<I", len(told)) + told
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])


def _unknown_length(data: bytes) -> bytes:
    """A flac whose header does not state how many samples there are, as of a stream."""
    at = 4 + 4 + 13
    return data[:at] + bytes([data[at] & 0xF0]) + bytes(4) + data[at + 5 :]


def _endless_riff(data: bytes) -> bytes:
    """Sizes as a program writes them that does not know the length."""
    at = data.index(b"data")
    return data[:4] + b"\xff" * 4 + data[8 : at + 4] + b"\xff" * 4 + data[at + 8 :]


_mp3 = _by_av("mp3", "libmp3lame", id3v2_version="0")
_mp3_plain = _by_av("mp3", "libmp3lame", write_xing="0", id3v2_version="0")
_m4a = _by_av("ipod", "aac")
_fragmented = _by_av("mp4", "aac", movflags="frag_keyframe+empty_moov+default_base_moof", frag_duration="300000")
_flac, _wav, _aiff = _by_sndfile("FLAC"), _by_sndfile("WAV"), _by_sndfile("AIFF")
_opus = _by_av("opus", "libopus", rate=48000)

_KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "id3v22.mp3": (_mp3, _id3_v22),
    "id3v23.mp3": (_mp3, _id3(3, v1=2)),
    "id3v24.mp3": (_mp3, _id3(4)),
    "ape.mp3": (_mp3, _ape),
    "ape-id3.mp3": (_mp3, _ape_and_id3),
    "no-xing.mp3": (_mp3_plain, _none),
    "plain.m4a": (_m4a, _mp4),
    "faststart.m4a": (_by_av("mp4", "aac", movflags="faststart"), _mp4),
    "fragmented.m4a": (_fragmented, _none),
    "quicktime.m4a": (_by_av("mov", "aac"), _none),
    "lossless.m4a": (_by_av("ipod", "alac"), _mp4),
    "raw.aac": (_by_av("adts", "aac"), _none),
    "tagged.aac": (_by_av("adts", "aac"), _id3(3)),
    "comments.flac": (_flac, _comments),
    "stream.flac": (_changed(_flac, _unknown_length), _none),
    "id3.flac": (_flac, _id3(4)),
    "vorbis.ogg": (_by_sndfile("OGG", "VORBIS"), _comments),
    "chained.ogg": (_changed(_by_sndfile("OGG", "VORBIS"), lambda data: data + data), _none),
    "comments.opus": (_opus, _comments),
    "bare.opus": (_opus, _none),
    "id3.wav": (_wav, _wave_id3),
    "info.wav": (_wav, _riff_info),
    "endless.wav": (_changed(_wav, _endless_riff), _none),
    "large.wav": (_by_sndfile("RF64"), _none),
    "float.wav": (_by_sndfile("WAV", "FLOAT"), _none),
    "id3.aiff": (_aiff, _aiff_id3),
    "plain.aiff": (_aiff, _none),
    "tagged.wma": (_by_av("asf", "wmav2"), _asf),
    "ape.wv": (_by_av("wv", "wavpack"), _ape),
    "plain.tta": (_by_av("tta", "tta"), _none),
    "opus.mka": (_by_av("matroska", "libopus", rate=48000), _none),
    "opus.webm": (_by_av("webm", "libopus", rate=48000), _none),
}
