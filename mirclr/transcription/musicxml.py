"""MusicXML of what was found: notes on sixteenths and triplets of the beats, in bars and keys, by music21."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mirclr.errors import MissingExtra
from mirclr.provenance import writing
from mirclr.terminal import shown
from mirclr.transcription.midi import write_midi

if TYPE_CHECKING:
    from mirclr.transcription.score import Notes

_OF_A_BEAT = (4, 3)  # what a beat is divided into


def require_music21() -> None:
    """Raise where music21 is missing.

    Raises
    ------
    MissingExtra
        It is.
    """
    try:
        import music21  # noqa: F401
    except ImportError:
        raise MissingExtra.of("MusicXML", "score") from None


def write_musicxml(path: Path, notes: Notes) -> None:
    """Write notes as a score, by way of MIDI; an older file is replaced at once.

    It has one tempo: on paper that of each beat, which MIDI has, would stand over each.

    Raises
    ------
    MissingExtra
        music21 is not installed.
    """
    require_music21()
    from music21 import metadata, midi, musicxml

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder, "notes.mid")
        write_midi(plain, notes)
        file = midi.MidiFile()
        file.open(str(plain))
        file.read()
        file.close()
    score = midi.translate.midiFileToStream(file, quarterLengthDivisors=_OF_A_BEAT)
    for number, mark in enumerate(list(score.recurse().getElementsByClass("MetronomeMark"))):
        if number:
            mark.activeSite.remove(mark)
        elif notes.tempo_bpm:
            mark.number = round(notes.tempo_bpm)
    score.insert(0, metadata.Metadata(title=shown(path.stem), composer="transcribed by mirclr"))
    text = musicxml.m21ToXml.GeneralObjectExporter(score).parse()
    with writing(path) as out:
        out.write(text)
