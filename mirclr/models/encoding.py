"""`Encoder`: audio files and waveforms to vectors, one at a time or many."""

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeGuard, cast

import numpy as np
import numpy.typing as npt

from mirclr import config
from mirclr.audio import SILENCE, decode_blocks, read_excerpts
from mirclr.audio.decoding import decode_files
from mirclr.audio.waveform import waveform_blocks, waveform_excerpts, windows
from mirclr.errors import CheckpointError, UnreadableAudio, UnusableAudio
from mirclr.extensions import allow_code, is_class_name, make
from mirclr.models.embedder import Embedder
from mirclr.models.pretrained import checkpoint_named, is_there
from mirclr.models.stamp import NO_VECTOR, is_usable

if TYPE_CHECKING:
    from torch import nn

AudioFile = str | os.PathLike[str]
_BATCH = 32  # windows that are embedded at once


class Encoder(Embedder):
    """Audio files and waveforms to vectors; made by `mirclr.load_encoder`.

    A track's vector is made of excerpts spread evenly over it: of their mean, and for encoders such as the built-in
    one of how much they differ (`TrackPooling`). mirclr ranks by cosines of the means (``stamp.compared``).

    Attributes
    ----------
    dim : int
        Components of a track's vector; 768 of the built-in encoder.
    excerpts : int
        Excerpts that are read of a track, at most.
    rate : int
        Sampling rate that the encoder works at, in Hz. Audio of any rate is resampled to it.
    seconds : float
        Length of an excerpt or segment, in seconds.
    stamp : EncoderStamp
        Name and digest, as libraries keep them.

    Examples
    --------
    >>> import mirclr
    >>> encoder = mirclr.load_encoder()
    >>> v = encoder.embed_file("song.mp3")
    >>> v.shape, v.dtype.name
    ((768,), 'float32')
    """

    def __repr__(self) -> str:
        return f"Encoder({self.stamp.name!r}, digest={self.stamp.digest[:12]!r}, dim={self.dim})"

    def __reduce__(self) -> tuple[Any, ...]:
        if not is_there(checkpoint_named(self.stamp.name)):
            raise TypeError(f"{self!r} was made of a module that was passed in, and cannot be pickled")
        return _loaded_again, (self.stamp.name, self.stamp.digest, self.excerpts, self.network.device)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self  # nothing of it changes

    def embed_file(self, path: AudioFile) -> np.ndarray:
        """Embed an audio file.

        Parameters
        ----------
        path : str or Path
            Audio of any kind that mirclr reads, known by its content. The file is read by seeking, in this process.

        Returns
        -------
        (dim,) float32
            Of unit length: bit for bit what ``mirclr embed`` stores of this file in a library of this encoder on this
            machine.

        Raises
        ------
        UnreadableAudio
            The file is missing, empty, damaged or not audio. It is an `OSError`.
        UnusableAudio
            It is silent, shorter than half a second, or holds NaN. It is a `ValueError`.

        Examples
        --------
        >>> import mirclr
        >>> encoder = mirclr.load_encoder()
        >>> a, b = encoder.embed_file("song.mp3"), encoder.embed_file("other.flac")
        >>> bool(-1 <= a @ b <= 1)  # their cosine
        True
        """
        file = _path(path)
        excerpts = read_excerpts(file, count=self.excerpts, seconds=self.seconds, rate=self.rate)
        return self._vector(excerpts.waveforms, file)

    def embed_files(
        self,
        paths: Iterable[AudioFile],
        *,
        workers: int = 0,
        on_error: Literal["raise", "nan"] = "raise",
        progress: Callable[[int, int], object] | None = None,
    ) -> np.ndarray:
        """Embed many audio files; they are decoded in parallel processes.

        Parameters
        ----------
        paths : iterable of str or Path
            The files.
        workers : int
            Processes that decode; 0: one a core.
        on_error : {"raise", "nan"}
            Whether a file that cannot be decoded ends the run, or is a row of NaN and a warning that names it.
        progress : callable, optional
            Called after each file as ``progress(done, total)``.

        Returns
        -------
        (n, dim) float32
            A row of unit length a file, as of `embed_file`.

        Raises
        ------
        UnreadableAudio
            With ``on_error="raise"``, of the first file that cannot be decoded.

        Examples
        --------
        >>> import mirclr
        >>> mirclr.load_encoder().embed_files(["song.mp3", "other.flac"]).shape
        (2, 768)
        """
        if on_error not in ("raise", "nan"):
            raise ValueError(f"on_error: found {on_error!r}; expected 'raise' or 'nan'")
        if isinstance(paths, str | os.PathLike):
            raise ValueError(f"paths: found one, {str(paths)!r}; expected several: [{str(paths)!r}]")
        files = [_path(path) for path in paths]
        rows = np.full((len(files), self.dim), np.nan, np.float32)
        decoded = decode_files(files, count=self.excerpts, seconds=self.seconds, rate=self.rate, workers=workers)
        for done, one in enumerate(decoded):
            try:
                if one.excerpts is None:
                    raise UnreadableAudio(one.error or f"{one.file}: cannot be decoded")
                rows[done] = self._vector(one.excerpts.waveforms, one.file)
            except (UnreadableAudio, UnusableAudio) as error:
                if on_error == "raise":
                    raise
                warnings.warn(f"{error}; its row is NaN", stacklevel=2)
            if progress:
                progress(done + 1, len(files))
        return rows

    def embed(self, y: npt.ArrayLike, sr: float) -> np.ndarray:
        """Embed a waveform as a track of its own.

        Parameters
        ----------
        y : array-like
            (n,) samples, or (channels, n) of up to 8 channels, as librosa has them; at least half a second.
            Floating-point samples have full scale at 1 and are clipped beyond it; whole numbers are divided by the
            range of their type (int16 by 32,768; of unsigned types the middle is zero). A torch tensor may be on any
            device.
        sr : float
            Sampling rate of `y`, 8,000 to 2,822,400 Hz.

        Returns
        -------
        (dim,) float32
            Of unit length. Of the samples of a lossless file, at its own rate and with its own channels, it is the
            vector of `embed_file` bit for bit, as the same excerpts go the same way. Of a lossy file it is near that
            (cosine above 0.999), as decoders that seek start afresh in the midst of it; so it is where another program
            has resampled or mixed down beforehand, as long as that keeps what is below 8 kHz.

        Raises
        ------
        UnusableAudio
            `y` is empty, shorter than half a second, silent, of another shape or type, or holds NaN; or `sr` is not
            supported. It is a `ValueError`.

        Examples
        --------
        >>> import mirclr, numpy as np
        >>> rng = np.random.default_rng(0)
        >>> y = 0.1 * rng.standard_normal((2, 10 * 44100))  # ten seconds of stereo
        >>> mirclr.load_encoder().embed(y, sr=44100).shape
        (768,)
        """
        excerpts = waveform_excerpts(y, sr, count=self.excerpts, seconds=self.seconds, to=self.rate)
        return self._vector(excerpts.waveforms, "waveform")

    def embed_segments(
        self, source: AudioFile | npt.ArrayLike, hop: float = 1.0, *, sr: float | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Embed a file or a waveform segment by segment, for what changes within a track.

        Parameters
        ----------
        source : str, Path or array-like
            A file, which is decoded as a stream however long it is, or a waveform as `embed` takes it.
        hop : float
            Seconds from the start of a segment to that of the next; a segment is `seconds` long.
        sr : float, optional
            Sampling rate of a waveform, in Hz.

        Returns
        -------
        E : (n, D) float32
            What the encoder makes of each segment, D being 384 of the built-in encoder: not of unit length, as a
            track's vector is made of the mean of such rows (`pool`). A silent segment is a row of NaN.
        t : (n,) float64
            Where each segment starts, in seconds. The last one may be shorter; it is repeated to the full length.

        Raises
        ------
        UnreadableAudio, UnusableAudio
            As of `embed_file` and `embed`.
        ValueError
            `hop` is not above 0, or `sr` is missing beside a waveform.

        Examples
        --------
        >>> import mirclr
        >>> E, t = mirclr.load_encoder().embed_segments("song.mp3", hop=1.0)
        >>> E.shape[1], bool((t[1:] - t[:-1] == 1.0).all())
        (384, True)
        """
        if not isinstance(hop, Real) or not 0 < hop < np.inf:
            raise ValueError(f"hop: found {hop!r}; expected seconds above 0")
        if isinstance(source, str | os.PathLike):
            blocks = decode_blocks(_path(source), rate=self.rate)
        elif sr is None:
            raise ValueError("sr: expected the sampling rate of the waveform, in Hz")
        else:
            blocks = waveform_blocks(source, sr, to=self.rate)
        parts = list(self.segments(blocks, hop))
        return np.concatenate([rows for rows, _ in parts]), np.concatenate([times[:, 0] for _, times in parts])

    def segments(self, blocks: Iterator[np.ndarray], hop: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Embed a stream of (n_samples,) float32 mono blocks at `rate`, some segments at a time.

        Yields
        ------
        rows : (k, D) float32
            NaN for a silent segment.
        times : (k, 2) float64
            Start and end of each, in seconds.
        """
        size, step = round(self.seconds * self.rate), max(1, round(hop * self.rate))
        found = windows(blocks, size=size, step=step)
        while batch := list(islice(found, _BATCH)):
            waveforms = np.stack([np.resize(w, size) for _, w in batch])
            rows = self.embed_excerpts(np.concatenate([self.levelled(w[None]) for w in waveforms]))
            rows[np.abs(waveforms).max(axis=1) < SILENCE] = np.nan
            yield rows, np.array([(start, start + len(w)) for start, w in batch]) / self.rate

    def _vector(self, waveforms: np.ndarray, name: object) -> np.ndarray:
        """(n, N) float32 excerpts of one track -> (dim,) float32 of unit length."""
        vector = self.embed_track(waveforms)
        if not is_usable(vector):
            raise UnusableAudio(f"{name}: {NO_VECTOR}")
        return vector


def load_encoder(
    name: "AudioFile | nn.Module" = "builtin",
    device: str = "auto",
    *,
    module: "nn.Module | None" = None,
    recipe: config.Recipe | Mapping[str, Any] | None = None,
) -> Encoder:
    """Load an encoder: the built-in one, one that was trained, or any module of torch.

    Parameters
    ----------
    name : str, Path or nn.Module
        ``"builtin"``; the path of a checkpoint that `mirclr.train` or ``mirclr train`` wrote; or a module that takes
        (B, N) float32 waveforms, or log-mel where its attribute ``input`` is ``"mel"``, and gives (B, D), or the name
        of its class, ``"package.module:Class"``. A checkpoint whose encoder is somebody's own loads where its class is
        registered as an entry point of the group ``mirclr.encoders``, or was allowed by `mirclr.allow_code`: nothing
        is imported because a file names it.
    device : str
        ``"auto"`` takes a GPU of NVIDIA or AMD, where torch is installed, else the CPU; or a device of torch. On the
        CPU onnxruntime computes where the ONNX file of the encoder is beside it, and torch elsewhere.
    module : nn.Module, optional
        What the weights of such a checkpoint are put into where its class is not registered; it must be of that class.
    recipe : Recipe or mapping, optional
        Settings for a module that is passed in as `name`, as keys of a recipe: the sections ``audio``, ``mel`` and
        ``embedding``, and in ``encoder`` the ``settings`` that its digest takes in. By default clips of 3 s at 16 kHz,
        ten of a track.

    Returns
    -------
    Encoder
        On its device, in evaluation mode.

    Raises
    ------
    CheckpointError
        The file is missing or no checkpoint, or its encoder is not registered or of another class.
    RecipeError
        What the module gives for a batch of two clips is not (2, D), or the settings are not valid.
    TrainingError
        There is no such device here.

    Examples
    --------
    >>> import mirclr
    >>> encoder = mirclr.load_encoder()
    >>> encoder.dim, encoder.rate, encoder.seconds
    (768, 16000, 2.0)

    An encoder of one's own, here the mean and maximum of each band of a log-mel spectrogram:

    >>> import torch
    >>> class Bands(torch.nn.Module):
    ...     input = "mel"
    ...     def forward(self, log_mel):  # (B, F, T)
    ...         return torch.cat([log_mel.mean(dim=2), log_mel.amax(dim=2)], dim=1)
    >>> mirclr.load_encoder(Bands()).embed_file("song.mp3").shape
    (192,)
    """
    if isinstance(name, str) and is_class_name(name) and not os.path.exists(name):
        allow_code(name)  # by the caller's own word
        if recipe is not None:
            name = make(name, {}, "encoder")
    if not _is_module(name):
        return Encoder.load(checkpoint_named(os.fspath(cast(AudioFile, name))), device=device, own=module)
    from mirclr.models.encoder import Model
    from mirclr.models.own import qualified_name, with_own

    if not isinstance(recipe, config.Recipe):
        unused = {"name": qualified_name(name), "data": {"train": "nothing"}}
        recipe = config.recipe_from(unused | dict(recipe or {}), where="recipe")
    model = Model(with_own(recipe, name), name)
    return Encoder.of_model(model, name=qualified_name(name), device=device)


def _is_module(value: object) -> TypeGuard["nn.Module"]:
    """Whether it is a module of torch, which who has one has loaded."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.nn.Module)


def _loaded_again(name: str, digest: str, excerpts: int, device: str) -> Encoder:
    """An encoder that was pickled: by its name, if that is still the same."""
    encoder = Encoder.load(checkpoint_named(name), excerpts=excerpts, device=device)
    if encoder.stamp.digest != digest:
        raise CheckpointError(
            f"{name}: holds another encoder ({encoder.stamp.digest[:8]}) than what was pickled ({digest[:8]})"
        )
    return encoder


def _path(path: AudioFile) -> Path:
    return Path(os.path.expanduser(path))  # of an unknown user, a name like any other
