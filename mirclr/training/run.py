"""A recipe to a ready trainer: the tracks, what is decoded of them, a teacher, and the split rule.

In: a recipe, with the folder that its paths are relative to, or a dataset from Python. Out: a `Trainer`. Nothing is
printed: progress and what is skipped go to functions that the caller passes.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from mirclr import config, extensions
from mirclr.audio.mel import LogMel
from mirclr.audio.views import ClipShape, Views
from mirclr.data.batches import ClipSource
from mirclr.data.clips import Cached, ClipCache, Skipped, names_shards, tracks_of
from mirclr.data.dataset import Dataset, cache_dataset
from mirclr.data.examples import ExampleFolder, ExampleSource
from mirclr.data.manifest import Track
from mirclr.data.sampling import TRAINED_ON, part_of
from mirclr.data.shards import ShardSet
from mirclr.data.soft_labels import SoftLabelFolder, SoftLabels, check_windows
from mirclr.data.streaming import ShardSource
from mirclr.errors import LabelsError, RecipeError, TrainingError
from mirclr.models.device import pick_device
from mirclr.objectives import is_useful, objective_from
from mirclr.provenance import digest_json
from mirclr.storage import beside
from mirclr.training.distributed import ALONE, Ranks
from mirclr.training.label_file import label_tracks_by_file, with_label_field
from mirclr.training.run_folder import check_run
from mirclr.training.trainer import BatchSource, Trainer
from mirclr.training.validation import Validation

Advance = Callable[..., None]
Progress = Callable[[str, int], AbstractContextManager[Advance]]
"""Given what is to be done and how often, a context whose value is called each time, with a `note` to show."""


@contextmanager
def no_progress(label: str, total: int) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda note="": None


def prepare(
    recipe: config.Recipe,
    folder: Path,
    run: Path,
    *,
    data: Dataset | None = None,
    own: nn.Module | None = None,
    resume: bool = False,
    device: str = "auto",
    workers: int | None = None,
    ranks: Ranks = ALONE,
    progress: Progress = no_progress,
    on_skip: Callable[[str], None] = lambda reason: None,
    on_note: Callable[[str], None] = lambda note: None,
) -> Trainer:
    """Find the tracks, decode what is not in the cache, and set the run up.

    Only tracks of the split ``train``, or of none, are trained on.

    Parameters
    ----------
    recipe : config.Recipe
        What to do.
    folder : Path
        What its paths are relative to.
    run : Path
        The run's folder.
    data : Dataset, optional
        What to learn from in place of the recipe's `data.train`.
    own : nn.Module, optional
        The encoder, where it is not one of mirclr's.
    resume : bool
        Continue the run in the folder.
    device : str
        "auto", or a device of torch.
    workers : int, optional
        Processes that decode; by default one a core.
    ranks : Ranks
        This process among those that train together; the first alone reports.
    progress : callable
        See `Progress`.
    on_skip : callable
        Called with the reason why a track cannot be used.
    on_note : callable
        Called with a line about labels of a file.

    Raises
    ------
    MirclrError
        What is amiss with recipe, run, tracks or teacher; before hours of decoding, where it can be known then.
    """
    if not ranks.first:
        progress, on_skip, on_note = no_progress, lambda reason: None, lambda note: None
    recipe = with_label_field(recipe, folder)
    extensions.allow_named(recipe.code, folder)
    pick_device(device)
    check_run(recipe, run, resume=resume, own=own)
    plan = recipe.distillation
    init = None if recipe.training.init is None else (folder / recipe.training.init).expanduser()
    if init is not None and not init.is_file():
        raise TrainingError(f"training.init: {init}: no such file; name the state.safetensors of another run")
    labels = teacher = None
    if plan and plan.labels is not None:
        labels = SoftLabelFolder.read((folder / plan.labels).expanduser())
        check_windows(labels, recipe.audio.clip_seconds)
    elif plan and plan.teacher is not None:
        from mirclr.training.teacher import online_teacher

        teacher = online_teacher(recipe, folder, device=device)
    shape = Views(recipe, LogMel.of(recipe.mel, recipe.audio.sample_rate)).takes
    cache = ClipCache(recipe, shape.domain)
    fill = partial(_fill, cache, workers=workers, ranks=ranks, progress=progress, on_skip=on_skip)
    if recipe.data.labels_file and (data is not None or (plan and plan.examples)):
        raise RecipeError(
            "data.labels_file goes with a manifest; items of a dataset and examples have their own labels"
        )
    if data is not None:
        source: BatchSource = _dataset_source(recipe, data, cache, ranks, progress, on_skip)
    elif plan and plan.examples:
        examples = ExampleFolder.read((folder / recipe.data.train).expanduser())
        source = ExampleSource(examples, recipe, is_useful=partial(is_useful, recipe.objective))
    elif names_shards(recipe.data.train):
        source = _shards_source(recipe, folder, shape, labels)
    else:
        source = _tracks_source(recipe, folder, cache, shape, labels, fill, on_note)
    return Trainer(
        recipe,
        source,
        run,
        validation=_validation(recipe, folder, cache, fill),
        teacher=teacher,
        own=own,
        init=init,
        resume=resume,
        device=device,
        ranks=ranks,
    )


def _tracks_source(
    recipe: config.Recipe,
    folder: Path,
    cache: ClipCache,
    shape: ClipShape,
    labels: SoftLabelFolder | None,
    fill: Callable[[str, list[Track], Path], list[Cached]],
    on_note: Callable[[str], None],
) -> ClipSource:
    """Batches of crops of the tracks that a recipe names."""
    plan, data = recipe.distillation, recipe.data
    tracks, root = tracks_of(data.train, folder, audio_root=data.audio_root, splits=TRAINED_ON)
    labelled = None
    if data.labels_file and data.labels:
        file = (folder / data.labels_file).expanduser()
        labelled = label_tracks_by_file(tracks, root, file, data.labels, on_note=on_note)
        tracks = labelled.tracks
    tracks = part_of(tracks, data.fraction)
    without = check_tracks(recipe, tracks, root, cache, shape, labels)
    if without and (found := fill("Decoding what has no labels", without, root)):
        raise LabelsError(
            f"distillation.labels: the folder holds no labels of {len(found)} of the {len(tracks)} tracks, such as "
            f"{found[0].track.path}; run mirclr teacher label again"
        )
    cached = fill("Decoding songs", [t for t in tracks if t not in without], root)
    soft_labels = SoftLabels(labels, [c.key for c in cached], plan) if plan and labels else None
    if labelled is None:
        return clip_source(recipe, cache, cached, soft_labels)
    source = clip_source(recipe, cache, cached, soft_labels, labelled.rows([c.track for c in cached]))
    source.digest = digest_json([source.digest, labelled.digest])
    return source


def _shards_source(
    recipe: config.Recipe, folder: Path, shape: ClipShape, labels: SoftLabelFolder | None
) -> ShardSource:
    """Batches of crops of the shards that a recipe names."""
    plan, given = recipe.distillation, None
    if plan and labels:

        def given(keys: Sequence[str]) -> SoftLabels:
            if without := [key for key in keys if not labels.has(key)]:
                raise LabelsError(
                    f"distillation.labels: the folder holds no labels of {len(without)} of the {len(keys)} tracks of "
                    "the shards; run mirclr teacher label again"
                )
            return SoftLabels(labels, keys, plan)

    shards = ShardSet.open(beside(recipe.data.train, folder))
    return ShardSource(shards, shape, recipe, given, is_useful=partial(is_useful, recipe.objective))


def _dataset_source(
    recipe: config.Recipe,
    data: Dataset,
    cache: ClipCache,
    ranks: Ranks,
    progress: Progress,
    on_skip: Callable[[str], None],
) -> ClipSource:
    """Batches of crops of the items of a dataset; of several processes, the first of each machine fills the cache."""
    if recipe.distillation and recipe.distillation.teacher is None:
        raise RecipeError("distillation: labels and examples are of files; with a dataset, name a teacher")
    if ranks.local:
        ranks.barrier()
    with progress("Reading the dataset", len(data) if hasattr(data, "__len__") else 0) as advance:
        cached, skipped, rows = cache_dataset(data, cache, recipe.data.labels, progress=lambda done, total: advance())
    if not ranks.local:
        ranks.barrier()
    for skip in skipped:
        on_skip(skip.reason)
    part = {track.id for track in part_of([c.track for c in cached], recipe.data.fraction)}
    kept = [i for i, c in enumerate(cached) if c.track.id in part]
    return clip_source(recipe, cache, [cached[i] for i in kept], labels=None if rows is None else rows[kept])


def clip_source(
    recipe: config.Recipe,
    cache: ClipCache,
    tracks: Sequence[Cached],
    soft_labels: SoftLabels | None = None,
    labels: Tensor | None = None,
) -> ClipSource:
    """Batches of crops of cached tracks, as a recipe asks for them; `labels` are rows in place of its `data.labels`.

    Raises
    ------
    ManifestError
        Fewer than two recordings, or one of a split for evaluation.
    ObjectiveError
        No batch of these tracks gives the objective anything to learn from.
    """
    shape = Views(recipe, LogMel.of(recipe.mel, recipe.audio.sample_rate)).takes
    useful = partial(is_useful, recipe.objective)
    return ClipSource(cache, tracks, shape, recipe, soft_labels, labels=labels, is_useful=useful)


def _validation(
    recipe: config.Recipe, folder: Path, cache: ClipCache, fill: Callable[[str, list[Track], Path], list[Cached]]
) -> Validation | None:
    """The labelled tracks that a recipe's validation names, if any have a label that others share."""
    plan = recipe.validation
    if plan is None:
        return None
    tracks, root = tracks_of(plan.manifest, folder, audio_root=plan.audio_root, splits=(plan.split,))
    counts = Counter(getattr(t, plan.label) for t in tracks)
    found = fill(
        "Decoding the labelled tracks",
        [t for t in tracks if getattr(t, plan.label) and counts[getattr(t, plan.label)] > 1],
        root,
    )
    return Validation(plan, cache, [(c, getattr(c.track, plan.label)) for c in found]) if found else None


