"""What notes of a melody are known by: ``melodies.py NOTES.onnx DATA``, for mirclr/transcription/melody.py.

Of renders by bands of the split train, of play.py, notes are found by the preset ``melody`` before one voice is chosen.
Whether each is of the part of the melody is regressed on `signs_of_melody`: the bias and the weights are printed, and
F1 of melodies as they are found.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import scores
from examples import batches_of_pieces, labels_of, renders
from pieces import MELODY
from sklearn.linear_model import LogisticRegression

from mirclr.audio import decode_blocks
from mirclr.audio.pitched import RATE
from mirclr.models.portable_transcriber import PortableTranscriber
from mirclr.transcription import PRESETS, Note, track_notes
from mirclr.transcription.melody import melody_of, signs_of_melody

_WITHIN_S = 0.05


def is_of(melody: np.ndarray, notes: list[Note]) -> np.ndarray:
    """(m, 3+) onset, offset, MIDI note -> (n,) of whether each note is one of these."""
    near = np.abs(np.array([n.onset_s for n in notes])[:, None] - melody[None, :, 0]) < _WITHIN_S
    same: np.ndarray = near & (np.array([n.pitch for n in notes])[:, None] == melody[None, :, 2])
    return same.any(axis=1)


def main() -> None:
    """Print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--pieces", type=int, default=100)
    asked = parser.parse_args()
    network, every = PortableTranscriber(asked.network), replace(PRESETS["melody"], one_voice=False)
    signs, there, rows = [], [], []
    bands = [render for render in renders(asked.data, "train") if render.kind == "band"]
    for render in batches_of_pieces(bands, asked.pieces):
        notes = labels_of(asked.data, render.name)["notes"]
        melody = notes[notes[:, 4] == MELODY]
        found = track_notes(network.activations(decode_blocks(asked.data / f"{render.name}.wav", rate=RATE)), every)
        if not len(melody) or not found:
            continue
        signs.append(signs_of_melody(found))
        there.append(is_of(melody, found))
        line = np.array([(n.onset_s, n.offset_s, n.pitch) for n in melody_of(found)]).reshape(-1, 3)
        rows.append(scores.notes(melody, line))
    model = LogisticRegression(max_iter=1000).fit(np.concatenate(signs), np.concatenate(there))
    print(json.dumps({"_BIAS": round(float(model.intercept_[0]), 2), "_WEIGHTS": model.coef_[0].round(2).tolist()}))
    print(json.dumps(dict(zip(("precision", "recall", "f1"), np.mean(rows, axis=0).round(3).tolist(), strict=True))))


if __name__ == "__main__":
    main()
