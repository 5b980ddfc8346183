"""`Notes`: what was found in a song, and the files that are made of it."""

import csv
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.library import Chord, Outline
from mirclr.provenance import writing
from mirclr.transcription.beats import tempo_of
from mirclr.transcription.chords import track_keys
from mirclr.transcription.marks import COLUMNS
from mirclr.transcription.tracking import Note


@dataclass(frozen=True)
class Notes:
    """The notes of a song.

    Attributes
    ----------
    notes : tuple of Note
        By onset and pitch.
    seconds : float
        How long the song is.
    outline : Outline
        Beats and chords, as arrays.
    drums : bool
        Whether they are hits of drums, whose pitches are General MIDI's of its tenth channel.
    remark : str or None
        What was found wrong with the file, such as that it ends early; None of a whole one.
    file : Path or None
        The song's file, by which what is made of them is known again; None of a waveform.
    """

    notes: tuple[Note, ...]
    seconds: float
    outline: Outline = field(default_factory=Outline)
    drums: bool = False
    remark: str | None = None
    file: Path | None = field(default=None, compare=False)

    @property
    def beats(self) -> np.ndarray:
        """(n, 2) float64: when beats are, in seconds, and each one's place in its bar; empty where there is no beat."""
        return self.outline.beats

    @property
    def tempo_bpm(self) -> float | None:
        """Beats a minute; None where there is no beat."""
        return tempo_of(self.beats)

    @property
    def chords(self) -> tuple[Chord, ...]:
        """Chords over time."""
        return self.outline.named_chords

    @property
    def keys(self) -> tuple[Chord, ...]:
        """Keys over time, by the chords."""
        return tuple(Chord(*row) for row in track_keys(self.outline.chords))

    def __len__(self) -> int:
        return len(self.notes)

    def __iter__(self) -> Iterator[Note]:
        return iter(self.notes)

    def write_midi(self, path: Path | str) -> None:
        """Write them as a MIDI file of one track, of piano or drums, with tempo and bars of the beats, and keys.

        Times are right with and without beats: without, a beat of the file is half a second.
        """
        from mirclr.transcription.midi import write_midi

        write_midi(Path(path), self)

    def write_musicxml(self, path: Path | str) -> None:
        """Write them as a score: on sixteenths and triplets of the beats, in bars and keys.

        Raises
        ------
        MissingExtra
            music21 is not installed.
        """
        from mirclr.transcription.musicxml import write_musicxml

        write_musicxml(Path(path), self)

    def write_csv(self, path: Path | str) -> None:
        """Write them as a table: ``onset_s, offset_s, pitch`` (MIDI), ``velocity`` (1 to 127), ``probability``."""
        with writing(Path(path), "w") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(COLUMNS)
            rows.writerows(_row(note).values() for note in self.notes)

    def plot(self, path: Path | str) -> None:
        """Draw them as a piano roll: .png, .svg or .pdf.

        Raises
        ------
        MissingExtra
            matplotlib is not installed.
        """
        from mirclr.transcription.picture import plot_roll

        plot_roll(self, Path(path))

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        tempo = self.tempo_bpm
        return {
            "seconds": round(self.seconds, 3),
            "notes": [_row(note) for note in self.notes],
            "tempo_bpm": None if tempo is None else round(tempo, 2),
            **self.outline.as_json(),
            "keys": [{"begin_s": round(a, 2), "end_s": round(b, 2), "key": key} for a, b, key in self.keys],
        }


def _row(note: Note) -> dict[str, Any]:
    """Plain values, in milliseconds' steps."""
    return {key: round(value, 3) if isinstance(value, float) else value for key, value in asdict(note).items()}
