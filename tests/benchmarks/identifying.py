"""`identify`: which song a clip is of, by noise, length, codec, speed and room; what is not there; 100,000 songs.

Songs are those of Emotify, whole artists of which are held out, so that no recording is on both sides under two names.
Noise is that of games and of a spelling course, below the folder $MIRCLR_NOISE:

    apt-get download klettres-data megaglest-data searchandrescue-data lincity-ng-data
    for file in *.deb; do dpkg -x "$file" noise; done

Of voices eight are heard at once. The 100,000 songs are made up of the landmarks of the real ones: stretches of four
minutes, from anywhere in all of them one after the other, by 3 to 9 semitones higher or lower and 8 to 25 % faster or
slower, which is beyond what a clip is recognised with.
"""

import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr
from scipy.signal import butter, fftconvolve, sosfilt

from mirclr.audio import decode_blocks
from mirclr.audio.landmarks import FRAMES_A_SECOND, KEPT, PITCHES, PITCHES_AN_OCTAVE, landmarks_of
from mirclr.audio.landmarks import RATE as LANDMARK_RATE
from mirclr.errors import AudioError
from mirclr.identify.alignment import Clip
from mirclr.identify.clips import OF_A_CLIP
from mirclr.identify.file import load, save
from mirclr.identify.postings import Postings, build
from mirclr.identify.search import MATCHED, SURE, Match, find_matches
from mirclr.library.fingerprints import packed, unpacked
from mirclr.provenance import cache_dir, digest_bytes
from tests.benchmarks.measuring import emotify
from tests.benchmarks.measuring import load as machine_load

NOISE = "MIRCLR_NOISE"
RATE = 16_000
SEED = 3
HELD_OUT = 0.25  # of the artists
CLIPS, ABSENT = 50, 1_000
SECONDS = 5.0
MANY, MANY_CLIPS = 100_000, 30
AMONG_MANY = ("as it is", "noise 10 dB", "noise 0 dB", "5 % faster", "5 % slower", "3 % faster, noise 10 dB")
MINUTES = 4  # of a made-up song
_KINDS = {"voices": ("klettres",), "weather": ("rain", "night", "day"), "machines": ("searchandrescue", "lincity")}
_VOICES = 8
_NOISE_S = 480.0

Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def identify() -> dict[str, Any]:
    """Clips to the songs that they are of, by what was done to them; and clips of songs that are not there."""
    music = Music()
    asker = Asker([build(music.landmarks.items(), np.zeros(len(music.held), np.int64))], music.landmarks)
    conditions = asker.of_held(music, changes(music.noise), CLIPS)
    negatives = asker.of_absent(music, ABSENT)
    return {
        "songs": len(music.held),
        "songs_not_there": len(music.absent),
        "clips_a_condition": CLIPS,
        "seconds": SECONDS,
        "conditions": {name: summary(rows) for name, rows in conditions.items()},
        "not_there": {
            "clips": len(negatives),
            "false_alarms": sum(row.sure for row in negatives),
            "most_evidence": round(max(row.evidence for row in negatives), 1),
        },
        "threshold": threshold([row for rows in conditions.values() for row in rows], negatives),
    }


