"""Small audio files of many kinds and with many tags, made by PyAV, soundfile, mutagen and by hand."""

import base64
import os
import struct

import av
import mutagen
import numpy as np
import soundfile
from mutagen.flac import Picture

from mirclr.tags.comments import _checked

RATE = 44100


def tone(seconds=1.0):
    return (0.2 * np.sin(np.arange(int(seconds * RATE)) * 0.05)).astype(np.float32)


def synchsafe(n):
    return bytes((n >> shift) & 127 for shift in (21, 14, 7, 0))


def frame(name, data, version=3):
    if version == 2:
        return name + len(data).to_bytes(3, "big") + data
    return name + (len(data).to_bytes(4, "big") if version == 3 else synchsafe(len(data))) + b"\0\0" + data


def id3(version, *frames, padding=100, flags=0, footer=False):
    body = b"".join(frames) + bytes(padding)
    head = bytes((version, 0, flags)) + synchsafe(len(body))
    return b"ID3" + head + body + (b"3DI" + head if footer else b"")


UNKNOWN = [
    frame(b"RVAD", b"\x03\x10\x40\x00\x40\x00\x00\x00\x00\x00"),
    frame(b"XSOP", b"\0Sort, Artist"),
    frame(b"NCON", b"musicmatch data"),
    frame(b"GEOB", b"\0application/octet-stream\0\0Serato Markers2\0\1\1AAAA"),
    frame(b"PRIV", b"TRAKTOR4\0" + b"xyz" * 10),
    frame(b"TIT2", b"\1\xff\xfeT\0\xb6\x03"),
    frame(b"APIC", b"\0image/png\0\3\0" + os.urandom(3000)),
]


def ape(**fields):
    items = b""
    for name, text in fields.items():
        value = text.encode()
        items += len(value).to_bytes(4, "little") + bytes(4) + name.encode() + b"\0" + value
    facts = struct.pack("<III", 2000, len(items) + 32, len(fields))
    head, foot = (b"APETAGEX" + facts + f.to_bytes(4, "little") + bytes(8) for f in (0xA0000000, 0x80000000))
    return head + items + foot


def id3v1(genre=17):
    return b"TAG" + b"Title".ljust(30, b"\0") + b"Artist".ljust(30, b"\0") + bytes(64) + bytes((genre,))


def sound(path, suffix, **kind):
    soundfile.write(path.with_suffix(suffix), tone(), RATE if suffix != ".opus" else 48000, **kind)
    data = path.with_suffix(suffix).read_bytes()
    path.with_suffix(suffix).unlink()
    return data


def muxed(path, kind, codec, options=None, rate=RATE, metadata=None, seconds=3.0):
    with av.open(str(path), "w", format=kind, options=options or {}) as out:
        out.metadata.update(metadata or {})
        stream = out.add_stream(codec, rate=rate, layout="mono")
        stream.bit_rate = 128_000
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=rate)
        given = av.AudioFrame.from_ndarray(tone(seconds)[None], format="fltp", layout="mono")
        given.sample_rate = rate
        for f in resampler.resample(given):
            out.mux(stream.encode(f))
        out.mux(stream.encode(None))
    return path.read_bytes()


