"""Make a run's encoder the built-in one: ``ship.py RUN``.

What the student tells of its teachers (their embeddings, and the components of their pooled features) is a linear layer
on its own pooled maps, and told tracks apart better than those; so that layer becomes the encoder's head, and its
output the embedding. Weights of two axes or more become float16.
"""

import argparse
from pathlib import Path

import torch
from lessons import MEL, STEP
from safetensors import safe_open
from torch import Tensor

from mirclr import config
from mirclr.checkpoint import load_checkpoint, save_checkpoint
from mirclr.encoder import Model, ResNet
from mirclr.pretrained import builtin_checkpoint

HERE = Path(__file__).parent
LARGEST = 10_000_000  # bytes
SECONDS = 2.0  # of an excerpt when a track is embedded: tests/benchmarks/results/agreement.json
SHARDS = 8  # whose embeddings give the last normalisation


def with_head(model: Model, weight: Tensor, bias: Tensor) -> Model:
    """The same network up to the pooled maps, with (D, 2 C) weights and (D,) biases on their normalised values."""
    encoder = model.encoder
    assert isinstance(encoder, ResNet)
    plain = model.recipe.model_dump(mode="json")
    plain["encoder"]["dim"] = len(weight)
    plain["audio"]["clip_seconds"] = SECONDS
    plain["embedding"] = config.read_recipe(HERE / "recipe.yaml").embedding.model_dump(mode="json")
    plain["projector"] = {"hidden": 1, "dim": 1}  # it is not used after training
    headed = Model(config.recipe_from(plain))
    kept = {k: v for k, v in encoder.state_dict().items() if not k.startswith(("head", "output_norm"))}
    norm = encoder.output_norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scaled = weight / (norm.running_var + norm.eps).sqrt()
    kept |= {"head.weight": scaled, "head.bias": bias - scaled @ norm.running_mean}
    headed.encoder.load_state_dict(kept, strict=False)
    return headed.eval()


@torch.inference_mode()
def normalise(model: Model, lessons: Path) -> None:
    """Set the last normalisation by what lessons give."""
    every, found = model.recipe.mel.hop // MEL.hop, []
    for file in sorted(lessons.glob("*.safetensors"))[-SHARDS:]:
        with safe_open(file, "pt") as f:
            mel = f.get_tensor("mel")[:, :, ::every].float() * STEP
        with torch.autocast("cpu", torch.bfloat16):
            found += [model.encoder(part).float() for part in mel.split(128)]
    norm = model.encoder.output_norm
    assert isinstance(norm, torch.nn.BatchNorm1d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    rows = torch.cat(found) * (norm.running_var + norm.eps).sqrt() + norm.running_mean  # before normalisation
    norm.running_mean.copy_(rows.mean(dim=0))
    norm.running_var.copy_(rows.var(dim=0))


def main() -> None:
    """Write the encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    run = parser.parse_args().run
    torch.set_num_threads(1)
    read = load_checkpoint(run / "encoder.safetensors")
    model = with_head(read.model, read.objective["average.embedding.weight"], read.objective["average.embedding.bias"])
    normalise(model, run / "lessons")
    for tensor in (*model.parameters(), *model.buffers()):
        if tensor.is_floating_point() and tensor.ndim > 1:
            tensor.data = tensor.data.to(torch.float16)
    save_checkpoint(builtin_checkpoint(), model, read.provenance)
    size = builtin_checkpoint().stat().st_size
    if size > LARGEST:
        raise SystemExit(f"{builtin_checkpoint()}: {size:,} bytes; {LARGEST:,} at most are shipped")
    print(f"{builtin_checkpoint()}: {size:,} bytes, encoder {load_checkpoint(builtin_checkpoint()).digest}")


if __name__ == "__main__":
    main()
