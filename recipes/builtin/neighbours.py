"""What of a track's vector finds neighbours best: ``neighbours.py RUN --encoder E --labelled MUSIC LABELS.csv …``.

Vectors of tracks are compared as they are, by their means over excerpts alone, and with what the built-in heads tell
of them beside (genres, moods, valence and arousal: logits, standardised, at `TAGS` of a vector's length); with
`--others` also those of musicnn, where it has been imported, and MFCC statistics, which takes long. All others are
ranked for each track, by cosine and as `mirclr recommend` ranks them (mutual proximity): mean average precision of
those of its genre, and of its artist. In corpora the artists of tracks of the split valid are told apart within their
own package, where codec and mastering are the same.

Of long mixes, made of excerpts of 15 tracks, it is counted in how many lists of ten one is, beside songs; the same as
`mirclr recommend` lists them, as one vector and in segments, and how often a mix and its songs find each other; and
which pairs of tracks are taken for one recording by their excerpts. `--labelled` may name music that was trained on:
say so where its figures are given. Writes neighbours.json beside this file.
"""

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from examples import RATE, SECONDS
from measure import COUNT

from mirclr.audio import read_excerpts
from mirclr.audio.mel import LogMel
from mirclr.classify import Heads, read_labels
from mirclr.data.manifest import read_manifest
from mirclr.evaluation.probes import mfcc_statistics
from mirclr.index import open_index
from mirclr.library import Entry, ExcerptEmbeddings, LibraryStore
from mirclr.metrics import k_occurrence
from mirclr.models.embedder import Embedder
from mirclr.models.pretrained import builtin_heads, checkpoint_named
from mirclr.models.stamp import EncoderStamp, unit_rows
from mirclr.recommend import Query, recommend
from mirclr.recommend.ranking import mutual_proximity
from mirclr.tags import Tags
from mirclr.training.teacher import load_teacher

HERE = Path(__file__).parent
TAGS = 0.6
HEADS = ("genre", "mood", "affect")
MIXES, LIST = 20, 10
Rank = Callable[[np.ndarray], np.ndarray]


def excerpts_of(files: Sequence[Path], embedder: Embedder, cache: Path) -> list[np.ndarray]:
    """(n, D) embeddings of the excerpts of each file; computed once and cached."""
    if not cache.exists():
        rows = []
        for file in files:
            waveforms = read_excerpts(file, count=embedder.excerpts, seconds=embedder.seconds, rate=RATE).waveforms
            rows.append(embedder.embed_excerpts(embedder.levelled(waveforms)))
        np.savez(cache, n=[len(part) for part in rows], rows=np.concatenate(rows))
    held = np.load(cache)
    return np.split(held["rows"], np.cumsum(held["n"])[:-1])


@torch.inference_mode()
def others_of(files: Sequence[Path], cache: Path) -> dict[str, np.ndarray]:
    """Vectors by musicnn and MFCC statistics, of `COUNT` excerpts of `SECONDS`; computed once and cached."""
    if not cache.exists():
        teacher = load_teacher("musicnn")
        front_end = LogMel.of(teacher.mel, teacher.rate)
        both, mfcc = [], []
        for file in files:
            waveforms = read_excerpts(file, count=COUNT, seconds=SECONDS, rate=RATE).waveforms
            both.append(teacher(front_end(torch.from_numpy(waveforms)))[1].mean(dim=0).numpy())
            mfcc.append(mfcc_statistics(waveforms, RATE))
        np.savez(cache, musicnn=np.stack(both), mfcc=np.stack(mfcc))
    held = np.load(cache)
    return {"musicnn, MSD and MTT": held["musicnn"], "musicnn, MSD": held["musicnn"][:, :200], "MFCC": held["mfcc"]}


def candidates(whole: np.ndarray, embedder: Embedder) -> dict[str, np.ndarray]:
    """(n, d) vectors of the encoder, by what of them is compared."""
    mean, heads = embedder.stamp.compared(whole), Heads.load(builtin_heads())
    found = {"mean and deviations": whole, "mean": mean, "mean, standardised": _standard(mean)}
    if heads.are_of(embedder.stamp):
        tables = heads.predict_proba(whole)
        clear = [np.clip(tables[task], 1e-6, 1 - 1e-6) for task in HEADS]
        tags = _standard(np.concatenate([np.log(p / (1 - p)) for p in clear], axis=1))
        found["mean, and tags"] = np.concatenate([mean, TAGS * unit_rows(tags)], axis=1)
    return found


def _standard(x: np.ndarray) -> np.ndarray:
    standard: np.ndarray = (x - x.mean(axis=0)) / np.maximum(x.std(axis=0), 1e-9)
    return standard


