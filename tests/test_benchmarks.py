"""What the benchmarks take for granted; they themselves are run by hand."""

import os
from types import SimpleNamespace

import numpy as np
import pytest

from mirclr.audio import read_excerpts
from tests.benchmarks import agreement, memory
from tests.benchmarks.decoding import decode_at, decode_whole
from tests.benchmarks.words import QUERIES, ndcg_at, precision_at, score

TAKES = SimpleNamespace(rate=16000, seconds=3.0)


@pytest.mark.parametrize("count", [1, 3, 30])
def test_excerpts_cut_from_a_decoded_track_are_those_read_by_seeking(songs, count):
    cut = agreement._excerpts(decode_at(songs[0], 16000), TAKES, count)
    read = read_excerpts(songs[0], count=count, seconds=3.0, rate=16000).waveforms
    assert cut.shape == read.shape
    # resampled alone, an excerpt may begin between two samples of the resampled track: no spectrum shows that
    spectra = [np.abs(np.fft.rfft(x, axis=1))[:, :6000] for x in (cut, read)]
    assert np.corrcoef(spectra[0].ravel(), spectra[1].ravel())[0, 1] > 0.99


def test_windows_cover_a_track(songs):
    waveform = decode_at(songs[0], 16000)
    assert agreement._windows(waveform, TAKES).shape == (2, 48000)  # of eight seconds
    assert agreement._windows(waveform[:10000], TAKES).shape == (1, 48000)
    assert decode_whole(songs[0]) > 8 * 8000


def test_the_overlap_is_that_of_neighbours():
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((40, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    near = agreement._neighbours(vectors)
    assert agreement._overlap(near, near) == 1
    assert not any(i in row for i, row in enumerate(near))
    assert agreement._overlap(near, agreement._neighbours(vectors[::-1].copy())) < 0.6


def test_each_measurement_can_be_run_and_names_what_it_measures():
    from tests.benchmarks.__main__ import MEASUREMENTS

    assert all(measure.__doc__ for measure in MEASUREMENTS.values())


@pytest.mark.skipif(os.name == "nt", reason="no ps")
def test_memory_counts_this_process():
    assert memory.resident_mib(os.getpid()) > 20


def test_words_are_scored_from_chance_to_all_that_can_be():
    rng = np.random.default_rng(0)
    wanted = {name: (rng.random(200) < 0.3).astype(float) for name in QUERIES}
    right = {word: wanted[name] for name, words in QUERIES.items() for word in words.split(", ")}
    perfect = score(lambda text: sum(right[word] for word in text.split()), wanted)
    assert (perfect["ndcg"], perfect["precision"], perfect["not_understood"]) == (1, 1, 0)
    chance = score(lambda _: None, wanted)
    assert chance["not_understood"] == chance["words"] == len(right)
    assert abs(chance["precision"] - 0.3) < 0.05
    felt = np.linspace(0, 1, 40)
    assert precision_at(felt, felt) == 1
    assert ndcg_at(felt, felt) == 1
    assert ndcg_at(felt, -felt) < 0.2
