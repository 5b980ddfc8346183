"""mirclr in pipelines of scikit-learn: `MirclrEmbedder`, audio to vectors.

Examples
--------
>>> from mirclr.sklearn import MirclrEmbedder
>>> from sklearn.linear_model import LogisticRegression
>>> from sklearn.pipeline import make_pipeline
>>> model = make_pipeline(MirclrEmbedder(), LogisticRegression())
>>> model.fit(["song.mp3", "other.flac"], ["rock", "pop"]).predict(["song.mp3"]).tolist()
['rock']
"""

import os
import warnings
from functools import lru_cache
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import validate_data

from mirclr.errors import UnusableAudio
from mirclr.models.encoding import Encoder, load_encoder
from mirclr.models.pretrained import checkpoint_named

__all__ = ["MirclrEmbedder"]


class MirclrEmbedder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Audio files or waveforms to vectors of unit length: a transformer without state.

    What is cloned and pickled are its parameters; the weights are read again where they are needed, once a process.

    Parameters
    ----------
    encoder : str, Path or Encoder, default="builtin"
        ``"builtin"``, the path of a checkpoint, or what `mirclr.load_encoder` gave.
    sr : float, default=22050
        Sampling rate of waveforms, in Hz. Files state their own.
    device : str, default="auto"
        A device of torch, where `encoder` is none that is loaded.
    workers : int, default=0
        Processes that decode files; 0: one a core.
    on_error : {"raise", "nan"}, default="raise"
        Whether what cannot be embedded ends the run, or is a row of NaN and a warning that names it.

    Attributes
    ----------
    n_features_in_ : int
        Columns of what it was fitted on: samples of a waveform, or 1 of paths.
    feature_names_in_ : (1,) ndarray of str
        Name of the column of paths, where it was fitted on a data frame.

    See Also
    --------
    mirclr.Encoder : The same without scikit-learn.

    Examples
    --------
    >>> from mirclr.sklearn import MirclrEmbedder
    >>> MirclrEmbedder().fit_transform(["song.mp3", "other.flac"]).shape
    (2, 768)
    """

    def __init__(
        self,
        encoder: str | os.PathLike[str] | Encoder = "builtin",
        *,
        sr: float = 22050,
        device: str = "auto",
        workers: int = 0,
        on_error: Literal["raise", "nan"] = "raise",
    ) -> None:
        self.encoder = encoder
        self.sr = sr
        self.device = device
        self.workers = workers
        self.on_error = on_error

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the kind of input; nothing is learnt, and nothing is decoded.

        Parameters
        ----------
        X : sequence of n paths, (n, 1) column of paths, (n, n_samples) array, or n arrays
            Audio files (str or Path), or waveforms at `sr`: of one length, or each an array of its own, (n_samples,) or
            (channels, n_samples).
        y : object, optional
            Ignored.

        Returns
        -------
        MirclrEmbedder
            Itself.

        Raises
        ------
        ValueError, TypeError
            `X` is nothing of the kind.
        """
        self._rows(X, reset=True)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Embed files or waveforms.

        Parameters
        ----------
        X : sequence of n paths, (n, 1) column of paths, (n, n_samples) array, or n arrays
            As of `fit`.

        Returns
        -------
        (n, dim) float32
            A row of unit length each, as of `mirclr.Encoder.embed_file` or `mirclr.Encoder.embed`.

        Raises
        ------
        UnreadableAudio, UnusableAudio
            With ``on_error="raise"``, a file cannot be decoded, or a waveform is too short or silent.
        """
        if self.on_error not in ("raise", "nan"):
            raise ValueError(f"on_error: found {self.on_error!r}; expected 'raise' or 'nan'")
        rows, encoder = self._rows(X, reset=False), self._loaded()
        if isinstance(rows[0], str):
            return encoder.embed_files(rows, workers=self.workers, on_error=self.on_error)
        vectors = np.full((len(rows), encoder.dim), np.nan, np.float32)
        for i, y in enumerate(rows):
            try:
                vectors[i] = encoder.embed(y, self.sr)
            except UnusableAudio as error:
                if self.on_error == "raise":
                    raise UnusableAudio(f"row {i}: {error}") from error
                warnings.warn(f"row {i}: {error}; it is NaN", stacklevel=2)
        return vectors

    def _rows(self, X: Any, *, reset: bool) -> list[Any]:
        """The rows of X: paths, all as str, or waveforms."""
        if isinstance(X, str | os.PathLike):
            raise ValueError(f"found one path, {str(X)!r}; expected several: [{str(X)!r}]")
        if _are_paths(X):
            if np.ndim(X) == 2:
                X = validate_data(self, X, dtype=object, ensure_all_finite=False, reset=reset)
                if X.shape[1] != 1:
                    raise ValueError(f"found {X.shape[1]} columns of paths; expected one")
            elif reset:
                self.n_features_in_ = 1
            return [os.fspath(path) for path in np.ravel(np.asarray(X, object))]
        if _are_apart(X):
            if reset:
                self.n_features_in_ = 1
            return list(X)
        return list(validate_data(self, X, ensure_all_finite=self.on_error != "nan", reset=reset))

    def _loaded(self) -> Encoder:
        if isinstance(self.encoder, Encoder):
            return self.encoder
        file = checkpoint_named(os.fspath(self.encoder))
        changed = file.stat().st_mtime_ns if file.exists() else 0
        return _loaded(os.fspath(self.encoder), self.device, changed)

    @property
    def _n_features_out(self) -> int:
        return self._loaded().dim

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.string = True
        tags.input_tags.three_d_array = True
        tags.input_tags.allow_nan = self.on_error == "nan"
        tags.transformer_tags.preserves_dtype = []  # vectors are float32, whatever the samples are
        return tags


@lru_cache(maxsize=2)
def _loaded(name: str, device: str, changed: int) -> Encoder:
    return load_encoder(name, device)


def _are_paths(X: Any) -> bool:
    """Whether all that is in a list, an array or a data frame are paths."""
    if not isinstance(X, list | tuple) and not (hasattr(X, "__array__") and np.asarray(X).dtype.kind in "UOT"):
        return False
    values = X if isinstance(X, list | tuple) else np.ravel(np.asarray(X, object))
    flat = [v for row in values for v in (row if isinstance(row, list | tuple) else [row])]
    return bool(flat) and all(isinstance(v, str | os.PathLike) for v in flat)


def _are_apart(X: Any) -> bool:
    """Whether waveforms are arrays of their own, of several lengths or channels."""
    if isinstance(X, list | tuple) or (isinstance(X, np.ndarray) and X.dtype == object and X.ndim == 1):
        shapes = {np.shape(row) for row in X if hasattr(row, "__array__")}
        return len(X) > 0 and all(hasattr(row, "__array__") for row in X) and (len(shapes) > 1 or len(min(shapes)) > 1)
    return np.ndim(X) == 3 if isinstance(X, np.ndarray) else False
