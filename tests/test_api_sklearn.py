"""`mirclr.sklearn`: what scikit-learn asks of a transformer, on files and on waveforms."""

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import mirclr
from mirclr.errors import UnreadableAudio, UnusableAudio
from mirclr.models.checkpoint import save_checkpoint
from mirclr.models.encoder import Model
from mirclr.models.encoding import Encoder
from mirclr.sklearn import MirclrEmbedder
from tests.conftest import TINY

SHORT = "its rows are taken for waveforms, and have fewer samples than half a second"
EXPECTED = dict.fromkeys(
    (
        "check_fit_score_takes_y",
        "check_estimators_dtypes",
        "check_dtype_object",
        "check_pipeline_consistency",
        "check_estimators_pickle",
        "check_f_contiguous_array_estimator",
        "check_transformer_data_not_an_array",
        "check_transformer_general",
        "check_transformers_unfitted_stateless",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_dict_unchanged",
        "check_fit_idempotent",
    ),
    SHORT,
)


@parametrize_with_checks([MirclrEmbedder()], expected_failed_checks=lambda _: EXPECTED, xfail_strict=True)
def test_scikit_learn_s_checks(estimator, check):
    check(estimator)


class Repeated(MirclrEmbedder):
    """The same with rows repeated to a second, so that the checks which embed can be made."""

    def _rows(self, X, *, reset):
        return [np.resize(np.asarray(row, np.float32) / 100, 8000) for row in super()._rows(X, reset=reset)]

    def _loaded(self):
        return tiny()


def tiny(made=[]):  # noqa: B006  (one for all checks)
    if not made:
        torch.manual_seed(0)
        model = Model(TINY).eval()
        made.append(Encoder.of_model(model, name="tiny", device="cpu"))
    return made[0]


SILENT = {"check_estimators_dtypes": "a row of zeros is silence, of which there is no vector"}


@parametrize_with_checks([Repeated(sr=8000)], expected_failed_checks=lambda _: SILENT, xfail_strict=True)
def test_scikit_learn_s_checks_on_rows_that_are_long_enough(estimator, check):
    check(estimator)


# on music


@pytest.fixture
def embedder(checkpoint: Path) -> MirclrEmbedder:
    return MirclrEmbedder(checkpoint, device="cpu", workers=1)


@pytest.fixture
def waveforms() -> np.ndarray:
    """(4, 22050) float64: four different noises of a second."""
    return 0.1 * np.random.default_rng(0).standard_normal((4, 22050))


def test_paths_give_the_vectors_of_the_encoder(embedder, checkpoint, songs, in_this_process):
    encoder = mirclr.load_encoder(checkpoint, device="cpu")
    wanted = np.stack([encoder.embed_file(song) for song in songs])
    column = np.array([[str(song)] for song in songs], dtype=object)
    for X in (songs, list(map(str, songs)), np.array(list(map(str, songs))), column, [[song] for song in songs]):
        found = embedder.fit(X).transform(X)
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == np.float32
        assert embedder.n_features_in_ == 1


def test_waveforms_give_the_vectors_of_the_encoder(embedder, checkpoint, waveforms):
    encoder = mirclr.load_encoder(checkpoint, device="cpu")
    wanted = np.stack([encoder.embed(y, 22050) for y in waveforms])
    np.testing.assert_array_equal(embedder.fit(waveforms).transform(waveforms), wanted)
    assert embedder.n_features_in_ == 22050
    np.testing.assert_array_equal(embedder.fit_transform(list(waveforms)), wanted)
    of_several_lengths = [*waveforms[:3], np.tile(waveforms[3], 2)]
    np.testing.assert_array_equal(embedder.fit_transform(of_several_lengths)[:3], wanted[:3])
    stereo = np.stack([waveforms, waveforms], axis=1)
    np.testing.assert_array_equal(embedder.fit_transform(stereo), wanted)


def test_in_a_pipeline(embedder, songs, in_this_process):
    model = make_pipeline(embedder, KNeighborsClassifier(1))
    artists = ["gunroar", "mucade", "torus", "torus"]
    assert model.fit(songs, artists).predict(songs).tolist() == artists
    scores = cross_val_score(model, songs * 2, artists * 2, cv=2, error_score="raise")
    assert np.isfinite(scores).all()
    names = model[:1].get_feature_names_out().tolist()
    assert names[:2] == ["mirclrembedder0", "mirclrembedder1"]
    assert len(names) == model[0].transform(songs).shape[1]


def test_a_data_frame_of_paths(embedder, songs, in_this_process):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"file": list(map(str, songs))})
    embedder.fit(frame)
    assert embedder.feature_names_in_.tolist() == ["file"]
    found = embedder.set_output(transform="pandas").transform(frame)
    assert found.shape == (len(songs), len(embedder.get_feature_names_out()))


def test_parameters_are_cloned_and_pickled_and_weights_are_not(embedder, songs, in_this_process):
    wanted = embedder.fit_transform(songs)
    pickled = pickle.dumps(embedder)
    assert len(pickled) < 2000
    for again in (pickle.loads(pickled), clone(embedder), clone(pickle.loads(pickled))):
        assert again.get_params() == embedder.get_params()
        np.testing.assert_array_equal(again.transform(songs), wanted)


def test_an_encoder_that_is_loaded_is_pickled_by_its_name(checkpoint, tmp_path, waveforms):
    moved = shutil.copy(checkpoint, tmp_path / "mine.safetensors")
    embedder = MirclrEmbedder(mirclr.load_encoder(moved, device="cpu"))
    pickled = pickle.dumps(embedder)
    assert len(pickled) < 2000
    assert clone(embedder).encoder is embedder.encoder
    again = pickle.loads(pickled)
    np.testing.assert_array_equal(again.transform(waveforms), embedder.transform(waveforms))
    torch.manual_seed(1)
    save_checkpoint(moved, Model(TINY), {})
    with pytest.raises(mirclr.errors.CheckpointError, match=r"mine\.safetensors: holds another encoder"):
        pickle.loads(pickled)


def test_what_cannot_be_embedded(embedder, tmp_path, songs, waveforms, in_this_process):
    bad = tmp_path / "bad.mp3"
    bad.write_bytes(b"no music")
    files = [songs[0], bad, songs[1]]
    with pytest.raises(UnreadableAudio, match=r"bad\.mp3"):
        embedder.transform(files)
    with pytest.raises(UnusableAudio, match="row 2: waveform: silent"):
        embedder.transform(waveforms * np.array([[1], [1], [0], [1]]))
    embedder.set_params(on_error="nan")
    with pytest.warns(UserWarning, match=r"bad\.mp3.*its row is NaN"):
        found = embedder.transform(files)
    np.testing.assert_array_equal(np.isnan(found).all(axis=1), [False, True, False])
    with pytest.warns(UserWarning, match="row 2: .*it is NaN"):
        found = embedder.transform(waveforms * np.array([[1], [1], [0], [1]]))
    np.testing.assert_array_equal(np.isnan(found).any(axis=1), [False, False, True, False])


@pytest.mark.parametrize("X", ["a.mp3", Path("a.mp3"), [["a.mp3", "b.mp3"]], [], [None], 3])
def test_what_is_no_input(embedder, X):
    with pytest.raises((ValueError, TypeError)):
        embedder.fit(X)


def test_an_array_of_arrays_is_waveforms_of_several_lengths(embedder, waveforms):
    X = np.empty(2, object)
    X[:] = [waveforms[0], waveforms[1][:15000]]
    np.testing.assert_array_equal(embedder.fit_transform(X), embedder.fit_transform(list(X)))
