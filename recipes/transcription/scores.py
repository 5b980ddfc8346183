"""How well notes, beats, tempi, chords, keys and drums are found, as the field counts it, by mir_eval (PyPI)."""

import mir_eval
import numpy as np

from mirclr.audio.key import KEYS
from mirclr.library.outlines import QUALITIES

NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
_HARTE = ("maj", "min", "7", "maj7", "min7", "dim", "aug", "sus4", "sus4")  # what is other counts as little as sus4
WITHIN = 0.04  # of a tempo


def notes(reference: np.ndarray, found: np.ndarray, offsets: bool = False) -> tuple[float, float, float]:
    """Precision, recall and F1 of (n, 3+) onset, offset, MIDI note: onset within 50 ms, pitch within 50 cents, and
    with `offsets` within 20 % of a note, 50 ms at least.
    """
    if not len(found) or not len(reference):
        return 0.0, 0.0, 0.0
    both = [(x[:, :2], 440 * 2 ** ((x[:, 2] - 69) / 12)) for x in (reference, found)]
    how = {} if offsets else {"offset_ratio": None}
    p, r, f, _ = mir_eval.transcription.precision_recall_f1_overlap(*both[0], *both[1], **how)
    return p, r, f


def frames(reference: np.ndarray, found: np.ndarray, step_s: float = 0.01) -> float:
    """F1 of what sounds in steps of 10 ms."""
    length = max((float(x[:, 1].max()) for x in (reference, found) if len(x)), default=0.0)
    rolls = np.zeros((2, 128, int(length / step_s) + 2), bool)
    for roll, some in zip(rolls, (reference, found), strict=True):
        for onset, offset, pitch in some[:, :3]:
            roll[int(pitch), int(onset / step_s) : max(int(offset / step_s), int(onset / step_s) + 1)] = True
    return float(2 * (rolls[0] & rolls[1]).sum() / max(1, rolls.sum()))


def by_chance(reference: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """As many notes, at other times."""
    found = reference.copy()
    onset = rng.uniform(0, reference[:, 0].max(initial=1.0), len(reference))
    found[:, 1] = onset + reference[:, 1] - reference[:, 0]
    found[:, 0] = onset
    return found


def beats(reference: np.ndarray, found: np.ndarray) -> float:
    """F1 of (n,) times, within 70 ms."""
    if not len(reference) or not len(found):
        return 0.0
    return float(mir_eval.beat.f_measure(np.sort(reference), np.sort(found)))


def tempo(reference: float, found: float | None) -> tuple[float, float]:
    """Whether a tempo is right within 4 %; whether it is, or half, double, a third or three times of it."""
    ratio = (found or 0.0) / reference
    near = [abs(ratio / n - 1) < WITHIN for n in (1, 2, 1 / 2, 3, 1 / 3)]
    return float(near[0]), float(any(near))


def key(reference: str, found: str | None) -> tuple[float, float]:
    """The weighted score of MIREX, and whether it is the very key, of `mirclr.audio.key.KEYS`."""
    if found is None:
        return 0.0, 0.0
    both = (f"{NAMES[KEYS.index(k) % 12]} {'minor' if k.endswith('m') else 'major'}" for k in (reference, found))
    return float(mir_eval.key.weighted_score(*both)), float(reference == found)


def harte(root: float, quality: float) -> str:
    """The name of a chord of labels, as mir_eval reads it."""
    return "N" if root < 0 else f"{NAMES[int(root)]}:{_HARTE[int(quality)]}"


def as_found(labels: np.ndarray) -> np.ndarray:
    """(n, 4) labels of chords -> (n, 3) as of `Outline`; those of no name are major."""
    code = np.where(labels[:, 2] < 0, 0, 1 + len(QUALITIES) * labels[:, 2] + labels[:, 3] % len(QUALITIES))
    return np.stack([labels[:, 0], labels[:, 1], code], axis=1)


def chords(reference: np.ndarray, found: np.ndarray) -> float:
    """How much of the time major and minor chords are right: (n, 4) labels, (m, 3) of `Outline`."""
    return named_chords(reference, found[:, :2], names_of(found))


def names_of(found: np.ndarray) -> list[str]:
    """Of (m, 3) chords of `Outline`, as mir_eval reads them."""
    return [harte(c // 8 if c >= 0 else -1, c % 8) for c in found[:, 2].astype(int) - 1]


def named_chords(reference: np.ndarray, spans: np.ndarray, names: list[str]) -> float:
    """As `chords`, of (m, 2) begin and end in seconds, and names as mir_eval reads them."""
    return chords_by_name(reference[:, :2], [harte(root, quality) for _, _, root, quality in reference], spans, names)


def chords_by_name(there: np.ndarray, labels: list[str], spans: np.ndarray, names: list[str]) -> float:
    """As `named_chords`, where names are known of both."""
    if not labels or not names:
        return 0.0
    spans, names = mir_eval.util.adjust_intervals(spans, names, float(there[0, 0]), float(there[-1, 1]), "N", "N")
    times, left, right = mir_eval.util.merge_labeled_intervals(there, labels, spans, names)
    scores = mir_eval.chord.majmin(left, right)
    seconds = np.diff(times, axis=1)[:, 0]
    counts = scores >= 0
    return float((scores * seconds)[counts].sum() / seconds[counts].sum()) if counts.any() else float("nan")


def drums(reference: np.ndarray, found: np.ndarray) -> np.ndarray:
    """(5, 3) int: hits found, hits that are, hits that are right within 50 ms, of (n, 2+) seconds and drum."""
    counts = np.zeros((5, 3), int)
    for drum in range(5):
        a, b = (np.sort(x[x[:, 1] == drum, 0]) for x in (reference, found))
        right = len(mir_eval.util.match_events(a, b, 0.05)) if len(a) and len(b) else 0
        counts[drum] = len(b), len(a), right
    return counts


def f1_of(counts: np.ndarray) -> float:
    """F1 of (…, 3) counts as of `drums`, summed."""
    found, there, right = np.asarray(counts).reshape(-1, 3).sum(axis=0)
    return float(2 * right / max(1, found + there))