def ogg_flac(path):
    data = sound(path, ".flac")
    file = path.with_suffix(".flac")
    file.write_bytes(data)
    with av.open(str(file)) as f:
        frames = [bytes(p) for p in f.demux() if p.size]
    vendor = b"\x06\0\0\0tester" + b"\1\0\0\0" + b"\x07\0\0\0TITLE=T"
    first = b"\x7fFLAC\1\0\0\1fLaC" + data[4:42]
    packets = [first, b"\x84" + len(vendor).to_bytes(3, "big") + vendor, *frames]
    pages = b""
    for n, packet in enumerate(packets):
        lacing = b"\xff" * (len(packet) // 255) + bytes((len(packet) % 255,))
        granule = max(0, n - 1) * 4096
        head = b"OggS\0" + bytes((2 if not n else 4 * (n + 1 == len(packets)),)) + granule.to_bytes(8, "little")
        pages += _checked(head + b"mirc" + n.to_bytes(4, "little") + bytes(4) + bytes((len(lacing),)) + lacing + packet)
    return pages


def info(**fields):
    parts = b""
    for name, text in fields.items():
        value = text.encode() + b"\0"
        parts += name.encode() + len(value).to_bytes(4, "little") + value + bytes(len(value) % 2)
    return b"LIST" + (len(parts) + 4).to_bytes(4, "little") + b"INFO" + parts


def riff(data, *chunks):
    body = data[8:] + b"".join(chunks)
    return data[:4] + len(body).to_bytes(4, "little") + body


def chunk(name, data, order="little"):
    return name + len(data).to_bytes(4, order) + data + bytes(len(data) % 2)


def with_mutagen(path, data, suffix, **tags):
    file = path.with_suffix(suffix)
    file.write_bytes(data)
    tagged = mutagen.File(file)
    if tagged.tags is None:
        tagged.add_tags()
    for name, value in tags.items():
        tagged[name] = value
    tagged.save()
    return file.read_bytes()


def picture():
    made = Picture()
    made.type, made.mime, made.data = 3, "image/png", os.urandom(200_000)
    return made


def flac_with_picture(path):
    data = sound(path, ".flac")
    file = path.with_suffix(".flac")
    file.write_bytes(data)
    tagged = mutagen.File(file)
    tagged.add_picture(picture())
    tagged["title"], tagged["performer"] = "T", ["A", "B"]
    tagged.save()
    return file.read_bytes()


def ogg_with_picture(path, suffix):
    data = sound(path, suffix, **({"format": "OGG", "subtype": "OPUS"} if suffix == ".opus" else {}))
    coded = base64.b64encode(picture().write()).decode()
    return with_mutagen(path, data, suffix, title="T", metadata_block_picture=coded)


def mp3(path):
    return sound(path, ".mp3", format="MP3")


def aiff(path):
    return sound(path, ".aiff")


def grown(data, *chunks):
    body = data[8:] + b"".join(chunks)
    return data[:4] + len(body).to_bytes(4, "big") + body


def dsf(path):
    bits = np.random.default_rng(0).integers(0, 256, 4096 * 4, dtype=np.uint8).tobytes()
    fmt = b"fmt " + struct.pack("<QIIIIIIQII", 52, 1, 0, 1, 1, 2822400, 1, len(bits) * 8, 4096, 0)
    data = b"data" + struct.pack("<Q", len(bits) + 12) + bits
    return b"DSD " + struct.pack("<QQQ", 28, 28 + len(fmt) + len(data), 0) + fmt + data


FRAGMENTED = {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}
FILES = {
    "mp3, no tag": (".mp3", mp3),
    "mp3, 2.3 with unknown frames": (".mp3", lambda p: id3(3, *UNKNOWN) + mp3(p)),
    "mp3, 2.3 without padding": (".mp3", lambda p: id3(3, *UNKNOWN, padding=0) + mp3(p)),
    "mp3, 2.3 unsynchronised": (
        ".mp3",
        lambda p: id3(3, frame(b"TIT2", b"\1\xff\xfeT\0").replace(b"\xff\xfe", b"\xff\0\xfe"), flags=128) + mp3(p),
    ),
    "mp3, 2.3 with an extended header": (
        ".mp3",
        lambda p: id3(3, b"\0\0\0\6\0\0\0\0\0\x64", *UNKNOWN, padding=100, flags=64) + mp3(p),
    ),
    "mp3, 2.2": (".mp3", lambda p: id3(2, frame(b"TT2", b"\0Title", 2), frame(b"XYZ", b"??", 2)) + mp3(p)),
    "mp3, 2.4": (
        ".mp3",
        lambda p: (
            id3(4, frame(b"TIT2", b"\3Title", 4), frame(b"TXXX", b"\3own\0kept", 4), frame(b"ZZZZ", b"?", 4)) + mp3(p)
        ),
    ),
    "mp3, 2.4 unsynchronised": (
        ".mp3",
        lambda p: id3(4, b"TIT2" + synchsafe(6) + b"\0\2" + b"\1\xff\0\xfeT\0", flags=128) + mp3(p),
    ),
    "mp3, 2.4 with a footer": (
        ".mp3",
        lambda p: id3(4, frame(b"TIT2", b"\3T", 4), padding=0, flags=16, footer=True) + mp3(p),
    ),
    "mp3, sizes as iTunes once wrote them": (
        ".mp3",
        lambda p: (
            id3(4, b"TIT2" + (300).to_bytes(4, "big") + b"\0\0\3" + b"t" * 299, frame(b"TALB", b"\3A", 4)) + mp3(p)
        ),
    ),
    "mp3, APE and ID3v1": (".mp3", lambda p: mp3(p) + ape(Title="T", Own="kept") + id3v1(255)),
    "mp3, everything": (".mp3", lambda p: id3(3, *UNKNOWN) + mp3(p) + ape(Title="T") + id3v1(255)),
    "flac": (".flac", lambda p: sound(p, ".flac")),
    "flac, a picture": (".flac", flac_with_picture),
    "flac behind ID3": (".flac", lambda p: id3(3, *UNKNOWN) + sound(p, ".flac")),
    "flac as FFmpeg writes it": (".flac", lambda p: muxed(p, "flac", "flac")),
    "ogg vorbis": (".ogg", lambda p: sound(p, ".ogg")),
    "ogg vorbis, a picture": (".ogg", lambda p: ogg_with_picture(p, ".ogg")),
    "opus": (".opus", lambda p: sound(p, ".opus", format="OGG", subtype="OPUS")),
    "opus, a picture": (".opus", lambda p: ogg_with_picture(p, ".opus")),
    "opus as FFmpeg writes it": (".opus", lambda p: muxed(p, "ogg", "libopus", rate=48000)),
    "ogg flac": (".oga", ogg_flac),
    "wav": (".wav", lambda p: sound(p, ".wav")),
    "wav, INFO": (".wav", lambda p: riff(sound(p, ".wav"), info(INAM="T", ICMT="kept"), chunk(b"own ", b"odd"))),
    "wav, id3": (".wav", lambda p: riff(sound(p, ".wav"), chunk(b"id3 ", id3(3, *UNKNOWN)))),
    "wav, id3 before the sound": (
        ".wav",
        lambda p: (lambda d: riff(d[:12] + chunk(b"ID3 ", id3(4, frame(b"TIT2", b"\3T", 4), padding=3)) + d[12:]))(
            sound(p, ".wav")
        ),
    ),
    "wav, odd sound at its end": (
        ".wav",
        lambda p: (lambda d: riff(d[:36] + b"data" + (1001).to_bytes(4, "little") + d[44:1045]))(
            sound(p, ".wav", subtype="PCM_U8")
        ),
    ),
    "rf64": (".wav", lambda p: sound(p, ".wav", format="RF64")),
    "aiff": (".aiff", aiff),
    "aiff, ID3 and texts": (
        ".aiff",
        lambda p: grown(aiff(p), chunk(b"NAME", b"T", "big"), chunk(b"ID3 ", id3(3, *UNKNOWN), "big")),
    ),
    "aac": (".aac", lambda p: muxed(p, "adts", "aac")),
    "m4a": (".m4a", lambda p: muxed(p, "ipod", "aac", metadata={"title": "T"})),
    "m4a, no tag": (".m4a", lambda p: muxed(p, "ipod", "aac", {"fflags": "+bitexact"})),
    "m4a, moov in front": (
        ".m4a",
        lambda p: muxed(p, "ipod", "aac", {"movflags": "+faststart"}, metadata={"title": "T"}),
    ),
    "m4a, fragmented": (".m4a", lambda p: muxed(p, "mp4", "aac", FRAGMENTED)),
    "m4a, fragmented, bases stated": (
        ".m4a",
        lambda p: muxed(p, "mp4", "aac", FRAGMENTED | {"movflags": FRAGMENTED["movflags"] + "-default_base_moof"}),
    ),
    "m4a, dash": (
        ".m4a",
        lambda p: muxed(p, "mp4", "aac", FRAGMENTED | {"movflags": "dash+global_sidx+frag_keyframe"}),
    ),
    "QuickTime": (".mov", lambda p: muxed(p, "mov", "aac", metadata={"title": "T"})),
    "QuickTime, moov in front": (".mov", lambda p: muxed(p, "mov", "pcm_s16le", {"movflags": "+faststart"})),
    "3gp": (".3gp", lambda p: muxed(p, "3gp", "aac", metadata={"title": "T"})),
    "alac": (".m4a", lambda p: muxed(p, "ipod", "alac")),
    "wma": (".wma", lambda p: muxed(p, "asf", "wmav2", metadata={"title": "T", "WM/Own": "kept"})),
    "wma, no tag": (".wma", lambda p: muxed(p, "asf", "wmav2", {"fflags": "+bitexact"})),
    "wavpack": (".wv", lambda p: muxed(p, "wv", "wavpack")),
    "wavpack, APE": (".wv", lambda p: muxed(p, "wv", "wavpack", metadata={"title": "T"}) + b""),
    "tta": (".tta", lambda p: muxed(p, "tta", "tta")),
    "dsf": (".dsf", dsf),
}


def a_file(tmp_path, name):
    suffix, make = FILES[name]
    path = tmp_path / f"a{suffix}"
    data = make(tmp_path / f"made{suffix}")
    for left in tmp_path.glob("made*"):
        left.unlink()
    path.write_bytes(data)
    return path


GENRES = {
    "ID3v2.3": (".mp3", lambda p: id3(3, frame(b"TCON", b"\0(17)Eurodisco")) + mp3(p), ("Rock", "Eurodisco")),
    "ID3v2.2": (".mp3", lambda p: id3(2, frame(b"TCO", b"\0Folk", 2)) + mp3(p), ("Folk",)),
    "second ID3": (
        ".mp3",
        lambda p: id3(3, UNKNOWN[0]) + id3(4, frame(b"TCON", b"\3Folk\0Doom", 4)) + mp3(p),
        ("Folk", "Doom"),
    ),
    "APE behind MP3": (".mp3", lambda p: mp3(p) + ape(Genre="Doom\0Drone"), ("Doom", "Drone")),
    "APE before ID3v1": (".mp3", lambda p: mp3(p) + ape(GENRE="Doom") + id3v1(255), ("Doom",)),
    "ID3v1": (".mp3", lambda p: mp3(p) + id3v1(17), ("Rock",)),
    "ID3v1 before APE": (".mp3", lambda p: mp3(p) + id3v1(17) + ape(Title="T"), ("Rock",)),
    "ID3v1 twice": (".mp3", lambda p: mp3(p) + id3v1(17) + id3v1(255), ("Rock",)),
    "ID3v1+": (
        ".mp3",
        lambda p: mp3(p) + b"TAG+" + bytes(181) + b"Doom".ljust(30, b"\0") + b"000:00" * 2 + id3v1(255),
        ("Doom",),
    ),
    "APE before lyrics of version 1": (
        ".mp3",
        lambda p: mp3(p) + ape(Genre="Doom") + b"LYRICSBEGINla la\nLYRICSEND" + id3v1(255),
        ("Doom",),
    ),
    "APE before MP3": (".mp3", lambda p: ape(Genre="Doom") + mp3(p), ("Doom",)),
    "APE behind ID3": (".mp3", lambda p: id3(3, frame(b"TIT2", b"\0T")) + ape(Genre="Doom") + mp3(p), ("Doom",)),
    "ID3 behind MP3": (
        ".mp3",
        lambda p: mp3(p) + id3(4, frame(b"TCON", b"\3Doom", 4), padding=0, flags=16, footer=True) + id3v1(255),
        ("Doom",),
    ),
    "a frame of the person's own": (".mp3", lambda p: id3(3, frame(b"TXXX", b"\0Genre\0Doom")) + mp3(p), ("Doom",)),
    "MP4, of another program": (
        ".m4a",
        lambda p: with_mutagen(p, muxed(p, "ipod", "aac"), ".m4a", **{"----:org.other:GENRE": [b"Doom"]}),
        ("Doom",),
    ),
    "RIFF INFO, by its other name": (".wav", lambda p: riff(sound(p, ".wav"), info(GENR="Doom")), ("Doom",)),
    "ID3 before AAC": (".aac", lambda p: id3(3, frame(b"TCON", b"\0Folk")) + muxed(p, "adts", "aac"), ("Folk",)),
    "ID3 before FLAC": (".flac", lambda p: id3(3, frame(b"TCON", b"\0Folk")) + sound(p, ".flac"), ("Folk",)),
    "Vorbis comments": (
        ".ogg",
        lambda p: with_mutagen(p, sound(p, ".ogg"), ".ogg", genre=["Folk", "Doom"]),
        ("Folk", "Doom"),
    ),
    "RIFF INFO": (".wav", lambda p: riff(sound(p, ".wav"), info(IGNR="Ambient")), ("Ambient",)),
    "id3 in WAV": (
        ".wav",
        lambda p: riff(sound(p, ".wav"), chunk(b"ID3 ", id3(3, frame(b"TCON", b"\0Folk")))),
        ("Folk",),
    ),
    "ID3 in AIFF": (
        ".aiff",
        lambda p: grown(aiff(p), chunk(b"ID3 ", id3(3, frame(b"TCON", b"\0Folk")), "big")),
        ("Folk",),
    ),
    "iTunes": (
        ".m4a",
        lambda p: with_mutagen(p, muxed(p, "ipod", "aac"), ".m4a", **{"\xa9gen": ["Folk", "Doom"]}),
        ("Folk", "Doom"),
    ),
    "QuickTime": (".mov", lambda p: muxed(p, "mov", "aac", metadata={"genre": "Folk"}), ("Folk",)),
    "QuickTime's keys": (
        ".mov",
        lambda p: muxed(p, "mov", "aac", {"movflags": "use_metadata_tags"}, metadata={"genre": "Folk"}),
        ("Folk",),
    ),
    "3GPP": (".3gp", lambda p: muxed(p, "3gp", "aac", metadata={"genre": "Folk"}), ("Folk",)),
    "ASF": (".wma", lambda p: muxed(p, "asf", "wmav2", metadata={"genre": "Folk"}), ("Folk",)),
    "APE": (".wv", lambda p: muxed(p, "wv", "wavpack", metadata={"genre": "Folk"}), ("Folk",)),
}