def by_cosine(vectors: np.ndarray) -> np.ndarray:
    """(n, n) cosines."""
    unit = unit_rows(np.asarray(vectors, np.float64))
    cosines: np.ndarray = unit @ unit.T
    return cosines


def as_ranked(vectors: np.ndarray) -> np.ndarray:
    """(n, n) mutual proximities, each track's similarities being those to all."""
    cosines = by_cosine(vectors)
    stats = np.stack([cosines.mean(axis=1), cosines.std(axis=1)], axis=1)
    return mutual_proximity(cosines, stats, stats)


RANKS: dict[str, Rank] = {"cosine": by_cosine, "ranked": as_ranked}


def average_precisions(scores: np.ndarray, labels: Sequence[str]) -> np.ndarray:
    """(n,) average precision of the others of a track's label; NaN of one without label or others."""
    of = np.array(labels)
    found = np.full(len(of), np.nan)
    for row, own in enumerate(of):
        order = np.argsort(-scores[row], kind="stable")
        right = (of == own)[order[order != row]]
        if own and right.any():
            precision = np.cumsum(right) / np.arange(1, len(right) + 1)
            found[row] = precision[right].mean()
    return found


def labelled(vectors: np.ndarray, genres: Sequence[str], artists: Sequence[str]) -> dict[str, dict[str, float]]:
    """Mean average precision of genre and artist, by cosine and as ranked."""
    of = {"genre": genres, "artist": artists}
    return {
        how: {name: round(float(np.nanmean(average_precisions(scores, labels))), 4) for name, labels in of.items()}
        for how, scores in ((how, rank(vectors)) for how, rank in RANKS.items())
    }


def within_packages(vectors: np.ndarray, artists: Sequence[str], packages: Sequence[str]) -> dict[str, float]:
    """Mean average precision of artists within each package, over all queries, by cosine and as ranked."""
    places = [np.flatnonzero(np.array(packages) == name) for name in sorted(set(packages))]
    several = [rows for rows in places if len({artists[i] for i in rows if artists[i]}) > 1]
    found = {}
    for how, rank in RANKS.items():
        parts = [average_precisions(rank(vectors[rows]), [artists[i] for i in rows]) for rows in several]
        found[how] = round(float(np.nanmean(np.concatenate(parts))), 4)
        found["queries"] = int(np.isfinite(np.concatenate(parts)).sum())
    return found


def mixes(
    excerpts: Sequence[np.ndarray], genres: Sequence[str], stamp: EncoderStamp
) -> dict[str, dict[str, dict[str, float]]]:
    """In how many songs' lists of `LIST` a mix of one excerpt of each of 15 songs is, and a song, on average."""
    rng, of = np.random.default_rng(0), np.array(genres)
    songs = np.stack([part.mean(axis=0) for part in excerpts])
    found: dict[str, dict[str, dict[str, float]]] = {}
    for kind in ("of any music", "of one genre"):
        made, songs_of = [], []
        for n in range(MIXES):
            names = np.unique(of)
            pool = np.arange(len(of)) if kind == "of any music" else np.flatnonzero(of == names[n % len(names)])
            chosen = rng.choice(pool, min(15, len(pool)), replace=False)
            songs_of.append(chosen)
            made.append(np.stack([excerpts[i][rng.integers(len(excerpts[i]))] for i in chosen]))
        middles = np.stack([rows.mean(axis=0) for rows in made])
        vectors = unit_rows(np.concatenate([unit_rows(songs), unit_rows(middles)]))
        found[kind] = {}
        for how, rank in RANKS.items():
            scores = rank(vectors)
            np.fill_diagonal(scores, -np.inf)
            counts = k_occurrence(np.argsort(-scores[: len(songs)], axis=1)[:, :LIST], len(vectors))
            each = {"a mix": counts[len(songs) :], "a song": counts[: len(songs)]}
            found[kind][how] = {name: round(float(count.mean()), 1) for name, count in each.items()}
            found[kind][how]["the most frequent mix"] = float(counts[len(songs) :].max())
        for how, kept in (("recommend, one vector", False), ("recommend, in segments", True)):
            found[kind][how] = recommended(excerpts, made, songs_of, stamp, kept=kept)
    return found


