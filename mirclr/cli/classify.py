"""``mirclr classify``: genre, moods, valence and arousal of files or a library; heads of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import failures_as_json, naming, print_json, print_line, print_table, progress, remark

if TYPE_CHECKING:
    from mirclr.classify import Labelled, Scores
    from mirclr.classify.predict import Prediction

SCORES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "roc_auc": "ROC-AUC",
    "map": "mAP",
    "pearson_r": "Pearson r",
    "ece": "calib. error",
}


@click.group(
    cls=options.once_a_command("predict"), epilog="Example: mirclr classify predict ~/Music/album --plot pictures"
)
def command() -> None:
    """Predict genre, moods, valence and arousal; fit heads of your own."""


@options.formerly({"--picture": "--plot"})
@command.command(epilog="Example: mirclr classify predict ~/Music/album song.ogg --segments over-time.csv")
@click.argument("paths", metavar="[PATH]…", nargs=-1, type=options.HomePath(path_type=Path))
@options.path_option(
    "--library", help="Classify this library; without PATH and this, library.db in your data directory."
)
@options.path_option("--heads", "heads_file", help="By default LIBRARY.heads.safetensors where it is, or the built-in.")
@options.checkpoint("The encoder of the files; by default that of the heads.")
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="How many genres and moods.")
@options.path_option("--segments", "segments_file", help="Write predictions for each few seconds of the files: .csv")
@options.plot("Draw them over time: .png for one file, else a folder.")
@click.option("--hop", type=options.Number(min=0.1), help="Seconds between segments; by default the length of one.")
@options.workers
@options.device
@options.as_json
def predict(
    paths: tuple[Path, ...],
    library: Path | None,
    heads_file: Path | None,
    checkpoint: Path | None,
    top: int,
    segments_file: Path | None,
    plot: Path | None,
    hop: float | None,
    workers: int,
    device: str,
    as_json: bool,
) -> int:
    """Predict genre, moods, valence and arousal of files, or of a library.

    Of files and folders they are printed. Of a library every track's probabilities are stored, for `tag write`,
    `export` and `library list --json`. A genre less probable than the heads' threshold is unknown. Predictions for a
    few seconds are less sure than those for a whole track.
    """
    if paths and library:
        raise click.UsageError("name files or a --library, not both")
    if not paths:
        if checkpoint or segments_file or plot or hop:
            raise click.UsageError("--checkpoint, --segments, --plot and --hop are for files; name some")
        _predict_library(library or options.default_library(), heads_file, top, as_json)
        return 0
    if hop and not (segments_file or plot):
        raise click.UsageError("--hop is for --segments or --plot")
    from mirclr.classify import Heads
    from mirclr.classify.over_time import new_figure, plot_paths, write_segments
    from mirclr.classify.predict import find_files, load_embedder, predict_files
    from mirclr.data.scan import place_of
    from mirclr.models.pretrained import builtin_heads

    files, failures = find_files(paths)
    pictures: dict[Path, Path] = {}
    if plot:
        new_figure((1, 1))  # what is missing is reported before the work
        places = list(map(place_of, files))
        if plot.suffix.lower() == ".png" and len(places) > 1:
            raise click.UsageError(f"--plot {plot}: a picture shows one file, not {len(places)}; name a folder")
        pictures = dict.fromkeys(places, plot) if plot.suffix.lower() == ".png" else plot_paths(places, plot)
    heads_file = heads_file or builtin_heads()
    heads = Heads.load(heads_file)
    embedder = load_embedder(heads, heads_file, checkpoint=checkpoint, device=device)
    predicted = {}
    with progress("Predicting", len(files)) as advance:
        for file, found in predict_files(list(files), embedder, heads, workers=workers):
            if isinstance(found, str):
                failures.append((place_of(file), found))
            else:
                predicted[file] = found
            advance(note=f"{len(failures)} failed" if failures else "")
    if segments_file or plot:
        with progress("Predicting segments", None) as advance:
            failures += write_segments(
                list(predicted),
                embedder,
                heads,
                hop=hop,
                table=segments_file,
                pictures=pictures,
                top=top,
                advance=advance,
            )
        for path in filter(None, (segments_file, *(pictures.get(place_of(file)) for file in predicted))):
            if path.exists():
                remark(f"wrote {path}")
    if as_json:
        print_json(
            {
                "heads": str(heads_file),
                "encoder": embedder.stamp.name,
                "tracks": [{"file": str(place_of(file)), **_as_json(found, top)} for file, found in predicted.items()],
                "failures": failures_as_json(failures),
            }
        )
    else:
        for file, reason in failures:
            remark(f"skipped {naming(str(file), reason)}")
        if predicted:
            _print_predictions([(files[file], found) for file, found in predicted.items()], top)
        elif not failures:
            print_line("no audio files found")
    return 0 if predicted or not failures else 1


@options.formerly({"--abstain": "--threshold"})
@command.command(epilog="Example: mirclr classify train --labels labels.csv --library music.db")
@options.library
@options.labels("CSV: file, artist, genre, mood_…", required=True)
@options.path_option("-o", "--output", help="File of heads to write; by default LIBRARY.heads.safetensors.")
@options.threshold(0.4, "A genre less probable than this is unknown.")
@options.as_json
def train(library_path: Path, labels_path: Path, output: Path | None, threshold: float, as_json: bool) -> None:
    """Fit heads on labelled tracks, and cross-validate them.

    The labels file is CSV with a header: file (the end of a track's path), and as known artist, album, genre, and
    columns mood_… or tag_… with numbers from 0 to 1. No artist is in two folds.
    """
    from dataclasses import asdict

    from mirclr.classify import Heads, cross_validate, heads_path, labelled_by_file, read_labels, unusable, usable_tasks
    from mirclr.library import LibraryStore

    labels = read_labels(labels_path)
    with LibraryStore.open(library_path) as library:
        found = labelled_by_file(library, labels)
        encoder = library.stamp
    assert encoder is not None  # it holds vectors
    with progress("Fitting", 2 * len(usable_tasks(found.labels))) as advance:
        scores = cross_validate(found.vectors, found.labels, abstain=threshold, advance=advance)
        heads = Heads(abstain=threshold)
        heads.fit(found.vectors, found.labels, encoder=encoder, scores=scores, advance=advance)
    output = output or heads_path(library_path)
    heads.save(output)
    left_out = unusable(found.labels)
    if as_json:
        facts = {"heads": str(output), "tracks": len(found.tracks), "unmatched": found.unmatched}
        print_json({**facts, "unusable": left_out, "abstain": threshold, "figures": [asdict(s) for s in scores]})
        return
    remark_unmatched(found)
    for what, why in left_out.items():
        remark(f"not fitted: {what}: {why}")
    print_scores([("", scores)])
    print_line(f"{len(found.tracks)} tracks; heads: {output}")


def remark_unmatched(found: Labelled) -> None:
    """Remark which files of the labels the library does not hold."""
    if found.unmatched:
        some = ", ".join(found.unmatched[:3]) + (", …" if len(found.unmatched) > 3 else "")
        remark(f"{len(found.unmatched)} files of the labels are not in the library: {some}")


def print_scores(rows: Sequence[tuple[str, Sequence[Scores]]]) -> None:
    """Print scores by task, of one or several kinds of vectors, each task closed by its chance row."""
    named = len(rows) > 1
    table: list[tuple[Any, ...]] = []
    for same_task in zip(*(scores for _, scores in rows), strict=True):
        for (name, _), one in zip(rows, same_task, strict=True):
            table.append((_task(one), *([name] if named else []), one.tracks, *_cells(one.values)))
        last = same_task[-1]
        table.append(
            (_task(last) + ("" if named else ", chance"), *(["chance"] if named else []), None, *_cells(last.chance))
        )
    columns = ("task", *(["vectors"] if named else []), "tracks", *SCORES.values())
    print_table(columns, table, title="cross-validated, no artist in two folds")
    for name, scores in rows:
        for one in scores:
            if one.task == "genre":
                print_line(f"genre{f' by {name}' if named else ''}: {_answered(one)}")
    rules = sorted({one.positive.split(",")[0] for one in rows[0][1] if one.task == "mood" and one.positive})
    if rules:
        print_line(f"a mood is positive, for ROC-AUC and mAP, where its fraction is {' or '.join(rules)}")


def _answered(genre: Scores) -> str:
    answered, right = genre.values["answered"], genre.values["accuracy_answered"]
    answers = f"; {right:.1%} of the answers are right" if right is not None else ""
    return f"{answered:.1%} of tracks answered, the others unknown{answers}"


def _task(scores: Scores) -> str:
    return f"{scores.task}: {scores.label}" if scores.label else scores.task


def _cells(values: dict[str, float | None]) -> list[float | None]:
    return [values.get(name) for name in SCORES]


def _predict_library(library_path: Path, heads_file: Path | None, top: int, as_json: bool) -> None:
    """Predict for a library's tracks, store that, and print how many have each label on top."""
    from mirclr.classify import Heads, heads_path
    from mirclr.classify.predict import count_top_labels, mean_affect, predict_library, predictions
    from mirclr.library import LibraryStore
    from mirclr.models.pretrained import builtin_heads

    own = heads_path(library_path)
    heads_file = heads_file or (own if own.exists() else builtin_heads())
    with LibraryStore.open(library_path) as library:
        heads = Heads.load(heads_file)
        ids, probabilities = predict_library(library, heads)
        tracks = library.tracks(ids.tolist()) if as_json else []
    counts = count_top_labels(heads, probabilities)
    means = {name: round(number, 4) for name, number in mean_affect(heads, probabilities).items()}
    if as_json:
        listed = [
            {"id": track.id, "file": str(track.file), **_as_json(one, top)}
            for track, one in zip(tracks, predictions(heads, probabilities), strict=True)
        ]
        print_json({"heads": str(heads_file), "counts": counts, "mean": means, "tracks": listed})
        return
    rows = [(task, label, n) for task, labels in counts.items() for label, n in labels.items()]
    print_table(("task", "top label", "tracks"), rows)
    if means:
        print_line(f"on average: {', '.join(f'{name} {value:.2f}' for name, value in means.items())}")
    print_line(f"{len(ids)} tracks classified by {heads_file}")


def _as_json(found: Prediction, top: int) -> dict[str, Any]:
    """A prediction as JSON values, with the likeliest labels."""
    facts: dict[str, Any] = {"genre": found.top_genre} if found.genre else {}
    for name, labels in (("genres", found.genre), ("moods", found.moods)):
        if labels:
            facts[name] = {label: round(p, 4) for label, p in list(labels.items())[:top]}
    return facts | {name: round(number, 4) for name, number in found.affect.items()}


def _print_predictions(predicted: Sequence[tuple[str, Prediction]], top: int) -> None:
    """Print a row a file, in the columns that the heads predict."""
    some = predicted[0][1]
    rows = []
    for name, found in predicted:
        cells = [_likely(labels, top) for labels in (found.genre, found.moods) if labels]
        if found.genre and found.top_genre != next(iter(found.genre)):
            cells[0] = f"{found.top_genre} ({cells[0]})"
        rows.append((name, *cells, *found.affect.values()))
    labelled = [name for name, labels in (("genres", some.genre), ("moods", some.moods)) if labels]
    print_table(("file", *labelled, *some.affect), rows)


def _likely(probabilities: Mapping[str, float], top: int) -> str:
    return ", ".join(f"{label} {p:.2f}" for label, p in list(probabilities.items())[:top])
