"""What the teachers say of mixed music: ``lessons.py RUN --shards N [--first M] [--worker I/M]``.

Segments of three seconds are cut from the corpora, played faster or slower, mixed, equalised, compressed and dulled;
both musicnn networks hear the result as it is, and what they say is kept beside the log-mel that the student hears.
A shard is one safetensors file, drawn by its number alone: workers take turns, and what is there is not made again.

A shard holds, for n segments: ``mel`` (n, F, T) uint8, log-mel by `STEP`; ``tags`` (n, 100) float16 logits of MSD and
MTT; ``embedding`` (n, 400) and ``pooled`` (n, 3012) float16, of the same two; ``source`` (n, 3) int32 tracks, -1 for
none, and ``weight`` (n, 3) float16, how much of the segment is of each (they add up to 1).
"""

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from torch import Tensor

from mirclr.audio import decode_blocks
from mirclr.audio.mel import LogMel
from mirclr.config import Mel
from mirclr.data.manifest import read_manifest
from mirclr.errors import MirclrError
from mirclr.training.teacher import load_teacher

RATE, SECONDS = 16_000, 3.0
LENGTH = round(RATE * SECONDS)
MEL = Mel(n_fft=1024, hop_length=256, n_mels=96)
"""The student's; a hop of 512 is every second frame of it."""
STEP = 0.03
"""Of the stored log-mel: 255 steps reach 7.65, above what music at full level has."""
SHARD = 1024
TEACHERS = ("musicnn-msd", "musicnn-mtt")


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
            kept = cache / (track.id.replace("/", "--") + ".npy")
            if not kept.exists():
                try:
                    waveform = np.concatenate(list(decode_blocks(root / track.path, rate=RATE)))
                except MirclrError as error:
                    print(f"left out: {error}", flush=True)
                    continue
                part = kept.with_suffix(f".{os.getpid()}.part")  # others may be at the same track
                with part.open("wb") as f:
                    np.save(f, np.round(waveform * 32767).astype(np.int16))
                part.replace(kept)
            samples = np.load(kept, mmap_mode="r")
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
    """Draws segments.

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

    def segment(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One segment: (LENGTH,) float32, (3,) sources, (3,) weights."""
        rng = self.rng
        many = int(rng.choice([1, 2, 3], p=[0.45, 0.4, 0.15]))
        tracks = rng.choice(len(self.sources), size=many, p=self.p)
        if many > 1 and len(self.voices) and rng.random() < 0.25:
            tracks[1] = rng.choice(self.voices)
        x, weight = self.cut(tracks[0]), np.array([1.0])
        for track in tracks[1:]:
            other = self.cut(track)
            if rng.random() < 0.5:  # CutMix in time
                kept = rng.beta(1, 1)
                share = round(LENGTH * (1 - kept))
                at = rng.integers(0, LENGTH - share + 1)
                x = x.copy()
                x[at : at + share] = other[at : at + share]
                mine = 1 - share / LENGTH
            else:  # mixup, at a ratio of levels
                db = rng.uniform(-9, 9)
                a, b = _rms(x), _rms(other)
                other = other * (a / b * 10 ** (-db / 20)) if b > 1e-4 and a > 1e-4 else other
                x = x + other
                mine = 1 / (1 + 10 ** (-db / 10))
            weight = np.append(weight * mine, 1 - mine)
        x = self.colour(x)
        source = np.full(3, -1, np.int32)
        share_of = np.zeros(3, np.float16)
        source[:many], share_of[:many] = tracks, weight
        return x, source, share_of

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


class Panel:
    """Both teachers, and what they say of waveforms."""

    def __init__(self) -> None:
        self.teachers = [load_teacher(name) for name in TEACHERS]
        self.pooled: list[Tensor] = []
        for teacher in self.teachers:
            teacher.pooled.register_forward_hook(lambda _m, _i, out: self.pooled.append(out))  # type: ignore[union-attr]
        self.hears = LogMel.of(self.teachers[0].mel, RATE)
        self.student = LogMel.of(MEL, RATE)

    @torch.inference_mode()
    def __call__(self, waveforms: Tensor) -> dict[str, np.ndarray]:
        """(B, N) float32 -> what a shard holds of them."""
        mel, self.pooled = self.hears(waveforms), []
        with torch.autocast("cpu", torch.bfloat16):
            said = [teacher(mel) for teacher in self.teachers]
        quantised = (self.student(waveforms) / STEP).round().clamp(0, 255).to(torch.uint8)
        half = {
            "tags": torch.cat([logits for logits, _ in said], dim=1),
            "embedding": torch.cat([embedding for _, embedding in said], dim=1),
            "pooled": torch.cat(self.pooled, dim=1),
        }
        return {"mel": quantised.numpy()} | {k: v.float().numpy().astype(np.float16) for k, v in half.items()}


def main() -> None:
    """Make the shards that are missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--shards", type=int, required=True, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first one")
    parser.add_argument("--worker", default="0/1", help="I/M: makes every M-th shard from the I-th on")
    parser.add_argument("--corpus", action="append", nargs=2, metavar=("MANIFEST", "ROOT"), type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    mine, of = map(int, arguments.worker.split("/"))
    folder = arguments.run / "lessons"
    folder.mkdir(parents=True, exist_ok=True)
    heard = sources(arguments.corpus, arguments.run / "decoded")
    (arguments.run / "sources.json").write_text(json.dumps([s.id for s in heard]), encoding="utf-8")
    panel = Panel()
    for number in range(arguments.first + mine, arguments.first + arguments.shards, of):
        shard = folder / f"{number:05d}.safetensors"
        if shard.exists():
            continue
        mixer = Mixer(heard, seed=number)
        drawn = [mixer.segment() for _ in range(SHARD)]
        said = [panel(torch.from_numpy(np.stack([x for x, _, _ in drawn[i : i + 64]]))) for i in range(0, SHARD, 64)]
        tensors = {key: np.concatenate([part[key] for part in said]) for key in said[0]}
        tensors |= {"source": np.stack([s for _, s, _ in drawn]), "weight": np.stack([w for _, _, w in drawn])}
        # safetensors writes memory as it lies, whatever the strides say
        save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, shard.with_suffix(".part"))
        os.replace(shard.with_suffix(".part"), shard)
        print(f"{shard.name}", flush=True)


if __name__ == "__main__":
    main()
