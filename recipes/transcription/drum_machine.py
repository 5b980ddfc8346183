"""Drum patterns made up, as drum machines play them: what drummers of Groove hardly do.

A pattern has a bar of four beats in sixteenths: kicks, snares or claps, hats and something more, drawn at random
among what house, hip-hop, trap, rock and pop have. It stays for the song, with fills before some bars and crashes
after.
"""

from itertools import pairwise

import numpy as np
from pieces import Note

_KICKS = (
    (0, 4, 8, 12), (0, 4, 8, 12), (0, 8), (0, 8), (0, 10), (0, 7, 10), (0, 6, 8), (0, 3, 8, 11), (0, 8, 10),
    (0, 3, 6, 10), (0,), (0, 10, 11), (0, 2, 8, 10), (0, 6, 12),
)  # fmt: skip
_SNARES = ((4, 12), (4, 12), (4, 12), (4, 12), (8,), (8,), (4, 12, 15), (4, 7, 12), ())
_HATS = (
    (0, 2, 4, 6, 8, 10, 12, 14), (0, 2, 4, 6, 8, 10, 12, 14), tuple(range(16)), (0, 4, 8, 12),
    (2, 6, 10, 14), (2, 6, 10, 14), (0, 3, 4, 7, 8, 11, 12, 15), (),
)  # fmt: skip
_MORE = ((), (), (2, 5, 8, 11, 14), (3, 6, 11, 14), (0, 3, 6, 8, 11, 14), (4, 12))
_KICK, _CLOSED, _OPEN, _CRASH = 36, 42, 46, 49


def machine_drums(beats: np.ndarray, rng: np.random.Generator) -> list[Note]:
    """A pattern in every bar of some beats, (n, 2): seconds and place in the bar, from 1."""
    kicks, snares, hats, more = (one[rng.integers(len(one))] for one in (_KICKS, _SNARES, _HATS, _MORE))
    snare, pitch_of_more = int(rng.choice([38, 38, 40, 39, 37])), int(rng.choice([54, 56, 69, 70, 75, 64, 62]))
    opened = hats == (2, 6, 10, 14) and rng.random() < 0.6
    swing, fill_every = rng.choice([0.0, 0.0, 0.3, 0.6]) * rng.uniform(0.5, 1), int(rng.choice([4, 8, 1000]))
    crashes, even = rng.random() < 0.6, rng.uniform(0, 0.004)
    enters = {name: int(rng.choice([0, 0, 0, 4, 8])) for name in ("kick", "snare", "hat", "more")}
    played: list[Note] = []
    downs = np.flatnonzero(beats[:, 1] == 1)
    for bar, (first, last) in enumerate(pairwise([*downs, len(beats) - 1])):
        length = min(4 * (last - first), 16)
        at = np.interp(np.arange(17) / 4, np.arange(last - first + 1), beats[first : last + 1, 0])
        hits = [("kick", _KICK, s, 110) for s in kicks] + [("snare", snare, s, 105) for s in snares]
        hits += [("hat", _OPEN if opened else _CLOSED, s, 90 if s % 4 == 0 else 70) for s in hats]
        hits += [("more", pitch_of_more, s, 75) for s in more]
        if bar % fill_every == fill_every - 1:
            hits = [hit for hit in hits if hit[2] < 12]
            hits += [("snare", int(rng.choice([38, 45, 47, 50])), s, 80 + 2 * s) for s in (12, 13, 14, 15)]
        if crashes and bar and bar % fill_every == 0:
            hits.append(("kick", _CRASH, 0, 100))
        for name, pitch, step, loud in hits:
            if step >= length or bar < enters[name]:
                continue
            late = swing * 0.5 * (at[step + 1] - at[step]) if step % 2 else 0.0
            begin = max(0.0, float(at[step] + late + rng.normal(0, even)))
            played.append((begin, begin + 0.1, pitch, int(np.clip(loud + rng.normal(0, 6), 20, 127))))
    return played
