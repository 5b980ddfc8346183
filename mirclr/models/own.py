"""Encoders of one's own: any module of torch, passed in or registered by the package that it comes with.

A package registers one as an entry point of the group ``mirclr.encoders``: a class, or a function that makes a module::

    [project.entry-points."mirclr.encoders"]
    my_net = "my_package.nets:MyNet"

and a recipe names it: ``encoder: {name: registered, entry_point: my_net, input: waveform, settings: {width: 64}}``. It
may name the class itself: ``encoder: {name: "my_package.nets:MyNet"}``. What is imported is what an installed package
has registered, or what `mirclr.extensions` was allowed, and never what a file names.
"""

import re
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import torch
from torch import Tensor, nn

from mirclr import config, extensions
from mirclr.audio.mel import LogMel
from mirclr.errors import RecipeError
from mirclr.models.module import EncoderModule

GROUP = "mirclr.encoders"


class OwnEncoder(EncoderModule):
    """A module of one's own as an encoder: what comes out of it is checked once, with a batch of silence.

    Parameters
    ----------
    module : nn.Module
        Takes (B, N) float32 waveforms, or (B, F, T) log-mel, as the settings' `input` says; gives (B, D). Of what
        `torch.compile` gave, it is the module that was compiled: names and digests are of that.
    recipe : config.Recipe
        With an encoder that is registered.

    Raises
    ------
    RecipeError
        It is no such module.
    """

    def __init__(self, module: nn.Module, recipe: config.Recipe) -> None:
        super().__init__()
        assert isinstance(recipe.encoder, config.RegisteredEncoder)
        self.input = recipe.encoder.input
        self.module = module = uncompiled(module)
        takes = getattr(module, "input", self.input)
        if (
            extensions.is_class_name(recipe.encoder.entry_point)
            and takes in ("mel", "waveform")
            and takes != self.input
        ):
            name = recipe.encoder.entry_point
            raise RecipeError(f"encoder.input is {self.input}, but {name} takes {takes}; add input: {takes}")
        self.dim = _dim(module, _silence(recipe), qualified_name(module))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N) or (B, F, T) float32 -> (B, D) float32."""
        found: Tensor = self.module(x)
        return found.float()


def qualified_name(module: nn.Module) -> str:
    """What digests and checkpoints call the class of a module."""
    kind = type(uncompiled(module))
    return f"{kind.__module__}.{kind.__qualname__}"


def uncompiled(module: nn.Module) -> nn.Module:
    """The module that `torch.compile` was given, where it made this one; else itself."""
    return getattr(module, "_orig_mod", module)


def with_own(recipe: config.Recipe, module: nn.Module) -> config.Recipe:
    """A recipe for a module that is passed in: its encoder's section, unless it is for such a module already, is made.

    What the module takes is its attribute `input`, or else waveforms.
    """
    if isinstance(recipe.encoder, config.RegisteredEncoder):
        return recipe
    takes = getattr(module, "input", None)
    encoder = config.RegisteredEncoder(
        entry_point=qualified_name(module), input=takes if takes in ("mel", "waveform") else "waveform"
    )
    return config.recipe_from(recipe.model_dump(mode="json") | {"encoder": encoder.model_dump(mode="json")})


def recipe_of_class(name: str) -> config.Recipe:
    """The recipe of an encoder that is named as ``package.module:Class`` and nothing more: all else at its default."""
    takes = getattr(extensions.load_class(name, "encoder"), "input", None)
    encoder = {"name": name, "input": takes if takes in ("mel", "waveform") else "waveform"}
    return config.recipe_from({"name": name, "data": {"train": "nothing"}, "encoder": encoder})


def made(encoder: config.RegisteredEncoder) -> nn.Module:
    """Make the module that a recipe names, with random weights.

    Raises
    ------
    RecipeError
        Nothing of that name is registered, or what is cannot be made.
    """
    name = encoder.entry_point
    if extensions.is_class_name(name):
        module = extensions.make(name, encoder.settings, "encoder.entry_point")
    else:
        module = _registered(name, encoder)
    if not isinstance(module, nn.Module):
        raise RecipeError(f"encoder.entry_point: {name!r} gave {type(module).__name__}; expected a torch.nn.Module")
    return module


def _registered(name: str, encoder: config.RegisteredEncoder) -> Any:
    """What the entry point of a name makes."""
    try:
        return _entry_point(name).load()(**encoder.settings)
    except RecipeError:
        raise
    except Exception as error:  # whatever somebody else's code raises
        raise RecipeError(
            f"encoder.entry_point: {name!r} with settings {encoder.settings} cannot be made ({type(error).__name__}: "
            f"{error})"
        ) from error


def _entry_point(name: str) -> EntryPoint:
    registered = entry_points(group=GROUP)
    found = {point.value: point for point in registered if point.name == name}
    if not found:
        names = ", ".join(sorted({point.name for point in registered})) or "none"
        raise RecipeError(
            f"encoder.entry_point: {name!r} is not registered; install the package that registers it as an entry point "
            f"of the group {GROUP} (registered here: {names}), or in Python pass the module itself"
        )
    if len(found) > 1:
        raise RecipeError(f"encoder.entry_point: {name!r} is registered more than once: {', '.join(sorted(found))}")
    return next(iter(found.values()))


def _silence(recipe: config.Recipe) -> Tensor:
    """A batch of two clips as the encoder takes them."""
    assert isinstance(recipe.encoder, config.RegisteredEncoder)
    samples = round(recipe.audio.clip_seconds * recipe.audio.sample_rate)
    if recipe.encoder.input == "waveform":
        return torch.zeros(2, samples)
    return torch.zeros(2, recipe.mel.n_mels, LogMel.of(recipe.mel, recipe.audio.sample_rate).frames(samples))


def _dim(module: nn.Module, clips: Tensor, name: str) -> int:
    """D, by trying."""
    was_training = module.training
    shown = f"the encoder {name} takes {(*clips.shape,)}"
    try:
        device = next((t.device for t in (*module.parameters(), *module.buffers())), clips.device)
        with torch.no_grad():
            found = module.eval()(clips.to(device))
    except Exception as error:  # whatever somebody else's code raises
        what = re.sub(r"\s+", " ", str(error))[:300]
        raise RecipeError(f"{shown}, but fails on it ({type(error).__name__}: {what})") from error
    finally:
        module.train(was_training)
    if not isinstance(found, Tensor) or not found.is_floating_point() or found.ndim != 2 or 0 in found.shape[1:]:
        gave = f"{found.dtype} of shape {(*found.shape,)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise RecipeError(f"{shown}, and gave {gave}; expected (2, D) floating-point numbers")
    if found.shape[0] != len(clips):
        raise RecipeError(f"{shown}, and gave {found.shape[0]} rows; expected one a clip")
    return int(found.shape[1])
