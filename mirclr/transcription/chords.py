"""From what a network says of roots and qualities in every frame to chords, and from chords to keys over time.

Both are likeliest courses by Viterbi's algorithm, in which staying is likelier than changing. Chords are steps of
`STEP` frames; keys are predicted by how often chords come in songs of a key (`_IN_MAJOR`, `_IN_MINOR`), and, where
they are known, by how strong pitches are.
"""

import numpy as np

from mirclr.audio.key import KEYS
from mirclr.audio.pitched import FRAME_S
from mirclr.library import CHORDS

STEP = 4
"""Frames that are looked at together: 128 ms."""
_STAY = 4.0  # by how much a change must be likelier, in nats
_FLOOR = 1e-4
_QUALITIES = 8  # that have a name; the ninth is of what has none
_KEY_CHANGE = 40.0  # by how much another key must fit better, in nats
_LEAST_S = 4.0  # of chords, for a key
_FAINT = 0.25  # nowhere in silence is a root likelier
_SILENCE = 8  # steps, a second: so long nothing is likelier, where there is silence
_CLEAR = 0.45  # its mean elsewhere: of weather, letters and voices 0.32 to 0.42, of drums alone often, of music more
_A_ROOT_S = 1.0  # so long counts as a second root, without which there is no key
_BY_CHORDS, _BY_PITCHES = 9.4, 8.9  # how much each says of the key: learned of held-out songs (recipes/…/weigh.py)
_FAMILY = np.array([0, 1, 0, 0, 1, 2, 0, 3])  # of qualities: major, minor, diminished, suspended
# How long chords are, in thousandths, by semitones from the tonic and family; of 819 songs of POP909, split train.
_IN_MAJOR = (
    (228, 0, 0, 24), (1, 0, 0, 0), (11, 81, 0, 5), (1, 0, 0, 0),
    (9, 88, 0, 2), (143, 8, 0, 8), (0, 0, 3, 0), (196, 2, 0, 22),
    (4, 0, 0, 0), (9, 131, 0, 7), (8, 0, 0, 0), (1, 1, 1, 0),
)  # fmt: skip
_IN_MINOR = (
    (24, 267, 0, 25), (3, 0, 0, 0), (2, 2, 4, 0), (106, 0, 0, 7),
    (0, 2, 0, 0), (18, 99, 0, 5), (1, 0, 0, 0), (52, 88, 0, 9),
    (123, 1, 0, 3), (1, 1, 3, 0), (140, 1, 0, 10), (1, 2, 0, 0),
)  # fmt: skip


def track_chords(root: np.ndarray, quality: np.ndarray, stay: float = _STAY) -> np.ndarray:
    """The likeliest course of chords.

    Parameters
    ----------
    root : (13, T) float32
        Probabilities of pitch classes, and of no chord.
    quality : (9, T) float32
        Of `mirclr.library.outlines.QUALITIES`, and of what is none of these.
    stay : float
        By how much a change must be likelier than staying, in nats.

    Returns
    -------
    (m, 3) float64
        Begin and end in seconds and the number of the chord (`mirclr.library.CHORDS`), without gaps; none all through
        where roots are not clear, as of speech or drums alone.
    """
    steps = root.shape[1] // STEP
    if not steps:
        return np.zeros((0, 3))
    likeliest = root[:12].max(axis=0)
    there = likeliest > _FAINT  # in silence all are alike
    if not there.any() or float(likeliest[there].mean()) < _CLEAR:
        return _spans(np.zeros(steps, np.int64), STEP * FRAME_S)
    roots, qualities = (np.log(np.maximum(_FLOOR, _pooled(p, steps))) for p in (root, quality[:_QUALITIES]))
    named = (roots[:12, None] + qualities[None]).reshape(len(CHORDS) - 1, steps)
    named[:, _is_silent(_pooled(likeliest[None], steps)[0])] = 2 * np.log(_FLOOR)
    course = likeliest_course(np.concatenate([roots[12:], named]), stay)
    return _spans(course, STEP * FRAME_S)


