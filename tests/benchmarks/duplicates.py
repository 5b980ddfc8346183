"""`duplicates`: are altered copies of real tracks found, and nothing else?

The tracks are those of debian-games. The rule of `mirclr.ingest.near_duplicates` was fitted on copies of tracks of the
split train (`fit`; ``python -m tests.benchmarks.duplicates``), and is measured on copies of tracks of the split valid,
hidden among all tracks of the split train.
"""

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from mirclr.audio import resample
from mirclr.data.corpora import fetch_corpus, find_manifest
from mirclr.data.manifest import Track, read_manifest
from mirclr.ingest import near_duplicates as rule
from mirclr.library import LibraryStore
from mirclr.processes import results_in_order

CUT_S = 60.0  # what of each track is copied: encoding is the cost
COPIES = 3  # of each track
FITTED_ON = 36  # tracks of the split train


@dataclass(frozen=True)
class Change:
    """What is done to a track.

    Attributes
    ----------
    suffix : str
        The format.
    kbps : int, optional
        Of mp3; other formats are written as libsndfile does by default.
    start, end : bool
        One to ten seconds are cut there.
    gain : bool
        Level changed by -9 to +6 dB; what is too loud is clipped.
    rate : int, optional
        Resampled to it.
    """

    suffix: str
    kbps: int | None = None
    start: bool = False
    end: bool = False
    gain: bool = False
    rate: int | None = None


CHANGES = {
    "mp3 64": Change(".mp3", 64),
    "mp3 128": Change(".mp3", 128),
    "ogg": Change(".ogg"),
    "flac": Change(".flac"),
    "trimmed at the start": Change(".flac", start=True),
    "trimmed at the end": Change(".flac", end=True),
    "gain": Change(".flac", gain=True),
    "22.05 kHz": Change(".flac", rate=22050),
    "mp3 128, trimmed at both ends": Change(".mp3", 128, start=True, end=True),
    "ogg, gain, 22.05 kHz": Change(".ogg", gain=True, rate=22050),
    "mp3 64, trimmed at both ends, gain": Change(".mp3", 64, start=True, end=True, gain=True),
    "ogg, trimmed at the start, gain, 22.05 kHz": Change(".ogg", start=True, gain=True, rate=22050),
}


