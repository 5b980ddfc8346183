"""What vectors are worth: probes, retrieval, curves over the number of labels, held-out listens, a report on own music.

In: a library or an encoder, with labels or a listener's history. Out: scores, with baselines and chance beside them.

Contents: `Features`, `beside_baselines`, `retrieval_rows` (probes.py), `labels_curve`, `plot_curve` (label_curve.py),
`hold_out`, `measure` (holdout.py), `report_on` (report/). Each is loaded when it is asked for.
"""

from typing import TYPE_CHECKING

from mirclr.lazy import attributes

if TYPE_CHECKING:
    from mirclr.evaluation.holdout import hold_out, measure
    from mirclr.evaluation.label_curve import labels_curve, plot_curve
    from mirclr.evaluation.probes import Features, beside_baselines, retrieval_rows
    from mirclr.evaluation.report import report_on

__all__ = [
    "Features",
    "beside_baselines",
    "hold_out",
    "labels_curve",
    "measure",
    "plot_curve",
    "report_on",
    "retrieval_rows",
]

_LAZY = {
    "Features": "probes",
    "beside_baselines": "probes",
    "hold_out": "holdout",
    "labels_curve": "label_curve",
    "measure": "holdout",
    "plot_curve": "label_curve",
    "report_on": "report",
    "retrieval_rows": "probes",
}

__getattr__ = attributes(__name__, _LAZY)


def __dir__() -> list[str]:
    return __all__