def identify_many() -> dict[str, Any]:
    """The same among 100,000 songs, and the seconds of a clip; the index is in a file, landmarks are as stored."""
    music = Music()
    many = Many.made_once(music)
    asker, table = Asker([many.postings], many), changes(music.noise)
    asker.of_absent(music, 2)  # what is mapped is read for the first time
    conditions = asker.of_held(music, {name: table[name] for name in AMONG_MANY}, MANY_CLIPS)
    negatives = asker.of_absent(music, MANY_CLIPS)
    return {
        "songs": MANY,
        "minutes": MANY * MINUTES,
        "bytes_a_song": {"library": int(many.begins[-1]) // MANY, "index": many.index_bytes // MANY},
        "clips_a_condition": MANY_CLIPS,
        "conditions": {name: {**summary(rows), **seconds_of(rows)} for name, rows in conditions.items()},
        "not_there": {"false_alarms": sum(row.sure for row in negatives), **seconds_of(negatives)},
        "load": machine_load(),
    }


class Music:
    """Songs that are there, with their landmarks; songs of other artists that are not; noise."""

    def __init__(self) -> None:
        self.held, self.absent = part_by_artist(emotify())
        self.noise = read_noise()
        self.landmarks = {i: landmarks_of(samples_of(path, LANDMARK_RATE), KEPT) for i, path in enumerate(self.held)}


@dataclass(frozen=True)
class Row:
    """What became of a clip: of which song it is, whether that came first, and was reported; its evidence."""

    song: int
    right: bool
    sure: bool
    evidence: float
    matched: float
    seconds: float
    cpu_seconds: float


class Asker:
    """Clips to the best match among songs whose landmarks are at hand."""

    def __init__(self, postings: Sequence[Postings], landmarks: Mapping[int, Any]) -> None:
        self._postings, self._landmarks = postings, landmarks

    def __call__(self, samples: np.ndarray, song: int, seconds: float) -> Row:
        x = soxr.resample(samples, RATE, LANDMARK_RATE)[: round(seconds * LANDMARK_RATE)].astype(np.float32)
        start, busy = time.perf_counter(), time.process_time()
        clip = Clip(landmarks_of(x, OF_A_CLIP), round(seconds * FRAMES_A_SECOND))
        found: list[Match] = find_matches(clip, self._postings, self._stored)
        taken = time.perf_counter() - start, time.process_time() - busy
        if not found:
            return Row(song, False, False, 0.0, 0.0, *taken)
        best = found[0].alignment
        share = best.matched / max(1, best.there)
        return Row(song, found[0].track_id == song, found[0].is_sure, best.evidence, share, *taken)

    def _stored(self, ids: Sequence[int]) -> dict[int, np.ndarray]:
        held = {i: self._landmarks[i] for i in ids}
        return {i: unpacked(rows) if isinstance(rows, bytes) else rows for i, rows in held.items()}

    def of_held(self, music: Music, table: Mapping[str, tuple[Change, float]], songs: int) -> dict[str, list[Row]]:
        """A clip of each of some songs, changed in each way."""
        rows: dict[str, list[Row]] = {name: [] for name in table}
        for i in np.random.default_rng(SEED).permutation(len(music.held))[:songs].tolist():
            whole = samples_of(music.held[i])
            for name, (change, seconds) in table.items():
                rng = np.random.default_rng((SEED, i))
                rows[name].append(self(change(excerpt(whole, seconds, rng), rng), i, seconds))
        return rows

    def of_absent(self, music: Music, clips: int) -> list[Row]:
        """Clips of songs that are not there: as they are, with noise at 10 dB, 3 % faster, and both, in turn."""
        rows, quicker, noisy = [], faster(1.03), with_noise(music.noise, 10)
        for i, path in enumerate(music.absent):
            whole = samples_of(path)
            for n in range(i, clips, len(music.absent)):
                rng, turn = np.random.default_rng((SEED, 1, n)), n // len(music.absent) % 4
                x = excerpt(whole, SECONDS, rng)
                x = quicker(x, rng) if turn >= 2 else x
                rows.append(self(noisy(x, rng) if turn % 2 else x, -1 - i, SECONDS))
        return rows


def part_by_artist(rows: Mapping[Path, Mapping[str, str]]) -> tuple[list[Path], list[Path]]:
    """Songs that are there, and songs of other artists that are not."""
    artists = sorted({row["artist"] for row in rows.values()})
    out = set(np.random.default_rng(SEED).permutation(artists)[: round(HELD_OUT * len(artists))].tolist())
    files = sorted(rows)
    return [f for f in files if rows[f]["artist"] not in out], [f for f in files if rows[f]["artist"] in out]


def samples_of(path: Path, rate: int = RATE) -> np.ndarray:
    return np.concatenate(list(decode_blocks(path, rate=rate)))


def excerpt(whole: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A part of a song from anywhere in it, somewhat longer than asked, as a change may make it shorter."""
    length = round((seconds + 0.6) * RATE)
    start = int(rng.integers(max(1, len(whole) - length)))
    return whole[start : start + length]


def summary(rows: Sequence[Row]) -> dict[str, float]:
    """Fractions of clips: the right song came first, was reported, and another was reported; evidence of a tenth."""
    return {
        "hit_at_1": round(float(np.mean([row.right for row in rows])), 3),
        "reported": round(float(np.mean([row.right and row.sure for row in rows])), 3),
        "wrong": round(float(np.mean([row.sure and not row.right for row in rows])), 3),
        "evidence_of_a_tenth": round(float(np.quantile([row.evidence * row.right for row in rows], 0.1)), 1),
    }


def threshold(there: Sequence[Row], absent: Sequence[Row]) -> dict[str, Any]:
    """The least evidence without a false alarm on one half of the songs, and what it gives on the other; and SURE."""
    halves = {}
    for half in (0, 1):
        chosen_on = [row for row in absent if row.song % 2 == half and row.matched >= MATCHED]
        least = max((row.evidence for row in chosen_on), default=0.0)
        halves[f"chosen_on_half_{half}"] = {
            "least": round(least, 1),
            **{f"on_the_other_{key}": value for key, value in told(there, absent, 1 - half, least).items()},
        }
    return {"shipped": SURE, **halves, **{f"half_{half}": told(there, absent, half, SURE) for half in (0, 1)}}


def told(there: Sequence[Row], absent: Sequence[Row], half: int, least: float) -> dict[str, float]:
    mine = [row for row in there if row.song % 2 == half]
    alarms = [row for row in absent if row.song % 2 == half and row.evidence > least and row.matched >= MATCHED]
    reported = [row.right and row.evidence > least and row.matched >= MATCHED for row in mine]
    return {"reported": round(float(np.mean(reported)) if mine else 0.0, 3), "false_alarms": len(alarms)}


# what is done to clips


def changes(noise: Mapping[str, np.ndarray]) -> dict[str, tuple[Change, float]]:
    """By name what is done to a clip, and how long it is."""
    as_it_is: Change = lambda x, _: x  # noqa: E731
    five: dict[str, Change] = {
        "as it is": as_it_is,
        "noise 20 dB": with_noise(noise, 20),
        "noise 10 dB": with_noise(noise, 10),
        "noise 0 dB": with_noise(noise, 0),
        "mp3 32 kbps": codec("mp3", "mp3", 32),
        "opus 8 kbps": codec("libopus", "ogg", 8),
        "telephone band": lambda x, _: sosfilt(butter(4, (300, 3_400), "band", fs=RATE, output="sos"), x),
        "5 % faster": faster(1.05),
        "5 % slower": faster(0.95),
        "3 % faster, noise 10 dB": lambda x, rng: with_noise(noise, 10)(faster(1.03)(x, rng), rng),
        "room, 0.5 s": room(0.5),
        "room, 1 s, noise 10 dB": lambda x, rng: with_noise(noise, 10)(room(1.0)(x, rng), rng),
    }
    other = {
        f"{seconds:.0f} s, {name}": (five[name], seconds)
        for seconds in (3.0, 10.0)
        for name in ("as it is", "noise 10 dB", "noise 0 dB")
    }
    return {name: (change, SECONDS) for name, change in five.items()} | other


def with_noise(noise: Mapping[str, np.ndarray], snr_db: float) -> Change:
    def change(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        pool = noise[sorted(noise)[int(rng.integers(len(noise)))]]
        start = int(rng.integers(len(pool) - len(x)))
        part = pool[start : start + len(x)]
        return x + part * (x.std() / max(float(part.std()), 1e-6) * 10 ** (-snr_db / 20))

    return change


def faster(speed: float) -> Change:
    return lambda x, _: soxr.resample(x, RATE * speed, RATE)


def room(reverberation_s: float) -> Change:
    """Decaying noise after the direct sound, together as loud as that."""

    def change(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        count = round(reverberation_s * RATE)
        response = rng.standard_normal(count) * 10 ** (-3 * np.arange(count) / count)
        response[: RATE // 250] = 0
        response /= np.sqrt(np.square(response).sum())
        response[0] = 1
        return fftconvolve(x, response)[: len(x)]

    return change


def codec(name: str, container: str, kbps: int) -> Change:
    def change(x: np.ndarray, _: np.random.Generator) -> np.ndarray:
        rate = 48_000 if name == "libopus" else RATE
        written = io.BytesIO()
        with av.open(written, "w", format=container) as out:
            stream = out.add_stream(name, rate=rate, layout="mono")
            stream.bit_rate = kbps * 1000
            whole = np.clip(soxr.resample(x, RATE, rate), -1, 1) * 32767
            frame = av.AudioFrame.from_ndarray(whole.astype(np.int16)[None], format="s16", layout="mono")
            frame.rate = rate
            for one in (frame, None):
                out.mux(stream.encode(one))
        written.seek(0)
        with av.open(written) as read:
            resampler = av.AudioResampler("flt", "mono", RATE)
            parts = [part.to_ndarray()[0] for frame in read.decode(audio=0) for part in resampler.resample(frame)]
        return np.concatenate(parts)

    return change


def read_noise() -> dict[str, np.ndarray]:
    """Some minutes of noise of each kind, of unit power."""
    folder = Path(os.environ.get(NOISE, ""))
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".ogg", ".wav")) if NOISE in os.environ else []
    kinds = {
        kind: loud([path for path in files if any(name in str(path) for name in names)])
        for kind, names in _KINDS.items()
    }
    if not all(kinds.values()):
        sys.exit(
            f"no noise below {folder}; {NOISE}=FOLDER names it, tests/benchmarks/identifying.py says how to get it"
        )
    voices = np.concatenate(kinds["voices"])
    voices = voices[: len(voices) // _VOICES * _VOICES].reshape(_VOICES, -1).sum(axis=0)
    pools = {"voices": voices, **{kind: np.concatenate(kinds[kind]) for kind in ("weather", "machines")}}
    return {kind: pool / pool.std() for kind, pool in pools.items()}


def loud(files: Sequence[Path]) -> list[np.ndarray]:
    """Some minutes of sounds, each of unit power; what is silent, short or cannot be read is left out."""
    found: list[np.ndarray] = []
    for i in np.random.default_rng(SEED).permutation(len(files)).tolist():
        if sum(map(len, found)) > _NOISE_S * RATE:
            break
        with suppress(AudioError):
            x = samples_of(files[i])
            found += [x / x.std()] if len(x) > RATE // 4 and x.std() > 1e-3 else []
    return found


# a hundred thousand songs


class MadeUp:
    """Landmarks of songs that were never there, made of those of real ones."""

    def __init__(self, landmarks: Sequence[np.ndarray]) -> None:
        begins = np.cumsum([0, *(int(rows[-1, 0]) + 1 for rows in landmarks)])
        line = np.concatenate([later(rows, begin) for rows, begin in zip(landmarks, begins[:-1], strict=True)])
        self._line, self._frames = np.concatenate([line, later(line, begins[-1])]), int(begins[-1])

    def __call__(self, number: int) -> np.ndarray:
        rng = np.random.default_rng((SEED, 2, number))
        pace = rng.uniform(1.08, 1.25) ** rng.choice((-1, 1))
        higher = int(rng.integers(3, 10)) * rng.choice((-1, 1)) * PITCHES_AN_OCTAVE / 12
        start = int(rng.integers(self._frames))
        ends = (start, start + round(60 * MINUTES * FRAMES_A_SECOND * pace))
        first, last = np.searchsorted(self._line[:, 0], ends)
        rows = later(self._line[first:last], -start)
        rows[:, 1] += round(higher)
        rows = rows[(rows[:, 1] >= 0) & (rows[:, 1] < PITCHES)]
        rows[:, 0] = np.round(rows[:, 0] / pace)
        return rows.astype(np.int32)


class Many(Mapping[int, bytes]):
    """A hundred thousand songs: their index, and the landmarks of each as a library stores them.

    Kept in the cache, where they take two gigabytes: making them takes longer than all else.
    """

    def __init__(self, folder: Path) -> None:
        self._blobs, self.begins = np.memmap(folder / "landmarks", np.uint8, "r"), np.load(folder / "begins.npy")
        opened = load(folder / "index")
        assert opened
        self.postings, self.index_bytes = opened[0], (folder / "index").stat().st_size

    def __getitem__(self, song: int) -> bytes:
        return self._blobs[self.begins[song] : self.begins[song + 1]].tobytes()

    def __len__(self) -> int:
        return len(self.begins) - 1

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self)))

    @classmethod
    def made_once(cls, music: Music) -> "Many":
        """From the cache, where they were made of the same landmarks."""
        digest = digest_bytes(*(rows.tobytes() for rows in music.landmarks.values()), f"{MANY} {SEED}".encode())
        folder = cache_dir() / "benchmarks" / f"identify-{digest[:16]}"
        if load(folder / "index") is None:
            folder.mkdir(parents=True, exist_ok=True)
            made, begins = MadeUp([rows for rows in music.landmarks.values() if len(rows)]), [0]
            with (folder / "landmarks").open("wb") as out:

                def songs() -> Iterator[tuple[int, np.ndarray]]:
                    for i in range(MANY):
                        rows = music.landmarks[i] if i in music.landmarks else made(i)
                        begins.append(begins[-1] + out.write(packed(rows)))
                        yield i, rows

                postings = build(songs(), np.zeros(MANY, np.int64))
            np.save(folder / "begins.npy", np.array(begins))
            save(folder / "index", postings, {})
        return cls(folder)


def later(rows: np.ndarray, frames: int) -> np.ndarray:
    moved: np.ndarray = rows + np.array([frames, 0, 0])
    return moved


def seconds_of(rows: Sequence[Row]) -> dict[str, float]:
    wall, busy = ([getattr(row, name) for row in rows] for name in ("seconds", "cpu_seconds"))
    return {
        f"{name}{q}": round(float(np.quantile(taken, q / 100)), 3)
        for name, taken in (("seconds_p", wall), ("cpu_seconds_p", busy))
        for q in (50, 95)
    }
