"""``mirclr evaluate``: a library's vectors against labels, beside baselines."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.classify import print_figures, say_unmatched
from mirclr.cli.show import print_json, print_table, progress, remark

if TYPE_CHECKING:
    from mirclr.classify import Labelled
    from mirclr.evaluate import Features
    from mirclr.library import EncoderStamp


@click.group(epilog="Example: mirclr evaluate retrieval --labels labels.csv")
def command() -> None:
    """Measure a library's vectors against labels, beside baselines."""


def _with_baselines(function: Callable[..., Any]) -> Callable[..., Any]:
    function = click.option(
        "--workers", type=click.IntRange(min=0), default=0, help="Processes that decode; 0: one a core."
    )(function)
    return click.option(
        "--no-baselines", is_flag=True, help="Leave out the rows that need the audio: MFCC, random weights."
    )(function)


@command.command(epilog="Example: mirclr evaluate retrieval --library music.db --no-baselines")
@options.library
@options.path_option("--labels", "labels_path", exists=True, help="CSV: file, artist, album, genre; else the tags.")
@_with_baselines
@options.as_json
def retrieval(library_path: Path, labels_path: Path | None, no_baselines: bool, workers: int, as_json: bool) -> None:
    """Measure how often neighbours share artist, album and genre.

    Mean average precision and hit@5 of cosine neighbours, on the vectors as they are and z-scored by column, with
    chance. Larger libraries are asked for 2000 of their tracks.
    """
    from dataclasses import asdict

    from mirclr.evaluate import hubness_rows, retrieval_rows

    found, encoder = _labelled(library_path, labels_path)
    found, features, problems = _features(found, encoder, no_baselines, workers)
    labels = found.labels
    with progress("Ranking", 5 * len(features)) as advance:
        rows = retrieval_rows(features, labels.artist, labels.album, labels.genre, advance=advance)
        hubs = hubness_rows(features, advance=advance)
    if as_json:
        tables = {"rows": [asdict(row) for row in rows], "hubness": hubs}
        print_json({**_facts(found, labels_path, problems), **tables})
        return
    _say(found, problems)
    if rows:
        columns = ("relevant", "vectors", "mAP", "mAP z", "hit@5", "hit@5 z", "queries")
        cells = [(r.relevant, r.features, r.map, r.map_z, r.hit, r.hit_z, r.queries) for r in rows]
        print_table(columns, cells, title=f"{len(found.tracks)} tracks, cosine neighbours; z: z-scored by column")
    else:
        remark("no two tracks share an artist, an album or a genre: nothing to retrieve")
    print_table(
        ("vectors", "hubness", "hubness z"),
        [(h["features"], h["plain"], h["z"]) for h in hubs],
        title="skewness of 10-occurrence",
    )


@command.command(epilog="Example: mirclr evaluate probe --library music.db --labels labels.csv")
@options.library
@options.path_option("--labels", "labels_path", exists=True, required=True, help="CSV: file, artist, genre, mood_…")
@_with_baselines
@options.as_json
def probe(library_path: Path, labels_path: Path, no_baselines: bool, workers: int, as_json: bool) -> None:
    """Measure how well genre and moods can be told from the vectors.

    Logistic regression, cross-validated with no artist in two folds, with chance.
    """
    from dataclasses import asdict

    from mirclr.classify import cross_validate, unusable, usable_tasks

    found, encoder = _labelled(library_path, labels_path)
    found, features, problems = _features(found, encoder, no_baselines, workers)
    with progress("Probing", len(features) * len(usable_tasks(found.labels))) as advance:
        figures = [(f.name, cross_validate(f.vectors, found.labels, advance=advance)) for f in features]
    if as_json:
        rows = [{"features": name, "figures": [asdict(f) for f in of]} for name, of in figures]
        print_json({**_facts(found, labels_path, problems), "unusable": unusable(found.labels), "rows": rows})
        return
    _say(found, problems)
    for what, why in unusable(found.labels).items():
        remark(f"not measured: {what}: {why}")
    print_figures(figures)


def _labelled(library_path: Path, labels_path: Path | None) -> tuple["Labelled", "EncoderStamp"]:
    """The tracks to be measured, by a labels file or else by their tags."""
    from mirclr.classify import labelled_by_file, labelled_by_tags, read_labels
    from mirclr.errors import LibraryError
    from mirclr.library import Library

    labels = read_labels(labels_path) if labels_path else None
    with Library.open(library_path) as library:
        found = labelled_by_file(library, labels) if labels else labelled_by_tags(library)
        encoder = library.stamp
    if encoder is None or not found.tracks:
        raise LibraryError(
            f"{library_path}: holds no tracks; embed music first: mirclr embed FOLDER --library {library_path}"
        )
    return found, encoder


def _features(
    found: "Labelled", encoder: "EncoderStamp", no_baselines: bool, workers: int
) -> tuple["Labelled", list["Features"], list[str]]:
    """The vectors and baselines of the tracks that all of them describe, and what is wrong with the others."""
    from dataclasses import replace

    from mirclr.evaluate import Features, baseline_features

    name = Path(encoder.name).name
    if no_baselines:
        return found, [Features(name, found.vectors)], []
    with progress("Hearing for the baselines", len(found.tracks)) as advance:
        baselines = baseline_features(found.tracks, encoder, workers=workers, advance=advance)
    kept = baselines.kept.tolist()
    heard = replace(
        found,
        labels=found.labels.rows(kept),
        tracks=[found.tracks[i] for i in kept],
        vectors=found.vectors[baselines.kept],
    )
    return heard, [Features(name, heard.vectors), *baselines.features], list(baselines.problems)


def _facts(found: "Labelled", labels_path: Path | None, problems: list[str]) -> dict[str, Any]:
    return {
        "tracks": len(found.tracks),
        "labels": str(labels_path) if labels_path else "tags",
        "unmatched": found.unmatched,
        "left_out": problems,
    }


def _say(found: "Labelled", problems: list[str]) -> None:
    say_unmatched(found)
    for problem in problems:
        remark(f"left out: {problem}")