def duplicates(checkpoint: Path) -> dict[str, Any]:
    """Precision and recall of `mirclr duplicates` on altered copies of real tracks, hidden among other tracks."""
    tracks, root = _tracks()
    valid, train = ([t for t in tracks if t.split == split] for split in ("valid", "train"))
    with tempfile.TemporaryDirectory() as folder:
        made = _make_copies(valid, root, Path(folder))
        with LibraryStore.open(Path(folder) / "l.db", create=True) as library:
            _embed(library, checkpoint, [(folder, f) for f in made] + [(str(root), root / t.path) for t in train])
            of = {t.id: t for t in library.tracks()}
            source = {i: made[t.file].source if t.file in made else t.path for i, t in of.items()}
            candidates = rule.find_candidates(library)
            found = rule.find_near_duplicates(library, candidates=candidates, workers=2)
            vectors = dict(zip(map(int, library.compared()[0]), library.compared()[1], strict=True))
    names = {i: _name(made, t.file, root) for i, t in of.items()}
    known = {root / t.path: t.recording for t in train if t.recording}
    recordings = {i: known.get(t.file) for i, t in of.items()}
    group_of = {i: n for n, group in enumerate(rule.groups(found.pairs)) for i in group}
    copies = {i: made[t.file].change for i, t in of.items() if t.file in made and made[t.file].change}
    original = {made[t.file].source: i for i, t in of.items() if t.file in made and not made[t.file].change}
    cosines = [float(vectors[i] @ vectors[original[source[i]]]) for i in copies]
    hit = {i: group_of.get(i, -1) == group_of.get(original[source[i]], -2) for i in copies}
    proposed = {p for p in [*candidates, *found.pairs] if source[p[0]] == source[p[1]]}
    linked = {i: g for g in rule.groups(dict.fromkeys(proposed, 1.0)) for i in g}
    versions = [p for p in combinations(sorted(of), 2) if recordings[p[0]] and recordings[p[0]] == recordings[p[1]]]
    wrong = [p for p in found.pairs if source[p[0]] != source[p[1]] and p not in versions]
    true = [p for p in combinations(sorted(of), 2) if source[p[0]] == source[p[1]]]
    right = [p for p in true if p in found.pairs]
    return {
        "tracks": len(of),
        "copies": len(copies),
        "unheard": found.failures,
        "candidate_pairs": len(candidates),
        "candidates_that_are_copies": len(set(candidates) & set(true)),
        "cosine_of_copies_quantiles_0_1_5_50": np.quantile(cosines, [0, 0.01, 0.05, 0.5]).round(3).tolist(),
        "cosine_of_a_candidate": rule.NEAR,
        "copies_linked_by_candidates": round(
            sum(original[source[i]] in linked.get(i, []) for i in copies) / len(copies), 3
        ),
        "recall_of_copies": round(sum(hit.values()) / len(hit), 3),
        "recall_of_pairs": round(len(right) / len(true), 3),
        "precision_of_pairs": round(len(right) / max(1, len(right) + len(wrong)), 3),
        "recall_by_change": {
            name: [sum(hit[i] for i in copies if copies[i] == name), sum(c == name for c in copies.values())]
            for name in CHANGES
        },
        "missed": [names[i] for i in copies if not hit[i]],
        "wrong": [_told(names, p, found.pairs[p]) for p in wrong],
        "versions_of_the_manifest": [_told(names, p, found.pairs.get(p)) for p in versions],
        "lowest_likelihood_of_a_copy": round(min((found.pairs[p] for p in right), default=0.0), 4),
        "measured_on": f"copies of the first {CUT_S:.0f} s of the {len(valid)} tracks of the split valid",
        "among": f"{len(train)} whole tracks of the split train",
        "rule_fitted_on": f"copies of {FITTED_ON} tracks of the split train; not fitted again here",
    }


