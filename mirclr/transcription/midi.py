"""MIDI files of what was found: one track of piano or of drums, on a grid of beats where there are beats."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import mido
import numpy as np

from mirclr.provenance import writing
from mirclr.transcription.marks import mark_of

if TYPE_CHECKING:
    from mirclr.transcription.score import Notes

TICKS = 480
"""Of a beat."""
_DRUM_CHANNEL = 9
_BEAT_S = 0.5  # of a file without beats
_LEAST_LEAD = 0.25  # of a beat
_SLOWEST_US = 0xFFFFFF  # a beat that MIDI can say, in microseconds
_Events = list[tuple[int, int, "mido.Message | mido.MetaMessage"]]


def write_midi(path: Path, notes: Notes) -> None:
    """Write notes; an older file is replaced at once."""
    times, firsts = beat_grid(notes.beats)
    midi = mido.MidiFile(type=1, ticks_per_beat=TICKS)
    mark: _Events = [(0, -1, mido.MetaMessage("text", text=mark_of(notes.file)))]
    midi.tracks.append(
        _track(mark + _tempo_events(times) + _metre_events(notes.beats, firsts) + _key_events(notes, times))
    )
    channel = _DRUM_CHANNEL if notes.drums else 0
    events: _Events = [(0, 0, mido.Message("program_change", channel=channel, program=0))]
    begins = np.round(_ticks(np.array([note.onset_s for note in notes.notes]), times)).astype(np.int64)
    ends = np.round(_ticks(np.array([note.offset_s for note in notes.notes]), times)).astype(np.int64)
    again: dict[int, int] = {}  # when a pitch begins next; its notes end by then, as the end of one ends all of a pitch
    for note, begin, end in reversed(list(zip(notes.notes, begins.tolist(), ends.tolist(), strict=True))):
        if again.get(note.pitch) == begin:
            continue
        on = mido.Message("note_on", channel=channel, note=note.pitch, velocity=note.velocity)
        end = max(begin + 1, min(end, again.get(note.pitch, end)))
        events += [(begin, 2, on), (end, 1, mido.Message("note_off", channel=channel, note=note.pitch, velocity=0))]
        again[note.pitch] = begin
    midi.tracks.append(_track(events))
    with writing(path) as file:
        midi.save(file=file)


def beat_grid(beats: np.ndarray) -> tuple[np.ndarray, int]:
    """When each beat of the file is, the first one at 0 s, and which of them is the first that was found.

    What comes before the first beat is filled by as many even beats as fit its length best; where that is less than a
    quarter of a beat, the first beat begins with the file, as a tempo of thousands would fill it else.
    """
    if len(beats) < 2:
        return np.array([0.0, _BEAT_S]), 0
    found = beats[:, 0].astype(np.float64)
    part = float(found[0] / (found[1] - found[0]))
    before = 0 if part < _LEAST_LEAD else max(1, round(part))
    lead = np.linspace(0, found[0], before + 1)[:-1] if before else np.zeros(0)
    found = found.copy()
    if not before:
        found[0] = 0.0
    return np.concatenate([lead, found]), before


def _ticks(seconds: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Seconds to ticks, with the last beat's tempo beyond it."""
    last = times[-1] - times[-2]
    at = np.interp(seconds, times, np.arange(len(times)))
    at = np.where(seconds > times[-1], len(times) - 1 + (seconds - times[-1]) / last, at)
    ticks: np.ndarray = at * TICKS
    return ticks


def _tempo_events(times: np.ndarray) -> _Events:
    """A tempo for each beat, where it differs from the one before."""
    events: _Events = []
    error, was = 0.0, 0
    for i, (a, b) in enumerate(pairwise(times)):
        exact = (b - a) * 1e6 + error  # what rounding loses is made up for by the next beat
        tempo = int(np.clip(round(exact), 1, _SLOWEST_US))
        error = exact - tempo
        if tempo != was:
            events.append((i * TICKS, 0, mido.MetaMessage("set_tempo", tempo=tempo)))
        was = tempo
    return events


def _metre_events(beats: np.ndarray, first: int) -> _Events:
    """A time signature where bars change their length; before the first bar one of what is left over."""
    downs = np.flatnonzero(beats[:, 1] == 1) if len(beats) else np.zeros(0, np.int64)
    if len(downs) < 2:
        return [(0, 0, mido.MetaMessage("time_signature", numerator=4, denominator=4))]
    events: _Events = []
    was = 0
    if downs[0] + first:
        was = int(min(255, downs[0] + first))
        events.append((0, 0, mido.MetaMessage("time_signature", numerator=was, denominator=4)))
    for a, b in pairwise(downs.tolist()):
        if b - a != was:
            was = min(255, b - a)
            tick = (a + first) * TICKS
            events.append((tick, 0, mido.MetaMessage("time_signature", numerator=was, denominator=4)))
    return events


def _key_events(notes: Notes, times: np.ndarray) -> _Events:
    """A key signature where the key changes, on a beat."""
    events: _Events = []
    for begin, _, key in notes.keys:
        tick = round(float(_ticks(np.array([begin]), times)[0]) / TICKS) * TICKS if events else 0
        events.append((tick, 0, mido.MetaMessage("key_signature", key=key)))
    return events


def _track(events: _Events) -> mido.MidiTrack:
    track, last = mido.MidiTrack(), 0
    for tick, _, message in sorted(events, key=lambda event: event[:2]):
        track.append(message.copy(time=tick - last))
        last = tick
    return track
