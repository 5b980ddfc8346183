"""What signs of bars and of keys are worth: ``weigh.py NETWORK.onnx POP909 GROOVE FONTS``, for beats.py and chords.py.

Songs of POP909 that are held out and measure nothing, each whole, on a piano and by a band, are rendered by the
held-out font.
Of the beats that the network finds there, each is the first of a bar, the third of four, or another: `_OF_PLACES` are
the coefficients of a logistic regression on `signs_of_bars`. Of keys, `_BY_CHORDS` and `_BY_PITCHES` are those at which
the annotated ones are likeliest. Printed as JSON.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile
from pieces import Piece, labels
from play import HELD_OUT, RATE, rendered
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression
from songs import by_band, key_of_song, on_piano, performances, song_numbers

from mirclr.audio.pitched import FRAME_S
from mirclr.models.portable_transcriber import PortableTranscriber
from mirclr.transcription import read_song
from mirclr.transcription.beats import beat_frames, signs_of_bars
from mirclr.transcription.chords import key_fits, track_chords

LONGEST_S = 600.0
_FIRST, _WEAK, _HALF = range(3)
_NEAR_S = 0.07  # of a beat that is found to one that is annotated


def drawn(pop909: Path, groove: Path) -> Iterator[tuple[str, Piece, np.random.Generator]]:
    """Songs that set what is tuned: two of each, by number alone."""
    drummers = performances(groove, ("validation",))
    for number in song_numbers(pop909, "valid"):
        if int(number) // 20 % 2:
            continue
        rngs = [np.random.default_rng([25, int(number), kind]) for kind in (0, 1)]
        yield number, on_piano(pop909, number, rngs[0], LONGEST_S, first=0), rngs[0]
        yield number, by_band(pop909, number, drummers, rngs[1], LONGEST_S, first=0), rngs[1]


def places_of(beats: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """(n, 2) annotated beats and (m,) frames -> (m,) what each is in its bar; -1 of those near none."""
    times = frames * FRAME_S
    nearest = np.abs(times[:, None] - beats[None, :, 0]).argmin(axis=1)
    downs = np.append(np.flatnonzero(beats[:, 1] == 1), len(beats))
    bar = np.searchsorted(downs, nearest, side="right") - 1
    length = np.where(bar >= 0, downs[np.minimum(bar + 1, len(downs) - 1)] - downs[bar], 4)
    place = beats[nearest, 1]
    kinds = np.where(place == 1, _FIRST, np.where((place == 3) & (length == 4), _HALF, _WEAK))
    return np.where(np.abs(times - beats[nearest, 0]) < _NEAR_S, kinds, -1)


def weights_of_places(signs: np.ndarray, places: np.ndarray) -> list[list[float]]:
    """(m, 5) signs and (m,) places -> three rows of a bias and weights."""
    model = LogisticRegression(max_iter=2000)
    model.fit(signs[:, 1:], places)
    rows: list[list[float]] = np.column_stack([model.intercept_, model.coef_]).round(2).tolist()
    return rows


def weights_of_keys(by_chords: np.ndarray, by_pitches: np.ndarray, keys: np.ndarray) -> list[float]:
    """(k, 24) how well chords and pitches fit each key, and (k,) the true ones -> what each is worth."""

    def cost(weights: np.ndarray) -> float:
        fits = weights[0] * by_chords + weights[1] * by_pitches
        return float((np.logaddexp.reduce(fits, axis=1) - fits[np.arange(len(keys)), keys]).mean())

    found: list[float] = minimize(cost, np.array([5.0, 5.0]), method="Nelder-Mead").x.round(1).tolist()
    return found


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("network", "pop909", "groove", "fonts"):
        parser.add_argument(name, type=Path)
    asked = parser.parse_args()
    network = PortableTranscriber(asked.network)
    signs, places, chords, pitches, keys = [], [], [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for number, piece, rng in drawn(asked.pop909, asked.groove):
            file = Path(folder) / "song.wav"
            soundfile.write(file, rendered(piece, asked.fonts / HELD_OUT, rng, LONGEST_S), RATE)
            beats, song = labels(piece)["beats"].astype(float), read_song(file, network, pitches=True)
            frames = beat_frames(song.activation("beat")[0])
            if len(frames):
                rows = [song.activation(name) for name in ("downbeat", "root", "drums")]
                signs.append(signs_of_bars(frames, rows[0][0], rows[1], rows[2]).T)
                places.append(places_of(beats, frames))
            found = track_chords(song.activation("root"), song.activation("quality"))
            seconds = (found[:, 1] - found[:, 0]) * (found[:, 2] > 0)
            if seconds.sum() > 0:
                tonic, minor = key_of_song(asked.pop909, number)
                chords.append(key_fits(found) @ seconds / seconds.sum())
                pitches.append(song.pitch_fits())
                keys.append((tonic + piece.up) % 12 + 12 * minor)
    every, where = np.concatenate(signs), np.concatenate(places)
    print(json.dumps({"_OF_PLACES": weights_of_places(every[where >= 0], where[where >= 0]), "beats": len(every)}))
    weights = weights_of_keys(np.array(chords), np.array(pitches), np.array(keys))
    print(json.dumps({"_BY_CHORDS, _BY_PITCHES": weights, "songs": len(keys)}))


if __name__ == "__main__":
    main()
