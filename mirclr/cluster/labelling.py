"""A teacher's outputs for the tracks of a manifest, on a cluster: each track is a file, committed whole.

A task that is run again passes over what is there, as `mirclr teacher label` does when it is run again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from mirclr import extensions
from mirclr.cluster.embedding import divided
from mirclr.cluster.session import Cluster
from mirclr.data.clips import Skipped
from mirclr.data.manifest import Track

if TYPE_CHECKING:
    from mirclr.training.teacher import LabelledTrack, Teacher


@dataclass(frozen=True)
class TeacherPlan:
    """What all tasks of a run share.

    Attributes
    ----------
    teacher : str
        As of `load_teacher`; a checkpoint at the same path on all machines.
    heads : str, optional
        Of a checkpoint, likewise.
    root, output : str
        Folders that all machines share: of the audio, and of the soft labels.
    hop_s : float
        As of `label_tracks`.
    device : str
        What computes.
    readers : int
        Processes that decode for a task.
    """

    teacher: str
    heads: str | None
    root: str
    output: str
    hop_s: float
    device: str
    readers: int = 1


def label_on_cluster(
    plan: TeacherPlan, tracks: Sequence[Track], cluster: Cluster
) -> "Iterator[LabelledTrack | Skipped]":
    """`mirclr.training.teacher.label_tracks` on a cluster; in any order.

    Raises
    ------
    LabelsError, ManifestError
        As of `label_tracks`.
    ClusterError
        As of `Cluster.run`.
    """
    parts = divided(tracks, cluster.workers or cluster.slots)
    for labelled in cluster.run(label_part, ((plan, part) for part in parts)):
        yield from labelled


def label_part(plan: TeacherPlan, tracks: Sequence[Track]) -> "list[LabelledTrack | Skipped]":
    """Label some tracks; run in a process of the cluster."""
    from mirclr.training.teacher import label_tracks

    teacher = _teacher(plan.teacher, plan.heads)
    labelled = label_tracks(
        teacher,
        tracks,
        Path(plan.root),
        Path(plan.output),
        hop_s=plan.hop_s,
        device=plan.device,
        workers=plan.readers,
        threads=1,
    )
    return list(labelled)


@lru_cache(maxsize=1)
def _teacher(name: str, heads: str | None) -> "Teacher":
    from mirclr.training.teacher import load_teacher

    extensions.allow_named([name] if extensions.is_class_name(name) else [], Path())  # it was, where the run was begun
    return load_teacher(name, heads=heads)
