"""`mirclr.train`: a recipe, and data from files or from Python, to a trained encoder."""

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from mirclr import config
from mirclr.data.dataset import Dataset
from mirclr.errors import RecipeError, TrainingError
from mirclr.extensions import with_names
from mirclr.models.own import with_own
from mirclr.storage import is_url
from mirclr.training.distributed import joined
from mirclr.training.run import prepare
from mirclr.training.run_folder import ENCODER, METRICS
from mirclr.training.trainer import Report

PathName = str | os.PathLike[str]


@dataclass(frozen=True)
class TrainingResult:
    """What `train` made.

    Attributes
    ----------
    run : Path
        The run's folder: recipe.yaml (resolved), metrics.jsonl, state.safetensors and the checkpoint.
    checkpoint : Path
        The trained encoder, for `mirclr.load_encoder`.
    digest : str
        Of the encoder, as libraries keep it.
    steps : int
        How many steps were made, those before a resume included.
    history : list of dict
        What was logged, a line every `training.log_every` steps: ``step``, ``loss``, ``lr``, ``clips_per_s``, losses by
        name where there are several, and ``knn_accuracy`` where the recipe validates.
    skipped : list of str
        Why tracks or items were not used, a line each.
    """

    run: Path
    checkpoint: Path
    digest: str
    steps: int
    history: list[dict[str, float]]
    skipped: list[str]


def train(
    recipe: PathName | config.Recipe | Mapping[str, Any],
    run: PathName,
    data: PathName | Dataset | None = None,
    *,
    encoder: nn.Module | None = None,
    labels: PathName | None = None,
    overrides: Iterable[str] = (),
    resume: bool = False,
    device: str = "auto",
    workers: int = 0,
    callback: Callable[[Report], object] | None = None,
) -> TrainingResult:
    """Train an encoder, as ``mirclr train`` does.

    In a script that torchrun starts in several processes they train together, each with the same arguments; the first
    of them writes and calls back.

    Parameters
    ----------
    recipe : str, Path, Recipe or mapping
        A recipe's file, the name of one that mirclr ships, or its keys as plain values; ``mirclr.config`` describes
        them. A class of one's own stands where its name would:
        ``{"objective": {"name": MyLoss, "settings": {"margin": 0.2}}}``.
    run : str or Path
        The run's folder, which is made.
    data : str, Path or dataset, optional
        In place of the recipe's `data.train`: a manifest, whose paths are relative to its own folder; the name of a
        corpus; the path or URL of a ``shards.json`` (``mirclr clips shard``); or any map-style dataset, with a length
        and items of (waveform, labels). A waveform is (n,) or (channels, n) at the recipe's `audio.sample_rate`, or at
        the dataset's attribute ``sample_rate``; labels are None, a text or a whole number for a class, several texts, a
        mapping such as
        ``{"artist": …, "genre": …}``, or a row of weights (`mirclr.data.dataset.cache_dataset`). Each item is read
        once, and kept in the cache.
    encoder : nn.Module, optional
        One's own encoder in place of the recipe's, as of `mirclr.load_encoder`; it is trained in place.
    labels : str or Path, optional
        A CSV of labels for the tracks of a manifest, in place of its own: columns ``file`` (a path, or its end),
        ``genre``, ``artist``, ``album``, ``mood_…``, ``tag_…``. The recipe's `data.labels` says from which of them is
        learned; else the first that is there.
    overrides : str or several
        Changes to a recipe's file, such as ``"training.steps=2000"``.
    resume : bool
        Continue the run in the folder after its last step, bit-exact; else there must be none.
    device : str
        ``"auto"``, or a device of torch.
    workers : int
        Processes that decode; 0: one a core.
    callback : callable, optional
        Called after each step with a `Report`: ``step``, ``steps``, ``loss`` and, where it was logged, ``metrics``.
        What it raises ends the run, once the state is saved.

    Returns
    -------
    TrainingResult
        With ``checkpoint``, the path of the trained encoder, and ``history``.

    Raises
    ------
    RecipeError
        The recipe is not valid.
    ManifestError
        There are fewer than two recordings, data for evaluation, or an item that is not (waveform, labels).
    TrainingError
        The folder holds a run and `resume` was not asked for, or of another recipe; or a loss is not finite.

    References
    ----------
    Chen et al. 2020, "A simple framework for contrastive learning of visual representations" (arXiv 2002.05709), and
    Spijkervet and Burgoyne 2021, "Contrastive learning of musical representations" (arXiv 2103.09410).

    Examples
    --------
    >>> import mirclr, numpy as np
    >>> rng = np.random.default_rng(0)
    >>> my_dataset = [(0.1 * rng.standard_normal(2 * 16000), f"artist {i % 2}") for i in range(4)]
    >>> recipe = {
    ...     "name": "tiny",
    ...     "data": {"train": "my_dataset", "labels": "artist"},
    ...     "audio": {"clip_seconds": 0.5},
    ...     "encoder": {"name": "resnet", "widths": [4], "blocks": [1]},
    ...     "objective": {"name": "sup_con"},
    ...     "training": {"steps": 3, "batch": 4, "warmup": 1},
    ... }
    >>> result = mirclr.train(recipe, run="runs/a", data=my_dataset, device="cpu")
    >>> result.steps, result.checkpoint.name
    (3, 'encoder.safetensors')
    >>> mirclr.load_encoder(result.checkpoint, device="cpu").embed(my_dataset[0][0], sr=16000).shape
    (8,)
    """
    if str(run) == "":  # which Path takes for the folder that a script happens to run in
        raise TrainingError("run: found an empty text; expected the name of a folder")
    read, folder = _read(recipe, [overrides] if isinstance(overrides, str) else overrides, labels)
    if encoder is not None:
        read = with_own(read, encoder)
    dataset = None
    if isinstance(data, str | os.PathLike):
        read = _with_manifest(read, os.fspath(data))
    elif data is not None:
        read, dataset = _with(read, train="a dataset", audio_root=None), data
    skipped: list[str] = []
    with joined(device) as (ranks, chosen):
        trainer = prepare(
            read,
            folder,
            Path(os.path.expanduser(run)),
            data=dataset,
            own=encoder,
            resume=resume,
            device=str(chosen),
            workers=workers or None,
            ranks=ranks,
            on_skip=skipped.append,
        )
        for report in trainer.train():
            try:
                if callback is not None and ranks.first:
                    callback(report)
            except BaseException:
                trainer.save()
                raise
        ranks.barrier()  # the first has written what all read
    lines = (trainer.run / METRICS).read_text(encoding="utf-8").splitlines()
    return TrainingResult(
        trainer.run,
        trainer.run / ENCODER,
        trainer.digest(),
        trainer.step,
        [json.loads(line) for line in lines],
        skipped,
    )


