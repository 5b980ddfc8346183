"""`words`: does search by words find what listeners felt and labels say, also by words that it never saw?"""

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import mirclr
from mirclr.ingest.embedding import embed_files
from mirclr.ingest.finding import find_audio
from mirclr.models.embedder import Embedder
from mirclr.recommend import Query
from mirclr.recommend.described import Described
from mirclr.tags import Tags
from mirclr.words import Concept, Understood, Vocabulary, understand
from mirclr.words.lexicon import lexicon
from mirclr.words.vectors import WordVectors
from tests.benchmarks.measuring import emotify

TRAINED_ON = "MIRCLR_TOWER_LIBRARY"
"""Names a library of other music, on which a text tower is trained for comparison; without it there is none."""
SEED = 7
K = 10
DRAWS = 200
QUERIES = {
    "genre classical": "classical, orchestra, baroque, symphony, sonata, quartet",
    "genre rock": "rock, grunge, riffs, distorted, rocker",
    "genre electronic": "electronic, techno, synths, rave, house, idm",
    "genre pop": "pop, charts, hit, catchy, mainstream",
    "mood_calmness": "calm, peaceful, relaxing, tranquil, soothing, sleep, meditation",
    "mood_sadness": "sad, melancholic, sorrowful, gloomy, heartbreak, funeral",
    "mood_joyful_activation": "happy, joyful, cheerful, upbeat, fun, dancing",
    "mood_power": "powerful, epic, intense, energetic, heroic",
    "mood_tension": "tense, aggressive, anxious, dark, scary, angry",
    "mood_tenderness": "tender, romantic, gentle, intimate, lullaby",
    "mood_nostalgia": "nostalgic, wistful, longing, memories",
    "mood_solemnity": "solemn, sacred, spiritual, church, reverent",
}
"""Words by what of Emotify they ask for."""
NONSENSE = (
    "mortgage spreadsheet parliament dentist invoice carburetor algebra pension molecule tariff plumbing asphalt "
    "senate litigation inflation chromosome warranty logistics tractor fertilizer electorate thermostat passport "
    "turbine enzyme xylophobia qwertz blorptastic zzyzx flumbergast"
)
BY = (
    "Emotify, which nothing is trained on; how the scores of tags are put together was chosen with an eye on these "
    "figures. nDCG@10: gain is the fraction of listeners who felt it, or 1 for a genre. P@10: in the genre, or among "
    "the quarter that felt it most. Pairs: a genre and a mood together, gain the product. Held-out words: the word "
    "itself is taken out of the lexicon, its synonyms stay. A word that is not understood counts as chance."
)

Scorer = Callable[[str], np.ndarray | None]


def words(checkpoint: Path) -> dict[str, Any]:
    """Words to tags, with each word held out; words to music on Emotify; nonsense."""
    rows = emotify()
    with (
        tempfile.TemporaryDirectory() as temporary,
        mirclr.Library.open(Path(temporary) / "l.db", create=True) as library,
    ):
        files, _ = find_audio(list(rows), library)
        named = {file: Tags(title=file.name) for _, file in files}  # no tag names a genre
        for _ in embed_files(library, files, Embedder.load(checkpoint), known_tags=named):
            pass
        return measured(library, [rows[track.file] for track in library.tracks()])


