"""The data step: distillation examples of mixed music. ``examples.py RUN --shards N [--first M] [--worker I/M]``.

Excerpts of three seconds are cut from the corpora, each track at one level, played faster or slower, produced in
another way now and then, and mixed. The teacher labels the mix as it is; the student is given it in several views, each
balanced as a track of it would be, and most of them changed as `changes.py` does: masters, rooms, codecs, bands, noise.
So it learns to say of any of them what the teacher says of the music. Beside the teacher's tags stands one of music
itself: whether its tracks are in major. All is stored in RUN/examples, as
`mirclr.data.examples` describes it. A shard is drawn by its number alone: workers take turns, and what is there is not
made again.

The `source` of a track in a manifest may have a ``kind``: music where it says nothing; ``voice``, alone or spoken,
which is laid over music and drums; ``drums``; ``noise``, which nobody labels and the student is given behind the music.
"""

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from changes import RATE, changed, levelled, produced, rms, synthetic_noise, tilted

from mirclr.audio import decode_blocks, resample
from mirclr.audio.key import MAJOR, MINOR, pitch_strengths
from mirclr.audio.mel import LogMel
from mirclr.audio.spectra import RATE as KEY_RATE
from mirclr.config import Recipe, read_recipe
from mirclr.data.examples import ExampleFolder, ExamplesHeader
from mirclr.data.manifest import Track, read_manifest
from mirclr.errors import MirclrError
from mirclr.models.device import pick_precision
from mirclr.models.level import USUAL_SLOPE, slope
from mirclr.provenance import digest_json, writing
from mirclr.training.teacher import Teacher, load_teacher

HERE = Path(__file__).parent
SECONDS = 3.0
LENGTH = round(RATE * SECONDS)
SHARD = 1024
AT_ONCE = 64
PRODUCED = 0.3  # of the stretches are given to both in another way than they are
CLEAN = 0.3  # of the views, beside the first, are as the teacher is given them
MAJOR_TAG = "mode: major"
_SURE_OF_MODE = 12.0  # by which a difference of correlations with the profiles of keys becomes a logit
DTYPE = pick_precision("auto", torch.device("cpu"))


@dataclass(frozen=True)
class Source:
    """One track, decoded: (n,) int16 on disk, its kind, RMS, slope, and the logit of its being in major."""

    id: str
    album: str
    kind: str
    samples: np.ndarray
    rms: float
    slope: float
    major: float


def sources(manifests: list[tuple[Path, Path]], cache: Path) -> list[Source]:
    """Decode the training tracks of manifests (with their audio roots) once to ``cache``."""
    found = []
    cache.mkdir(parents=True, exist_ok=True)
    for manifest, root in manifests:
        for track in read_manifest(manifest):
            if track.split != "train":
                continue
            file = cache / (track.id.replace("/", "--") + ".npy")
            about = file.with_suffix(".json")
            if not about.exists():
                try:
                    decode(track, root, file)
                except MirclrError as error:
                    print(f"left out: {error}", flush=True)
                    continue
            kind = (track.source or {}).get("kind", "music")
            known: dict[str, Any] = json.loads(about.read_text(encoding="utf-8"))
            samples = np.load(file, mmap_mode="r")
            found.append(Source(track.id, track.album or track.id, kind, samples, **known))
    return found


def decode(track: Track, root: Path, file: Path) -> None:
    """Write the samples of a track, and what is known of them beside it; others may be at the same track."""
    x = np.concatenate(list(decode_blocks(root / track.path, rate=RATE)))
    start = round(track.start_s * RATE)
    x = x[start : start + round((track.duration_s or len(x) / RATE) * RATE)]
    part = file.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as f:
        np.save(f, np.round(x * 32767).astype(np.int16))
    part.replace(file)
    with writing(file.with_suffix(".json"), "w") as f:
        json.dump({"rms": rms(x), "slope": slope(stretches(x), RATE), "major": major(x)}, f)


def stretches(x: np.ndarray, many: int = 6, seconds: float = 10.0) -> np.ndarray:
    """(n,) samples -> (many, seconds) of them, spread evenly; shorter where there are not so many."""
    length = min(len(x), round(seconds * RATE))
    return np.stack([x[i : i + length] for i in np.linspace(0, len(x) - length, many).astype(int)])


def major(x: np.ndarray) -> float:
    """Logit of (n,) samples being in a major key and not in a minor one; 0 where they have no pitches."""
    strengths = pitch_strengths([resample(part, RATE, KEY_RATE) for part in stretches(x)])
    if not np.isfinite(strengths).all() or float(np.ptp(strengths)) < 1e-6:
        return 0.0
    fits = [max(float(np.corrcoef(strengths, np.roll(p, i))[0, 1]) for i in range(12)) for p in (MAJOR, MINOR)]
    return _SURE_OF_MODE * (fits[0] - fits[1])


