"""A text tower for comparison: words and sound in one space, by NT-Xent between modalities.

Both sides are linear: the vector of a track and the vector of a word, each into the same space, as in contrastive
language-audio pretraining, on the words that the lexicon has for the tags of the teachers. It learns from another
library than it is measured on, and never sees the words that it is asked for.
"""

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import torch
from torch import nn

import mirclr
from mirclr.objectives import NTXentLoss
from mirclr.recommend.lifts import probability
from mirclr.words import Vocabulary
from mirclr.words.lexicon import lexicon
from mirclr.words.vectors import WordVectors

DIM = 64
BATCH = 256
STEPS = 2000
TEMPERATURE = 0.1


def tower(
    path: Path, library: mirclr.Library, ids: np.ndarray, unseen: Collection[str]
) -> Callable[[str], np.ndarray | None]:
    """Train on the library at a path without some words; gives what scores the tracks of another by a text."""
    vectors, torch_rng = WordVectors.load(), torch.Generator().manual_seed(7)
    words = [w for w in lexicon() if w in vectors and w not in unseen]
    with mirclr.Library.open(path) as other:
        of, sound = other.vectors()
        lifts, vocabulary = other.lifts, Vocabulary(other.lifts.by_task)
        size = int(of.max()) + 1
        tags = {tag: lifts.of(pairs, size)[of] for tag, pairs in vocabulary.labels.items()}
    meanings = {w: vocabulary.known(lexicon()[w]) for w in words}
    words = [w for w in words if meanings[w]]
    fits = np.stack([sum(weight * tags[tag] for tag, weight in meanings[w].items()) for w in words], axis=1)
    weights = torch.from_numpy(probability(fits) ** 2)  # how often each word goes with each track
    text = torch.from_numpy(np.stack([vectors.vector(w) for w in words]))
    audio = torch.from_numpy(sound)
    mean, std = audio.mean(dim=0), audio.std(dim=0).clamp(min=1e-6)
    torch.manual_seed(7)
    of_audio, of_text = nn.Linear(audio.shape[1], DIM), nn.Linear(text.shape[1], DIM)
    objective = NTXentLoss(temperature=TEMPERATURE)
    optimizer = torch.optim.AdamW([*of_audio.parameters(), *of_text.parameters()], lr=2e-3, weight_decay=0.05)
    for _ in range(STEPS):
        rows = torch.randperm(len(audio), generator=torch_rng)[:BATCH]
        chosen = torch.multinomial(weights[rows], 3, generator=torch_rng)
        z = torch.cat([of_audio((audio[rows] - mean) / std), of_text(text[chosen].mean(dim=1))])
        loss = objective(z, torch.arange(len(rows)).repeat(2))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        held = torch.from_numpy(library.vectors(ids.tolist())[1])
        tracks = nn.functional.normalize(of_audio((held - mean) / std), dim=1)

    def scored(asked: str) -> np.ndarray | None:
        known = [word for word in asked.split() if word in vectors]
        if not known:
            return None
        with torch.inference_mode():
            typed = torch.from_numpy(np.stack([vectors.vector(word) for word in known])).mean(dim=0)
            return np.asarray(tracks @ nn.functional.normalize(of_text(typed), dim=0))

    return scored
