"""Genre (one of several), moods (any of several), valence and arousal, predicted from vectors by calibrated heads.

In: vectors of one encoder with labels, or files and an `Embedder`. Out: `Heads` with their `Scores`, predictions of
tracks and of windows.

A head is a logistic regression on standardised vectors, its probabilities calibrated by one temperature
(Guo et al. 2017, arXiv 1706.04599). Scores come from nested cross-validation in which no artist is in two
folds; a track without an artist is a group of its own. A fraction such as 0.37 of listeners is a soft target: the
track counts as 0.37 of a positive and 0.63 of a negative. Applying heads needs numpy alone.

Conventions: n tracks, d dimensions, C labels.

Contents: `read_labels`, `labelled_by_file`, `labelled_by_tags` (labels.py); `labelled_by_own_genres`, `report_genres`
(classes.py: genres of the files' own tags, and which are enough to learn from); `usable_tasks`, `unusable`
(fitting.py); `cross_validate` (crossval.py); `find_threshold` (sureness.py: how probable a genre must be to be right
nine times in ten); `Heads` (heads.py); `predict_files`, `predict_library`, `predict_missing`, `heads_for`, `genre_rule`
(predict.py); `predict_segments` (segments.py), `write_segments`, `plot_segments` (over_time.py). The package is called
as ``mirclr.classify("song.mp3")``, which gives a `Prediction` (call.py).
"""

import sys

from mirclr.classify.call import CallablePackage, classify
from mirclr.classify.classes import GenreReport, labelled_by_own_genres, report_genres
from mirclr.classify.crossval import ABSTAIN, Scores, cross_validate
from mirclr.classify.fitting import unusable, usable_tasks
from mirclr.classify.heads import UNKNOWN, Head, Heads, heads_path
from mirclr.classify.labels import Labelled, Labels, labelled_by_file, labelled_by_tags, labelled_library, read_labels
from mirclr.classify.predict import Prediction
from mirclr.classify.sureness import Sureness, find_threshold

__all__ = [
    "ABSTAIN",
    "UNKNOWN",
    "GenreReport",
    "Head",
    "Heads",
    "Labelled",
    "Labels",
    "Prediction",
    "Scores",
    "Sureness",
    "classify",
    "cross_validate",
    "find_threshold",
    "heads_path",
    "labelled_by_file",
    "labelled_by_own_genres",
    "labelled_by_tags",
    "labelled_library",
    "read_labels",
    "report_genres",
    "unusable",
    "usable_tasks",
]

sys.modules[__name__].__class__ = CallablePackage
