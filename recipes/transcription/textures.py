"""Piano music made up: chords, arpeggios, scales, melodies and chorales with pedal, over harmonies drawn at random.

POP909 lacks what classical piano is made of: dense chords, fast runs, wide registers, notes that ring on in the pedal.
None of this is good music; it has the sounds that occur together. A piece is some sections, each of a key, a tempo, a
metre, harmonies, a texture for each hand, dynamics and pedal.
"""

from collections.abc import Callable

import numpy as np
from pieces import PIANO, QUALITIES, Note, Part, Piece

_SCALES = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 11),
    "natural": (0, 2, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
}
_CHORDS = {"maj": (0, 4, 7), "min": (0, 3, 7), "7": (0, 4, 7, 10), "maj7": (0, 4, 7, 11), "min7": (0, 3, 7, 10)}
_CHORDS |= {"dim": (0, 3, 6), "aug": (0, 4, 8), "sus": (0, 5, 7), "other": (0, 3, 6, 9)}
_LOWEST, _HIGHEST = 21, 108
Hand = Callable[["Bar"], list[tuple[float, float, int, float]]]


class Bar:
    """What a hand needs for one harmony: `beats` long, with pitch classes, a scale, and a register.

    Hands give (begin and length in beats, MIDI note, loudness from 0 to 1).
    """

    def __init__(
        self, rng: np.random.Generator, beats: int, root: int, quality: str, scale: list[int], low: int, fast: int
    ) -> None:
        self.rng, self.beats, self.root, self.quality, self.fast = rng, beats, root, quality, fast
        self.classes = [(root + i) % 12 for i in _CHORDS[quality]]
        self.scale = sorted({s % 12 for s in scale})
        self.low = low
        self.state: dict[str, int] = {}

    def chord_notes(self, low: int, high: int) -> list[int]:
        """Of the harmony, between two notes."""
        return [n for n in range(max(low, _LOWEST), min(high, _HIGHEST) + 1) if n % 12 in self.classes]

    def scale_notes(self, low: int, high: int) -> list[int]:
        """Of the scale, between two notes."""
        return [n for n in range(max(low, _LOWEST), min(high, _HIGHEST) + 1) if n % 12 in self.scale]

    def bass(self, low: int) -> int:
        """The root at or above a note."""
        return max(_LOWEST, low + (self.root - low) % 12)


def block_chords(bar: Bar) -> list[tuple[float, float, int, float]]:
    """Chords of two to five notes, once or again and again."""
    rng = bar.rng
    every = float(rng.choice([0.5, 1, 1, 2, bar.beats]))
    notes = bar.chord_notes(bar.low, bar.low + int(rng.integers(12, 20)))
    some = sorted(rng.choice(notes, min(len(notes), int(rng.integers(2, 6))), replace=False).tolist()) if notes else []
    length = every * float(rng.choice([0.4, 0.9, 1.0]))
    return [(at, length, n, 0.5) for at in np.arange(0, bar.beats, every) for n in some]


def broken(bar: Bar) -> list[tuple[float, float, int, float]]:
    """Alberti basses and arpeggios in one place."""
    rng, step = bar.rng, 1 / bar.fast
    notes = bar.chord_notes(bar.low, bar.low + 14)[: int(rng.integers(3, 5))] or [bar.bass(bar.low)]
    order = [[0, 2, 1, 2], [0, 1, 2, 1], [0, 1, 2, 3], [3, 2, 1, 0], [0, 2, 1, 3]][rng.integers(5)]
    held = float(rng.choice([1.0, 1.0, 2.0]))
    return [
        (i * step, step * held, notes[order[i % 4] % len(notes)], 0.42 + 0.1 * (i % bar.fast == 0))
        for i in range(bar.beats * bar.fast)
    ]


