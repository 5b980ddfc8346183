"""The data step: distillation examples of mixed music. ``examples.py RUN --shards N [--first M] [--worker I/M]``.

Excerpts of three seconds are cut from the corpora, played faster or slower, mixed, equalised, compressed and dulled.
The teacher labels the result as it is, and its outputs are stored beside the log-mel that the student is given, in
RUN/examples, as `mirclr.data.examples` describes it. A shard is drawn by its number alone: workers take turns, and what
is there is not made again.
"""

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from mirclr.audio import decode_blocks
from mirclr.audio.mel import LogMel
from mirclr.config import Recipe, read_recipe
from mirclr.data.examples import ExampleFolder, ExamplesHeader
from mirclr.data.manifest import read_manifest
from mirclr.errors import MirclrError
from mirclr.models.device import pick_precision
from mirclr.training.teacher import Teacher, load_teacher

HERE = Path(__file__).parent
RATE, SECONDS = 16_000, 3.0
LENGTH = round(RATE * SECONDS)
SHARD = 1024
AT_ONCE = 64
DTYPE = pick_precision("auto", torch.device("cpu"))


@dataclass(frozen=True)
class Source:
    """One track, decoded: (n,) int16 on disk."""

    id: str
    album: str
    voice: bool
    samples: np.ndarray


def sources(manifests: list[tuple[Path, Path]], cache: Path) -> list[Source]:
    """Decode the training tracks of manifests (with their audio roots) once to ``cache``."""
    found = []
    cache.mkdir(parents=True, exist_ok=True)
    for manifest, root in manifests:
        for track in read_manifest(manifest):
            if track.split != "train":
                continue
            file = cache / (track.id.replace("/", "--") + ".npy")
            if not file.exists():
                try:
                    waveform = np.concatenate(list(decode_blocks(root / track.path, rate=RATE)))
                except MirclrError as error:
                    print(f"left out: {error}", flush=True)
                    continue
                part = file.with_suffix(f".{os.getpid()}.part")  # others may be at the same track
                with part.open("wb") as f:
                    np.save(f, np.round(waveform * 32767).astype(np.int16))
                part.replace(file)
            samples = np.load(file, mmap_mode="r")
            voice = (track.source or {}).get("kind") == "voice"
            found.append(Source(track.id, track.album or track.id, voice, samples))
    return found


def odds(all_sources: list[Source]) -> np.ndarray:
    """How often each track is drawn: an album by the root of its length, a track of it by its length."""
    lengths = np.array([len(s.samples) for s in all_sources], float)
    albums = np.array([s.album for s in all_sources])
    total = {a: lengths[albums == a].sum() for a in set(albums)}
    p = np.array([n / np.sqrt(total[a]) for n, a in zip(lengths, albums, strict=True)])
    p[[s.voice for s in all_sources]] *= 0.5
    return p / p.sum()


