"""Make a run's encoder the built-in one: ``ship.py RUN [--output FILE]``.

What the student predicts of its teacher (the embedding, and the components of its features) is a linear layer on its
own pooled maps. Its outputs separate artists and genres better than the maps do, and the maps predict moods better; so
both become the encoder's head. Most of these outputs are correlated: of the training tracks the `DIM` principal
components are taken. What moves most when a track is changed as `changes.py` does counts less (within-class covariance
normalisation, Hatch et al. 2006; a class is a track and its changes), and a random rotation makes all count equally.
The last normalisation and the usual standard deviation of excerpts are of the training tracks too. Weights of two axes
or more become float16.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from changes import changed, synthetic_noise
from examples import DTYPE, RATE
from torch import Tensor

from mirclr import config
from mirclr.audio import SILENCE, excerpt_starts
from mirclr.models.checkpoint import load_checkpoint, save_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.encoder import Model, ResNet
from mirclr.models.pretrained import builtin_checkpoint
from mirclr.training.run_folder import ENCODER, STATE

HERE = Path(__file__).parent
LARGEST = 10_000_000  # bytes
SECONDS = 2.0  # of an excerpt when a track is embedded: tests/benchmarks/results/agreement.json
DIM = 384
LESS = 0.2  # by how much changes count against what separates tracks
MADE_UP = ("played--",)  # ids of many renders of few sounds: the encoder learns from them, its axes are of others
SHORTEST = 20.0  # seconds of a training track that counts: shorter ones are jingles and words


def with_head(model: Model, weight: Tensor, bias: Tensor) -> Model:
    """The same network up to the pooled maps, with (D, 2 C) weights and (D,) biases on their normalised values."""
    encoder = model.encoder
    assert isinstance(encoder, ResNet)
    plain = model.recipe.model_dump(mode="json")
    plain["encoder"]["dim"] = len(weight)
    plain["audio"]["clip_seconds"] = SECONDS
    named = config.read_recipe(HERE / "recipe.yaml").model_dump(mode="json")
    plain["embedding"], plain["data"] = named["embedding"], named["data"]  # where examples lay is nobody's business
    plain["training"]["init"] = None
    plain["projector"] = {"hidden": 1, "dim": 1}  # it is not used after training
    headed = Model(config.recipe_from(plain))
    weights = {k: v for k, v in encoder.state_dict().items() if not k.startswith(("head", "output_norm"))}
    norm = encoder.output_norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scaled = weight / (norm.running_var + norm.eps).sqrt()
    weights |= {"head.weight": scaled, "head.bias": bias - scaled @ norm.running_mean}
    headed.encoder.load_state_dict(weights, strict=False)
    return headed.eval()


@torch.inference_mode()
def track_maps(model: Model, decoded: Path, *, shortest: float, most: int) -> list[tuple[Tensor, Tensor]]:
    """Normalised pooled maps of each training track, or of `most` drawn ones.

    Returns
    -------
    list of (Tensor, Tensor)
        (n, 2 C) of its excerpts, and (2 C,) by how much their mean moves when it is changed.
    """
    embedder = Embedder.of_model(model, name="student", device="cpu")

    def maps(clips: np.ndarray) -> Tensor:
        given = torch.from_numpy(embedder.levelled(clips))
        with torch.autocast("cpu", DTYPE, enabled=torch.float32 != DTYPE):
            return model(given).float()

    files = [file for file in sorted(decoded.glob("*.npy")) if not file.name.startswith(MADE_UP)]
    found: list[tuple[Tensor, Tensor]] = []
    for i in np.random.default_rng(0).permutation(len(files)):
        samples = np.load(files[i], mmap_mode="r")
        if len(samples) < shortest * RATE or len(found) == most:
            continue
        starts = np.floor(excerpt_starts(len(samples) / RATE, count=embedder.excerpts, seconds=SECONDS) * RATE)
        clips = (
            np.stack([samples[j : j + round(SECONDS * RATE)] for j in starts.astype(int)]).astype(np.float32) / 32768
        )
        clips = clips[np.abs(clips).max(axis=1) >= SILENCE]
        if not len(clips):
            continue
        rng, own = np.random.default_rng([11, int(i)]), maps(clips)
        other = changed(clips.ravel(), rng, lambda n, rng=rng: synthetic_noise(n, rng)).reshape(clips.shape)
        found.append((own, maps(other).mean(dim=0) - own.mean(dim=0)))
    return found


def turned(weight: Tensor, bias: Tensor, tracks: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """A head of up to `DIM` outputs: components of scaled outputs, less of those that move, rotated at random.

    Parameters
    ----------
    weight, bias : (K, 2 C), (K,) float32
        What outputs are of maps.
    tracks : list of (Tensor, Tensor)
        As `track_maps` gives them.
    """
    means = torch.stack([own.mean(dim=0) for own, _ in tracks]) @ weight.T + bias
    centre, scale = means.double().mean(dim=0), means.double().std(dim=0) + 1e-6
    components = torch.linalg.svd((means.double() - centre) / scale, full_matrices=False)[2][:DIM]
    dim = len(components)  # of fewer tracks there are fewer
    to = components / scale
    apart = (means.double() - centre) @ to.T
    moved = torch.stack([by for _, by in tracks]).double() @ weight.double().T @ to.T
    of = apart.square().mean() * torch.eye(dim, dtype=torch.float64) + LESS * moved.T @ moved / len(moved)
    values, axes = torch.linalg.eigh(of)
    draw = torch.randn(dim, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    to = (torch.linalg.qr(draw)[0] @ (axes * values.rsqrt()) @ axes.T @ to).float()
    return to @ weight, to @ (bias - centre.float())


def settle(model: Model, tracks: list[Tensor]) -> None:
    """Set the last normalisation so that vectors of tracks have mean 0 and std 1, and the usual std of excerpts."""
    means = torch.stack([t.mean(dim=0) for t in tracks])
    norm = model.encoder.output_norm
    assert isinstance(norm, torch.nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(means.mean(dim=0))
    norm.running_var.copy_(means.var(dim=0))
    usual = torch.stack([t.std(dim=0, correction=0) for t in tracks]) / (norm.running_var + norm.eps).sqrt()
    model.pooling.usual.copy_(usual.mean(dim=0))
    print(f"std of excerpts: {usual.mean():.3f}, from track to track {usual.std(dim=0).mean():.3f}")


def heads_of(run: Path) -> tuple[Tensor, Tensor]:
    """Weights and biases of the averaged layers that predict the teacher's embedding and features, stacked."""
    average = load_checkpoint(run / STATE).training
    names = [n for n in ("embedding", "features") if f"average.heads.{n}.weight" in average]
    return (
        torch.cat([average[f"average.heads.{name}.weight"] for name in names]),
        torch.cat([average[f"average.heads.{name}.bias"] for name in names]),
    )


def main() -> None:
    """Write the encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="holds decoded tracks and a training run")
    parser.add_argument("--output", type=Path, default=builtin_checkpoint())
    parser.add_argument("--shortest", type=float, default=SHORTEST, help="seconds of a track that counts")
    parser.add_argument("--most", type=int, default=2000, help="tracks that count")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    read = load_checkpoint(asked.run / "training" / ENCODER)
    weight, bias = heads_of(asked.run / "training")
    maps = weight.shape[1]
    weight, bias = torch.cat([weight, torch.eye(maps)]), torch.cat([bias, torch.zeros(maps)])
    found = track_maps(read.model, asked.run / "decoded", shortest=asked.shortest, most=asked.most)
    weight, bias = turned(weight, bias, found)
    model = with_head(read.model, weight, bias)
    settle(model, [own @ weight.T + bias for own, _ in found])
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point() and tensor.ndim > 1:
            tensor.data = tensor.data.to(torch.float16)
    save_checkpoint(asked.output, model, read.provenance)
    size = asked.output.stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{asked.output}: {size:,} bytes; {LARGEST:,} at most are shipped")
    print(f"{asked.output}: {size:,} bytes, encoder {load_checkpoint(asked.output).digest}")


if __name__ == "__main__":
    main()
