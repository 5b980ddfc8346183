"""An encoder as ONNX, from the waveform on, for programs that have no torch.

The log-mel spectrogram is written out as a convolution with windowed cosines and sines, which every ONNX runtime
computes equally. The result takes (B, N) float32 samples at the encoder's rate, B free, N one clip, and gives (B, E)
embeddings, as `mirclr.models.encoder.Model` does, and the (D,) vector of a track whose excerpts the clips are.
"""

import json
import logging
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirclr.audio.mel import LogMel
from mirclr.errors import MissingExtra
from mirclr.models.checkpoint import Checkpoint
from mirclr.models.encoder import Model
from mirclr.models.portable import KEY
from mirclr.provenance import writing

if TYPE_CHECKING:
    import onnx

OPSET = 18
INPUT, OUTPUTS = "waveform", ("embedding", "track")


class ConvolvedLogMel(nn.Module):
    """`LogMel` by a convolution: the same numbers up to rounding.

    Parameters
    ----------
    mel : LogMel
        Whose settings are taken.
    """

    kernels: Tensor
    filters: Tensor

    def __init__(self, mel: LogMel) -> None:
        super().__init__()
        n_fft = mel.n_fft
        self.hop, self.pad, self.gain = mel.hop_length, n_fft // 2, mel.gain
        angle = torch.arange(n_fft, dtype=torch.float64) * (2 * math.pi / n_fft)
        angles = torch.arange(n_fft // 2 + 1, dtype=torch.float64)[:, None] * angle
        waves = torch.cat([angles.cos(), -angles.sin()]) * mel.window.double()
        self.register_buffer("kernels", waves.float().unsqueeze(1))  # (2 (n_fft / 2 + 1), 1, n_fft)
        self.register_buffer("filters", mel.filters)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, N) float32 in [-1, 1] -> (B, F, T) float32 log-mel."""
        padded = F.pad(waveforms.unsqueeze(1), (self.pad, self.pad))
        real, imaginary = F.conv1d(padded, self.kernels, stride=self.hop).chunk(2, dim=1)
        power = (real.square() + imaginary.square()).transpose(1, 2) @ self.filters
        return torch.log1p(self.gain * power.transpose(1, 2)) * (1 / math.log(10))


class _FromWaveform(nn.Module):
    """What is exported."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.front_end = ConvolvedLogMel(model.mel) if model.encoder.input == "mel" else nn.Identity()
        self.encoder, self.pooling = model.encoder, model.pooling

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.encoder(self.front_end(waveform))
        return embedding, self.pooling(embedding)


def export_onnx(checkpoint: Checkpoint, path: Path) -> None:
    """Write an encoder as one ONNX file; an older file is replaced at once.

    The file's metadata carries the encoder's digest, its rate in Hz and the length of a clip in samples.

    Parameters
    ----------
    checkpoint : Checkpoint
        Its encoder is written, its projector left out.
    path : Path
        The file.

    Raises
    ------
    MissingExtra
        onnx is not installed.
    """
    require_onnx("export to ONNX")
    import onnx

    audio = checkpoint.recipe.audio
    samples = round(audio.clip_seconds * audio.sample_rate)
    model = as_onnx(_FromWaveform(checkpoint.model), torch.zeros(2, samples), INPUT, OUTPUTS)
    dims = {"dim": checkpoint.model.encoder.dim, "track_dim": checkpoint.model.pooling.dim}
    facts = {"encoder": checkpoint.digest, "rate": audio.sample_rate, "samples": samples, **dims}
    onnx.checker.check_model(model)
    write_with_facts(model, facts, path)


def require_onnx(what: str) -> None:
    """Raise `MissingExtra` where packages are missing that something needs to make ONNX files."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401  (torch needs it, and says so less clearly)
    except ImportError as error:
        raise MissingExtra.of(what, "onnx") from error


def as_onnx(module: nn.Module, example: Tensor, takes: str, gives: Sequence[str]) -> "onnx.ModelProto":
    """Export a module of one tensor as ONNX, for any number of rows; batch normalisations are folded into weights.

    Parameters
    ----------
    module : nn.Module
        Set to evaluate.
    example : Tensor
        What it takes, of two rows.
    takes, gives : str, sequence of str
        Names of what goes in and comes out.
    """
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch about itself
        program = torch.onnx.export(
            module.eval(),
            (example,),
            input_names=[takes],
            output_names=gives,
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program.model_proto


def write_with_facts(model: "onnx.ModelProto", facts: dict[str, Any], path: Path, *, key: str = KEY) -> None:
    """Write a network with metadata of ours alone: the exporter notes of each node whence it is, by file and line."""
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = key, json.dumps(facts)
    with writing(path) as f:
        f.write(model.SerializeToString())
