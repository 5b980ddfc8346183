"""A library of music for one instrument, whose vectors are all near each other: pieces stay apart, copies are found."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from mirclr.api import Library
from mirclr.ingest.near_duplicates import find_near_duplicates

RATE, SECONDS = 16_000, 12
MAJOR = (0, 2, 4, 5, 7, 9, 11)


def piano(seed: int) -> np.ndarray:
    """(n,) of notes as a piano has them: struck, dying away, high ones sooner, each with partials a little sharp."""
    rng = np.random.default_rng(seed)
    tonic, pace = 48 + int(rng.integers(12)), float(rng.uniform(0.2, 0.45))
    sound = np.zeros(RATE * SECONDS)
    for start in np.arange(0.0, SECONDS - 0.5, pace):
        for octave in (0, 12) if rng.random() < 0.4 else (12,):
            hz = 440 * 2 ** ((tonic + octave + int(rng.choice(MAJOR)) - 69) / 12)
            t = np.arange(min(RATE, len(sound) - round(start * RATE))) / RATE
            partials = [(n, n * hz * np.sqrt(1 + 4e-4 * n * n)) for n in range(1, 7)]
            note = sum(
                np.sin(2 * np.pi * f * t) * np.exp(-t * (1 + f / 400)) / n**1.2 for n, f in partials if f < RATE / 2
            )
            sound[round(start * RATE) :][: len(t)] += rng.uniform(0.3, 1) * note
    return 0.5 * sound / np.abs(sound).max()


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six pieces, as long to the sample, and a quieter copy of the first in another format."""
    folder = tmp_path_factory.mktemp("piano")
    for seed in range(6):
        soundfile.write(folder / f"{seed}.flac", piano(seed), RATE)
    soundfile.write(folder / "copy.ogg", 0.5 * piano(0), RATE)
    return folder


def test_pieces_for_one_instrument_are_no_copies_of_each_other_and_a_copy_is_one(
    pieces, tmp_path, in_this_process, monkeypatch
):
    monkeypatch.setattr(
        "mirclr.ingest.near_duplicates.results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs)
    )
    with Library.open(tmp_path / "lib.db", create=True) as library:
        library.embed(pieces, device="cpu")
        _, compared = library.compared()
        assert (compared @ compared.T).min() > 0.6  # all are candidates by their vectors
        listed = library.recommend(pieces / "0.flac", n=9, fill=True, artist_cap=0, artist_gap=0, same_album=True)
        assert sorted(r.track.path for r in listed) == [f"{n}.flac" for n in range(1, 6)]
        ids = {track.path: track.id for track in library.tracks()}
        found = find_near_duplicates(library).pairs
        assert set(found) == {tuple(sorted((ids["0.flac"], ids["copy.ogg"])))}
