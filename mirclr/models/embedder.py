"""An encoder made ready to embed tracks: excerpts of decoded sound to vectors; torch only where it must be.

On a CPU an encoder is run by onnxruntime where its ONNX file lies beside it (portable.py), as that of the built-in one
does: it is up in a fraction of the time and of the memory that torch takes, and faster. torch runs it on a GPU, and
where there is no such file.
"""

import ctypes
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from mirclr import extensions
from mirclr.errors import CheckpointError, MissingExtra
from mirclr.models.level import balanced, levelled
from mirclr.models.portable import PortableNetwork
from mirclr.models.pretrained import NAME, builtin_checkpoint
from mirclr.models.stamp import EncoderStamp

if TYPE_CHECKING:
    from torch import nn

    from mirclr.models.encoder import Model


class Network(Protocol):
    """What makes embeddings of excerpts.

    Attributes
    ----------
    usual : (E,) float32 or None
        The deviations of excerpts that are usual, where a track's vector holds them (`TrackPooling`).
    device : str
        What it computes on.
    """

    usual: np.ndarray | None
    device: str

    def __call__(self, waveforms: np.ndarray) -> np.ndarray:
        """(n, N) float32 excerpts -> (n, E) float32."""
        ...


class Embedder:
    """An encoder made ready to embed tracks.

    Parameters
    ----------
    network : Network
        What computes.
    stamp : EncoderStamp
        Its name and digest, as libraries keep them, and its recipe.
    """

    def __init__(self, network: Network, stamp: EncoderStamp) -> None:
        audio, embedding = stamp.recipe["audio"], stamp.recipe["embedding"]
        self.stamp = stamp
        self.rate: int = audio["sample_rate"]
        self.seconds: float = audio["clip_seconds"]
        self.excerpts = stamp.excerpts
        self.dim = stamp.dim
        self.network = network
        self._loud_too: bool = embedding["levelled"]
        self._balanced: float = embedding["balanced"]
        self._weight: float = embedding["std_weight"]

    @classmethod
    def of_model(cls, model: "Model", *, name: str, excerpts: int | None = None, device: str = "auto") -> Self:
        """Of a model in torch, by a name for people; `excerpts` a track are the recipe's unless given."""
        from mirclr.models.torch_network import TorchNetwork, stamp_of

        return cls(TorchNetwork(model, device), stamp_of(model, name=name, excerpts=excerpts))

    @classmethod
    def load(
        cls, checkpoint: Path, *, excerpts: int | None = None, device: str = "auto", own: "nn.Module | None" = None
    ) -> Self:
        """Read a checkpoint; `excerpts` a track are the recipe's unless given, `own` is as of `load_checkpoint`.

        In place of a file it may be the name of a class that was allowed, ``package.module:Class``, or the ONNX file of
        a checkpoint alone.

        Raises
        ------
        CheckpointError
            As of `load_checkpoint` and `PortableNetwork`.
        MissingExtra
            It needs torch, which is not installed.
        """
        if checkpoint.suffix == ".onnx":
            network = PortableNetwork(checkpoint)
            return cls(network, network.stamp(_name(checkpoint), excerpts))
        is_class = extensions.is_class_name(str(checkpoint)) and not checkpoint.exists()
        if own is None and not is_class and not _wants_torch(device) and (beside := PortableNetwork.of(checkpoint)):
            return cls(beside, beside.stamp(_name(checkpoint), excerpts))
        if not has_torch():
            if not is_class and not checkpoint.is_file():
                raise CheckpointError(f"{checkpoint}: no such file; train one with: mirclr train RECIPE.yaml -o RUN")
            others = (
                "" if _wants_torch(device) else ", or make its ONNX file where torch is: mirclr checkpoint quantize"
            )
            raise MissingExtra(
                f"{_name(checkpoint)} on {device} needs torch, which is not installed; install it with: pip install "
                f"'mirclr[train]'{others}"
            )
        from mirclr.models.checkpoint import load_checkpoint
        from mirclr.models.encoder import Model
        from mirclr.models.own import recipe_of_class

        if own is None and is_class:
            return cls.of_model(
                Model(recipe_of_class(str(checkpoint))), name=str(checkpoint), excerpts=excerpts, device=device
            )
        model = load_checkpoint(checkpoint, own).model
        return cls.of_model(model, name=_name(checkpoint), excerpts=excerpts, device=device)

    @classmethod
    def with_random_weights(cls, recipe: dict[str, Any], *, excerpts: int, seed: int = 0) -> Self:
        """The encoder of a resolved recipe, untrained: the baseline that training must beat."""
        import torch

        from mirclr import config
        from mirclr.models.encoder import Model

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            # only what an embedding depends on, so that libraries outlive changes to the rest of a recipe
            sections = {section: recipe[section] for section in ("audio", "mel", "encoder") if section in recipe}
            unused = {"name": "random weights", "data": {"train": "nothing"}}
            model = Model(config.recipe_from(unused | sections, where="the library's recipe"))
        return cls.of_model(model, name=f"random weights, seed {seed}", excerpts=excerpts)

    def embed_track(self, waveforms: np.ndarray) -> np.ndarray:
        """(n, N) float32 excerpts of one track -> (D,) float32 of unit length, the track's vector."""
        vector: np.ndarray = self.embed_tracks([waveforms])[0]
        return vector

    def embed_tracks(self, tracks: Sequence[np.ndarray]) -> np.ndarray:
        """(n_i, N) float32 excerpts of several tracks -> (len(tracks), D) float32 unit rows."""
        embedded = self.embed_excerpts(np.concatenate([self.levelled(track) for track in tracks]))
        ends = np.cumsum([len(t) for t in tracks])[:-1]
        return np.stack([self.pool(part) for part in np.split(embedded, ends)])

    def levelled(self, waveforms: np.ndarray) -> np.ndarray:
        """(n, N) float32 excerpts of one track, by one equaliser and gain, as the encoder takes them."""
        return levelled(balanced(waveforms, self._balanced, self.rate), loud_too=self._loud_too)

    def embed_excerpts(self, waveforms: np.ndarray) -> np.ndarray:
        """(n, N) float32 excerpts -> (n, E) float32, as the encoder gives them."""
        return self.network(waveforms)

    def pool(self, embedded: np.ndarray) -> np.ndarray:
        """(n, E) float32 embeddings of a track's excerpts -> (D,) float32 of unit length, the track's vector.

        As `TrackPooling`, whose numbers it gives.
        """
        mean = embedded.mean(axis=0, dtype=np.float64)
        if self.network.usual is not None:
            usual = self.network.usual.astype(np.float64)
            squares = np.square(embedded - mean).sum(axis=0) + np.square(usual)
            mean = np.concatenate([mean, self._weight * (np.sqrt(squares / len(embedded)) - usual)])
        vector: np.ndarray = (mean / max(float(np.linalg.norm(mean)), 1e-12)).astype(np.float32)
        return vector


def _name(checkpoint: Path) -> str:
    """What libraries call it: the built-in one by name, as they outlive the place where mirclr is installed."""
    return NAME if checkpoint == builtin_checkpoint() else str(checkpoint.resolve())


def has_torch() -> bool:
    """Whether torch is installed."""
    return find_spec("torch") is not None


def _wants_torch(device: str) -> bool:
    """Whether what is asked for is another device than the CPU, or "auto", and there is a GPU that torch can use."""
    if device != "auto":
        return device != "cpu"
    if not (_sees_gpu() and has_torch()):
        return False
    import torch

    return torch.cuda.is_available()


def _sees_gpu() -> bool:
    """Whether the system has a GPU of NVIDIA or AMD, found without torch, which takes a second to be imported.

    Apple's is used where it is asked for: what it would save was not measured.
    """
    if os.path.exists("/dev/kfd"):  # AMD's
        return True
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count = ctypes.c_int(0)
        return driver.cuInit(0) == 0 and driver.cuDeviceGetCount(ctypes.byref(count)) == 0 and count.value > 0
    except (OSError, AttributeError):
        return False
