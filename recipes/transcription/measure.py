"""How well renders are transcribed that nothing was learned from: ``measure.py NETWORK.onnx DATA``, by mir_eval.

Of a network of notes, by kind of render: precision, recall and F1 of onsets, F1 with offsets, and chance: as many notes
at random times, of the pitches that the piece has. ``--onset`` and ``--frame`` try other thresholds. Of a network of
songs: beats and bars, tempo (the same; or a multiple), chords, key as of the true chords, and drums. See scores.py.
"""

import argparse
import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import scores
from examples import Render, batches_of_pieces, labels_of, reference_notes, renders

from mirclr.audio import decode_blocks
from mirclr.audio.pitched import RATE
from mirclr.models.portable_transcriber import PortableTranscriber
from mirclr.transcription import DRUM_PITCHES, PRESETS, SongReader, key_of, tempo_of, track_notes

Rows = dict[tuple[object, ...], list[tuple[float, ...]]]
NOTES = ("precision", "recall", "f1", "f1_offset", "chance_f1")
SONG = ("beats_f1", "downbeats_f1", "tempo", "tempo_or_multiple", "chords_majmin", "key_weighted", "key")


def measured_notes(network: PortableTranscriber, asked: argparse.Namespace) -> Rows:
    """Scores by thresholds and kind."""
    usual, rows = PRESETS["full"], defaultdict(list)
    for render in batches_of_pieces(renders(asked.data, asked.split), asked.pieces):
        reference = reference_notes(labels_of(asked.data, render.name))
        if not len(reference):
            continue
        activations = list(network.activations(decode_blocks(asked.data / f"{render.name}.wav", rate=RATE)))
        chance = scores.notes(reference, scores.by_chance(reference, np.random.default_rng(0)))[2]
        for onset in asked.onset or [usual.onset]:
            for frame in asked.frame or [usual.frame]:
                found = track_notes(activations, replace(usual, onset=onset, frame=frame))
                table = np.array([(n.onset_s, n.offset_s, n.pitch) for n in found]).reshape(-1, 3)
                row = (*scores.notes(reference, table), scores.notes(reference, table, offsets=True)[2], chance)
                rows[onset, frame, render.kind].append(row)
                rows[onset, frame, "all"].append(row)
    return rows


def measured_song(network: PortableTranscriber, asked: argparse.Namespace) -> tuple[Rows, dict[str, np.ndarray]]:
    """Scores by kind, and counts of drums."""
    rows: Rows = defaultdict(list)
    hits: dict[str, np.ndarray] = defaultdict(lambda: np.zeros((5, 3), int))
    for render in batches_of_pieces(renders(asked.data, asked.split), asked.pieces):
        labels, reader = labels_of(asked.data, render.name), SongReader(network)
        for block in decode_blocks(asked.data / f"{render.name}.wav", rate=RATE):
            reader.feed(block)
        reader.finish()
        if len(labels["drums"]):
            found = [(n.onset_s, DRUM_PITCHES.index(n.pitch)) for n in reader.drums(0.5)]
            hits[render.kind] += scores.drums(labels["drums"], np.array(found).reshape(-1, 2))
        if len(labels["beats"]) > 8:
            rows[(render.kind,)].append(of_song(render, labels, reader))
    return rows, hits


def of_song(render: Render, labels: dict[str, np.ndarray], reader: SongReader) -> tuple[float, ...]:
    """The numbers of `SONG`; NaN where nothing is known."""
    outline, beats = reader.outline(), labels["beats"].astype(float)
    found = outline.beats
    both = (scores.beats(beats[:, 0], found[:, 0]), scores.beats(*(b[b[:, 1] == 1, 0] for b in (beats, found))))
    tempo = scores.tempo(tempo_of(beats) or 1.0, tempo_of(found))
    if not len(labels["chords"]):
        return (*both, *tempo, np.nan, np.nan, np.nan)
    chords = labels["chords"].astype(float)
    key = key_of(scores.as_found(chords))[0]
    keys = (np.nan, np.nan) if key is None else scores.key(key, key_of(outline.chords)[0])
    return (*both, *tempo, scores.chords(chords, outline.chords), *keys)


def main() -> None:
    """Print means as JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="valid")
    parser.add_argument("--pieces", type=int, default=10, help="of each kind")
    parser.add_argument("--onset", type=float, action="append")
    parser.add_argument("--frame", type=float, action="append")
    asked = parser.parse_args()
    network = PortableTranscriber(asked.network)
    if network.kind == "notes":
        for (onset, frame, kind), some in sorted(measured_notes(network, asked).items()):
            means = dict(zip(NOTES, np.mean(some, axis=0).round(3).tolist(), strict=True))
            print(json.dumps({"onset": onset, "frame": frame, "kind": kind, "renders": len(some), **means}))
        return
    rows, hits = measured_song(network, asked)
    for (kind,), some in sorted(rows.items()):
        table = np.array(some, np.float64)
        means = {n: round(float(np.nanmean(c)), 3) for n, c in zip(SONG, table.T, strict=True) if not np.isnan(c).all()}
        print(json.dumps({"kind": kind, "renders": len(some), **means}))
    for kind, counts in sorted(hits.items()):
        print(json.dumps({"kind": kind, "drums_f1": round(scores.f1_of(counts), 3)}))


if __name__ == "__main__":
    main()
