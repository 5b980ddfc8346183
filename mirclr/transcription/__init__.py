"""A song to its notes, beats, chords and drums, and those to MIDI, tables, pictures and sound.

In: audio files or waveforms. Out: `Notes`.

Sound is read as a stream; a network (`mirclr.models.portable_transcriber`) says of every pitch in every frame of 32 ms
whether a note begins, goes on and ends; tracking.py, which has all of the post-processing and the presets, makes notes
of that. A second network says of every frame how likely a beat, a bar, drums and chords are (outline.py), of which
beats.py, chords.py (keys too), drums.py and aspects.py (harmony and rhythm, to compare songs by) make what is kept.
score.py is what is found; midi.py, picture.py and sonify.py make files of it.

Contents: `transcribe`, `Notes`, `Note`, `Preset`, `PRESETS`, `track_notes`, `track_beats`, `track_chords`,
`track_keys`, `track_drums`, `tempo_of`, `key_of`, `read_song`, `sonify`, `write_check`, `is_ours`.
"""

from mirclr.transcription.beats import tempo_of, track_beats
from mirclr.transcription.call import DRUM_PRESET, builtin_transcriber, preset_of, transcribe
from mirclr.transcription.chords import key_of, track_chords, track_keys
from mirclr.transcription.drums import DRUM_PITCHES, DRUMS, track_drums
from mirclr.transcription.marks import is_ours
from mirclr.transcription.outline import SongReader, read_song
from mirclr.transcription.score import Notes
from mirclr.transcription.sonify import sonify, write_check
from mirclr.transcription.tracking import PRESETS, Note, NoteTracker, Preset, track_notes

__all__ = [
    "DRUMS",
    "DRUM_PITCHES",
    "DRUM_PRESET",
    "PRESETS",
    "Note",
    "NoteTracker",
    "Notes",
    "Preset",
    "SongReader",
    "builtin_transcriber",
    "is_ours",
    "key_of",
    "preset_of",
    "read_song",
    "sonify",
    "tempo_of",
    "track_beats",
    "track_chords",
    "track_drums",
    "track_keys",
    "track_notes",
    "transcribe",
    "write_check",
]