def recommended(
    songs: Sequence[np.ndarray],
    made: Sequence[np.ndarray],
    songs_of: Sequence[np.ndarray],
    stamp: EncoderStamp,
    *,
    kept: bool,
) -> dict[str, float]:
    """The same by lists of a library that keeps excerpts or not, and how often a mix and its songs find each other."""
    mean = EncoderStamp(stamp.digest, stamp.name, songs[0].shape[1], stamp.excerpts, {})
    entries = []
    for n, rows in enumerate([*songs, *made]):
        seconds = 3600.0 + n if n >= len(songs) else 100.0 + n
        held = ExcerptEmbeddings.of(np.arange(len(rows)) * seconds / len(rows), rows) if kept else None
        entries.append(Entry("/", str(n), 1, 1, f"f{n}", f"a{n}", seconds, Tags(title=str(n)), rows.mean(axis=0), held))
    with tempfile.TemporaryDirectory() as folder, LibraryStore.open(Path(folder) / "l.db", create=True) as library:
        library.bind(mean)
        library.write(entries=entries)
        index, free = open_index(library), {"n": LIST, "fill": True, "artist_cap": 0, "artist_gap": 0}
        lists = [
            [
                int(r.track.path)
                for r in recommend(library, index, Query(seeds=(f"id:{n + 1}",), **free)).recommendations
            ]
            for n in range(len(entries))
        ]
    counts = np.bincount([i for one in lists[: len(songs)] for i in one], minlength=len(entries))
    pairs = [(n, int(i)) for n, chosen in enumerate(songs_of, len(songs)) for i in chosen]
    shares = {
        "songs of a mix that list it": float(np.mean([n in lists[i] for n, i in pairs])),
        "of a mix's list, its own songs": float(
            np.mean([i in songs_of[n - len(songs)] for n in range(len(songs), len(entries)) for i in lists[n]])
        ),
    }
    return {
        "a mix": round(float(counts[len(songs) :].mean()), 1),
        "a song": round(float(counts[: len(songs)].mean()), 1),
        "the most frequent mix": float(counts[len(songs) :].max()),
        **{name: round(share, 2) for name, share in shares.items()},
    }


def taken_for_copies(excerpts: Sequence[np.ndarray], names: Sequence[str]) -> dict[str, Any]:
    """Which pairs of tracks are one recording by their excerpts, of how many pairs."""
    kept = [ExcerptEmbeddings.of(np.zeros(len(part)), part) for part in excerpts]
    pairs = [(i, j) for i in range(len(kept)) for j in range(i)]
    same = [f"{names[j]} {names[i]}" for i, j in pairs if kept[i].are_of_one_recording(kept[j])]
    return {"pairs": len(pairs), "taken_for_one_recording": same}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder of what is computed once")
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--labelled", action="append", nargs=3, metavar=("NAME", "MUSIC", "LABELS"), required=True)
    parser.add_argument("--corpus", action="append", nargs=2, metavar=("MANIFEST", "ROOT"), type=Path, default=[])
    parser.add_argument("--others", action="store_true", help="musicnn and MFCC statistics too")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    asked.run.mkdir(parents=True, exist_ok=True)
    embedder = Embedder.load(checkpoint_named(asked.encoder))
    digest = embedder.stamp.digest
    results: dict[str, Any] = {"encoder": digest, "labelled": {}}
    for name, music, table in asked.labelled:
        labels = read_labels(Path(table))
        files, genres, artists = [Path(music) / f for f in labels.files], labels.genre.tolist(), labels.artist.tolist()
        excerpts = excerpts_of(files, embedder, asked.run / f"{name}-{digest[:12]}.npz")
        found = candidates(np.stack([embedder.pool(part) for part in excerpts]), embedder)
        if asked.others:
            found |= others_of(files, asked.run / f"{name}-others.npz")
        results["labelled"][name] = {
            "vectors": {of: labelled(vectors, genres, artists) for of, vectors in found.items()},
            "mixes": mixes(excerpts, genres, embedder.stamp),
            "copies": taken_for_copies(excerpts, list(labels.files)),
        }
    held = [
        (root / t.path, t.artist or "", str(t.album))
        for manifest, root in asked.corpus
        for t in read_manifest(manifest)
        if t.split == "valid" and (t.source or {}).get("kind") != "voice" and (root / t.path).exists()
    ]
    if held:
        files, artists, packages = map(list, zip(*held, strict=True))
        excerpts = excerpts_of(files, embedder, asked.run / f"valid-{digest[:12]}.npz")
        found = candidates(np.stack([embedder.pool(part) for part in excerpts]), embedder)
        if asked.others:
            found |= others_of(files, asked.run / "valid-others.npz")
        results["artists_within_packages"] = {of: within_packages(x, artists, packages) for of, x in found.items()}
    text = json.dumps(results, indent=1) + "\n"
    (HERE / "neighbours.json").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