def odds(all_sources: list[Source]) -> np.ndarray:
    """How often each track is drawn: an album by the root of its length, a track of it by its length."""
    lengths = np.array([len(s.samples) for s in all_sources], float)
    albums = np.array([s.album for s in all_sources])
    total = {a: lengths[albums == a].sum() for a in set(albums)}
    p = np.array([n / np.sqrt(total[a]) for n, a in zip(lengths, albums, strict=True)])
    p[[s.kind == "voice" for s in all_sources]] *= 0.5
    p[[s.kind == "noise" for s in all_sources]] = 0
    return p / p.sum()


class Mixer:
    """Draws excerpts.

    Parameters
    ----------
    all_sources : list of Source
        What is mixed.
    seed : int
        Of the draws.
    balanced : float
        By how much an encoder evens out the slopes of tracks (`mirclr.models.level`).
    """

    def __init__(self, all_sources: list[Source], seed: int, balanced: float = 0.0) -> None:
        self.sources, self.p = all_sources, odds(all_sources)
        self.of_kind = {k: np.flatnonzero([s.kind == k for s in all_sources]) for k in ("voice", "drums", "noise")}
        self.rng, self.balanced = np.random.default_rng(seed), balanced

    def excerpt(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        """One excerpt: (LENGTH,) float32, (3,) tracks that it is of, (3,) how much it is of each, their slope."""
        rng = self.rng
        many = int(rng.choice([1, 2, 3], p=[0.5, 0.38, 0.12]))
        tracks = rng.choice(len(self.sources), size=many, p=self.p)
        sung = many > 1 and len(self.of_kind["voice"]) and rng.random() < 0.3
        if sung:
            tracks[1] = rng.choice(self.of_kind["voice"])
            if len(self.of_kind["drums"]) and rng.random() < 0.4:
                tracks[0] = rng.choice(self.of_kind["drums"])
        (x, own), weight = self.stem(tracks[0]), np.array([1.0])
        slopes = [own]
        for i, track in enumerate(tracks[1:]):
            other, own = self.stem(track)
            slopes.append(own)
            if rng.random() < 0.4 and not (sung and i == 0):  # CutMix in time
                stays = rng.beta(1, 1)
                width = round(LENGTH * (1 - stays))
                at = rng.integers(0, LENGTH - width + 1)
                x = x.copy()
                x[at : at + width] = other[at : at + width]
                mine = 1 - width / LENGTH
            else:  # mixup, at a ratio of levels; a voice stands before what it is laid over
                db = rng.uniform(-9, 3) if sung and i == 0 else rng.uniform(-9, 9)
                a, b = rms(x), rms(other)
                other = other * (a / b * 10 ** (-db / 20)) if b > 1e-4 and a > 1e-4 else other
                x = x + other
                x = x * np.float32(a / rms(x)) if a > 1e-4 else x
                mine = 1 / (1 + 10 ** (-db / 10))
            weight = np.append(weight * mine, 1 - mine)
        source = np.full(3, -1, np.int32)
        fraction = np.zeros(3, np.float16)
        source[:many], fraction[:many] = tracks, weight
        return x.astype(np.float32), source, fraction, float(weight @ slopes)

    def views(self, x: np.ndarray, count: int, of_tracks: float) -> list[np.ndarray]:
        """What the student is given of an excerpt: as it is, and changed; balanced as if of a track of a slope."""
        clean = self.rng.random(count) < CLEAN
        clean[0] = count > 1 or clean[0]
        found = [x if same else changed(x, self.rng, self.noise) for same in clean]
        own = slope(x, RATE)
        return [self._balance(view, of_tracks + slope(view, RATE) - own) for view in found]

    def _balance(self, x: np.ndarray, of_track: float) -> np.ndarray:
        by = float(np.clip(self.balanced * (USUAL_SLOPE - of_track), -9, 9))
        even = tilted(x, by)
        return even * np.float32(rms(x) / (rms(even) + 1e-9))

    def stem(self, track: int) -> tuple[np.ndarray, float]:
        """A stretch of a track, as it is or produced in another way, and the slope that the track has then."""
        x, of_track = self.cut(track), self.sources[track].slope
        if self.rng.random() >= PRODUCED:
            return x, of_track
        other = produced(x, self.rng)
        return other, of_track + slope(other, RATE) - slope(x, RATE)

    def noise(self, n: int) -> np.ndarray:
        """(n,) of noise: recorded where there is some, of several voices at once, or made."""
        rng, kind = self.rng, self.rng.random()
        if len(self.of_kind["noise"]) and kind < 0.4:
            return self.cut(rng.choice(self.of_kind["noise"]))[:n]
        if len(self.of_kind["voice"]) and kind < 0.5:
            return np.sum([self.cut(t)[:n] for t in rng.choice(self.of_kind["voice"], rng.integers(3, 9))], axis=0)
        return synthetic_noise(n, rng)

    def cut(self, track: int) -> np.ndarray:
        """A random stretch of a track, half of the time at another speed: pitch and tempo change together."""
        rng, samples = self.rng, self.sources[track].samples
        rate = float(np.exp(rng.uniform(np.log(0.8), np.log(1.25)))) if rng.random() < 0.5 else 1.0
        needed = int(np.ceil(LENGTH * rate)) + 2
        start = int(rng.integers(0, max(1, len(samples) - needed)))
        x = samples[start : start + needed].astype(np.float32) / 32768
        x = levelled(x, self.sources[track].rms)
        if len(x) < needed:
            x = np.pad(x, (0, needed - len(x))) if rng.random() < 0.5 else np.resize(x, needed)
        if rate != 1.0:
            x = np.interp(np.arange(LENGTH) * rate, np.arange(needed), x).astype(np.float32)
        return x[:LENGTH]


@torch.inference_mode()
def labelled(teacher: Teacher, waveforms: torch.Tensor, majors: np.ndarray) -> np.ndarray:
    """(B, LENGTH) float32, (B,) logits of major -> the outputs side by side, (B, C + 1 + D + P)."""
    x = LogMel.of(teacher.mel, teacher.rate)(waveforms) if teacher.input == "mel" else waveforms
    with torch.autocast("cpu", DTYPE, enabled=torch.float32 != DTYPE):
        logits, *others = (part.float() for part in teacher.with_features(x))
    mode = torch.from_numpy(majors.astype(np.float32))[:, None]
    return torch.cat([logits, mode, *others], dim=1).numpy()


def shard(number: int, size: int, views: int, found: list[Source], teacher: Teacher, recipe: Recipe) -> tuple[Any, ...]:
    """What `ExampleFolder.write` takes of the shard of a number: `size` rows, `views` of each excerpt."""
    mixer, student = Mixer(found, seed=number, balanced=recipe.embedding.balanced), LogMel.of(recipe.mel, RATE)
    drawn = [mixer.excerpt() for _ in range(size // views)]
    waveforms = torch.from_numpy(np.stack([x for x, *_ in drawn]))
    track, fraction = np.stack([t for _, t, *_ in drawn]), np.stack([f for _, _, f, _ in drawn])
    majors = (np.array([0.0, *(s.major for s in found)])[track + 1] * fraction).sum(axis=1)
    outputs = np.concatenate(
        [
            labelled(teacher, *part)
            for part in zip(
                waveforms.split(AT_ONCE), np.split(majors, range(AT_ONCE, len(majors), AT_ONCE)), strict=True
            )
        ]
    )
    given = np.stack([view for x, *_, of_tracks in drawn for view in mixer.views(x, views, of_tracks)])
    with torch.inference_mode():
        log_mel = torch.cat([student(part) for part in torch.from_numpy(given).split(AT_ONCE)])
    return log_mel, *(np.repeat(x, views, axis=0) for x in (outputs, track, fraction))


def header_of(teacher: Teacher, recipe: Recipe, all_sources: list[Source]) -> ExamplesHeader:
    """What the examples are."""
    return ExamplesHeader(
        teacher=teacher.name,
        digest=digest_json([teacher.digest, MAJOR_TAG]),
        tags=(*teacher.tags, MAJOR_TAG),
        exclusive=teacher.exclusive,
        dim=teacher.dim,
        features_dim=teacher.features_dim,
        mel=recipe.mel.model_dump(mode="json"),
        sample_rate=RATE,
        clip_seconds=SECONDS,
        frames=LogMel.of(recipe.mel, RATE).frames(LENGTH),
        tracks=tuple((s.id, "train") for s in all_sources),
    )


def main() -> None:
    """Make the shards that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--shards", type=int, required=True, help="how many")
    parser.add_argument("--size", type=int, default=SHARD, help="examples in each")
    parser.add_argument("--views", type=int, default=4, help="of each excerpt that the teacher labels")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--worker", default="0/1", help="I/M: makes every M-th shard from the I-th on")
    parser.add_argument("--teacher", default="musicnn", help="as of mirclr teacher label")
    parser.add_argument("--corpus", action="append", nargs=2, metavar=("MANIFEST", "ROOT"), type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    mine, of = map(int, arguments.worker.split("/"))
    found = sources(arguments.corpus, arguments.run / "decoded")
    teacher, recipe = load_teacher(arguments.teacher), read_recipe(HERE / "recipe.yaml")
    folder = ExampleFolder.create(arguments.run / "examples", header_of(teacher, recipe, found))
    for number in range(arguments.first + mine, arguments.first + arguments.shards, of):
        if folder.shard(number).exists():
            continue
        folder.write(number, *shard(number, arguments.size, arguments.views, found, teacher, recipe))
        print(folder.shard(number).name, flush=True)


if __name__ == "__main__":
    main()
