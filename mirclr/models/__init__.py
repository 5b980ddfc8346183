"""The encoder: its network, the file it is kept in, and what makes vectors of excerpts by it.

In: log-mel or waveforms, a recipe, a checkpoint. Out: embeddings, and the `EncoderStamp` that names who made them.

Contents: `Model` and its networks (encoder.py), `load_checkpoint`, `save_checkpoint` (checkpoint.py), `Embedder`
(embedder.py), `Encoder` and `load_encoder`, that of a researcher (encoding.py), `EncoderStamp` (stamp.py); device.py,
onnx.py, pretrained/ (the built-in encoder and heads). Each is loaded when it is asked for, and most bring torch; the
modules `stamp` and `pretrained` do not.
"""

from typing import TYPE_CHECKING

from mirclr.lazy import attributes

if TYPE_CHECKING:
    from mirclr.models.checkpoint import load_checkpoint, save_checkpoint
    from mirclr.models.embedder import Embedder
    from mirclr.models.encoder import Model
    from mirclr.models.encoding import Encoder, load_encoder
    from mirclr.models.stamp import EncoderStamp

__all__ = ["Embedder", "Encoder", "EncoderStamp", "Model", "load_checkpoint", "load_encoder", "save_checkpoint"]

_LAZY = {
    "Embedder": "embedder",
    "Encoder": "encoding",
    "EncoderStamp": "stamp",
    "Model": "encoder",
    "load_checkpoint": "checkpoint",
    "load_encoder": "encoding",
    "save_checkpoint": "checkpoint",
}

__getattr__ = attributes(__name__, _LAZY)


def __dir__() -> list[str]:
    return __all__
