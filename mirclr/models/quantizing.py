"""The ONNX file that runs an encoder without torch, made from its checkpoint: in 8 bits where that changes nothing.

Convolutions are where an encoder's time goes. They are computed in integers of 8 bits, with a scale for each channel of
their weights, and ranges of their inputs as they are in music (Jacob et al. 2018, arXiv 1712.05877; Nagel et al. 2021,
arXiv 2106.08295, section 3). The first one stays in 32 bits: it takes the log-mel itself, and little time. Log-mel is
made outside of the network (`MelSpectrogram`), as in 8 bits it would be nothing. On CPUs with AVX2 alone, sums of two
products saturate where both are large; of the built-in encoder that hardly happens, and weights of 7 bits, which
would rule it out, lose more (neighbours kept on 150 tracks: 0.993 by 8 bits, 0.979 by 7).

What was lost is measured on music: of how many tracks' nearest neighbours, found by the 8-bit network among vectors of
the exact one, are the same. Below `LEAST_AGREEMENT` the file keeps 32 bits, as vectors of both must be allowed to meet
in one library.
"""

import logging
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from mirclr.audio.decoding import decode_files
from mirclr.errors import CheckpointError
from mirclr.models.checkpoint import Checkpoint, load_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.onnx import as_onnx, require_onnx, write_with_facts
from mirclr.models.portable import FORMAT, INPUT, OUTPUT, PortableNetwork, portable_path
from mirclr.models.torch_network import TorchNetwork, stamp_of
from mirclr.provenance import digest_bytes

if TYPE_CHECKING:
    import onnx

OPSET = 18
NEIGHBOURS = 10
LEAST_AGREEMENT = 0.95
LEAST_TRACKS = 40
"""Of fewer tracks, ten neighbours say nothing."""
_MOST_TRACKS = 300
_TO_CALIBRATE = 64  # tracks; more of them move no range
_TIMED = 5


@dataclass(frozen=True)
class Portable:
    """What was made of a checkpoint.

    Attributes
    ----------
    path : Path
        The file.
    weights : {"int8", "float32"}
        How its convolutions compute.
    tracks : int
        How much music was used.
    agreement : float or None
        The fraction of the ten nearest neighbours that stay in 8 bits; None where there was too little music.
    cosine : float or None
        Mean cosine of what is compared of a track's two vectors.
    milliseconds : dict of str to float
        What the network takes for a track's excerpts on one thread here, by ``int8`` and ``float32``.
    """

    path: Path
    weights: str
    tracks: int
    agreement: float | None
    cosine: float | None
    milliseconds: dict[str, float]


def evenly(music: Sequence[Path]) -> list[Path]:
    """As many files as are of use, from all over a collection."""
    step = max(1.0, len(music) / _MOST_TRACKS)
    return [music[int(i * step)] for i in range(min(len(music), _MOST_TRACKS))]


def write_portable(
    checkpoint: Path, music: Sequence[Path] = (), *, advance: Callable[[], object] = lambda: None
) -> Portable:
    """Write the ONNX file of a checkpoint beside it; an older one is replaced at once.

    Parameters
    ----------
    checkpoint : Path
        The checkpoint.
    music : sequence of Path
        Audio files to find ranges with and to measure on: half of them each, `LEAST_TRACKS` in all at least. With fewer
        the file keeps 32 bits.
    advance : callable, optional
        Called for each file.

    Raises
    ------
    CheckpointError
        As of `load_checkpoint`; or the encoder cannot be written as ONNX.
    MissingExtra
        onnx is not installed.
    """
    require_onnx("making the ONNX file of an encoder")
    import onnx

    read = load_checkpoint(checkpoint)
    path = portable_path(checkpoint)
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "float32.onnx"
        exported = exported_network(read)
        onnx.save(exported, exact)
        facts = _facts(read, checkpoint)
        write_with_facts(exported, facts | {"weights": "float32", "measured": {}}, exact)
        network = PortableNetwork(exact)
        clips = _clips(network, music, advance)
        made = Portable(path, "float32", len(clips), None, None, {})
        if len(clips) >= LEAST_TRACKS:
            rounded = quantized(exact, [network.front_end(c) for c in clips[::2][:_TO_CALIBRATE]], Path(folder))
            small = Path(folder) / "int8.onnx"
            write_with_facts(rounded, facts | {"weights": "int8", "measured": {}}, small)
            made = compared(network, PortableNetwork(small), read, clips, path)
        chosen = rounded if made.weights == "int8" else exported
        measured = {k: v for k, v in asdict(made).items() if k not in ("path", "weights")}
        write_with_facts(chosen, facts | {"weights": made.weights, "measured": measured}, path)
    return made


def exported_network(read: Checkpoint) -> "onnx.ModelProto":
    """The network of an encoder as ONNX, from log-mel or waveforms on."""
    takes = _silence(read, 2)
    try:
        return as_onnx(read.model.encoder, takes, INPUT, [OUTPUT])
    except Exception as error:  # whatever torch and somebody else's module raise
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(f"its encoder cannot be written as ONNX ({type(error).__name__}: {reason})") from error


