"""Make a run's encoder the built-in one: ``ship.py RUN [--output FILE]``.

What the student predicts of its teacher (the embedding, and the components of its features) is a linear layer on its
own pooled maps. Its outputs separate artists and genres better than the maps do, and the maps predict moods better; so
both become the encoder's head. Most of these outputs are correlated: of the training tracks the `DIM` principal
components are taken, and turned by a random rotation, so that all count equally. The last normalisation and the usual
standard deviation of excerpts are of the training tracks too. Weights of two axes or more become float16.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from examples import DTYPE, RATE
from torch import Tensor

from mirclr import config
from mirclr.audio import SILENCE, excerpt_starts
from mirclr.models.checkpoint import load_checkpoint, save_checkpoint
from mirclr.models.encoder import Model, ResNet
from mirclr.models.level import levelled
from mirclr.models.pretrained import builtin_checkpoint
from mirclr.training.run_folder import ENCODER, STATE

HERE = Path(__file__).parent
LARGEST = 10_000_000  # bytes
SECONDS = 2.0  # of an excerpt when a track is embedded: tests/benchmarks/results/agreement.json
DIM = 384
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
def track_maps(model: Model, decoded: Path, *, shortest: float, most: int) -> list[Tensor]:
    """(n, 2 C) normalised pooled maps of the excerpts of each training track, or of `most` drawn ones."""
    recipe = config.read_recipe(HERE / "recipe.yaml").embedding
    files = sorted(decoded.glob("*.npy"))
    found: list[Tensor] = []
    for i in np.random.default_rng(0).permutation(len(files)):
        samples = np.load(files[i], mmap_mode="r")
        if len(samples) < shortest * RATE or len(found) == most:
            continue
        starts = np.floor(excerpt_starts(len(samples) / RATE, count=recipe.excerpts, seconds=SECONDS) * RATE)
        clips = (
            np.stack([samples[j : j + round(SECONDS * RATE)] for j in starts.astype(int)]).astype(np.float32) / 32768
        )
        loud = np.abs(clips).max(axis=1) >= SILENCE
        if loud.any():
            at_level = torch.from_numpy(levelled(clips[loud], loud_too=recipe.levelled))
            with torch.autocast("cpu", DTYPE, enabled=torch.float32 != DTYPE):
                found.append(model(at_level).float())
    return found


def turned(weight: Tensor, bias: Tensor, tracks: list[Tensor]) -> tuple[Tensor, Tensor]:
    """A head of up to `DIM` outputs: the principal components of scaled outputs over tracks, rotated at random."""
    means = torch.stack([t.mean(dim=0) for t in tracks]).double()
    centre, scale = means.mean(dim=0), means.std(dim=0) + 1e-6
    components = torch.linalg.svd((means - centre) / scale, full_matrices=False)[2][:DIM]
    dim = len(components)  # of fewer tracks there are fewer
    draw = torch.randn(dim, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    to = (torch.linalg.qr(draw)[0] @ components / scale).float()
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
    weight, bias = turned(weight, bias, [x @ weight.T + bias for x in found])
    model = with_head(read.model, weight, bias)
    settle(model, [x @ weight.T + bias for x in found])
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
