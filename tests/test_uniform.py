"""A library of music for one instrument, whose vectors are all near each other: pieces stay apart, copies are found."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mirclr.api import Library
from mirclr.ingest import near_duplicates
from mirclr.ingest.near_duplicates import find_candidates, find_near_duplicates
from mirclr.library import Entry, ExcerptEmbeddings
from mirclr.models.stamp import EncoderStamp
from mirclr.tags import Tags

RATE, SECONDS = 16_000, 12
MAJOR = (0, 2, 4, 5, 7, 9, 11)


@cache
def struck(pitch: int) -> np.ndarray:
    """A second of a note as a piano has it: dying away, high ones sooner, its partials a little sharp."""
    hz, t = 440 * 2 ** ((pitch - 69) / 12), np.arange(RATE) / RATE
    partials = [(n, n * hz * np.sqrt(1 + 4e-4 * n * n)) for n in range(1, 7)]
    heard = [np.sin(2 * np.pi * f * t) * np.exp(-t * (1 + f / 400)) / n**1.2 for n, f in partials if f < RATE / 2]
    return np.sum(heard, axis=0)


def piano(seed: int, seconds: int = SECONDS) -> np.ndarray:
    """(n,) of notes, with chords of two."""
    rng = np.random.default_rng(seed)
    tonic, pace = 48 + int(rng.integers(12)), float(rng.uniform(0.2, 0.45))
    sound = np.zeros(RATE * (seconds + 1))
    for start in np.arange(0.0, seconds - 0.5, pace):
        for octave in (0, 12) if rng.random() < 0.4 else (12,):
            note = struck(tonic + octave + int(rng.choice(MAJOR)))
            sound[round(start * RATE) :][: len(note)] += rng.uniform(0.3, 1) * note
    sound = sound[: RATE * seconds]
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


def test_pieces_are_told_from_a_copy_by_their_excerpts_without_decoding(tmp_path, monkeypatch):
    for seed in range(12):
        soundfile.write(tmp_path / f"{seed}.flac", piano(seed, 45), RATE)
    soundfile.write(tmp_path / "copy.ogg", 0.5 * piano(0, 45)[2 * RATE :], RATE)
    with Library.open(tmp_path / "lib.db", create=True) as library:
        library.embed(tmp_path, device="cpu")
        ids = {track.path: track.id for track in library.tracks()}
        near = find_candidates(library)
        assert len({i for pair in near for i in pair}) == len(ids)  # so few are all compared
        monkeypatch.setattr(near_duplicates, "_DENSITY", 10)
        monkeypatch.setattr(near_duplicates, "CROWDED", 0.0)
        some = find_candidates(library)
        assert (min(pair := (ids["0.flac"], ids["copy.ogg"])), max(pair)) in some
        assert len(some) <= 0.1 * len(near)


@pytest.mark.parametrize("kept", [True, False])
def test_where_all_are_near_each_other_only_what_is_nearer_is_compared(tmp_path, kept):
    rng, dim, n = np.random.default_rng(0), 64, 100
    excerpts = 3 * rng.standard_normal(dim) + rng.standard_normal((n, 15, dim))
    excerpts = np.concatenate([excerpts, excerpts[:3] + 0.1 * rng.standard_normal((3, 15, dim))])  # and three copies
    starts = np.arange(0, 150, 10.0)
    with Library.open(tmp_path / "lib.db", create=True) as library:
        library.bind(EncoderStamp("d" * 32, "a.safetensors", dim, 8, {}))
        library.write(
            entries=[
                Entry(
                    *("/music", f"{i}.mp3", 1, 1, f"f{i}", f"a{i}", 160.0, Tags()),
                    rows.mean(axis=0).astype(np.float32),
                    ExcerptEmbeddings.of(starts, rows) if kept else None,
                )
                for i, rows in enumerate(excerpts)
            ]
        )
        found = find_candidates(library)
        assert {(i, n + i) for i in (1, 2, 3)} <= {*found}
        if kept:
            assert len(found) <= 8
        else:  # an early mirclr kept no excerpts: all that is near is decoded, as before
            assert len(found) > 3 * n


def test_excerpts_lie_together_in_copies_that_are_trimmed_and_in_no_other_music():
    rng, starts = np.random.default_rng(0), np.arange(0, 120, 8.0)
    usual, song, other = 3 * rng.standard_normal(64), *rng.standard_normal((2, 130, 64))

    def kept(music: np.ndarray) -> ExcerptEmbeddings:
        rows = usual + np.stack([music[int(s) : int(s) + 5].mean(axis=0) for s in starts])
        return ExcerptEmbeddings.of(starts, rows + 0.05 * rng.standard_normal(rows.shape))

    assert kept(song).alignment(kept(song)) > near_duplicates.ALIGNED
    assert kept(song).alignment(kept(other)) < near_duplicates.ALIGNED
    late = ExcerptEmbeddings(kept(song).starts - 8, kept(song).components)
    assert kept(song).alignment(late) > near_duplicates.ALIGNED
    few = ExcerptEmbeddings(kept(song).starts[:3], kept(song).components[:3])
    assert few.alignment(few) == 0.0
