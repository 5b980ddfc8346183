"""What is played: a `Piece` of parts, with its beats and chords; and its labels, as what is learned from has them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import mido
import numpy as np

TICKS = 480
US_A_BEAT = 500_000  # of all files written here: a beat of ticks is half a second
PIANO, MELODY, SECOND, BASS, OTHER, DRUMS = range(6)
"""What a part is: ``part`` of labels."""
SUNG = -1
"""The program of a part that a voice sings (voices.py)."""
QUALITIES = ("maj", "min", "7", "maj7", "min7", "dim", "aug", "sus", "other")
"""Of a chord, by number; its root is a pitch class, -1 of no chord."""
KICK, SNARE, HAT, TOM, CYMBAL = range(5)
DRUM_CLASSES = {35: KICK, 36: KICK} | {37: SNARE, 38: SNARE, 39: SNARE, 40: SNARE}
DRUM_CLASSES |= dict.fromkeys((22, 26, 42, 44, 46), HAT) | dict.fromkeys((41, 43, 45, 47, 48, 50, 58), TOM)
DRUM_CLASSES |= dict.fromkeys((49, 51, 52, 53, 55, 57, 59), CYMBAL)
_GENERAL_MIDI = {22: 42, 26: 46, 58: 43}  # pads of the set that Groove was played on

Note = tuple[float, float, int, int]
"""Beginning and end in seconds, MIDI note, velocity."""


@dataclass
class Part:
    """What one instrument plays.

    Attributes
    ----------
    kind : int
        `PIANO` to `DRUMS`.
    notes : list of Note
        As keys go down and up.
    pedal : list of (float, float)
        When the sustain pedal is down.
    program, bank, font : int, int, int
        How it sounds: a program of a font by number; drawn later (play.py).
    """

    kind: int
    notes: list[Note]
    pedal: list[tuple[float, float]] = field(default_factory=list)
    program: int = 0
    bank: int = 0
    volume: int = 100


@dataclass
class Piece:
    """Parts with what is known of them.

    Attributes
    ----------
    beats : (n, 2) float64
        Seconds, and the place in the bar from 1; empty where there is no beat.
    chords : (n, 4) float64
        Begin and end in seconds, root (-1 of none), number of the quality.
    up : int
        By how many semitones it is transposed.
    """

    parts: list[Part]
    beats: np.ndarray = field(default_factory=lambda: np.zeros((0, 2)))
    chords: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    up: int = 0

    @property
    def played(self) -> list[Part]:
        """Parts that are not sung."""
        return [part for part in self.parts if part.program != SUNG]

    def cut(self, begin: float, seconds: float) -> "Piece":
        """A stretch of it: notes that begin in it."""
        end = begin + seconds
        parts = [
            Part(
                p.kind,
                [(a - begin, min(b, end) - begin, n, v) for a, b, n, v in p.notes if begin <= a < end - 0.05],
                [(a - begin, min(b, end) - begin) for a, b in p.pedal if begin <= a < end],
                p.program,
                p.bank,
                p.volume,
            )
            for p in self.parts
        ]
        beats = self.beats[(self.beats[:, 0] >= begin) & (self.beats[:, 0] < end)] - [begin, 0]
        chords = self.chords[(self.chords[:, 1] > begin) & (self.chords[:, 0] < end)] - [begin, begin, 0, 0]
        if len(chords):
            chords[:, :2] = chords[:, :2].clip(0, seconds)
        return Piece([p for p in parts if p.notes], beats, chords, self.up)


def sounding(part: Part) -> list[Note]:
    """Notes until they end: when the pedal goes up, or the same key goes down again."""
    pedal = sorted(part.pedal)
    downs, ups = np.array([a for a, _ in pedal]), np.array([b for _, b in pedal])
    found: list[Note] = []
    last: dict[int, int] = {}
    for begin, end, note, velocity in sorted(part.notes):
        i = int(np.searchsorted(downs, end, side="right")) - 1
        if i >= 0 and end < ups[i]:
            end = float(ups[i])
        if note in last:
            a, b, n, v = found[last[note]]
            found[last[note]] = (a, min(b, begin), n, v)
        last[note] = len(found)
        found.append((begin, end, note, velocity))
    return [one for one in found if one[1] - one[0] > 0.01]


def labels(piece: Piece) -> dict[str, np.ndarray]:
    """Arrays of a piece: ``notes`` (n, 5: onset, offset, MIDI note, velocity, kind of part), ``drums`` (n, 3: seconds,
    class, velocity), ``beats`` and ``chords`` as of `Piece`.
    """
    notes = [(*note, part.kind) for part in piece.parts if part.kind != DRUMS for note in sounding(part)]
    hits = [
        (a, DRUM_CLASSES[n], v)
        for part in piece.parts
        if part.kind == DRUMS
        for a, _, n, v in part.notes
        if n in DRUM_CLASSES
    ]
    return {
        "notes": np.array(sorted(notes), np.float32).reshape(-1, 5),
        "drums": np.array(sorted(hits), np.float32).reshape(-1, 3),
        "beats": piece.beats.astype(np.float32),
        "chords": piece.chords.astype(np.float32),
    }


def write_midi(path: Path, parts: Sequence[Part], cents: float = 0.0) -> None:
    """Parts to a file, detuned by cents; drums on the tenth channel."""
    midi = mido.MidiFile(ticks_per_beat=TICKS)
    channels = iter([c for c in range(16) if c != 9])
    for part in parts:
        channel = 9 if part.kind == DRUMS else next(channels)
        events = [(0.0, 0, _control(channel, 0, part.bank)), (0.0, 1, _program(channel, part.program))]
        events += [(0.0, 2, _control(channel, 7, part.volume))]
        if channel != 9:
            bend = mido.Message("pitchwheel", channel=channel, pitch=int(np.clip(cents / 200 * 8192, -8192, 8191)))
            events.append((0.0, 2, bend))
        for begin, end in part.pedal:
            events += [(begin, 4, _control(channel, 64, 127)), (end, 3, _control(channel, 64, 0))]
        for begin, end, note, velocity in part.notes:
            note = _GENERAL_MIDI.get(note, note) if channel == 9 else note
            events.append((begin, 6, mido.Message("note_on", channel=channel, note=note, velocity=max(1, velocity))))
            events.append((max(end, begin + 0.01), 5, mido.Message("note_off", channel=channel, note=note)))
        midi.tracks.append(_timed(events))
    midi.save(path)


def _timed(events: list[tuple[float, int, mido.Message]]) -> mido.MidiTrack:
    track, last = mido.MidiTrack(), 0
    for second, _, message in sorted(events, key=lambda e: e[:2]):
        tick = max(last, round(second * 1e6 / US_A_BEAT * TICKS))
        track.append(message.copy(time=tick - last))
        last = tick
    return track


def _control(channel: int, control: int, value: int) -> mido.Message:
    return mido.Message("control_change", channel=channel, control=control, value=value)


def _program(channel: int, program: int) -> mido.Message:
    return mido.Message("program_change", channel=channel, program=program)