class Mixer:
    """Draws excerpts.

    Parameters
    ----------
    all_sources : list of Source
        What is mixed.
    seed : int
        Of the draws.
    """

    def __init__(self, all_sources: list[Source], seed: int) -> None:
        self.sources, self.p = all_sources, odds(all_sources)
        self.voices = np.flatnonzero([s.voice for s in all_sources])
        self.rng = np.random.default_rng(seed)

    def excerpt(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One excerpt: (LENGTH,) float32, (3,) tracks that it is of, (3,) how much it is of each."""
        rng = self.rng
        many = int(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15]))
        tracks = rng.choice(len(self.sources), size=many, p=self.p)
        if many > 1 and len(self.voices) and rng.random() < 0.25:
            tracks[1] = rng.choice(self.voices)
        x, weight = self.cut(tracks[0]), np.array([1.0])
        for track in tracks[1:]:
            other = self.cut(track)
            if rng.random() < 0.5:  # CutMix in time
                stays = rng.beta(1, 1)
                width = round(LENGTH * (1 - stays))
                at = rng.integers(0, LENGTH - width + 1)
                x = x.copy()
                x[at : at + width] = other[at : at + width]
                mine = 1 - width / LENGTH
            else:  # mixup, at a ratio of levels
                db = rng.uniform(-9, 9)
                a, b = _rms(x), _rms(other)
                other = other * (a / b * 10 ** (-db / 20)) if b > 1e-4 and a > 1e-4 else other
                x = x + other
                mine = 1 / (1 + 10 ** (-db / 10))
            weight = np.append(weight * mine, 1 - mine)
        x = self.colour(x)
        source = np.full(3, -1, np.int32)
        fraction = np.zeros(3, np.float16)
        source[:many], fraction[:many] = tracks, weight
        return x, source, fraction

    def cut(self, track: int) -> np.ndarray:
        """A random stretch of a track, half of the time at another speed: pitch and tempo change together."""
        rng, samples = self.rng, self.sources[track].samples
        rate = float(np.exp(rng.uniform(np.log(0.8), np.log(1.25)))) if rng.random() < 0.5 else 1.0
        needed = int(np.ceil(LENGTH * rate)) + 2
        start = int(rng.integers(0, max(1, len(samples) - needed)))
        x = samples[start : start + needed].astype(np.float32) / 32768
        if len(x) < needed:
            x = np.pad(x, (0, needed - len(x))) if rng.random() < 0.5 else np.resize(x, needed)
        if rate != 1.0:
            x = np.interp(np.arange(LENGTH) * rate, np.arange(needed), x).astype(np.float32)
        return x[:LENGTH]

    def colour(self, x: np.ndarray) -> np.ndarray:
        """Equaliser, compression, band limit, noise and level, each now and then."""
        rng = self.rng
        if rng.random() < 0.5:
            spectrum = np.fft.rfft(x)
            hz = np.fft.rfftfreq(LENGTH, 1 / RATE)
            knots = np.geomspace(40, 8000, 8)
            gain_db = np.interp(np.log(hz + 20), np.log(knots), rng.uniform(-8, 8, len(knots)))
            if rng.random() < 0.2:
                gain_db = gain_db - np.clip(np.log2((hz + 1) / rng.uniform(2000, 6000)), 0, None) * 24
            if rng.random() < 0.1:
                gain_db = gain_db - np.clip(np.log2(rng.uniform(80, 400) / (hz + 1)), 0, None) * 12
            x = np.fft.irfft(spectrum * 10 ** (gain_db / 20), LENGTH).astype(np.float32)
        if rng.random() < 0.35:  # compression: the louder, the flatter
            drive = 10 ** (rng.uniform(0, 18) / 20) / max(3 * _rms(x), 1e-3)
            x = np.tanh(x * drive) * rng.uniform(0.4, 1.0)
        elif rng.random() < 0.5:
            x = x * 10 ** (rng.uniform(-12, 6) / 20)
        if rng.random() < 0.1:
            x = x + rng.standard_normal(LENGTH).astype(np.float32) * _rms(x) * 10 ** (-rng.uniform(15, 40) / 20)
        return np.clip(x, -1, 1).astype(np.float32)


def _rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.square(x).mean()))


@torch.inference_mode()
def labelled(teacher: Teacher, student: LogMel, waveforms: torch.Tensor) -> tuple[torch.Tensor, np.ndarray]:
    """(B, LENGTH) float32 -> the student's log-mel (B, F, T), and the teacher's outputs side by side (B, C + D + P)."""
    x = LogMel.of(teacher.mel, teacher.rate)(waveforms) if teacher.input == "mel" else waveforms
    with torch.autocast("cpu", DTYPE, enabled=torch.float32 != DTYPE):
        outputs = torch.cat([part.float() for part in teacher.with_features(x)], dim=1)
    return student(waveforms), outputs.numpy()


def header_of(teacher: Teacher, recipe: Recipe, all_sources: list[Source]) -> ExamplesHeader:
    """What the examples are."""
    return ExamplesHeader(
        teacher=teacher.name,
        digest=teacher.digest,
        tags=teacher.tags,
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
    student = LogMel.of(recipe.mel, RATE)
    for number in range(arguments.first + mine, arguments.first + arguments.shards, of):
        if folder.shard(number).exists():
            continue
        mixer = Mixer(found, seed=number)
        drawn = [mixer.excerpt() for _ in range(arguments.size)]
        waveforms = torch.from_numpy(np.stack([x for x, _, _ in drawn]))
        parts = [labelled(teacher, student, part) for part in waveforms.split(AT_ONCE)]
        folder.write(
            number,
            torch.cat([log_mel for log_mel, _ in parts]),
            np.concatenate([outputs for _, outputs in parts]),
            np.stack([track for _, track, _ in drawn]),
            np.stack([fraction for _, _, fraction in drawn]),
        )
        print(folder.shard(number).name, flush=True)


if __name__ == "__main__":
    main()