def _read(
    recipe: PathName | config.Recipe | Mapping[str, Any], overrides: Iterable[str], labels: PathName | None
) -> tuple[config.Recipe, Path]:
    """A recipe, and the folder that its paths are relative to."""
    labels_file = None if labels is None else str(Path(os.path.expanduser(labels)).absolute())
    if isinstance(recipe, str | os.PathLike):
        file = config.find_recipe(Path(os.path.expanduser(recipe)))
        labelled = [] if labels_file is None else [f"data.labels_file={json.dumps(labels_file)}"]
        return config.read_recipe(file, overrides=[*overrides, *labelled]), file.parent
    if list(overrides):
        raise RecipeError("overrides: expected with a recipe's file; change the keys themselves")
    if not isinstance(recipe, config.Recipe | Mapping):
        raise RecipeError(f"recipe: found a {type(recipe).__name__}; expected a file, a Recipe or a mapping")
    tree = recipe.model_dump(mode="json") if isinstance(recipe, config.Recipe) else with_names(recipe)
    if labels_file is not None and isinstance(tree.get("data"), dict):
        tree["data"] = tree["data"] | {"labels_file": labels_file}
    read = config.recipe_from(tree, where="recipe")
    return read, Path()


def _with_manifest(recipe: config.Recipe, name: str) -> config.Recipe:
    if is_url(name):
        return _with(recipe, train=name, audio_root=None)
    manifest = Path(os.path.expanduser(name))
    train = str(manifest.absolute()) if manifest.is_file() or manifest.suffix in (".jsonl", ".json") else str(manifest)
    return _with(recipe, train=train, audio_root=None)


def _with(recipe: config.Recipe, **data: Any) -> config.Recipe:
    """A recipe that learns from other data."""
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=data)})
