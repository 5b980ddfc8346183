"""``mirclr evaluate``: a library's vectors against labels, beside baselines."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.classify import print_figures, say_unmatched
from mirclr.cli.show import print_json, print_line, print_table, progress, remark

if TYPE_CHECKING:
    from mirclr.classify import Labelled
    from mirclr.evaluation.label_curve import Point
    from mirclr.evaluation.probes import Features
    from mirclr.models.stamp import EncoderStamp


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

    from mirclr.evaluation.probes import hubness_rows, retrieval_rows

    found, encoder = _labelled(library_path, labels_path)
    found, features, problems = _features(found, encoder, no_baselines, workers)
    labels = found.labels
    with progress("Ranking", 5 * len(features)) as advance:
        album = labels.album if labels.album_keys is None else labels.album_keys
        names = (labels.artist_keys, album, labels.genre)
        rows = retrieval_rows(features, *names, recordings=labels.recordings, advance=advance)
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


@command.command("labels-curve", epilog="Example: mirclr evaluate labels-curve --library music.db --labels labels.csv")
@options.library
@options.path_option("--labels", "labels_path", exists=True, required=True, help="CSV: file, artist, genre.")
@options.path_option(
    "--test", "test_path", exists=True, help="CSV: file; the tracks to be judged; else a fifth, by artist."
)
@click.option(
    "--shares", default="1,5,10,25,100", show_default=True, help="Per cent of the labels; one a genre at least."
)
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="Draws, each with its own seed.")
@options.path_option(
    "--from-scratch", "recipe_path", exists=True, help="Train this recipe's encoder on the labels alone."
)
@click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change that recipe, as training.steps=200."
)
@options.path_option("--plot", "plot_path", help="Picture to write (png, svg, pdf).")
@_with_baselines
@options.as_json
def labels_curve(
    library_path: Path,
    labels_path: Path,
    test_path: Path | None,
    shares: str,
    repeats: int,
    recipe_path: Path | None,
    overrides: tuple[str, ...],
    plot_path: Path | None,
    no_baselines: bool,
    workers: int,
    as_json: bool,
) -> None:
    """Measure how many labels genre takes: accuracy with a share of them.

    A probe on the library's vectors, on MFCC and on random weights; with --from-scratch also an encoder that is trained
    on the drawn tracks alone. Never point it at music that is for measuring only together with --from-scratch.
    """
    from dataclasses import asdict

    import numpy as np

    from mirclr.config import read_recipe
    from mirclr.evaluation.label_curve import labels_curve, trained_from_scratch

    parts = _shares(shares)
    recipe = read_recipe(recipe_path, overrides=overrides, on_note=remark) if recipe_path else None
    found, encoder = _labelled(library_path, labels_path)
    found, features, problems = _features(found, encoder, no_baselines, workers)
    scratch = None
    if recipe:
        with progress("Decoding", None):
            scratch = trained_from_scratch(recipe, found.tracks, len(set(found.labels.genre) - {""}))
    test = None
    if test_path:
        judged, _ = _labelled(library_path, test_path)  # matched as the labels are
        say_unmatched(judged)
        test = np.isin([t.id for t in found.tracks], [t.id for t in judged.tracks])
    total = repeats * len(parts) * (len(features) + bool(scratch))
    with progress("Learning", total) as advance:
        points = labels_curve(
            features, found.labels, shares=parts, repeats=repeats, test=test, from_scratch=scratch, advance=advance
        )
    if plot_path:
        _plot_curve(points, plot_path)
    if as_json:
        print_json({**_facts(found, labels_path, problems), "points": [asdict(p) for p in points]})
        return
    _say(found, problems)
    columns = ("learned from", "share", "labels", "accuracy", "±")
    cells = [(p.features, f"{p.share:.0%}", round(p.labelled), p.accuracy, p.spread) for p in points]
    print_table(columns, cells, title=f"genre, {repeats} draws; ±: standard deviation over draws")


@command.command(epilog="Example: mirclr evaluate library --library music.db -o report.html")
@options.library
@options.path_option("-o", "--output", "page", help="Page to write: .html, which needs nothing else.")
@click.option(
    "--robustness",
    type=click.IntRange(0),
    default=24,
    show_default=True,
    help="Tracks to hear again, changed; 0: none.",
)
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes that decode; 0: one a core.")
@options.as_json
def library(library_path: Path, page: Path | None, robustness: int, workers: int, as_json: bool) -> None:
    """Report on a library: neighbours, duplicates, hubs, outliers, broken files.

    By the tags of its own files. A sample of tracks is heard again as mp3, more quietly and with noise, to see whether
    their neighbours stay.
    """
    from mirclr.evaluation.report import report_on, tables, to_html
    from mirclr.library import LibraryStore
    from mirclr.provenance import writing

    if page and page.suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"-o {page}: the page is HTML; name a file that ends in .html")
    if page:
        options.check_apart(page, library_path)
    with LibraryStore.open(library_path) as opened:
        report = report_on(opened, robustness=robustness, workers=workers, progress=progress)
    if page:
        with writing(page, "w") as f:
            f.write(to_html(report))
        remark(f"wrote {page}")
    if as_json:
        print_json(report.to_json())
        return
    for part in tables(report):
        print_table(part.columns, part.rows, title=part.title)
        if part.note:
            print_line(f"{part.note}")
            print_line()


@command.command(epilog="Example: mirclr evaluate profile anna")
@click.argument("name")
@options.library
@click.option("-n", "n", type=click.IntRange(1), default=20, show_default=True, help="Tracks that are asked for.")
@click.option(
    "--share",
    type=options.Number(0, 1, min_open=True, max_open=True),
    default=0.3,
    show_default=True,
    help="How much of the liked tracks is held out.",
)
@click.option("--repeats", type=click.IntRange(2), default=20, show_default=True, help="Draws of what is held out.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the draws.")
@options.as_json
def profile(name: str, library_path: Path, n: int, share: float, repeats: int, seed: int, as_json: bool) -> None:
    """Measure what recommend --for finds of a listener's own history.

    A share of the tracks that were played or liked is held out, whole artists at a time, and recommendations by the
    rest are searched for them, beside plainer ways of asking. Nothing is written to the library.
    """
    from dataclasses import asdict

    import numpy as np

    import mirclr
    from mirclr.evaluation.holdout import hold_out, measure, ways_of_asking
    from mirclr.recommend.taste import listens_of, match

    with mirclr.Library.open(library_path) as opened, opened.snapshot():
        listens, index = listens_of(opened, name), opened.index
        draws, matched = (np.random.default_rng([seed, i]) for i in range(repeats)), match(opened, listens)
        drawn = [hold_out(opened, listens, matched, share, draw) for draw in draws]
        ways = ways_of_asking(opened, index, n=n, seed=seed)
        with progress("Asking", len(ways) * len(drawn)) as advance:
            answers: dict[str, list[np.ndarray]] = {way: [] for way in ways}
            for way, ask in ways.items():
                for asked in drawn:
                    answers[way].append(ask(asked))
                    advance()
        found, _ = measure(index, drawn, answers, n)
    heard = float(np.mean([len(one.heard) for one in drawn]))
    hidden = float(np.mean([len(one.hidden) for one in drawn]))
    if as_json:
        facts = {"name": name, "n": n, "share": share, "repeats": repeats, "seed": seed, "tracks": len(index)}
        print_json({**facts, "heard": heard, "hidden": hidden, "ways": [asdict(row) for row in found]})
        return
    columns = ("way", f"recall@{n}", "±", f"nDCG@{n}", "±", "coverage", "novelty")
    cells = [(f.way, f.recall, f.recall_error, f.ndcg, f.ndcg_error, f.coverage, f.novelty) for f in found]
    title = f"{heard:.0f} tracks told, {hidden:.0f} held out, of {len(index)}; {repeats} draws, ±: standard error"
    print_table(columns, cells, title=title)


def _shares(text: str) -> list[float]:
    """Per cent with commas between to shares, ascending."""
    try:
        shares = sorted({float(part) / 100 for part in text.split(",")})
    except ValueError:
        shares = []
    if not shares or not all(0 < s <= 1 for s in shares):
        raise click.UsageError(f"--shares {text}: expected per cent with commas between, above 0 and up to 100")
    return shares


def _plot_curve(points: list["Point"], path: Path) -> None:
    """Accuracy against the number of labelled tracks, with error bars."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        from mirclr.errors import MissingExtra

        raise MissingExtra.of("the picture of the curve", "plot") from None
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xscale="log", xlabel="labelled tracks", ylabel="accuracy of genre")
    for name in dict.fromkeys(p.features for p in points):
        of = [p for p in points if p.features == name]
        x, y, spread = ([getattr(p, key) for p in of] for key in ("labelled", "accuracy", "spread"))
        axes.errorbar(x, y, spread, label=name, marker="o", capsize=3)
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def _labelled(library_path: Path, labels_path: Path | None) -> tuple["Labelled", "EncoderStamp"]:
    """The tracks to be measured, by a labels file or else by their tags."""
    from mirclr.classify import labelled_by_file, labelled_by_tags, read_labels
    from mirclr.errors import LibraryError
    from mirclr.library import LibraryStore

    labels = read_labels(labels_path) if labels_path else None
    with LibraryStore.open(library_path) as library:
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

    from mirclr.evaluation.probes import Features, baseline_features

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
