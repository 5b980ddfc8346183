"""Recipes as files and as plain values."""

import json
import warnings
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mirclr.config.overrides import apply_override
from mirclr.config.renamed import modern_recipe
from mirclr.config.sections import CLMR_STAGES, Audio, Recipe
from mirclr.config.strict_yaml import LONGEST, plain_values, shortened
from mirclr.config.wording import problems
from mirclr.errors import OverrideError, RecipeError, in_words
from mirclr.extensions import is_class_name
from mirclr.provenance import open_regular, shipped_dir

_MOST_ERRORS = 8  # that are listed; a file that is no recipe has thousands


def _warn(note: str) -> None:
    warnings.warn(note, FutureWarning, stacklevel=4)


def parse_recipe(
    text: str, *, overrides: Iterable[str] = (), where: str = "recipe", on_note: Callable[[str], None] = _warn
) -> Recipe:
    """Read a recipe from YAML text.

    Parameters
    ----------
    text : str
        YAML.
    overrides : iterable of str
        ``dotted.key=value`` each, the value in YAML; a number in the key picks from a list, as in
        ``augment.mel.0.p=0.3``.
    where : str
        The name that errors give the recipe.
    on_note : callable
        Takes a line where keys are called otherwise now; a `FutureWarning` by default.

    Returns
    -------
    Recipe

    Raises
    ------
    RecipeError
        Naming the place, what was found and what was expected; an `OverrideError` where an override is at fault.
    """
    tree = plain_values(text, where) or {}
    if not isinstance(tree, dict):
        raise RecipeError(f"{where}: found {type(tree).__name__}; a recipe is a mapping of sections")
    notes: list[str] = []
    overrides = list(overrides)
    try:
        tree = modern_recipe(tree, notes)
        for override in overrides:
            tree = apply_override(tree, override, notes)
    except OverrideError:
        raise
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None
    try:
        recipe = recipe_from(tree, where=where)
    except RecipeError as error:
        if overrides and _is_valid(text):
            raise OverrideError(str(error)) from error
        raise
    if notes:
        on_note(f"{where}: {', '.join(dict.fromkeys(notes))}; the old names are read, and will go some day")
    return recipe


def _is_valid(text: str) -> bool:
    """Whether a recipe is right without its overrides."""
    try:
        parse_recipe(text, on_note=lambda note: None)
    except RecipeError:
        return False
    return True


def recipe_from(tree: dict[str, Any], *, where: str = "recipe") -> Recipe:
    """Validate a recipe given as plain values, such as the one a checkpoint holds; keys of before are read."""
    try:
        tree = _of_today(modern_recipe(tree, []))
        # as JSON, where a list is a tuple but, strictly, "5" is no number
        return Recipe.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        found = problems(error, tree, Recipe)
        more = [f"and {len(found) - _MOST_ERRORS} more"] if len(found) > _MOST_ERRORS else []
        raise RecipeError(f"{where}: " + "; ".join([*found[:_MOST_ERRORS], *more])) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise RecipeError(f"{where}: not a tree of plain values ({shortened(error, str)})") from error


def _of_today(tree: dict[str, Any]) -> dict[str, Any]:
    """A recipe in today's words, with the length of clips that its encoder takes where it gives none."""
    encoder, audio = tree.get("encoder"), tree.get("audio", {})
    if not isinstance(encoder, dict):
        return tree
    if is_class_name(encoder.get("name")):  # short for a registered encoder with that entry point
        return {**tree, "encoder": {"entry_point": encoder["name"], **encoder, "name": "registered"}}
    if encoder.get("name") != "sample_cnn":
        return tree
    if {"widths", "dropout"} & set(encoder):  # of the time when that was the name of another network
        return {**tree, "encoder": {**encoder, "name": "sample_cnn_pooled"}}
    if not isinstance(audio, dict) or "clip_seconds" in audio:
        return tree
    rate = audio.get("sample_rate", Audio().sample_rate)
    known = type(rate) is int and rate > 0
    return {**tree, "audio": {**audio, "clip_seconds": 3**CLMR_STAGES / rate}} if known else tree


def find_recipe(path: Path) -> Path:
    """The file of a recipe: `path` itself, or the recipe of that name that mirclr ships, such as ``debian_ntxent``."""
    if path.exists() or path.parent != Path() or path.suffix:
        return path
    shipped = shipped_dir("recipes") / path.name / "recipe.yaml"
    return shipped if shipped.is_file() else path


def _no_file(path: Path) -> str:
    """What may have been meant by a recipe that is not there."""
    beside = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
    shipped = sorted(p.parent.name for p in shipped_dir("recipes").glob("*/recipe.yaml"))
    if near := get_close_matches(path.name, beside, 1) or get_close_matches(path.stem, shipped, 1):
        return f"there is no such file; did you mean {near[0]}?"
    return f"there is no such file; the recipes that mirclr brings are {', '.join(shipped)}"


def read_recipe(path: Path, *, overrides: Iterable[str] = (), on_note: Callable[[str], None] = _warn) -> Recipe:
    """Read a recipe file; see `parse_recipe`. Manifests named by relative path are taken from its folder."""
    try:
        with open_regular(path) as f:
            text = f.read(4 * LONGEST + 1).decode("utf-8")  # what is longer is refused by its characters
    except FileNotFoundError as error:
        raise RecipeError(f"{path}: {_no_file(path)}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: cannot be read ({in_words(error, path)}); expected a recipe in YAML") from error
    return parse_recipe(text, overrides=overrides, where=str(path), on_note=on_note)


def recipe_yaml(recipe: Recipe) -> str:
    """Write the resolved recipe, every default spelt out, as YAML."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
