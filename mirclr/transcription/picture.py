"""The piano roll as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mirclr.pictures import new_figure
from mirclr.provenance import writing
from mirclr.transcription.drums import DRUM_PITCHES, DRUMS
from mirclr.transcription.marks import mark_of

if TYPE_CHECKING:
    from mirclr.transcription.score import Notes

_INCHES_A_SECOND, _NARROWEST, _WIDEST = 0.25, 8.0, 60.0
_MARGIN = 3  # semitones


def plot_roll(notes: Notes, path: Path) -> None:
    """Draw notes over time, darker where they are louder, with beats and bars as lines."""
    width = min(_WIDEST, max(_NARROWEST, _INCHES_A_SECOND * notes.seconds))
    figure = new_figure((width, 5.0), "the picture of notes")
    axes = figure.add_subplot()
    for velocity in sorted({note.velocity for note in notes}):  # one call a loudness: thousands of bars are slow alone
        some = [note for note in notes if note.velocity == velocity]
        axes.barh(
            [note.pitch for note in some],
            [note.offset_s - note.onset_s for note in some],
            left=[note.onset_s for note in some],
            height=0.9,
            color="tab:blue",
            alpha=0.25 + 0.75 * velocity / 127,
        )
    for at, place in notes.beats:
        axes.axvline(at, color="0.6" if place == 1 else "0.9", linewidth=0.8 if place == 1 else 0.5, zorder=0)
    pitches = [note.pitch for note in notes] or [21, 108]
    low, high = min(pitches) - _MARGIN, max(pitches) + _MARGIN
    if notes.drums:
        low, high = min(DRUM_PITCHES) - 2, max(DRUM_PITCHES) + 2
        axes.set_yticks(DRUM_PITCHES, DRUMS)
    else:
        cs = [n for n in range(0, 128, 12) if low <= n <= high]
        axes.set_yticks(cs, [f"C{n // 12 - 1}" for n in cs])
    axes.set(xlim=(0, max(notes.seconds, 0.1)), ylim=(low, high), xlabel="seconds", ylabel="pitch")
    axes.grid(axis="y", color="0.9")
    with writing(path) as file:
        figure.savefig(
            file, format=path.suffix.lstrip(".").lower() or "png", dpi=100, metadata={"Title": mark_of(notes.file)}
        )
