"""``mirclr classify``: genre and mood heads on a library's vectors."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_table, progress, remark

if TYPE_CHECKING:
    from mirclr.classify import Figures, Heads, Labelled

FIGURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "roc_auc": "ROC-AUC",
    "map": "mAP",
    "pearson_r": "Pearson r",
    "ece": "calib. error",
}


@click.group(epilog="Example: mirclr classify train --labels labels.csv")
def command() -> None:
    """Fit genre and mood classifiers on a library, and apply them."""


@command.command(epilog="Example: mirclr classify train --labels labels.csv --library music.db")
@options.library
@options.path_option("--labels", "labels_path", exists=True, required=True, help="CSV: file, artist, genre, mood_…")
@options.path_option("-o", "--output", help="File of heads to write; by default LIBRARY.heads.safetensors.")
@click.option(
    "--abstain",
    type=click.FloatRange(0, 1),
    default=0.4,
    show_default=True,
    help="Below this probability the genre is unknown.",
)
@options.as_json
def train(library_path: Path, labels_path: Path, output: Path | None, abstain: float, as_json: bool) -> None:
    """Fit heads on labelled tracks, and cross-validate them.

    The labels file is CSV with a header: file (the end of a track's path), and as known artist, album, genre, and
    columns mood_… or tag_… with numbers from 0 to 1. No artist is in two folds.
    """
    from dataclasses import asdict

    from mirclr.classify import Heads, cross_validate, labelled_by_file, read_labels, unusable, usable_tasks
    from mirclr.library import Library

    labels = read_labels(labels_path)
    with Library.open(library_path) as library:
        found = labelled_by_file(library, labels)
        encoder = library.stamp
    assert encoder is not None  # it holds vectors
    with progress("Fitting", 2 * len(usable_tasks(found.labels))) as advance:
        figures = cross_validate(found.vectors, found.labels, abstain=abstain, advance=advance)
        heads = Heads(abstain=abstain)
        heads.fit(found.vectors, found.labels, encoder=encoder, figures=figures, advance=advance)
    output = output or heads_path(library_path)
    heads.save(output)
    left_out = unusable(found.labels)
    if as_json:
        facts = {"heads": str(output), "tracks": len(found.tracks), "unmatched": found.unmatched}
        print_json({**facts, "unusable": left_out, "abstain": abstain, "figures": [asdict(f) for f in figures]})
        return
    say_unmatched(found)
    for what, why in left_out.items():
        remark(f"not learnt: {what}: {why}")
    print_figures([("", figures)])
    click.echo(f"{len(found.tracks)} tracks; heads: {output}")


@command.command(epilog="Example: mirclr classify apply --library music.db")
@options.library
@options.path_option("--heads", "heads_file", help="File of heads; by default LIBRARY.heads.safetensors.")
@options.as_json
def apply(library_path: Path, heads_file: Path | None, as_json: bool) -> None:
    """Store every track's genre and moods in the library, with probabilities."""
    from mirclr.classify import Heads
    from mirclr.library import Library

    with Library.open(library_path) as library:
        heads = Heads.load(heads_file or heads_path(library_path))
        heads.check_encoder(library)
        ids, vectors = library.vectors()
        probabilities = heads.predict_proba(vectors)
        for task, table in probabilities.items():
            names = heads.tasks[task].labels
            rows = {int(i): dict(zip(names, p.tolist(), strict=True)) for i, p in zip(ids, table, strict=True)}
            library.store_probabilities(task, rows, heads.digest)
    counts = _top_labels(heads, vectors, probabilities)
    if as_json:
        print_json({"tracks": len(ids), "top": counts})
        return
    rows_shown = [(task, label, n) for task, tops in counts.items() for label, n in tops.items()]
    print_table(("task", "top label", "tracks"), rows_shown)
    click.echo(f"{len(ids)} tracks classified")


def heads_path(library_path: Path) -> Path:
    """Where the heads of a library are kept unless told otherwise."""
    return library_path.with_name(f"{library_path.name}.heads.safetensors")


def say_unmatched(found: "Labelled") -> None:
    """Remark which files of the labels the library does not hold."""
    if found.unmatched:
        some = ", ".join(found.unmatched[:3]) + (", …" if len(found.unmatched) > 3 else "")
        remark(f"{len(found.unmatched)} files of the labels are not in the library: {some}")


def print_figures(rows: Sequence[tuple[str, Sequence["Figures"]]]) -> None:
    """Print figures by task, of one or several kinds of vectors, each task closed by its chance row."""
    named = len(rows) > 1
    table: list[tuple[Any, ...]] = []
    for same_task in zip(*(figures for _, figures in rows), strict=True):
        for (name, _), one in zip(rows, same_task, strict=True):
            table.append((_task(one), *([name] if named else []), one.tracks, *_cells(one.values)))
        last = same_task[-1]
        table.append(
            (_task(last) + ("" if named else ", chance"), *(["chance"] if named else []), None, *_cells(last.chance))
        )
    columns = ("task", *(["vectors"] if named else []), "tracks", *FIGURES.values())
    print_table(columns, table, title="cross-validated, no artist in two folds")
    for name, figures in rows:
        for one in figures:
            if one.task == "genre":
                click.echo(f"genre{f' by {name}' if named else ''}: {_answered(one)}")
    rules = sorted({one.positive.split(",")[0] for one in rows[0][1] if one.task == "mood" and one.positive})
    if rules:
        click.echo(f"a mood is positive, for ROC-AUC and mAP, where its share is {' or '.join(rules)}")


def _answered(genre: "Figures") -> str:
    share, right = genre.values["answered"], genre.values["accuracy_answered"]
    answers = f"; {right:.1%} of the answers are right" if right is not None else ""
    return f"{share:.1%} of tracks answered, the others unknown{answers}"


def _task(figures: "Figures") -> str:
    return f"{figures.task}: {figures.label}" if figures.label else figures.task


def _cells(values: dict[str, float | None]) -> list[float | None]:
    return [values.get(name) for name in FIGURES]


def _top_labels(heads: "Heads", vectors: Any, probabilities: dict[str, Any]) -> dict[str, dict[str, int]]:
    """How many tracks have each label on top, commonest first."""
    counts = {}
    for task, table in probabilities.items():
        if task == "genre":
            tops = heads.predict(vectors)
        else:
            tops = [heads.tasks[task].labels[i] for i in table.argmax(axis=1)]
        counts[task] = dict(Counter(tops).most_common())
    return counts
