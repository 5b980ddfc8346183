"""From what a network says of a whole song to its outline and its drums."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mirclr.audio import Span, decode_blocks, resample
from mirclr.audio.key import PITCHES, fits_of, pitch_strengths
from mirclr.audio.pitched import RATE
from mirclr.audio.spectra import RATE as DESCRIBED_RATE
from mirclr.audio.tempo import find_tempo
from mirclr.errors import AudioError
from mirclr.library import Outline
from mirclr.models.portable_transcriber import SHAPES, SONG_ROWS, PortableTranscriber, TranscriberStream
from mirclr.transcription.aspects import harmony_of, rhythm_of
from mirclr.transcription.beats import track_beats
from mirclr.transcription.chords import track_chords
from mirclr.transcription.drums import track_drums
from mirclr.transcription.tracking import Note

_STRETCH = (60, 90)  # seconds: so many, that end after so many of the song
_PITCHES_S = 30  # whose pitches are measured at a time, by a tuning of their own


class SongReader:
    """Sound that comes block by block, to beats, chords and drums; two kilobytes a second are kept, and a minute whole.

    Parameters
    ----------
    network : PortableTranscriber
        Of the kind "song".
    pitches : bool
        Whether its pitches are measured too.
    """

    def __init__(self, network: PortableTranscriber, *, pitches: bool = False) -> None:
        self._stream = TranscriberStream(network)
        self._parts = [np.zeros((*SHAPES["song"], 0), np.float16)]
        self._stretch = np.zeros(0, np.float32)
        self._pitches = np.zeros(len(PITCHES)) if pitches else None
        self._unmeasured = np.zeros(0, np.float32)

    def feed(self, block: np.ndarray) -> None:
        """(n,) float32 at 16 kHz: the next of it."""
        self._parts += [part.astype(np.float16) for part in self._stream.feed(block)]
        if len(self._stretch) < _STRETCH[1] * RATE:
            self._stretch = np.concatenate([self._stretch, block[: _STRETCH[1] * RATE - len(self._stretch)]])
        if self._pitches is not None:
            self._unmeasured = np.concatenate([self._unmeasured, block])
            while len(self._unmeasured) >= _PITCHES_S * RATE:
                self._measure_pitches()

    def finish(self) -> None:
        """No more comes."""
        self._parts += [part.astype(np.float16) for part in self._stream.finish()]
        if len(self._unmeasured):
            self._measure_pitches()

    def _measure_pitches(self) -> None:
        assert self._pitches is not None
        part, self._unmeasured = self._unmeasured[: _PITCHES_S * RATE], self._unmeasured[_PITCHES_S * RATE :]
        self._pitches += len(part) * np.nan_to_num(pitch_strengths([resample(part, RATE, DESCRIBED_RATE)]))

    def pitch_fits(self) -> np.ndarray:
        """(24,) float64: how well the pitches of all of it fit each key, as of `mirclr.audio.key.fits_of`."""
        assert self._pitches is not None, "its pitches are not measured"
        return fits_of(self._pitches / max(1.0, float(self._pitches.max())))

    def activation(self, name: str) -> np.ndarray:
        """(rows, T) float32 of one of `SONG_ROWS`."""
        return np.concatenate([part[SONG_ROWS[name]] for part in self._parts], axis=1).astype(np.float32)

    def outline(self) -> Outline:
        """Beats and chords."""
        beat, downbeat, root, drums = map(self.activation, ("beat", "downbeat", "root", "drums"))
        beats = track_beats(beat[0], downbeat[0], self._tempo, root, drums)
        return Outline(beats, track_chords(root, self.activation("quality")))

    def _tempo(self) -> float | None:
        """Beats a minute by how its sound comes again."""
        return find_tempo([resample(self._stretch[-_STRETCH[0] * RATE :], RATE, DESCRIBED_RATE)])

    def aspects(self, outline: Outline) -> dict[str, np.ndarray]:
        """Its harmony and rhythm, as far as there is any, given its outline."""
        found = {"harmony": harmony_of(outline), "rhythm": rhythm_of(outline, self.activation("drums"))}
        return {name: numbers for name, numbers in found.items() if numbers is not None}

    def drums(self, sensitivity: float) -> list[Note]:
        """Hits."""
        return track_drums(self.activation("drums"), sensitivity)


def read_song(
    path: Path, network: PortableTranscriber, span: Span | None = None, *, pitches: bool = False
) -> SongReader:
    """A file, or a part of one, read to its end as by `SongReader`; a damaged one as far as it can be decoded.

    Raises
    ------
    AudioError
        As `mirclr.audio.decode_blocks`, where nothing can be.
    """
    reader, read = SongReader(network, pitches=pitches), 0
    try:
        for block in decode_blocks(path, rate=RATE, span=span, raised=True):
            reader.feed(block)
            read += len(block)
    except AudioError:
        if not read:
            raise
    reader.finish()
    return reader