def measured(library: mirclr.Library, table: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """All figures of a library, of whose tracks `table` has the labels."""
    wanted = {name: relevance(name, table) for name in QUERIES}
    ids = library.ids()
    vocabulary = Vocabulary(library.lifts.by_task)
    scorers = methods(library, vocabulary, ids)
    found = {
        "tracks": len(ids),
        "words_to_tags": words_to_tags(),
        "nonsense_refused": refused(vocabulary),
        "words_to_music": {name: score(by, wanted) for name, by in scorers.items()},
        "by": BY,
    }
    tags = [library.lifts.of(pairs, int(ids.max()) + 1)[ids] for pairs in vocabulary.labels.values()]
    found["words_to_music"]["best single tag, chosen by the labels"] = {
        "ndcg": mean(max(ndcg_at(relevant, tag) for tag in tags) for relevant in wanted.values()),
        "precision": mean(max(precision_at(relevant, tag) for tag in tags) for relevant in wanted.values()),
    }
    return found


def relevance(name: str, table: Sequence[Mapping[str, str]]) -> np.ndarray:
    """(n,) float64 in [0, 1]: how much each track is what is asked for."""
    if name.startswith("genre "):
        return np.array([float(row["genre"] == name.removeprefix("genre ")) for row in table])
    return np.array([float(row[name]) for row in table])


def methods(library: mirclr.Library, vocabulary: Vocabulary, ids: np.ndarray) -> dict[str, Scorer]:
    """Ways of giving each track a score for a text; None where it is not understood."""

    def lifts(read: Understood) -> np.ndarray | None:
        if not read.wanted:
            return None
        held = (library.lifts, library.filters, library.id_end())
        return Described(Query(text="-"), read, vocabulary, *held).lift[ids]

    def by_names(text: str) -> np.ndarray | None:
        meanings = [vocabulary.known(named_tags(word)) for word in text.split()]
        return lifts(Understood(tuple(Concept(text, one) for one in meanings if one)))

    def held_out(text: str) -> np.ndarray | None:
        meanings = [vocabulary.known(WordVectors.load().meaning(w, frozenset([w]))) for w in text.split()]
        return lifts(Understood(tuple(Concept(text, one) for one in meanings if one)))

    rng = np.random.default_rng(SEED)
    found: dict[str, Scorer] = {
        "chance": lambda _: rng.random(len(ids)),
        "word vectors to the names of tags alone": by_names,
        "search": lambda text: lifts(understand(text, vocabulary)),
        "search, held-out words": held_out,
    }
    if path := os.environ.get(TRAINED_ON):
        from tests.benchmarks.text_tower import tower

        asked = {word for words in QUERIES.values() for word in words.split(", ")}
        found["text tower, held-out words"] = tower(Path(path), library, ids, asked)
    return found


def named_tags(word: str) -> dict[str, float]:
    """Weights over tags by the cosines of a word with their names."""
    vectors = WordVectors.load()
    names = sorted(tag for tag in {t for weights in lexicon().values() for t in weights} if tag in vectors)
    if word not in vectors:
        return {}
    cosines = np.array([vectors.vector(name) @ vectors.vector(word) for name in names])
    weights = np.exp((cosines - cosines.max()) / 0.1)
    return {tag: float(w) for tag, w in zip(names, weights / weights.sum(), strict=True) if w > 0.01}


def score(by: Scorer, wanted: Mapping[str, np.ndarray]) -> dict[str, float | int]:
    """Mean figures over all words, and over pairs of a genre and a mood; what is not understood counts as chance."""
    rng = np.random.default_rng(SEED)
    ndcgs, precisions, pairs, missed = [], [], [], 0
    for name, relevant in wanted.items():
        for word in QUERIES[name].split(", "):
            found = by(word)
            missed += found is None
            for scores in [rng.random(len(relevant)) for _ in range(DRAWS)] if found is None else [found]:
                ndcgs.append((ndcg_at(relevant, scores), word, name))
                precisions.append((precision_at(relevant, scores), word, name))
    for genre in (name for name in wanted if name.startswith("genre")):
        for mood in (name for name in wanted if name.startswith("mood")):
            for a, b in zip(QUERIES[genre].split(", "), QUERIES[mood].split(", "), strict=False):
                found = by(f"{b} {a}")
                scores = rng.random(len(wanted[genre])) if found is None else found
                pairs.append(ndcg_at(wanted[genre] * wanted[mood], scores))
    return {
        "ndcg": by_word(ndcgs),
        "precision": by_word(precisions),
        "ndcg_of_pairs": mean(pairs),
        "words": len({(word, name) for _, word, name in ndcgs}),
        "not_understood": missed,
    }


def by_word(rows: Sequence[tuple[float, str, str]]) -> float:
    """The mean over words of the mean of each."""
    of: dict[tuple[str, str], list[float]] = {}
    for value, word, name in rows:
        of.setdefault((word, name), []).append(value)
    return mean(float(np.mean(values)) for values in of.values())


def mean(values: Iterable[float]) -> float:
    """Rounded to four digits."""
    return round(float(np.mean(list(values))), 4)


def ndcg_at(relevant: np.ndarray, scores: np.ndarray) -> float:
    """NDCG of the first `K`, with the relevance as gain."""
    discounts = 1 / np.log2(np.arange(2, K + 2))
    best = np.sort(relevant)[::-1][:K] @ discounts
    return float(relevant[np.argsort(-scores, kind="stable")[:K]] @ discounts / best)


def precision_at(relevant: np.ndarray, scores: np.ndarray) -> float:
    """Which fraction of the first `K` is relevant: as labelled, or among the quarter of the most relevant ones."""
    least = 1.0 if set(np.unique(relevant)) <= {0.0, 1.0} else np.quantile(relevant, 0.75)
    return float((relevant[np.argsort(-scores, kind="stable")[:K]] >= least).mean())


def words_to_tags() -> dict[str, Any]:
    """Of each word of the lexicon that has a vector, its meaning without it, by the cosine with what stands there."""
    vectors, rng = WordVectors.load(), np.random.default_rng(SEED)
    known = [word for word in lexicon() if vectors.neighbours(word)]
    tags = sorted({tag for weights in lexicon().values() for tag in weights})

    def row(weights: Mapping[str, float]) -> np.ndarray:
        found = np.array([weights.get(tag, 0.0) for tag in tags])
        return found / max(np.linalg.norm(found), 1e-12)

    right = np.stack([row(lexicon()[word]) for word in known])
    predicted = np.stack([row(vectors.meaning(word, frozenset([word]))) for word in known])
    names = np.stack([row(named_tags(word)) for word in known])
    understood = predicted.any(axis=1)
    return {
        "words": len(known),
        "understood": mean(understood),
        "by neighbours": mean((predicted * right).sum(axis=1)[understood]),
        "by neighbours, what is not understood as 0": mean((predicted * right).sum(axis=1)),
        "by the names of tags alone": mean((names * right).sum(axis=1)),
        "chance, another word's meaning": mean((right[rng.permutation(len(right))] * right).sum(axis=1)),
    }


def refused(vocabulary: Vocabulary) -> float:
    """Which fraction of words that say nothing of music is refused."""
    return mean(not understand(word, vocabulary) for word in NONSENSE.split())
