"""Encoders, pooling and projector: a clip to an embedding, those of a track to its vector, or to a projection.

Axes: B batch, F mel bands, T frames, N samples, D embedding dimensions, P projection dimensions. Every encoder keeps
`EncoderModule`'s protocol: `input` says what it takes, `dim` is D, and ``forward`` gives (B, D). A last batch
normalisation without weights makes every dimension count equally in a cosine, in all but `SampleCNN`, which is as
published.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from mirclr import config
from mirclr.audio.mel import LogMel
from mirclr.errors import CheckpointError
from mirclr.models.module import EncoderModule
from mirclr.models.own import OwnEncoder, made


class ResNet(EncoderModule):
    """Residual network on log-mel, pooled over time by mean and maximum.

    He et al. 2016 (arXiv 1512.03385), with the input normalised per mel band and a strided stem, so that most of the
    work is done at a quarter of the resolution.

    Parameters
    ----------
    settings : config.ResNet
        Widths and numbers of blocks of the stages; D by its `dim`, or twice the channels that are pooled.
    bands : int
        F.
    """

    input = "mel"

    def __init__(self, settings: config.ResNet, bands: int) -> None:
        super().__init__()
        self.input_norm = nn.BatchNorm1d(bands)
        self.stem = nn.Sequential(
            nn.Conv2d(1, settings.widths[0], 5, stride=2, padding=2, bias=False),
            nn.BatchNorm2d(settings.widths[0]),
            nn.ReLU(inplace=True),
        )
        stages: list[nn.Module] = []
        channels = settings.widths[0]
        for i, (width, count) in enumerate(zip(settings.widths, settings.blocks, strict=True)):
            for j in range(count):
                stages.append(_ResidualBlock(channels, width, stride=2 if j == 0 and i > 0 else 1))
                channels = width
        self.stages = nn.Sequential(*stages)
        self.collapse: nn.Module = nn.Identity()
        if settings.freq_collapse is not None:
            height = bands
            for _ in settings.widths:  # the stem and all stages but the first halve it
                height = -(-height // 2)
            self.collapse = nn.Sequential(
                nn.Conv2d(channels, settings.freq_collapse, (height, 1), bias=False),
                nn.BatchNorm2d(settings.freq_collapse),
                nn.ReLU(inplace=True),
            )
            channels = settings.freq_collapse
        self.dim = settings.dim or 2 * channels
        self.head = nn.Identity() if settings.dim is None else nn.Linear(2 * channels, settings.dim)
        self.output_norm = nn.BatchNorm1d(self.dim, affine=False)

    def forward(self, log_mel: Tensor) -> Tensor:
        """(B, F, T) float32 -> (B, D) float32."""
        x = self.input_norm(log_mel).unsqueeze(1).contiguous(memory_format=torch.channels_last)
        x = self.collapse(self.stages(self.stem(x))).float().mean(dim=2)  # over frequency: (B, C, T')
        pooled = torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1)
        return cast(Tensor, self.output_norm(self.head(pooled).float()))


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels != width:
            self.shortcut = nn.Sequential(
                nn.AvgPool2d(stride, ceil_mode=True) if stride > 1 else nn.Identity(),
                nn.Conv2d(channels, width, 1, bias=False),
                nn.BatchNorm2d(width),
            )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.branch(x) + self.shortcut(x))


class SampleCNN(EncoderModule):
    """CLMR's encoder, layer by layer: eleven convolutions on the waveform, pooled by three, to 512 maps.

    Spijkervet and Burgoyne 2021 (arXiv 2103.09410), after Lee et al. 2017 (arXiv 1703.01789). A clip of 59,049 samples
    ends as one place in time, which is the embedding as published: no dropout, and no normalisation after it. Of longer
    clips the places are averaged. Names and shapes of the weights are those of CLMR's own files.

    Parameters
    ----------
    rate : int
        Sampling rate, in Hz; CLMR's weights are of 22,050.
    """

    input = "waveform"
    dim = 512

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.min_seconds = max(0.5, 3**config.CLMR_STAGES / rate)
        widths = (128, 128, 128, 256, 256, 256, 256, 256, 256, 512)
        stages = [_convolution(1, widths[0], stride=3, padding=0)]
        stages += [_convolution(a, b).append(nn.MaxPool1d(3, stride=3)) for a, b in pairwise(widths)]
        self.sequential = nn.Sequential(*stages, _convolution(widths[-1], self.dim))

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, N) float32 in [-1, 1] -> (B, 512) float32."""
        return cast(Tensor, self.sequential(waveforms.unsqueeze(1)).float().mean(dim=2))

    def load_published(self, state: Mapping[str, Tensor]) -> None:
        """Take weights as CLMR publishes them: of its encoder, or of encoder and projector together.

        Parameters
        ----------
        state : mapping of str to Tensor
            The names may begin with ``encoder.`` or ``model.encoder.``; what is not of the encoder's maps is left out.

        Raises
        ------
        CheckpointError
            They are not those of this network.
        """
        named = {name.removeprefix("model.").removeprefix("encoder."): tensor for name, tensor in state.items()}
        try:
            self.load_state_dict({name: t for name, t in named.items() if name.startswith("sequential.")})
        except RuntimeError as error:
            raise CheckpointError(f"not the weights of CLMR's encoder: {' '.join(str(error).split())}") from error