def fit(checkpoint: Path) -> dict[str, Any]:
    """The constants of the rule: logistic regression on copies of train tracks, and on neighbours of other music."""
    from sklearn.linear_model import LogisticRegression

    tracks, root = _tracks()
    train = [t for t in tracks if t.split == "train"]
    copied = train[:: len(train) // FITTED_ON][:FITTED_ON]
    with tempfile.TemporaryDirectory() as folder:
        made = _make_copies(copied, root, Path(folder))
        files = [*made, *(root / t.path for t in train)]
        prints = dict(_fingerprints(files))
        with LibraryStore.open(Path(folder) / "l.db", create=True) as library:
            _embed(library, checkpoint, [(str(root), root / t.path) for t in train])
            near = _neighbours(library)
            of = {t.id: t.file for t in library.tracks()}
    of_source: dict[str, list[Path]] = {}
    for file, copy in made.items():
        of_source.setdefault(copy.source, []).append(file)
    same = [pair for group in of_source.values() for pair in combinations(group, 2)]
    version = {root / t.path: t.recording or t.path for t in train}
    other = [(of[a], of[b]) for a, b in near if version[of[a]] != version[of[b]]]
    measured = [rule.similarities(prints[a], prints[b]) for a, b in [*same, *other] if a in prints and b in prints]
    truth = [1] * sum(a in prints and b in prints for a, b in same)
    truth += [0] * (len(measured) - len(truth))
    fitted = LogisticRegression(C=10.0).fit(np.array(measured), truth)
    sides = {"copies": np.array(measured)[np.array(truth) == 1], "others": np.array(measured)[np.array(truth) == 0]}
    return {
        "constant_mel_chroma": [round(float(w), 2) for w in (*fitted.intercept_, *fitted.coef_[0])],
        "pairs": {name: len(rows) for name, rows in sides.items()},
        "quantiles_0_1_50_99_100": {
            name: np.quantile(rows, [0, 0.01, 0.5, 0.99, 1], axis=0).round(3).T.tolist() for name, rows in sides.items()
        },
        "wrong": int((fitted.predict(np.array(measured)) != truth).sum()),
    }


@dataclass(frozen=True)
class Copy:
    """A file that was made: of which track, and how; an empty `change` is the track itself, cut."""

    source: str
    change: str


def make_copy(track: Path, to: Path, change: Change | None, seed: int) -> None:
    """Write an altered copy of the first `CUT_S` of a track; run in worker processes."""
    with soundfile.SoundFile(track) as file:
        rate, samples = file.samplerate, file.read(round(CUT_S * file.samplerate), dtype="float32", always_2d=True)
    random = np.random.default_rng(seed)
    change = change or Change(".flac")
    options: dict[str, Any] = {}
    if change.kbps:
        options = {"compression_level": (320 - change.kbps) / 288, "bitrate_mode": "CONSTANT"}
    cuts = (random.uniform(1, 10, size=2) * rate * [change.start, change.end]).astype(int)
    samples = samples[cuts[0] : len(samples) - cuts[1]]
    if change.gain:
        samples = np.clip(samples * 10 ** (random.uniform(-9, 6) / 20), -1, 1)
    if change.rate and change.rate != rate:
        samples = np.stack([resample(channel, rate, change.rate) for channel in samples.T], axis=1)
        rate = change.rate
    with soundfile.SoundFile(to, "w", rate, samples.shape[1], **options) as out:
        for start in range(0, len(samples), rate):  # libsndfile crashes on a whole song at once
            out.write(samples[start : start + rate])


def _tracks() -> tuple[list[Track], Path]:
    fetch_corpus("debian-games")
    manifest, root = find_manifest("debian-games")
    return read_manifest(manifest), root


def _make_copies(tracks: Sequence[Track], root: Path, folder: Path) -> dict[Path, Copy]:
    """Each track, cut, and `COPIES` of it, with the changes one after the other."""
    made, jobs, names = {}, [], list(CHANGES)
    for i, track in enumerate(tracks):
        for k in range(COPIES + 1):
            name = names[(i * COPIES + k) % len(names)] if k < COPIES else ""
            file = folder / f"{i:03} {k}{CHANGES[name].suffix if name else '.flac'}"
            made[file] = Copy(track.path, name)
            jobs.append((root / track.path, file, CHANGES.get(name), 1000 * i + k))
    for _ in results_in_order(make_copy, jobs, workers=2):
        pass
    return made


def _embed(library: LibraryStore, checkpoint: Path, files: Sequence[tuple[str, Path]]) -> None:
    from mirclr.ingest.embedding import embed_files
    from mirclr.models.embedder import Embedder

    for outcome in embed_files(library, files, Embedder.load(checkpoint), workers=2):
        assert outcome.did != "failed", outcome.reason


def _fingerprints(files: Iterable[Path]) -> Iterable[tuple[Path, rule.Fingerprint]]:
    for (file,), result in results_in_order(rule.try_fingerprint, ((f,) for f in files), workers=2):
        if isinstance(result, rule.Fingerprint):
            yield file, result


def _neighbours(library: LibraryStore) -> list[rule.Pair]:
    """Pairs of each track and its nearest, whatever their lengths."""
    from mirclr.index import open_index

    ids, vectors = library.compared()
    _, near = open_index(library).search(vectors, rule.NEIGHBOURS + 1)
    return sorted(
        {(min(a, b), max(a, b)) for a, row in zip(ids.tolist(), near.tolist(), strict=True) for b in row}
        - {(i, i) for i in ids.tolist()}
    )


def _name(made: dict[Path, Copy], file: Path, root: Path) -> str:
    return f"{made[file].source} ({made[file].change or 'cut'})" if file in made else str(file.relative_to(root))


def _told(names: dict[int, str], pair: rule.Pair, likelihood: float | None) -> list[Any]:
    """Two names and how likely they are one; None where they were not found to be."""
    return [names[pair[0]], names[pair[1]], None if likelihood is None else round(likelihood, 3)]


if __name__ == "__main__":
    import json

    from mirclr.models.pretrained import builtin_checkpoint

    print(json.dumps(fit(builtin_checkpoint()), indent=1))