def _silence(read: Checkpoint, count: int) -> torch.Tensor:
    audio = read.recipe.audio
    waveforms = torch.zeros(count, round(audio.clip_seconds * audio.sample_rate))
    return read.model.front_end(waveforms)


def _facts(read: Checkpoint, checkpoint: Path) -> dict[str, Any]:
    pooling = read.model.pooling
    return {
        "format": FORMAT,
        "encoder": read.digest,
        "checkpoint": digest_bytes(checkpoint.read_bytes()),
        "recipe": read.recipe.model_dump(mode="json"),
        "dim": read.model.encoder.dim,
        "usual": pooling.usual.tolist() if pooling.weight else None,
    }


def _clips(network: PortableNetwork, music: Sequence[Path], advance: Callable[[], object]) -> list[np.ndarray]:
    """(n_i, N) float32 excerpts of each track that can be decoded, at the encoder's level."""
    embedder = Embedder(network, network.stamp("calibration"))
    found = []
    for one in decode_files(music, count=embedder.excerpts, seconds=embedder.seconds, rate=embedder.rate):
        if one.excerpts is not None:
            found.append(embedder.levelled(one.excerpts.waveforms))
        advance()
    return found


def quantized(exact: Path, inputs: Sequence[np.ndarray], folder: Path) -> "onnx.ModelProto":
    """A network with convolutions in 8 bits, by the ranges that inputs give them."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self._rows = iter(inputs)

        def get_next(self) -> dict[str, np.ndarray] | None:
            row = next(self._rows, None)
            return None if row is None else {INPUT: row}

    prepared, rounded = folder / "prepared.onnx", folder / "rounded.onnx"
    first = next((node.name for node in onnx.load(exact).graph.node if node.op_type == "Conv"), None)
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)  # which say that a model was not prepared, or was
    try:
        quant_pre_process(exact, prepared, skip_symbolic_shape=True)
        quantize_static(
            prepared,
            rounded,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_exclude=[first] if first else [],
        )
    finally:
        logging.disable(level)
    return in_halves(onnx.load(rounded))


def in_halves(model: "onnx.ModelProto") -> "onnx.ModelProto":
    """A network whose matrices of float32 are kept in 16 bits, and made 32 when it is loaded."""
    import onnx

    for tensor in list(model.graph.initializer):
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) > 1:
            name = tensor.name
            half = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float16), f"{name}_half")
            tensor.CopyFrom(half)
            model.graph.node.insert(0, onnx.helper.make_node("Cast", [half.name], [name], to=onnx.TensorProto.FLOAT))
    return model


def compared(
    exact: PortableNetwork, rounded: PortableNetwork, read: Checkpoint, clips: Sequence[np.ndarray], path: Path
) -> Portable:
    """Choose between both networks by the neighbours of tracks, those among torch's vectors being right."""
    stamp = stamp_of(read.model, name="calibration")
    right, found = (
        stamp.compared(np.stack([embedder.pool(embedder.embed_excerpts(c)) for c in clips]))
        for embedder in (Embedder(TorchNetwork(read.model, "cpu"), stamp), Embedder(rounded, stamp))
    )
    agreement = shared_neighbours(right, found)
    return Portable(
        path,
        "int8" if agreement >= LEAST_AGREEMENT else "float32",
        len(clips),
        round(agreement, 4),
        round(float((right * found).sum(axis=1).mean()), 5),
        {name: round(_milliseconds(net, clips[0]), 2) for name, net in (("int8", rounded), ("float32", exact))},
    )


def shared_neighbours(right: np.ndarray, found: np.ndarray, count: int = NEIGHBOURS) -> float:
    """Of the nearest neighbours of each row among its own kind, how many are found by rows of the other.

    Parameters
    ----------
    right, found : (n, D) float32
        Unit rows of the same tracks.
    count : int
        Neighbours that are compared.

    Returns
    -------
    float
        The least of three: `found` asked among `right`, `right` among `found`, and `found` among `found`.
    """
    want = _neighbours(right, right, count)
    ways = ((found, right), (right, found), (found, found))
    return min(
        float(np.mean([len({*a} & {*b}) / count for a, b in zip(want, _neighbours(*way, count), strict=True)]))
        for way in ways
    )


def _neighbours(queries: np.ndarray, rows: np.ndarray, count: int) -> list[list[int]]:
    cosines = queries @ rows.T
    np.fill_diagonal(cosines, -np.inf)
    nearest: list[list[int]] = np.argsort(-cosines, axis=1, kind="stable")[:, :count].tolist()
    return nearest


def _milliseconds(network: PortableNetwork, clips: np.ndarray) -> float:
    """The least of some runs: what it takes where nothing disturbs."""
    taken = []
    for _ in range(_TIMED):
        start = time.perf_counter()
        network(clips)
        taken.append(time.perf_counter() - start)
    return 1000 * min(taken)