def _convolution(channels: int, width: int, *, stride: int = 1, padding: int = 1) -> nn.Sequential:
    """A convolution of three samples, as SampleCNN has them."""
    convolution = nn.Conv1d(channels, width, 3, stride=stride, padding=padding)
    return nn.Sequential(convolution, nn.BatchNorm1d(width), nn.ReLU(inplace=True))


class PooledSampleCNN(EncoderModule):
    """One-dimensional convolutions on the waveform, each followed by pooling by three.

    After Lee et al. 2017 (arXiv 1703.01789), smaller than `SampleCNN`. The last maps are averaged over time, so that
    any length from 3 ** (number of stages) samples on is accepted.

    Parameters
    ----------
    settings : config.PooledSampleCNN
        Channels of the stages and dropout before the output; D is the last width.
    rate : int
        Sampling rate, in Hz.
    """

    input = "waveform"

    def __init__(self, settings: config.PooledSampleCNN, rate: int) -> None:
        super().__init__()
        self.dim = settings.widths[-1]
        self.min_seconds = max(0.5, 3 ** len(settings.widths) / rate)
        first, *rest = settings.widths
        stages: list[nn.Module] = [
            nn.Conv1d(1, first, 3, stride=3, bias=False),
            nn.BatchNorm1d(first),
            nn.ReLU(inplace=True),
        ]
        channels = first
        for width in rest:
            stages += [
                nn.Conv1d(channels, width, 3, padding=1, bias=False),
                nn.BatchNorm1d(width),
                nn.ReLU(inplace=True),
                nn.MaxPool1d(3),
            ]
            channels = width
        self.stages = nn.Sequential(*stages)
        self.dropout = nn.Dropout(settings.dropout)
        self.output_norm = nn.BatchNorm1d(channels, affine=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, N) float32 in [-1, 1] -> (B, D) float32."""
        x = self.stages(waveforms.unsqueeze(1)).float().mean(dim=2)
        return cast(Tensor, self.output_norm(self.dropout(x)))


class TrackPooling(nn.Module):
    """The embeddings of a track's excerpts to the vector of the track: their mean, and how much they differ.

    Of few excerpts the deviation is known badly, so one more is counted that deviates as is usual. What is usual is
    taken off, and a single excerpt is neither even nor varied.

    Parameters
    ----------
    dim : int
        D.
    weight : float
        By which deviations count; 0 leaves the mean alone.

    Attributes
    ----------
    dim : int
        Components of a track's vector: D, or 2 D with deviations.
    usual : (D,) float32
        Deviations that are usual; 0 unless set.
    """

    usual: Tensor

    def __init__(self, dim: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.dim = dim if weight == 0 else 2 * dim
        if weight:
            self.register_buffer("usual", torch.zeros(dim))

    def forward(self, excerpts: Tensor) -> Tensor:
        """(n, D) float32 embeddings of one track's excerpts -> (dim,) float32 of unit length."""
        mean = excerpts.mean(dim=0)
        if self.weight:
            squares = (excerpts - mean).square().sum(dim=0) + self.usual.square()
            mean = torch.cat([mean, self.weight * ((squares / excerpts.shape[0]).sqrt() - self.usual)])
        return nn.functional.normalize(mean, dim=0)

    def alone(self, excerpts: Tensor) -> Tensor:
        """(n, D) float32 -> (n, dim) float32 of unit length: each as a track that has only this excerpt."""
        return nn.functional.normalize(nn.functional.pad(excerpts, (0, self.dim - excerpts.shape[1])), dim=1)


