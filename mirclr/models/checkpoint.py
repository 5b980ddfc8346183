"""One safetensors file: weights, resolved recipe and provenance; nothing pickled.

The header of the file is JSON under the key ``mirclr``: ``format`` (version), ``kind`` (``model``, or ``state`` for one
that training can resume from), ``recipe``, ``provenance`` and, for a state, ``step``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mirclr import config
from mirclr.errors import CheckpointError, RecipeError, in_words, is_fault_of_machine
from mirclr.models.encoder import Model, weight_shapes
from mirclr.models.own import OwnEncoder, qualified_name
from mirclr.provenance import digest_bytes, digest_json, open_regular, writing

FORMAT = 1
_OPTIMIZER, _OBJECTIVE, _TRAINING = "optimizer.", "objective.", "training."


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been read.

    Attributes
    ----------
    model : Model
        In evaluation mode, on the CPU.
    recipe : config.Recipe
        As resolved when it was trained.
    provenance : dict
        What it was made from.
    digest : str
        Of the encoder's weights and of the settings that bear on an embedding.
    optimizer : dict of str to Tensor
        The optimizer's state by parameter; empty for a finished model.
    objective : dict of str to Tensor
        The objective's state, where it has one.
    training : dict of str to Tensor
        What else a run resumes from: layers that training alone needs, statistics of targets, averages of weights.
    step : int or None
        How many steps had been made, for a state.
    """

    model: Model
    recipe: config.Recipe
    provenance: dict[str, Any]
    digest: str
    optimizer: dict[str, Tensor]
    objective: dict[str, Tensor]
    training: dict[str, Tensor]
    step: int | None


def save_checkpoint(
    path: Path,
    model: Model,
    provenance: Mapping[str, Any],
    *,
    optimizer: Mapping[str, Tensor] | None = None,
    objective: Mapping[str, Tensor] | None = None,
    training: Mapping[str, Tensor] | None = None,
    step: int | None = None,
) -> None:
    """Write a model, or with the rest a state to resume from; an older file is replaced at once."""
    tensors = dict(model.state_dict())
    tensors |= {_OPTIMIZER + name: t for name, t in (optimizer or {}).items()}
    tensors |= {_OBJECTIVE + name: t for name, t in (objective or {}).items()}
    tensors |= {_TRAINING + name: t for name, t in (training or {}).items()}
    tensors = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    first: dict[int, str] = {}  # a file holds no tensor twice: weights that a module ties are written as copies
    tied = [name for name, t in tensors.items() if t.numel() and first.setdefault(t.data_ptr(), name) != name]
    tensors |= {name: tensors[name].clone() for name in tied}
    header = {
        "format": FORMAT,
        "kind": "model" if step is None else "state",
        "recipe": model.recipe.model_dump(mode="json"),
        "provenance": dict(provenance),
        "step": step,
    }
    if isinstance(model.encoder, OwnEncoder):
        header["encoder_class"] = qualified_name(model.encoder.module)
    with writing(path) as f:
        f.write(save(tensors, metadata={"mirclr": json.dumps(header, ensure_ascii=False)}))


