"""``mirclr evaluate``: a library's vectors against labels, beside baselines; a report for the owner of the music."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.classify import print_scores, remark_unmatched
from mirclr.cli.show import is_terminal, print_json, print_line, print_sentence, print_table, progress, remark
from mirclr.terminal import counted

if TYPE_CHECKING:
    from mirclr.classify import Labelled
    from mirclr.evaluation.probes import Features
    from mirclr.evaluation.report.parts import Part
    from mirclr.models.stamp import EncoderStamp


_BAR = 24  # cells of the longest bar


@click.group(epilog="Example: mirclr evaluate retrieval --labels labels.csv")
def command() -> None:
    """Report on your library; measure encoders against labels."""


def _with_baselines(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--no-baselines", is_flag=True, help="Leave out the rows that need the audio: MFCC, random weights."
    )(options.workers(function))


@command.command(epilog="Example: mirclr evaluate retrieval --library music.db --no-baselines")
@options.library
@options.labels("CSV: file, artist, album, genre; else the tags.")
@_with_baselines
@options.as_json
def retrieval(library_path: Path, labels_path: Path | None, no_baselines: bool, workers: int, as_json: bool) -> None:
    """Measure how often neighbours share artist, album and genre.

    Mean average precision and hit@5 of cosine neighbours, on the vectors as they are and z-scored by column, with
    chance. Neighbours of the same album are easy, and of the same artist: hence artists once more among other albums,
    and genres among other artists. Larger libraries are asked for 2000 of their tracks.
    """
    from dataclasses import asdict

    from mirclr.classify import labelled_library
    from mirclr.evaluation.probes import hubness_rows, retrieval_rows

    found, encoder = labelled_library(library_path, labels_path)
    found, features, problems = _features(found, encoder, no_baselines, workers)
    labels = found.labels
    with progress("Ranking neighbours", (6 if any(labels.artist) else 5) * len(features)) as advance:
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
@options.labels("CSV: file, artist, genre, mood_…", required=True)
@_with_baselines
@options.as_json
def probe(library_path: Path, labels_path: Path, no_baselines: bool, workers: int, as_json: bool) -> None:
    """Measure how well genre and moods can be predicted from the vectors.

    Logistic regression, whose strength and temperature are chosen inside of the training part, in five folds, beside
    chance. No artist is in two folds, where artists are known, by the labels or else by the files' tags; where not, the
    title says that the figures are too good. Other draws of the folds move them by 0.01 to 0.02 on 400 tracks.
    """
    from dataclasses import asdict

    from mirclr.classify import cross_validate, labelled_library, unusable, usable_tasks

    found, encoder = labelled_library(library_path, labels_path)
    found, features, problems = _features(found, encoder, no_baselines, workers)
    with progress("Fitting probes", len(features) * len(usable_tasks(found.labels))) as advance:
        scores = [(f.name, cross_validate(f.vectors, found.labels, advance=advance)) for f in features]
    if as_json:
        rows = [{"features": name, "figures": [asdict(s) for s in of]} for name, of in scores]
        print_json({**_facts(found, labels_path, problems), "unusable": unusable(found.labels), "rows": rows})
        return
    _say(found, problems)
    for what, why in unusable(found.labels).items():
        remark(f"not measured: {what}: {why}")
    print_scores(scores)


@command.command("labels-curve", epilog="Example: mirclr evaluate labels-curve --library music.db --labels labels.csv")
@options.library
@options.labels("CSV: file, artist, genre.", required=True)
@options.path_option(
    "--test", "test_path", exists=True, help="CSV: file; the tracks to test on; else a fifth, by artist."
)
@click.option(
    "--fractions",
    default="0.01,0.05,0.1,0.25,1",
    show_default=True,
    help="Fractions of the labels to learn from; one label of each genre at least.",
)
@click.option("--shares", "per_cent", hidden=True, help="As --fractions was called, in per cent.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="Draws, each with its own seed.")
@options.path_option(
    "--from-scratch", "recipe_path", exists=True, help="Train this recipe's encoder on the labels alone."
)
@options.overrides
@options.plot("Draw the curve: png, svg, pdf.")
@_with_baselines
@options.as_json
def labels_curve(
    library_path: Path,
    labels_path: Path,
    test_path: Path | None,
    fractions: str,
    per_cent: str | None,
    repeats: int,
    recipe_path: Path | None,
    overrides: tuple[str, ...],
    plot: Path | None,
    no_baselines: bool,
    workers: int,
    as_json: bool,
) -> None:
    """Measure how many labels genre takes: accuracy with a fraction of them.

    A probe on the library's vectors, on MFCC and on random weights; with --from-scratch also an encoder that is trained
    on the drawn tracks alone. Never point it at music that is for measuring only together with --from-scratch.
    """
    import numpy as np

    from mirclr.classify import labelled_library
    from mirclr.config import find_recipe, read_recipe
    from mirclr.evaluation.label_curve import labels_curve, plot_curve, trained_from_scratch
    from mirclr.extensions import allow_named

    if per_cent is not None:
        remark("mirclr: --shares is now called --fractions, and 25 per cent is 0.25")
        parts = _fractions("--shares", per_cent, of=100)
    else:
        parts = _fractions("--fractions", fractions)
    recipe_path = recipe_path and find_recipe(recipe_path)
    recipe = read_recipe(recipe_path, overrides=overrides, on_note=remark) if recipe_path else None
    if recipe_path and recipe:
        allow_named(recipe.code, recipe_path.parent)
    found, encoder = labelled_library(library_path, labels_path)
    found, features, problems = _features(found, encoder, no_baselines, workers)
    scratch = None
    if recipe:
        with progress("Decoding songs", None):
            scratch = trained_from_scratch(recipe, found.tracks, len(set(found.labels.genre) - {""}))
    test = None
    if test_path:
        judged, _ = labelled_library(library_path, test_path)  # matched as the labels are
        remark_unmatched(judged)
        test = np.isin([t.id for t in found.tracks], [t.id for t in judged.tracks])
    total = repeats * len(parts) * (len(features) + bool(scratch))
    with progress("Fitting probes", total) as advance:
        points = labels_curve(
            features, found.labels, fractions=parts, repeats=repeats, test=test, from_scratch=scratch, advance=advance
        )
    if plot:
        plot_curve(points, plot)
    if as_json:
        print_json({**_facts(found, labels_path, problems), "points": [p.to_json() for p in points]})
        return
    _say(found, problems)
    _remark_unknown_artists(found)
    columns = ("learned from", "fraction", "labels", "accuracy", "±")
    cells = [(p.features, f"{p.fraction:.0%}", round(p.labelled), p.accuracy, p.std) for p in points]
    print_table(columns, cells, title=f"genre, {repeats} draws; ±: standard deviation over draws")


@command.command(epilog="Example: mirclr evaluate library --library music.db -o report.html")
@options.library
@options.path_option("-o", "--output", "page", help="Page to write: .html, which needs nothing else.")
@click.option(
    "--robustness",
    type=click.IntRange(0),
    default=24,
    show_default=True,
    help="How many songs to listen to again, changed; 0: none.",
)
@options.workers
@options.as_json
def library(library_path: Path, page: Path | None, robustness: int, workers: int, as_json: bool) -> None:
    """Report on your music: what is there, what to look after, tempo, mood, odd ones.

    The page of -o also has a map of the music. What researchers ask for comes last: how good neighbours are, hubs, and
    whether neighbours stay when a sample of songs is embedded again as mp3, more quietly and with noise.
    """
    from mirclr.evaluation.report import owner_parts, report_on, research_parts, song_map, to_html
    from mirclr.library import LibraryStore
    from mirclr.provenance import writing

    if page and page.suffix.lower() not in (".html", ".htm"):
        raise click.UsageError(f"-o {page}: the page is HTML; name a file that ends in .html")
    if page:
        options.check_apart(page, library_path)
    with LibraryStore.open(library_path) as opened:
        report = report_on(opened, robustness=robustness, workers=workers, progress=progress)
        if page:
            with progress("Drawing the map", 1) as advance:
                songs = song_map(opened)
                advance()
    if as_json:
        print_json(report.to_json())
    else:
        for part in owner_parts(report):
            _print_part(part, drawn=True)
        print_line("For researchers")
        print_line()
        for part in research_parts(report):
            _print_part(part)
    if page:
        with writing(page, "w") as f:
            f.write(to_html(report, songs))
        remark(f"wrote {page}; open it in a browser")
    elif not as_json and report.tracks:
        page_of = options.command_line("evaluate", "library", "-o", "report.html", library_path=library_path)
        remark(f"As a page, with a map of your music: {page_of}")


def _print_part(part: "Part", *, drawn: bool = False) -> None:
    """Print a part of a report; its bars where they are wanted, drawn for who sees them."""
    print_line(part.title)
    for sentence in part.note:
        print_sentence(sentence)
    if part.rows:
        print_table(part.columns, part.rows)
    for bars in part.bars if drawn else ():
        lengths = zip(bars.values, bars.lengths(), strict=True)
        blocks = ["█" * max(round(_BAR * length), value > 0) for value, length in lengths]
        shown = (bars.labels, blocks, bars.texts) if is_terminal(sys.stdout) else (bars.labels, bars.texts)
        print_table((), list(zip(*shown, strict=True)), title=bars.caption)
    print_line()


@options.formerly({"--share": "--fraction"})
@command.command(epilog="Example: mirclr evaluate profile anna")
@click.argument("name")
@options.library
@options.count(20, "How many tracks are recommended.")
@click.option(
    "--fraction",
    type=options.Number(0, 1, min_open=True, max_open=True),
    default=0.3,
    show_default=True,
    help="Fraction of the liked tracks that is held out.",
)
@click.option("--repeats", type=click.IntRange(2), default=20, show_default=True, help="Draws of what is held out.")
@options.seed("Of the draws.", default=1, least=0)
@options.as_json
def profile(name: str, library_path: Path, n: int, fraction: float, repeats: int, seed: int, as_json: bool) -> None:
    """Measure what recommend --for finds of a listener's own history.

    A fraction of the tracks that were played or liked is held out, whole artists at a time, and recommendations by the
    rest are searched for them, beside plainer strategies. Nothing is written to the library.
    """
    import numpy as np

    import mirclr
    from mirclr.evaluation.holdout import hold_out, measure, strategies
    from mirclr.recommend.taste import listens_of, match_listens

    with mirclr.Library.open(library_path) as opened, opened.snapshot():
        listens, index = listens_of(opened, name), opened.index
        draws, matched = (np.random.default_rng([seed, i]) for i in range(repeats)), match_listens(opened, listens)
        drawn = [hold_out(opened, listens, matched, fraction, draw) for draw in draws]
        asked_by = strategies(opened, index, n=n, seed=seed)
        with progress("Asking for lists", len(asked_by) * len(drawn)) as advance:
            answers: dict[str, list[np.ndarray]] = {strategy: [] for strategy in asked_by}
            for strategy, ask in asked_by.items():
                for asked in drawn:
                    answers[strategy].append(ask(asked))
                    advance()
        found, _ = measure(index, drawn, answers, n)
    known = float(np.mean([len(one.played) for one in drawn]))
    hidden = float(np.mean([len(one.hidden) for one in drawn]))
    if as_json:
        facts = {"name": name, "n": n, "share": fraction, "repeats": repeats, "seed": seed, "tracks": len(index)}
        print_json({**facts, "heard": known, "hidden": hidden, "ways": [row.to_json() for row in found]})
        return
    columns = ("strategy", f"recall@{n}", "±", f"nDCG@{n}", "±", "coverage", "novelty")
    cells = [(f.strategy, f.recall, f.recall_error, f.ndcg, f.ndcg_error, f.coverage, f.novelty) for f in found]
    title = f"{known:.0f} tracks known, {hidden:.0f} held out, of {len(index)}; {repeats} draws, ±: standard error"
    print_table(columns, cells, title=title)


def _fractions(option: str, text: str, *, of: int = 1) -> list[float]:
    """Numbers with commas between, above 0 and up to `of`, as fractions of it, ascending."""
    try:
        fractions = sorted({float(part) / of for part in text.split(",")})
    except ValueError:
        fractions = []
    if not fractions or not all(0 < f <= 1 for f in fractions):
        raise click.UsageError(f"{option} {text}: expected numbers with commas between, above 0 and up to {of}")
    return fractions


def _features(
    found: "Labelled", encoder: "EncoderStamp", no_baselines: bool, workers: int
) -> tuple["Labelled", list["Features"], list[str]]:
    """The vectors and baselines of the tracks that all of them describe, and what is wrong with the others."""
    from mirclr.evaluation.probes import Features, beside_baselines

    if no_baselines:
        return found, [Features(Path(encoder.name).name, found.vectors)], []
    with progress("Decoding for the baselines", len(found.tracks)) as advance:
        return beside_baselines(found, encoder, workers=workers, advance=advance)


def _facts(found: "Labelled", labels_path: Path | None, problems: list[str]) -> dict[str, Any]:
    return {
        "tracks": len(found.tracks),
        "unknown_artists": int((found.labels.artist_keys == "").sum()),
        "labels": str(labels_path) if labels_path else "tags",
        "unmatched": found.unmatched,
        "left_out": problems,
    }


def _remark_unknown_artists(found: "Labelled") -> None:
    """Say that songs of one artist may be on both sides of a split."""
    unknown = int(((found.labels.artist_keys == "") & (found.labels.genre != "")).sum())
    if unknown:
        remark(f"these figures may be too good: the artist of {counted(unknown, 'song')} is not known")


def _say(found: "Labelled", problems: list[str]) -> None:
    remark_unmatched(found)
    for problem in problems:
        remark(f"left out: {problem}")
