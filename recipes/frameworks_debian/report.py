"""Make the table and the plots from results.json: ``report.py`` writes table.md, accuracy.png and hours.png beside it.

A figure is the mean over seeds; ± is half the range of two seeds, or the standard deviation (n - 1) of more.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

HERE = Path(__file__).parent
FIGURES = {"genre_accuracy": "genre accuracy", "mood_r": "mood r", "artist_map": "same-artist mAP"}
BASELINES = {"mfcc": "MFCC statistics", "random_weights": "random weights", "chance": "chance"}


def spread(values: list[float]) -> float:
    """How far seeds lie apart."""
    if len(values) < 2:
        return 0.0
    return float(np.ptp(values) / 2 if len(values) == 2 else np.std(values, ddof=1))


def rows(
    results: dict[str, Any], prefix: str = "", group: str = "frameworks"
) -> list[tuple[str, str, dict[str, list[float]]]]:
    """(name, what it learns from, figure to values of all seeds) of a group of runs, best genre first; baselines."""
    found = []
    for name, entry in results[group].items():
        figures = [run["figures"] for _, run in sorted(entry["runs"].items())]
        found.append((f"`{name}`", entry["from"] or "", values_of(figures, prefix)))
    found.sort(key=lambda row: -float(np.mean(row[2]["genre_accuracy"])))
    for name, shown in BASELINES.items() if group == "frameworks" else ():
        figures = results["baselines"].get(name, [])
        if figures and f"{prefix}genre_accuracy" in figures[0]:
            found.append((shown, "", values_of(figures, prefix)))
    return found


def values_of(figures: list[dict[str, float]], prefix: str) -> dict[str, list[float]]:
    """Turn a list over seeds of figures into figures of lists."""
    return {key: [f[prefix + key] for f in figures] for key in FIGURES}


def table(results: dict[str, Any], prefix: str = "", group: str = "frameworks") -> str:
    """Markdown."""
    lines = [f"| run | learns from | {' | '.join(FIGURES.values())} |", f"|---|---|{'---|' * len(FIGURES)}"]
    for name, learns_from, values in rows(results, prefix, group):
        cells = [
            f"{np.mean(values[key]):.3f}" + (f" ± {spread(values[key]):.3f}" if len(values[key]) > 1 else "")
            for key in FIGURES
        ]
        lines.append(f"| {name} | {learns_from} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def plot_frameworks(results: dict[str, Any], to: Path) -> None:
    """One panel a figure, one line a run, error bars over seeds; baselines as grey lines."""
    shown = rows(results)
    figure = Figure(figsize=(13, 0.35 * len(shown) + 1.4), layout="constrained")
    axes = figure.subplots(1, len(FIGURES), sharey=True)
    names = [name.strip("`") for name, _, _ in shown][::-1]
    for panel, (key, title) in zip(axes, FIGURES.items(), strict=True):
        values = [each[key] for _, _, each in shown][::-1]
        colours = ["0.6" if not learns else "C0" for _, learns, _ in shown][::-1]
        for y, (of, colour) in enumerate(zip(values, colours, strict=True)):
            panel.errorbar(np.mean(of), y, xerr=spread(of), fmt="o", color=colour, capsize=3)
        mfcc = results["baselines"].get("mfcc")
        if mfcc:
            panel.axvline(mfcc[0][key], color="0.8", zorder=0)
        panel.set_title(title)
        panel.set_yticks(range(len(names)), names)
        panel.grid(axis="x", alpha=0.3)
    figure.savefig(to, dpi=110)


def plot_hours(results: dict[str, Any], to: Path) -> None:
    """Figures against hours of unlabelled music, log scale."""
    points: dict[float, list[dict[str, float]]] = {}
    runs = [r for entry in results["hours"].values() for r in entry["runs"].values()]
    runs += list(results["frameworks"].get("nt_xent", {"runs": {}})["runs"].values())
    for run in runs:
        points.setdefault(run["hours"], []).append(run["figures"])
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    hours = sorted(points)
    for panel, (key, title) in zip(figure.subplots(1, len(FIGURES)), FIGURES.items(), strict=True):
        values = [[f[key] for f in points[h]] for h in hours]
        means, bars = [float(np.mean(v)) for v in values], [spread(v) for v in values]
        panel.errorbar(hours, means, bars, marker="o", capsize=3, label="nt_xent")
        for name, style in (("mfcc", "--"), ("random_weights", ":")):
            found = results["baselines"].get(name)
            if found:
                panel.axhline(np.mean([f[key] for f in found]), color="0.5", linestyle=style, label=BASELINES[name])
        panel.set_xscale("log")
        panel.set_xticks(hours, [f"{h:.1f}" for h in hours], minor=False)
        panel.minorticks_off()
        panel.set(title=title, xlabel="hours of unlabelled music")
        panel.grid(alpha=0.3)
    panel.legend(fontsize=8)
    figure.savefig(to, dpi=110)


def main() -> None:
    """Write the files."""
    results = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    text = "By `mirclr evaluate`:\n\n" + table(results)
    if all("score_genre_accuracy" in r["figures"] for e in results["frameworks"].values() for r in e["runs"].values()):
        text += "\nThe same vectors by the other scorer:\n\n" + table(results, "score_")
    if results["attempts"]:
        text += "\nWhat else was tried, by `mirclr evaluate`:\n\n" + table(results, group="attempts")
    (HERE / "table.md").write_text(text, encoding="utf-8")
    print(text)
    plot_frameworks(results, HERE / "accuracy.png")
    if results["hours"]:
        plot_hours(results, HERE / "hours.png")


if __name__ == "__main__":
    main()
