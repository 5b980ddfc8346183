"""A run's folder, and what a run may resume from.

It holds ``recipe.yaml`` (resolved), ``metrics.jsonl`` (one line every `log_every` steps), ``state.safetensors`` (to
resume from) and, when finished, ``encoder.safetensors``.
"""

import json
import os
from pathlib import Path
from typing import Any

from torch import nn

from mirclr import config
from mirclr.errors import MirclrError, TrainingError
from mirclr.models.checkpoint import Checkpoint, load_checkpoint
from mirclr.provenance import writing

STATE, ENCODER, METRICS, RECIPE = "state.safetensors", "encoder.safetensors", "metrics.jsonl", "recipe.yaml"

_MAY_CHANGE = ("training.checkpoint_minutes", "training.workers", "training.compile")  # and the run stays the same


def check_run(recipe: config.Recipe, run: Path, *, resume: bool, own: nn.Module | None = None) -> Checkpoint | None:
    """Look at a run's folder before anything is decoded; nothing is changed.

    Parameters
    ----------
    recipe : config.Recipe
        What is asked for.
    run : Path
        The folder.
    resume : bool
        Whether a run in it may be continued.
    own : nn.Module, optional
        The encoder, where it is one that was passed in.

    Returns
    -------
    Checkpoint or None
        The state to continue from, if there is one.

    Raises
    ------
    TrainingError
        The folder holds a run and `resume` was not asked for, its recipe differs, it cannot be written, or holds an
        encoder or a recipe that would be replaced.
    CheckpointError
        The state cannot be read.
    """
    state = run / STATE
    if state.exists() and not resume:
        raise TrainingError(f"{run}: already holds a run; add --resume to continue it, or name another folder")
    there = next(p for p in (run, *run.absolute().parents) if p.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        reason = "no permission to write there" if there.is_dir() else f"{there} is a file"
        raise TrainingError(f"{run}: cannot be written ({reason}); name another folder")
    if not state.exists():
        _check_foreign(run)
        return None
    saved = load_checkpoint(state, own)
    if differs := _differences(saved.recipe, recipe, saved.step or 0):
        raise TrainingError(
            f"{run}: was begun with {', '.join(differs)}; leave that as it was, or begin anew in another "
            "folder: -o NAME"
        )
    return saved


def _check_foreign(run: Path) -> None:
    """Raise where a new run would replace an encoder, or a recipe as a person writes it."""
    if (run / ENCODER).exists():
        raise TrainingError(f"{run}: already holds {ENCODER}; name another folder")
    if (run / RECIPE).exists():
        try:
            text = (run / RECIPE).read_text(encoding="utf-8")
            resolved = config.recipe_yaml(config.parse_recipe(text, on_note=lambda note: None))
        except (MirclrError, OSError, ValueError):
            text, resolved = "", None
        if text != resolved:
            raise TrainingError(f"{run}: already holds a {RECIPE}, which a run would replace; name another folder")


def _differences(saved: config.Recipe, asked: config.Recipe, step: int) -> list[str]:
    """Keys that differ between two recipes, in words; `_MAY_CHANGE` may, and some schedules' length."""
    found = []
    a, b = (_flat(r.model_dump(mode="json")) for r in (saved, asked))
    for key in dict.fromkeys((*a, *b)):
        if a.get(key) == b.get(key) or key in _MAY_CHANGE:
            continue
        if key != "training.steps":
            found.append(f"{key}={a.get(key)} (now {b.get(key)})")
        elif asked.training.schedule == "cosine":
            found.append(
                f"training.steps={a[key]} (now {b[key]}; with training.schedule=cosine their number cannot change, "
                "with constant it can)"
            )
        elif b[key] < step:
            found.append(f"training.steps={a[key]} (now {b[key]}, but {step} are made already)")
    return found


def _flat(tree: dict[str, Any], before: str = "") -> dict[str, Any]:
    """The values of a recipe by dotted key; a list is one value."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {before + key: value}
    return flat


def forget_after(run: Path, step: int) -> None:
    """Drop the log lines of steps that were made after the state was saved: they will be made again.

    With them goes what is no line of the log, such as a last one that was half written when the run was killed.
    """
    file = run / METRICS
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.exists() else []
    with writing(file, "w") as f:
        f.writelines(line + "\n" for line in lines if (at := _step_of(line)) is not None and at <= step)


def _step_of(line: str) -> int | None:
    """The step of a line of the log; None where it is none."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return step if isinstance(step, int) else None