def sweeping(bar: Bar) -> list[tuple[float, float, int, float]]:
    """Arpeggios over several octaves, up, down, or both."""
    rng, step = bar.rng, 1 / bar.fast
    notes = bar.chord_notes(bar.low, bar.low + int(rng.choice([24, 31, 36, 43])))
    if not notes:
        return []
    way = [notes, notes[::-1], notes + notes[-2:0:-1]][rng.integers(3)]
    return [(i * step, step, way[i % len(way)], 0.45 + 0.1 * (i % bar.fast == 0)) for i in range(bar.beats * bar.fast)]


def running(bar: Bar) -> list[tuple[float, float, int, float]]:
    """Scales, chromatic runs, in one voice, thirds, sixths or octaves."""
    rng, step = bar.rng, 1 / bar.fast
    notes = bar.scale_notes(bar.low, bar.low + 36) if rng.random() < 0.75 else list(range(bar.low, bar.low + 30))
    notes = [n for n in notes if _LOWEST <= n <= _HIGHEST]
    at, way = int(rng.integers(len(notes))), int(rng.choice([-1, 1]))
    apart = int(rng.choice([0, 0, 0, 2, 5, 7]))
    found = []
    for i in range(bar.beats * bar.fast):
        if not 0 <= at + way < len(notes) or rng.random() < 0.06:
            way = -way
        at = int(np.clip(at + way, 0, len(notes) - 1))
        both = {notes[at], notes[min(len(notes) - 1, at + apart)] if apart < 7 else min(_HIGHEST, notes[at] + 12)}
        found += [(i * step, step, n, 0.5 + 0.1 * (i % bar.fast == 0)) for n in (both if apart else {notes[at]})]
    return found


