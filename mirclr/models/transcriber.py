"""Networks that transcribe, in torch: of notes, and of beats, chords and drums; both are given `PitchedSpectrogram`.

Neither sees further than `reach` frames to each side, so that a long file can be read in pieces with the same result.

Axes: B batch, C channels, F bands, P pitches (88, from A0), T frames.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mirclr.audio.pitched import BANDS, BINS

PITCHES = 88
NOTE_OUTPUTS = ("onset", "frame", "offset", "velocity", "place")
SONG_OUTPUTS = {"beat": 1, "downbeat": 1, "drums": 5, "root": 13, "quality": 9}
"""How many numbers a frame has of each: a root is a pitch class or none."""
HARMONICS = (0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10)
_INTERVALS = (-31, -28, -24, -19, -12, 12, 19, 24)  # semitones: where partials of one note are taken for another


def _conv(in_channels: int, out_channels: int, size: tuple[int, int], dilation: int = 1) -> nn.Conv2d:
    """A convolution over (pitch, time) that keeps their sizes; what follows normalises, so that it needs no bias."""
    padding = (size[0] // 2, dilation * (size[1] // 2))
    return nn.Conv2d(in_channels, out_channels, size, padding=padding, dilation=(1, dilation), bias=False)


class Harmonics(nn.Module):
    """Bands to pitches: of each pitch the bands about its harmonics, side by side.

    A convolution whose kernel is a comb on the logarithmic axis, with the same weights for every pitch (harmonic CQT:
    Bittner et al. 2017, "Deep salience representations for F0 estimation", ISMIR).
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        steps = [round(12 * BINS * math.log2(h)) for h in HARMONICS]
        self.below = -min(steps)
        self.above = BINS * PITCHES + max(steps) - BANDS
        self.starts = [step + self.below for step in steps]
        self.mix = nn.Conv2d(len(steps) * in_channels, out_channels, (BINS, 1), stride=(BINS, 1), bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, F, T) -> (B, C', P, T)."""
        padded = F.pad(x, (0, 0, self.below, self.above))
        return self.mix(torch.cat([padded[:, :, s : s + BINS * PITCHES] for s in self.starts], dim=1))


class _Block(nn.Module):
    """Over neighbouring pitches and intervals at which partials coincide, then over time."""

    def __init__(self, channels: int, dilation: int, few: int = 8) -> None:
        super().__init__()
        self.pitch = _conv(channels, channels, (3, 1))
        self.down = nn.Conv2d(channels, few, 1, bias=False)
        self.up = nn.Conv2d(few * len(_INTERVALS), channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        self.time = _conv(channels, channels, (1, 3), dilation)
        self.norm_time = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm_time.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, P, T) -> the same."""
        widest = max(map(abs, _INTERVALS))
        few = F.pad(self.down(x), (0, 0, widest, widest))
        far = torch.cat([few[:, :, widest + i : widest + i + PITCHES] for i in _INTERVALS], dim=1)
        y = F.relu(self.norm(self.pitch(x) + self.up(far)))
        return F.relu(x + self.norm_time(self.time(y)))


class NoteNetwork(nn.Module):
    """Spectrograms to what happens at every pitch in every frame.

    Weights are shared by all pitches, which differ by a bias alone: what is learned of one note holds for all, so that
    little training goes far.

    Parameters
    ----------
    channels : int
        Of every pitch.
    dilations : sequence of int
        Of the blocks, in time.

    Attributes
    ----------
    reach : int
        How many frames to each side an output depends on.
    """

    def __init__(self, channels: int = 48, dilations: Sequence[int] = (1, 2, 4, 8, 1)) -> None:
        super().__init__()
        self.settings = {"channels": channels, "dilations": list(dilations)}
        self.reach = 2 + sum(dilations)
        self.front = nn.Sequential(
            _conv(2, 16, (3, 3)), nn.BatchNorm2d(16), nn.ReLU(), _conv(16, 8, (3, 3)), nn.BatchNorm2d(8), nn.ReLU()
        )
        self.harmonics = Harmonics(8, channels)
        self.norm = nn.BatchNorm2d(channels)
        self.pitch_bias = nn.Parameter(torch.zeros(channels, PITCHES, 1))
        self.blocks = nn.ModuleList(_Block(channels, d) for d in dilations)
        self.all_pitches = nn.Conv2d(2 * channels, channels, 1)
        self.heads = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, 5, 1))
        last = self.heads[-1]
        assert isinstance(last, nn.Conv2d)
        assert last.bias is not None
        with torch.no_grad():  # most of a roll is empty
            last.bias.copy_(torch.tensor([-4.0, -2.5, -4.0, 0.0, 0.0]))

    def features(self, x: Tensor) -> Tensor:
        """(B, 2, F, T) -> (B, C, P, T)."""
        y = F.relu(self.norm(self.harmonics(self.front(x))) + self.pitch_bias)
        for i, block in enumerate(self.blocks):
            if i == 2:
                together = torch.cat([y.mean(dim=2, keepdim=True), y.amax(dim=2, keepdim=True)], dim=1)
                y = F.relu(y + self.all_pitches(together))
            y = block(y)
        return y

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2, F, T) -> (B, 5, P, T): logits of `NOTE_OUTPUTS`; the place in the frame itself, in frames."""
        out: Tensor = self.heads(self.features(x))
        return out


class _TimeLayer(nn.Module):
    """A residual layer over time, to both sides."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.conv = nn.Conv1d(channels, channels, 5, padding=2 * dilation, dilation=dilation)
        self.out = nn.Conv1d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T) -> the same."""
        y: Tensor = self.out(F.elu(self.conv(self.norm(x))))
        return x + y


class SongNetwork(nn.Module):
    """Spectrograms to beats, downbeats, drums and chords of every frame.

    Frames become vectors, which dilated convolutions over time relate (temporal convolutional networks for beats:
    Davies and Böck 2019, "Temporal convolutional networks for musical audio beat tracking", EUSIPCO).

    Parameters
    ----------
    channels : int
        Of a frame.
    layers : int
        Dilations are 1, 2, 4 and so on.

    Attributes
    ----------
    reach : int
        How many frames to each side an output depends on.
    """

    def __init__(self, channels: int = 96, layers: int = 8) -> None:
        super().__init__()
        self.settings = {"channels": channels, "layers": layers}
        self.reach = 2 + 2 * (2**layers - 1)
        self.front = nn.Sequential(
            _conv(2, 16, (3, 3)), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d((3, 1)),
            _conv(16, 16, (3, 3)), nn.BatchNorm2d(16), nn.ReLU(),
        )  # fmt: skip
        self.flat = nn.Conv1d(16 * (BANDS // 3), channels, 1)
        self.layers = nn.ModuleList(_TimeLayer(channels, 2**i) for i in range(layers))
        self.heads = nn.Conv1d(channels, sum(SONG_OUTPUTS.values()), 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2, F, T) -> (B, K, T): logits of `SONG_OUTPUTS`, one after the other."""
        y = F.elu(self.flat(self.front(x).flatten(1, 2)))
        for layer in self.layers:
            y = layer(y)
        out: Tensor = self.heads(y)
        return out
