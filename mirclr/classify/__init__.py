"""Genre (one of several) and moods (any of several) from a library's vectors: learnt, calibrated, may abstain.

A head is a logistic regression on standardised vectors, its probabilities calibrated by one temperature
(Guo et al. 2017, arXiv 1706.04599). Figures come from nested cross-validation in which no artist is in two
folds; a track without an artist is a group of its own. A share such as 0.37 of listeners is a soft target: the
track counts as 0.37 of a positive and 0.63 of a negative. Applying heads needs numpy alone.

Conventions: n tracks, d dimensions, C labels.

Contents: `read_labels`, `labelled_by_file`, `labelled_by_tags` (labels.py); `usable_tasks`, `unusable`
(fitting.py); `cross_validate` (crossval.py); `Heads` (heads.py); `hear_segments` (segments.py).
"""

from mirclr.classify.crossval import ABSTAIN, Figures, cross_validate
from mirclr.classify.fitting import unusable, usable_tasks
from mirclr.classify.heads import UNKNOWN, Head, Heads
from mirclr.classify.labels import Labelled, Labels, labelled_by_file, labelled_by_tags, read_labels

__all__ = [
    "ABSTAIN",
    "UNKNOWN",
    "Figures",
    "Head",
    "Heads",
    "Labelled",
    "Labels",
    "cross_validate",
    "labelled_by_file",
    "labelled_by_tags",
    "read_labels",
    "unusable",
    "usable_tasks",
]