def melody(bar: Bar) -> list[tuple[float, float, int, float]]:
    """A tune that goes by steps, sometimes in octaves, thirds, or over chords."""
    rng = bar.rng
    notes = bar.scale_notes(bar.low, bar.low + 24)
    at = bar.state.get("at", len(notes) // 2)
    below = rng.choice(["", "", "octave", "third", "chord"])
    found, place = [], 0.0
    while place < bar.beats - 0.01:
        length = min(float(rng.choice([0.25, 0.5, 0.5, 1, 1, 1.5, 2])), bar.beats - place)
        at = int(np.clip(at + rng.choice([-3, -2, -1, -1, 0, 1, 1, 2, 4]), 0, len(notes) - 1))
        if rng.random() > 0.08:  # else a rest
            top = notes[at]
            found.append((place, length * float(rng.choice([0.6, 0.95, 1.02])), top, 0.75))
            if below == "octave" and top - 12 >= _LOWEST:
                found.append((place, length, top - 12, 0.65))
            elif below == "third" and at >= 2:
                found.append((place, length, notes[at - 2], 0.6))
            elif below == "chord":
                found += [(place, length, n, 0.5) for n in bar.chord_notes(top - 11, top - 2)[-3:]]
            if rng.random() < 0.04 and top < _HIGHEST:  # a grace note
                found.append((max(0, place - 0.08), 0.08, top + 1, 0.5))
        place += length
    bar.state["at"] = at
    return found


def striding(bar: Bar) -> list[tuple[float, float, int, float]]:
    """A bass, and chords above it on the other beats: waltzes, marches."""
    low = bar.bass(bar.low)
    chord = bar.chord_notes(low + 10, low + 24)[:3]
    found = [(0.0, 0.9, low, 0.6)]
    if bar.rng.random() < 0.3 and low - 12 >= _LOWEST:
        found.append((0.0, 0.9, low - 12, 0.55))
    return found + [(float(b), 0.6, n, 0.4) for b in range(1, bar.beats) for n in chord]


def octaves(bar: Bar) -> list[tuple[float, float, int, float]]:
    """Octaves on beats or faster."""
    rng = bar.rng
    every = float(rng.choice([0.5, 1, bar.beats]))
    notes = bar.chord_notes(bar.low, bar.low + 12) or [bar.bass(bar.low)]
    found = []
    for at in np.arange(0, bar.beats, every):
        n = int(rng.choice(notes))
        found += [(float(at), every, n, 0.6)] + ([(float(at), every, n + 12, 0.55)] if n + 12 <= _HIGHEST else [])
    return found


def trembling(bar: Bar) -> list[tuple[float, float, int, float]]:
    """Tremolos, trills and notes that are repeated."""
    rng, fast = bar.rng, int(bar.rng.choice([4, 6, 8]))
    notes = bar.chord_notes(bar.low, bar.low + 14) or [bar.bass(bar.low)]
    a = int(rng.choice(notes))
    b = {"trill": a + int(rng.choice([1, 2])), "tremolo": int(rng.choice(notes)), "same": a}[
        str(rng.choice(["trill", "tremolo", "same"]))
    ]
    fast = min(fast, 4) if a == b else fast
    return [(i / fast, 0.9 / fast, min(_HIGHEST, (a, b)[i % 2]), 0.5) for i in range(bar.beats * fast)]


def chorale(bar: Bar) -> list[tuple[float, float, int, float]]:
    """Four voices that change on beats."""
    rng, found = bar.rng, []
    for at in range(0, bar.beats, int(rng.choice([1, 2]))):
        for low in (bar.low, bar.low + 7, bar.low + 14, bar.low + 19):
            near = bar.chord_notes(low, low + 8) if rng.random() < 0.8 else bar.scale_notes(low, low + 8)
            if near:
                found.append((float(at), 1.0, int(rng.choice(near)), 0.55))
    return found


def anything(bar: Bar) -> list[tuple[float, float, int, float]]:
    """Notes of any pitch at any time, alone and in clusters: what no harmony explains."""
    rng, found = bar.rng, []
    width = int(rng.choice([12, 24, 40]))
    for _ in range(rng.poisson(bar.beats * float(rng.choice([0.7, 2, 4])))):
        at, length = float(rng.uniform(0, bar.beats)), float(np.exp(rng.uniform(np.log(0.1), np.log(3))))
        some = rng.integers(max(_LOWEST, bar.low - 6), min(_HIGHEST, bar.low + width), rng.choice([1, 1, 1, 2, 3, 5]))
        found += [(at, length, int(n), float(rng.uniform(0.3, 0.8))) for n in set(some.tolist())]
    return found


def nothing(bar: Bar) -> list[tuple[float, float, int, float]]:
    """A rest."""
    return []


_LEFT: tuple[tuple[Hand, float], ...] = (
    (block_chords, 2), (broken, 3), (sweeping, 3), (striding, 2), (octaves, 1.5), (running, 1), (trembling, 0.7),
    (chorale, 1), (anything, 1.2), (nothing, 1), (melody, 0.7),
)  # fmt: skip
_RIGHT: tuple[tuple[Hand, float], ...] = (
    (melody, 5), (running, 2.5), (sweeping, 2), (block_chords, 2), (broken, 1.5), (trembling, 1), (chorale, 1),
    (anything, 1.5), (octaves, 1), (nothing, 0.5),
)  # fmt: skip


def piano_piece(rng: np.random.Generator, seconds: float) -> Piece:
    """A piece about so long."""
    notes: list[Note] = []
    pedal: list[tuple[float, float]] = []
    beats: list[tuple[float, float]] = []
    chords: list[tuple[float, float, float, float]] = []
    at = float(rng.uniform(0.05, 0.8))
    while at < seconds:
        at = _section(rng, at, min(seconds, at + rng.uniform(7, 18)), notes, pedal, beats, chords)
        at += float(rng.choice([0, 0, 0.3, 1.0]))
    piece = Piece([Part(PIANO, notes, _joined(pedal))], np.array(beats).reshape(-1, 2), np.array(chords).reshape(-1, 4))
    return piece.cut(0, seconds)


def _section(
    rng: np.random.Generator,
    at: float,
    end: float,
    notes: list[Note],
    pedal: list[tuple[float, float]],
    beats: list[tuple[float, float]],
    chords: list[tuple[float, float, float, float]],
) -> float:
    """Append one section from `at` on; when it ended."""
    left, right = (hands[_drawn(rng, [w for _, w in hands])][0] for hands in (_LEFT, _RIGHT))
    beat_s = 60 / float(np.exp(rng.uniform(np.log(50), np.log(170))))
    metre = int(rng.choice([2, 3, 4, 4, 6]))
    fast = max(1, min(int(rng.choice([2, 3, 4, 4, 6, 8])), int(beat_s / 0.055)))
    tonic, scale = int(rng.integers(12)), list(_SCALES.values())[rng.integers(len(_SCALES))]
    in_key = [(tonic + s) % 12 for s in scale]
    low_left, low_right = int(rng.integers(24, 52)), int(rng.integers(52, 86))
    if rng.random() < 0.12:
        low_left, low_right = int(rng.integers(21, 70)), int(rng.integers(40, 92))
    loud, swell = rng.uniform(0.25, 0.95), rng.uniform(-0.4, 0.4)
    sigma, spread = rng.uniform(0.002, 0.014), rng.uniform(0.0, 0.015)
    pedalling = rng.choice(["none", "chords", "chords", "late", "long"])
    rubato = rng.uniform(0, 0.12)
    states: tuple[dict[str, int], dict[str, int]] = ({}, {})
    begun, bars, degree = at, 0, 0
    while at < end:
        degree = int(
            rng.choice([0, 3, 4, 5, 1, 2, 6, (degree + 3) % 7], p=[0.2, 0.15, 0.2, 0.12, 0.1, 0.05, 0.03, 0.15])
        )
        root, quality = _harmony(rng, in_key, degree)
        length = beat_s * (1 + rubato * float(rng.normal()))
        length = float(np.clip(length, 0.7 * beat_s, 1.6 * beat_s))
        for hand, low, state, weight in ((left, low_left, states[0], 0.8), (right, low_right, states[1], 1.0)):
            bar = Bar(rng, metre, root, quality, in_key, low, fast)
            bar.state = state
            level = (loud + swell * (at - begun) / 15) * weight
            for place, lasts, n, strength in hand(bar):
                a = at + place * length + float(rng.normal(0, sigma)) + spread * float(rng.random())
                v = int(np.clip(127 * (0.15 + 1.1 * strength * level) + rng.normal(0, 5), 12, 127))
                if _LOWEST <= n <= _HIGHEST and a > 0.02:
                    notes.append((a, a + max(0.04, lasts * length * float(rng.uniform(0.85, 1.0))), int(n), v))
        over = at + metre * length
        if pedalling != "none" and not (pedalling == "long" and bars % 3):
            late = 0.08 if pedalling == "late" else 0.01
            lasts = 3 if pedalling == "long" else 1
            pedal.append((at + late, at + lasts * (over - at) + late - 0.04))
        beats += [(at + b * length, float(b + 1)) for b in range(metre)]
        chords.append((at, over, root, QUALITIES.index(quality)))
        at, bars = over, bars + 1
    return at


def _harmony(rng: np.random.Generator, in_key: list[int], degree: int) -> tuple[int, str]:
    """Root and quality of a degree of a key, or now and then of none."""
    if rng.random() < 0.1:
        return int(rng.integers(12)), str(rng.choice(list(_CHORDS)))
    root = in_key[degree]
    third, fifth, seventh = (in_key[(degree + i) % 7] - root for i in (2, 4, 6))
    steps = (third % 12, fifth % 12, seventh % 12)
    for name in ("7", "maj7", "min7") if rng.random() < 0.25 else ():
        if _CHORDS[name][1:] == steps:
            return root, name
    return root, next((n for n in ("maj", "min", "dim", "aug") if _CHORDS[n][1:] == steps[:2]), "other")


def _drawn(rng: np.random.Generator, weights: list[float]) -> int:
    return int(rng.choice(len(weights), p=np.array(weights) / sum(weights)))


def _joined(spans: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Spans in order, none within another."""
    found: list[tuple[float, float]] = []
    for begin, end in sorted(spans):
        if found and begin < found[-1][1] + 0.02:
            begin = found[-1][1] + 0.02
        if end - begin > 0.05:
            found.append((begin, end))
    return found
