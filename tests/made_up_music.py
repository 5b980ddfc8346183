"""Music that was never played: synthesised songs with tags, in folders as people keep them."""

from dataclasses import dataclass
from pathlib import Path

import mutagen
import numpy as np
import soundfile

RATE = 16000
LOOP_S = 8


@dataclass(frozen=True)
class Song:
    """What a file says of itself, and how it sounds; `duration_s` long."""

    place: str
    sound: str
    duration_s: int
    artist: str = ""
    title: str = ""
    album: str = ""
    genre: str = ""
    year: int = 0

    @property
    def tags(self) -> dict[str, str]:
        named = {"artist": self.artist, "title": self.title, "album": self.album, "genre": self.genre}
        return {k: v for k, v in (named | {"date": str(self.year or "")}).items() if v}


def _album(folder: str, sound: str, artist: str, genre: str, year: int, *songs: tuple[str, int], kind: str = "ogg"):
    """The songs of an album, each its title and seconds; the folder is artist/album."""
    album = Path(folder).name
    return [
        Song(f"{folder}/{n:02d} {title}.{kind}", sound, seconds, artist, title, album, genre, year)
        for n, (title, seconds) in enumerate(songs, 1)
    ]


LONG = "The Orchestra of the Lower Valley, conducted by Maria Theresa Holm"
SONGS = [
    *_album("Night Trains/Slow Rails", "rock", "Night Trains", "Rock", 1994, ("Road", 61), ("Platform Nine", 48)),
    *_album("Night Trains/Iron", "rock", "Night Trains", "Rock", 1997, ("Enter the Yard", 75), ("Rust", 52)),
    *_album("Velvet Hammer/Loud", "rock", "Velvet Hammer", "Rock", 1991, ("Loud", 66), ("Louder", 44), ("Silence", 57)),
    *_album("Simon & Daughters/Bridges", "folk", "Simon & Daughters", "Folk", 1968, ("Mrs. Alder", 58), ("Ferry", 49)),
    *_album("Ána Bergström/Vinter", "folk", "Ána Bergström", "Folk", 2011, ("Snö", 70), ("Is", 47), ("Ljus", 55)),
    *_album("DJ Kobalt/Club Nights", "house", "DJ Kobalt", "House", 2003, ("Neon", 64), ("After Hours", 72)),
    *_album("Marta/Four on the Floor", "house", "Marta", "dance & house", 2006, ("Pulse", 59), ("Glow", 63)),
    *_album(
        "Orchestra/Quartets",
        "strings",
        LONG,
        "Classical",
        2019,
        ("String Quartet No. 4 in A minor: Adagio molto espressivo", 74),
        ("String Quartet No. 4 in A minor: Finale", 69),
        kind="flac",
    ),
    *_album("Christmas/Choir on the Hill", "choir", "Choir on the Hill", "", 1985, ("Silent Bells", 51), ("Frost", 46)),
    Song("Mixes/Best of Night Trains.mp3", "rock", 61, "Night Trains", "Road", "Best of", "Rock", 2001),  # a copy
    Song("loose/track07.wav", "choir", 45),
]
"""A copy of one recording, and one file without any tag, are among them."""
COPY, COPIED = SONGS[-2], SONGS[0]