def load_checkpoint(path: Path, own: nn.Module | None = None) -> Checkpoint:
    """Read a checkpoint.

    Parameters
    ----------
    path : Path
        The file.
    own : nn.Module, optional
        What its weights are put into, where its encoder is one that was passed in; else what is registered is made.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, not a checkpoint of mirclr, or made by a newer mirclr; or its encoder is not
        registered, or of another class than the one that is registered or given.
    """
    try:
        open_regular(path).close()
        with safe_open(path, framework="pt") as f:
            header = json.loads((f.metadata() or {}).get("mirclr", "null"))
            tensors = {name: f.get_tensor(name) for name in f.keys()}  # noqa: SIM118  (not a mapping)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; train one with: mirclr train RECIPE.yaml -o RUN") from None
    except (OSError, SafetensorError, ValueError, RecursionError) as error:
        if is_fault_of_machine(error):
            raise
        if isinstance(error, OSError):
            raise CheckpointError(f"{path}: cannot be read ({in_words(error, path)})") from error
        damaged = ", or a damaged one" if path.suffix == ".safetensors" else ""
        raise CheckpointError(
            f"{path}: not a checkpoint of mirclr{damaged}; expected the encoder.safetensors of a run"
        ) from error
    if not isinstance(header, dict) or header.get("kind") not in ("model", "state"):
        raise CheckpointError(f"{path}: a safetensors file, but not one of mirclr's checkpoints")
    if (found := header.get("format")) != FORMAT:
        newer = isinstance(found, int) and found > FORMAT
        advice = "upgrade mirclr" if newer else "train it again, or use the mirclr that made it"
        raise CheckpointError(f"{path}: format {found}; this mirclr reads format {FORMAT}: {advice}")
    try:
        recipe = config.recipe_from(header.get("recipe", {}), where=f"{path}: its recipe")
    except RecipeError as error:
        raise CheckpointError(str(error)) from error
    weights = {n: t for n, t in tensors.items() if not n.startswith((_OPTIMIZER, _OBJECTIVE, _TRAINING))}
    model = None
    if isinstance(recipe.encoder, config.RegisteredEncoder):
        model = _with_own(path, recipe, header.get("encoder_class"), own)
        shapes = {name: (*t.shape,) for name, t in model.state_dict().items()}
    elif own is not None:
        raise CheckpointError(
            f"{path}: its encoder is mirclr's own {recipe.encoder.name}, and a module was given for it"
        )
    else:  # before anything is made: a recipe may ask for more than there is memory
        shapes = weight_shapes(recipe)
    if wrong := _first_difference(shapes, {name: (*t.shape,) for name, t in weights.items()}):
        raise CheckpointError(f"{path}: its weights do not fit its recipe ({wrong})")
    provenance, step = header.get("provenance", {}), header.get("step")
    if not isinstance(provenance, dict) or not (step is None or (type(step) is int and step >= 0)):
        raise CheckpointError(f"{path}: its header is damaged: provenance and step are not what mirclr writes there")
    model = model or Model(recipe)
    model.load_state_dict(weights)
    return Checkpoint(
        model.eval(),
        recipe,
        provenance,
        encoder_digest(model),
        optimizer=_part(tensors, _OPTIMIZER),
        objective=_part(tensors, _OBJECTIVE),
        training=_part(tensors, _TRAINING),
        step=step,
    )


def _with_own(path: Path, recipe: config.Recipe, named: object, own: nn.Module | None) -> Model:
    """The model of a checkpoint whose encoder is somebody's own; nothing is imported by a name that is in the file."""
    try:
        model = Model(recipe, own)
    except RecipeError as error:
        raise CheckpointError(f"{path}: {error}") from error
    assert isinstance(model.encoder, OwnEncoder)
    if (found := qualified_name(model.encoder.module)) != named:
        raise CheckpointError(f"{path}: holds weights of the class {named}, and was given {found}")
    return model


def _first_difference(asked: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]) -> str | None:
    """Where the names and shapes of two sets of weights differ first, in words."""
    for name in sorted({*asked, *found}):
        if asked.get(name) != found.get(name):
            return f"{name[:80]!r}: found {found.get(name, 'none')}, expected {asked.get(name, 'none')}"
    return None


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


_FIRST_NAMES = {"sample_cnn_pooled": "sample_cnn"}  # what digests call an encoder that was renamed


def encoder_digest(model: Model) -> str:
    """Digest of what a vector depends on: the weights of encoder and pooling, and the settings that bear on it."""
    recipe, weights = model.recipe, model.encoder.state_dict()
    settings: dict[str, Any] = {
        "audio": config.digested(recipe.audio),
        "mel": config.digested(recipe.mel),
        "encoder": config.digested(recipe.encoder),
    }
    if isinstance(model.encoder, OwnEncoder):  # by whichever name it is registered
        del settings["encoder"]["entry_point"]
        settings["encoder"]["class"] = qualified_name(model.encoder.module)
    settings["encoder"]["name"] = _FIRST_NAMES.get(recipe.encoder.name, recipe.encoder.name)
    if model.pooling.weight:
        settings["deviation"] = model.pooling.weight
        weights |= {f"pooling.{name}": tensor for name, tensor in model.pooling.state_dict().items()}
    if recipe.embedding.levelled:
        settings["levelled"] = True
    if recipe.embedding.balanced:
        settings["balanced"] = recipe.embedding.balanced
    parts = [digest_json(settings).encode()]
    for name, tensor in sorted(weights.items()):
        parts += [name.encode(), tensor.detach().cpu().contiguous().numpy().tobytes()]
    return digest_bytes(*parts)


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state, named ``parameter/quantity``."""
    return {
        f"{name}/{quantity}": value if isinstance(value, Tensor) else torch.tensor(value)
        for name, parameter in model.named_parameters()
        for quantity, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave."""
    parameters = dict(model.named_parameters())
    for key, value in tensors.items():
        name, _, quantity = key.rpartition("/")
        parameter = parameters[name]
        # as torch keeps it: moments on the parameter's device, the count of steps on the CPU
        optimizer.state[parameter][quantity] = value if quantity == "step" else value.to(parameter.device)