class Projector(nn.Module):
    """Two linear layers between embedding and objective (Chen et al. 2020, arXiv 2002.05709, section 4.2), or more.

    With three the embedding is farther from the objective (Chen et al. 2020, arXiv 2006.10029, section 2).
    """

    def __init__(self, settings: config.Projector, dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(settings.layers - 1):
            layers += [nn.Linear(dim, settings.hidden, bias=False), nn.BatchNorm1d(settings.hidden)]
            layers.append(nn.ReLU(inplace=True))
            dim = settings.hidden
        self.layers = nn.Sequential(*layers, nn.Linear(dim, settings.dim))

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, D) -> (B, P), not normalised."""
        return cast(Tensor, self.layers(embedding))


class Model(nn.Module):
    """Front end, encoder, pooling and projector of a recipe: what a checkpoint holds.

    Parameters
    ----------
    recipe : config.Recipe
        Gives the rate, the mel settings, the encoder, the pooling and the projector. Weights are random.
    own : nn.Module, optional
        The encoder, of a recipe whose encoder is a `config.RegisteredEncoder`; else what is registered is made.
    """

    encoder: EncoderModule

    def __init__(self, recipe: config.Recipe, own: nn.Module | None = None) -> None:
        super().__init__()
        self.recipe = recipe
        self.mel = LogMel.of(recipe.mel, recipe.audio.sample_rate)
        self.encoder, self.pooling, self.projector = _networks(recipe, own)
        self.to(memory_format=torch.channels_last)

    def front_end(self, waveforms: Tensor) -> Tensor:
        """(B, N) float32 in [-1, 1] -> what the encoder takes: (B, F, T) log-mel or the waveforms themselves."""
        return cast(Tensor, self.mel(waveforms)) if self.encoder.input == "mel" else waveforms

    def forward(self, waveforms: Tensor) -> Tensor:
        """(B, N) float32 in [-1, 1] -> (B, D) float32 embeddings."""
        return cast(Tensor, self.encoder(self.front_end(waveforms)))


def _networks(recipe: config.Recipe, own: nn.Module | None = None) -> tuple[EncoderModule, TrackPooling, Projector]:
    encoder: EncoderModule
    if isinstance(recipe.encoder, config.RegisteredEncoder):
        encoder = OwnEncoder(made(recipe.encoder) if own is None else own, recipe)
    elif isinstance(recipe.encoder, config.ResNet):
        encoder = ResNet(recipe.encoder, recipe.mel.n_mels)
    elif isinstance(recipe.encoder, config.PooledSampleCNN):
        encoder = PooledSampleCNN(recipe.encoder, recipe.audio.sample_rate)
    else:
        encoder = SampleCNN(recipe.audio.sample_rate)
    return encoder, TrackPooling(encoder.dim, recipe.embedding.std_weight), Projector(recipe.projector, encoder.dim)


def weight_shapes(recipe: config.Recipe) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights that a recipe's `Model` has, found without making them."""
    with torch.device("meta"):
        parts = dict(zip(("encoder", "pooling", "projector"), _networks(recipe), strict=True))
    return {f"{part}.{name}": (*t.shape,) for part, made in parts.items() for name, t in made.state_dict().items()}