def make_music(root: Path) -> None:
    """Write the songs below `root`, and two files that are none."""
    for number, song in enumerate(SONGS):
        file = root / song.place
        file.parent.mkdir(parents=True, exist_ok=True)
        source = SONGS.index(COPIED) if song is COPY else number
        loop = sound(song.sound, source)
        samples = np.tile(loop, song.duration_s // LOOP_S + 1)[: song.duration_s * RATE]
        soundfile.write(file, samples, RATE)
        if song.tags:
            tagged = mutagen.File(file, easy=True)
            if tagged.tags is None:
                tagged.add_tags()
            for name, value in song.tags.items():
                tagged[name] = value
            tagged.save()
    (root / "loose" / "broken.mp3").write_bytes(b"ID3\x03\0\0\0\0\0\0nothing" * 40)
    (root / "loose" / "empty.flac").write_bytes(b"")


def sound(kind: str, number: int) -> np.ndarray:
    """Eight seconds of a band of this kind, (n,) float32; another number is another song."""
    draw = np.random.default_rng([sum(kind.encode()), number])
    root = 110 * 2 ** (draw.integers(0, 12) / 12)
    bpm = {"rock": 130, "house": 124, "folk": 92}.get(kind, 60) + int(draw.integers(-6, 7))
    chords = [root * 2 ** (draw.choice([0, 3, 5, 7, 8, 10]) / 12) for _ in range(4)]
    wave = np.concatenate([_BANDS[kind](chord, bpm, draw) for chord in chords])
    return (0.4 * wave / np.abs(wave).max()).astype(np.float32)


def _times() -> np.ndarray:
    return np.arange(LOOP_S * RATE // 4) / RATE


def _beats(bpm: float) -> np.ndarray:
    """Seconds since the last beat."""
    return _times() % (60 / bpm)


def _rock(chord: float, bpm: float, draw: np.random.Generator) -> np.ndarray:
    t, since = _times(), _beats(bpm)
    guitar = sum(np.sign(np.sin(2 * np.pi * chord * ratio * t)) for ratio in (1, 1.5, 2))
    snare = draw.standard_normal(len(t)) * np.exp(-since * 18)
    return np.tanh(guitar) + 2 * snare + np.sin(2 * np.pi * 55 * t) * np.exp(-since * 9)


def _folk(chord: float, bpm: float, draw: np.random.Generator) -> np.ndarray:
    t, since = _times(), _beats(2 * bpm)
    step = (t * 2 * bpm / 60).astype(int)
    note = 2 * chord * np.array([1, 1.25, 1.5, 2])[step % 4]
    return sum(np.sin(2 * np.pi * k * note * t) / k**1.5 for k in range(1, 6)) * np.exp(-since * 5)


def _house(chord: float, bpm: float, draw: np.random.Generator) -> np.ndarray:
    t, since, off = _times(), _beats(bpm), _beats(2 * bpm)
    kick = np.sin(2 * np.pi * (48 + 60 * np.exp(-since * 30)) * since) * np.exp(-since * 7)
    hat = draw.standard_normal(len(t)) * np.exp(-off * 60)
    bass = np.sin(2 * np.pi * chord / 2 * t) * (off > 0.1)
    return 2 * kick + 0.5 * hat + bass + 0.3 * np.sign(np.sin(2 * np.pi * 2 * chord * t)) * (since > 0.2)


def _strings(chord: float, bpm: float, draw: np.random.Generator) -> np.ndarray:
    t = _times()
    bow = 1 + 0.01 * np.sin(2 * np.pi * 5.5 * t)
    swell = np.sin(np.pi * t / t[-1]) ** 0.5
    voices = (chord * ratio for ratio in (1, 1.2, 1.5, 2, 3))
    return sum(np.sin(2 * np.pi * k * f * t * bow) / k for f in voices for k in range(1, 8)) * swell


def _choir(chord: float, bpm: float, draw: np.random.Generator) -> np.ndarray:
    t = _times()
    voice = np.zeros(len(t))
    for harmonic in range(1, 20):
        f = 2 * chord * harmonic
        vowel = np.exp(-(((f - 700) / 300) ** 2)) + 0.5 * np.exp(-(((f - 1200) / 300) ** 2))
        voice += vowel * np.sin(2 * np.pi * f * t + draw.uniform(0, 6) + 2 * np.sin(2 * np.pi * 5 * t))
    return voice + 0.02 * draw.standard_normal(len(t))


_BANDS = {"rock": _rock, "folk": _folk, "house": _house, "strings": _strings, "choir": _choir}
