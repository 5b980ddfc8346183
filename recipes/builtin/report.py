"""Tables of results.json and heads.json, for the cards: ``report.py`` prints them and draws reliability.png."""

import json
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
NAMES = {
    "builtin": "built-in encoder",
    "musicnn_both": "musicnn, MSD and MTT (its teachers)",
    "musicnn_msd": "musicnn, MSD",
    "mfcc": "MFCC statistics",
}


def table(results: dict[str, Any]) -> str:
    """Markdown: quality on labelled music and composers within packages, by what made the vectors."""
    lines = [
        "| vectors | genre accuracy | mood r | same-artist mAP | same composer, within a package |",
        "|---|---|---|---|---|",
    ]
    for key, name in NAMES.items():
        probed, composers = results["probed"][key], results["composers"][key]
        retrieved = [results["labelled"][key]["artist_map"], composers["within_package_map"]]
        cells = [probed["genre_accuracy"], probed["mood_r"], *retrieved]
        lines.append(f"| {name} | {' | '.join(f'{c:.3f}' for c in cells)} |")
    return "\n".join(lines)


def calibration(figures: dict[str, Any]) -> str:
    """Markdown: how near the heads are to what the teachers say of tracks that neither learned from."""
    lines = ["| task | same label on top | mean r | mean AUC | expected calibration error |", "|---|---|---|---|---|"]
    for task, f in figures.items():
        r, auc = (f"{np.mean([*f[name].values()]):.3f}" if name in f else "" for name in ("r", "auc"))
        lines.append(f"| {task} | {f['top_agreement']:.3f} | {r} | {auc} | {f['ece']:.3f} |")
    return "\n".join(lines)


def felt(results: dict[str, Any]) -> str:
    """Markdown: correlation of the heads' moods with what listeners say."""
    found = results["felt"]
    return f"| {' | '.join(found)} |\n|{'---|' * len(found)}\n| {' | '.join(f'{r:.2f}' for r in found.values())} |"


def draw(figures: dict[str, Any], to: Path) -> None:
    """Reliability: what the heads say against what the teachers say, by tenths."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(4.5, 4.5))
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    for task, f in figures.items():
        axis.plot([b[0] for b in f["bins"]], [b[1] for b in f["bins"]], marker="o", label=task)
    axis.set(xlabel="predicted probability", ylabel="fraction by the teachers", xlim=(0, 1), ylim=(0, 1))
    axis.legend()
    figure.tight_layout()
    figure.savefig(to, dpi=110)


def main() -> None:
    """Print and draw."""
    results = json.loads((HERE / "results.json").read_text(encoding="utf-8"))
    print(table(results), felt(results), sep="\n\n")
    figures = json.loads((HERE / "heads.json").read_text(encoding="utf-8"))["tasks"]
    print(calibration(figures))
    draw(figures, HERE / "reliability.png")


if __name__ == "__main__":
    main()
