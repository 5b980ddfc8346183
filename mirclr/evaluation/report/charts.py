"""Bar charts of a report as SVG to stand within a page: drawn by matplotlib, coloured by the page's style."""

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

import numpy as np

from mirclr.errors import MissingExtra
from mirclr.evaluation.report.values import LibraryReport

_FEW = 12  # bars whose values and labels are all written
_COLOURS = {"#2f6f9f": "var(--bar)", "#000000": "var(--line)"}  # so that they follow a dark theme
_HEADROOM = 1.12  # above the highest bar, for its value


@dataclass(frozen=True)
class Chart:
    """A caption and an ``<svg>`` element."""

    title: str
    svg: str


def charts_by_table(report: LibraryReport) -> dict[str, list[Chart]]:
    """Charts by the title of the table that they stand below.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    charts: dict[str, list[Chart]] = {}
    if report.nearest:
        of = report.nearest
        charts["duplicates"] = [bar_chart("tracks by the cosine of their nearest neighbour", of.labels, of.counts)]
    if report.hubs:
        of = report.hubs.occurrences
        charts["hubs"] = [bar_chart(f"tracks by N_{report.k}", of.labels, of.counts)]
    if report.robustness:
        changes = report.robustness.changes
        names = [c.name for c in changes]
        overlaps = [c.overlap for c in changes if c.overlap is not None]
        charts["robustness"] = [bar_chart(f"overlap@{report.k}", names, overlaps, top=1)] if overlaps else []
        charts["robustness"].append(bar_chart("cosine to the stored vector", names, [c.cosine for c in changes], top=1))
    return charts


def bar_chart(title: str, labels: Sequence[str], values: Sequence[float], *, top: float | None = None) -> Chart:
    """Draw values, 0 and above, as bars; below 0 there is no bar. The same values give the same bytes.

    Parameters
    ----------
    title : str
        What the bars are.
    labels : (n,) of str
        Shown in full with a bar's value; below the axis up to the first dash, and where there are many, some of them.
    values : (n,) of float
        Heights.
    top : float, optional
        Value of a bar of full height; the highest unless given.

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra.of("the charts of the report", "plot") from None
    written = [f"{v:.3f}" if isinstance(v, float) else str(v) for v in values]
    drawn = io.BytesIO()
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # whatever style the user has set
        matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "mirclr", "text.parse_math": False})
        figure = Figure(figsize=(6, 2.6), layout="constrained")
        top = top or max([*values, 1e-9])
        axes = figure.add_subplot(ylim=(0, _HEADROOM * top))
        bars = axes.bar(range(len(values)), np.clip(values, 0, top), color="#2f6f9f", clip_on=False)
        for i, bar in enumerate(bars):
            bar.set_gid(f"bar {i}")
        if len(values) <= _FEW:
            axes.bar_label(bars, written, fontsize=9)
        shown = range(0, len(values), 1 if len(values) <= _FEW else 5)
        axes.set_xticks(shown, [labels[i].split("–")[0] for i in shown])
        axes.tick_params(length=0)
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(drawn, format="svg", transparent=True)
    tips = {f"bar {i}": f"{label}: {value}" for i, (label, value) in enumerate(zip(labels, written, strict=True))}
    return Chart(title, _inline(drawn.getvalue(), title, tips))


def _inline(svg: bytes, title: str, tips: dict[str, str]) -> str:
    """A drawing of matplotlib as an element of HTML: no namespaces, ids or date, no style that reaches beyond it."""
    root = ElementTree.fromstring(svg)  # noqa: S314  (of our own making)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
        style = re.sub(r"font-family:[^;]*;\s*", "", element.attrib.pop("style", ""))
        for colour, name in _COLOURS.items():
            style = style.replace(colour, name)
        if style:
            element.set("style", style)
        if tip := tips.get(element.attrib.pop("id", "")):
            note = ElementTree.Element("title")
            note.text = tip
            element.insert(0, note)
        for child in list(element):
            if child.tag.endswith(("}defs", "}metadata")):  # a style for all, the date
                element.remove(child)
    root.attrib = {"viewBox": root.attrib["viewBox"], "role": "img", "aria-label": title}
    return ElementTree.tostring(root, encoding="unicode")