def _is_silent(likeliest: np.ndarray) -> np.ndarray:
    """(steps,) probabilities of the likeliest root -> which steps are silent, of a second or more."""
    faint = np.pad(likeliest < _FAINT, 1)
    edges = np.flatnonzero(np.diff(faint.astype(np.int8)))
    silent = np.zeros(len(likeliest), bool)
    for begin, end in edges.reshape(-1, 2):
        silent[begin:end] = end - begin >= _SILENCE
    return silent


def _pooled(p: np.ndarray, steps: int) -> np.ndarray:
    mean: np.ndarray = p[:, : steps * STEP].reshape(len(p), steps, STEP).mean(axis=2)
    return mean


def likeliest_course(fits: np.ndarray, change: float | np.ndarray) -> np.ndarray:
    """(S, T) log-probabilities -> (T,) int64 states; a change from one to any other costs `change`, at each step."""
    states, steps = fits.shape
    cost = np.broadcast_to(change, steps)
    came = np.zeros((steps, states), np.int16)
    itself = np.arange(states)
    score = fits[:, 0].astype(np.float64)
    for i in range(1, steps):
        best = int(score.argmax())
        stays = score >= score[best] - cost[i]
        came[i] = np.where(stays, itself, best)
        score = np.where(stays, score, score[best] - cost[i]) + fits[:, i]
    course = np.empty(steps, np.int64)
    course[-1] = score.argmax()
    for i in range(steps - 1, 0, -1):
        course[i - 1] = came[i, course[i]]
    return course


def _spans(course: np.ndarray, step_s: float) -> np.ndarray:
    begins = np.concatenate([[0], np.flatnonzero(np.diff(course)) + 1])
    ends = np.append(begins[1:], len(course))
    return np.stack([begins * step_s, ends * step_s, course[begins]], axis=1).astype(np.float64)


def key_fits(chords: np.ndarray) -> np.ndarray:
    """(m, 3) chords -> (24, m) float64: how well each fits `mirclr.audio.key.KEYS`, in nats a second."""
    codes = chords[:, 2].astype(np.int64)
    sounds = codes > 0
    roots, families = np.where(sounds, (codes - 1) // _QUALITIES, 0), _FAMILY[(codes - 1) % _QUALITIES]
    tables = [np.log((np.array(table) + 1) / (np.sum(table) + 48)) for table in (_IN_MAJOR, _IN_MINOR)]
    rows = [table[(roots - tonic) % 12, families] for table in tables for tonic in range(12)]
    return np.where(sounds, np.stack(rows), 0.0) if len(codes) else np.zeros((24, 0))


def key_of(chords: np.ndarray, pitches: np.ndarray | None = None) -> tuple[str | None, float]:
    """The key that all chords together fit best, and how likely it is beside the others; None of too few chords, and
    where all have one root.

    Parameters
    ----------
    chords : (m, 3) float64
        As of `track_chords`.
    pitches : (24,) float64, optional
        How well pitches fit each key, as of `mirclr.audio.key.fits_of`.
    """
    seconds = (chords[:, 1] - chords[:, 0]) * (chords[:, 2] > 0)
    of_roots = np.bincount((chords[:, 2].astype(np.int64) - 1).clip(0) // _QUALITIES, seconds, minlength=12)
    if float(seconds.sum()) < _LEAST_S or np.count_nonzero(of_roots >= _A_ROOT_S) < 2:
        return None, 0.0
    fits = _BY_CHORDS * (key_fits(chords) @ seconds / seconds.sum())
    if pitches is not None:
        fits += _BY_PITCHES * pitches
    odds = np.exp(fits - fits.max())
    best = int(fits.argmax())
    return KEYS[best], round(float(odds[best] / odds.sum()), 3)


def track_keys(chords: np.ndarray) -> list[tuple[float, float, str]]:
    """Keys over time: begin and end in seconds, and the key; empty of too few chords."""
    if key_of(chords)[0] is None:
        return []
    course = likeliest_course(key_fits(chords) * (chords[:, 1] - chords[:, 0]), _KEY_CHANGE)
    begins = np.concatenate([[0], np.flatnonzero(np.diff(course)) + 1])
    ends = np.append(begins[1:], len(course)) - 1
    return [(float(chords[a, 0]), float(chords[b, 1]), KEYS[course[a]]) for a, b in zip(begins, ends, strict=True)]
