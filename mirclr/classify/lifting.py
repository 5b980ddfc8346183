"""`tag_lifts`: how much more each tag is a track's than music's at large, for search by words.

By the heads that predict for a library, from its vectors; kept in a file beside a large one, where only what changed is
predicted anew. Where no heads are of the library's encoder, what it holds of predictions.
"""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from mirclr.classify.heads import TAG
from mirclr.classify.predict import HeadsInUse, heads_for, heads_version
from mirclr.library import LibraryStore
from mirclr.recommend.lifts import TagLifts, logit
from mirclr.words.tags import TASKS

SMALL = 10_000
"""So many tracks are predicted in less time than a person notices."""
_CHUNK = 8192
_SAMPLE = 1024  # tracks whose mean stands for a base rate that heads do not name
_CHANGED = 0.25  # fraction of tracks from which on all are predicted anew


def lifts_path(library: Path) -> Path:
    """Where the lifts of a large library are kept."""
    return library.with_name(f"{library.name}.words")


def tag_lifts(library: LibraryStore, held: TagLifts | None = None, *, keep: bool = True) -> TagLifts:
    """The lifts of all tracks of a library as it is now.

    Parameters
    ----------
    library : LibraryStore
        Whose tracks.
    held : TagLifts, optional
        Those of before.
    keep : bool
        Write them beside a large library, where that can be.
    """
    stamp = library.stamp
    using = [_with_tags(one) for one in heads_for(library) if stamp and one.heads.are_of(stamp)]
    if not using:
        return _stored(library)
    with library.snapshot():
        origin = _origin(library, using)
        before = held or (TagLifts.load(lifts_path(library.path)) if library.id_end() > SMALL else None)
        if before is not None and before.origin == origin:
            return before
        made = _renewed(library, using, before, origin)
    if keep and len(made.ids) > SMALL:
        with suppress(OSError):  # they are predicted again the next time
            made.save(lifts_path(library.path))
    return made


def lifts_version(library: LibraryStore) -> object:
    """Another value whenever lifts are to be made anew."""
    return heads_version(library), library.probabilities_version


def _with_tags(one: HeadsInUse) -> HeadsInUse:
    """The same heads with their tags, which are predicted for words alone."""
    return replace(one, tasks=one.tasks | ({TAG} & one.heads.tasks.keys()))


def _origin(library: LibraryStore, using: list[HeadsInUse]) -> dict[str, object]:
    heads = {one.heads.digest: sorted(one.tasks.intersection(TASKS)) for one in using}
    return {"library": library.uuid, "generation": library.generation, "heads": heads}


def _renewed(
    library: LibraryStore, using: list[HeadsInUse], before: TagLifts | None, origin: dict[str, object]
) -> TagLifts:
    """All tracks, of which those that have not changed are taken from before."""
    labels = tuple(
        (task, label) for one in using for task in TASKS if task in one.tasks for label in one.heads.tasks[task].labels
    )
    ids = library.ids()
    lifts = np.empty((len(ids), len(labels)), np.float16)
    due = np.ones(len(ids), bool)
    generation = before.origin.get("generation") if before else None
    if before is not None and isinstance(generation, int) and library.knows_generation(generation):
        same = all(before.origin.get(key) == origin[key] for key in ("library", "heads"))
        changed = library.ids(changed_since=generation)
        if same and before.labels == labels and len(changed) < _CHANGED * len(ids):
            kept = np.isin(ids, before.ids) & ~np.isin(ids, changed)
            lifts[kept] = before.lifts[np.searchsorted(before.ids, ids[kept])]
            due = ~kept
    priors = [_priors(library, one) for one in using]
    rows = np.flatnonzero(due)
    for at in range(0, len(rows), _CHUNK):
        some = rows[at : at + _CHUNK]
        _, vectors = library.vectors(None if len(some) == len(ids) else ids[some].tolist())
        lifts[some] = np.concatenate(
            [_lifts(one, vectors, prior) for one, prior in zip(using, priors, strict=True)], axis=1
        )
    return TagLifts(labels, ids, lifts, origin)


def _lifts(one: HeadsInUse, vectors: np.ndarray, priors: dict[str, np.ndarray]) -> np.ndarray:
    predicted = one.heads.predict_proba(vectors)
    return np.concatenate([logit(predicted[task]) - logit(priors[task]) for task in priors], axis=1)


def _priors(library: LibraryStore, one: HeadsInUse) -> dict[str, np.ndarray]:
    """The base rate of each label, by task: what the heads say of it, or the mean over some tracks of the library."""
    ids = library.ids()
    some = ids[np.linspace(0, len(ids) - 1, min(len(ids), _SAMPLE)).astype(np.int64)]
    means = {task: p.mean(axis=0) for task, p in one.heads.predict_proba(library.vectors(some.tolist())[1]).items()}
    found = {}
    for task in (task for task in TASKS if task in one.tasks):
        known, labels = one.heads.priors.get(task, {}), one.heads.tasks[task].labels
        found[task] = np.array([known.get(label, mean) for label, mean in zip(labels, means[task], strict=True)])
    return found


def _stored(library: LibraryStore) -> TagLifts:
    """What is stored of predictions, beside their means."""
    tasks = [task for task in TASKS if task in library.tasks()]
    labels = tuple((task, label) for task in tasks for label in library.labels(task))
    ids = library.ids()
    lifts = np.full((len(ids), len(labels)), np.nan, np.float16)
    for column, (task, label) in enumerate(labels):
        of, p = library.label_probabilities(task, label)
        there = np.isin(of, ids)
        lifts[np.searchsorted(ids, of[there]), column] = logit(p[there]) - logit(p.mean())
    return TagLifts(labels, ids, lifts, {})
