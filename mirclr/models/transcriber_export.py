"""The ONNX file of a network that transcribes, made of its weights."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mirclr.audio.pitched import BANDS, WINDOWS
from mirclr.models.onnx import as_onnx, require_onnx, write_with_facts
from mirclr.models.portable_transcriber import FORMAT, INPUT, KEY, OUTPUT
from mirclr.models.transcriber import NOTE_OUTPUTS, SONG_OUTPUTS, NoteNetwork, SongNetwork

FRAMES = {"notes": 320, "song": 3072}
"""That networks take at once: 10 and 98 s."""


class _Probabilities(nn.Module):
    """What is exported: probabilities in place of logits."""

    def __init__(self, network: NoteNetwork | SongNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """As of the network."""
        out = self.network(x)
        if isinstance(self.network, NoteNetwork):
            logits = len(NOTE_OUTPUTS) - 1  # the last one is a place in frames
            return torch.cat([out[:, :logits].sigmoid(), out[:, logits:]], dim=1)
        parts = dict(zip(SONG_OUTPUTS, out.split(list(SONG_OUTPUTS.values()), dim=1), strict=True))
        some_of = ("root", "quality")
        return torch.cat([p.softmax(1) if name in some_of else p.sigmoid() for name, p in parts.items()], dim=1)


def export_transcriber(
    network: NoteNetwork | SongNetwork, path: Path, facts: dict[str, Any], frames: int | None = None
) -> None:
    """Write a network; an older file is replaced at once.

    Parameters
    ----------
    network : NoteNetwork or SongNetwork
        Trained.
    path : Path
        The file.
    facts : dict
        More of its metadata: what it was trained on and measured at.
    frames : int, optional
        That it takes at once, more than twice its reach.

    Raises
    ------
    MissingExtra
        onnx is not installed.
    """
    require_onnx("making the ONNX file of a transcriber")
    kind = "notes" if isinstance(network, NoteNetwork) else "song"
    frames = frames or FRAMES[kind]
    example = torch.zeros(2, len(WINDOWS), BANDS, frames)
    model = as_onnx(_Probabilities(network), example, INPUT, [OUTPUT])
    ours = {"format": FORMAT, "kind": kind, "reach": network.reach, "frames": frames}
    write_with_facts(model, facts | ours, path, key=KEY)