def _fill(
    cache: ClipCache,
    label: str,
    tracks: list[Track],
    root: Path,
    *,
    workers: int | None,
    ranks: Ranks,
    progress: Progress,
    on_skip: Callable[[str], None],
) -> list[Cached]:
    """Decode tracks, and give them in their order: a batch must not depend on which was decoded first.

    Of several processes, the first of each machine decodes.
    """
    if ranks.local:
        ranks.barrier()
        return cache.held(tracks, root)
    cached, skipped = [], []
    with progress(label, len(tracks)) as advance:
        for result in cache.fill(tracks, root, workers=workers):
            if isinstance(result, Cached):
                cached.append(result)
            else:
                skipped.append(result)
            advance(note=f"{len(skipped)} skipped" if skipped else "")
    ranks.barrier()
    for skip in skipped:
        on_skip(skip.reason)
    order = {t.id: i for i, t in enumerate(tracks)}
    return sorted(cached, key=lambda c: order[c.track.id])


def check_tracks(
    recipe: config.Recipe,
    tracks: Sequence[Track],
    root: Path,
    cache: ClipCache,
    shape: ClipShape,
    labels: SoftLabelFolder | None,
) -> list[Track]:
    """Look at tracks before they are decoded: their labels, and whether a batch of them is of any use.

    Returns
    -------
    list of Track
        Those of which a teacher's `labels` hold nothing: they cannot be learned from, unless they cannot be decoded.

    Raises
    ------
    ManifestError, ObjectiveError, RecipeError
        Training could not begin with them, even if all can be decoded.
    """
    places = list(cache.places(tracks, root))
    found = [Cached(place.track, place.file, length=0) for place in places if not isinstance(place, Skipped)]
    if not found:
        return []  # each is skipped by name where it is decoded
    source = ClipSource(cache, found, shape, recipe, is_useful=partial(is_useful, recipe.objective))
    if recipe.objective.name == "cross_entropy" and source.labels is not None:
        objective_from(recipe.objective, n_tracks=0, dim=recipe.projector.dim, n_labels=source.labels.shape[1])
    return [] if labels is None else [c.track for c in found if not labels.has(c.key)]
