"""``mirclr classify``: genre, moods, valence and arousal of files or a library; heads of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import (
    closing,
    complain,
    detail,
    failures_as_json,
    naming,
    print_json,
    print_line,
    print_table,
    progress,
    remark,
)
from mirclr.cli.tag import renames
from mirclr.terminal import counted, percent

if TYPE_CHECKING:
    from mirclr.classify import Labelled, Scores
    from mirclr.classify.classes import GenreReport
    from mirclr.classify.predict import Prediction
    from mirclr.library import LibraryStore

SCORES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "roc_auc": "ROC-AUC",
    "map": "mAP",
    "pearson_r": "Pearson r",
    "ece": "calib. error",
}

AFFECT = {"valence": "positive", "arousal": "energetic"}
"""How valence and arousal, which are numbers from 0 to 1, are called for people."""
_TOP = 3


@click.group(
    cls=options.once_a_command("predict"), epilog="Example: mirclr classify predict ~/Music/album --plot pictures"
)
def command() -> None:
    """Guess genre and mood; learn your own genres."""


@options.formerly({"--picture": "--plot"})
@command.command(epilog="Example: mirclr classify predict ~/Music/album song.ogg --segments over-time.csv")
@click.argument("paths", metavar="[PATH]…", nargs=-1, type=options.HomePath(path_type=Path, or_address=True))
@options.path_option("--library", help="Another library than your own, which is taken where no PATH is given.")
@options.path_option(
    "--heads",
    "heads_file",
    help="What was learned, by `classify train`; else the library's own, or what mirclr comes with.",
)
@options.checkpoint("The encoder of the files; by default the one that was learned with.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help="How many genres and moods; by default a genre and two moods are printed, and three of each go into JSON.",
)
@options.path_option("--segments", "segments_file", help="Write guesses for each few seconds of the files: .csv")
@options.plot("Draw them over time: .png for one file, else a folder.")
@click.option("--hop", type=options.Number(min=0.1), help="Seconds between segments; by default the length of one.")
@options.workers
@options.device
@options.on_ray
@options.output_on_ray
@options.as_json
def predict(
    paths: tuple[Path | str, ...],
    library: Path | None,
    heads_file: Path | None,
    checkpoint: Path | None,
    top: int | None,
    segments_file: Path | None,
    plot: Path | None,
    hop: float | None,
    workers: int,
    device: str,
    on: str | None,
    address: str | None,
    output: Path | str | None,
    as_json: bool,
) -> int:
    """Guess genre, moods, voice and instruments of files, or of your library.

    Also two numbers from 0 to 1: how positive a song sounds (valence), and how energetic (arousal). Of files and
    folders the guesses are printed. Of a library they are kept, for `recommend --mood`, `tag write`, `export` and
    `library list --json`. Guesses for a few seconds are less sure than those for a whole song. With --on ray they are
    kept in the folder of `mirclr embed --on ray`, for all that it holds.
    """
    if on:
        from mirclr.cli.on_ray import classify_on_ray

        if library or segments_file or plot or hop or top:
            raise click.UsageError("--library, --top, --segments, --plot and --hop are not for --on ray")
        where: dict[str, Any] = {"address": address, "workers": workers, "device": device, "as_json": as_json}
        return classify_on_ray(paths, output, heads_file, checkpoint, **where)
    paths = options.here_alone(paths, output, address)
    if paths and library:
        raise click.UsageError("name files or a --library, not both")
    if not paths:
        if checkpoint or segments_file or plot or hop:
            raise click.UsageError("--checkpoint, --segments, --plot and --hop are for files; name some")
        _predict_library(library or options.default_library(), heads_file, top or _TOP, as_json)
        return 0
    if hop and not (segments_file or plot):
        raise click.UsageError("--hop is for --segments or --plot")
    from mirclr.classify import Heads
    from mirclr.classify.over_time import plot_paths, write_segments
    from mirclr.classify.predict import find_files, load_embedder, predict_files
    from mirclr.data.scan import place_of
    from mirclr.models.pretrained import builtin_heads
    from mirclr.pictures import new_figure

    files, failures = find_files(paths)
    pictures: dict[Path, Path] = {}
    if plot:
        new_figure((1, 1), "a picture of predictions over time")  # what is missing is reported before the work
        places = list(map(place_of, files))
        if plot.suffix.lower() == ".png" and len(places) > 1:
            raise click.UsageError(f"--plot {plot}: a picture shows one file, not {len(places)}; name a folder")
        pictures = dict.fromkeys(places, plot) if plot.suffix.lower() == ".png" else plot_paths(places, plot)
    heads_file = heads_file or builtin_heads()
    heads = Heads.load(heads_file)
    embedder = load_embedder(heads, heads_file, checkpoint=checkpoint, device=device)
    predicted = {}
    with progress("Guessing genre and mood", len(files)) as advance:
        for file, found in predict_files(list(files), embedder, heads, workers=workers):
            if isinstance(found, str):
                failures.append((place_of(file), found))
            else:
                predicted[file] = found
            advance(note=f"{len(failures)} could not be read" if failures else "")
    if segments_file or plot:
        with progress("Guessing over time", None) as advance:
            failures += write_segments(
                list(predicted),
                embedder,
                heads,
                hop=hop,
                table=segments_file,
                pictures=pictures,
                top=top or _TOP,
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
                "tracks": [
                    {"file": str(place_of(file)), **_as_json(found, top or _TOP)} for file, found in predicted.items()
                ],
                "failures": failures_as_json(failures),
            }
        )
    else:
        for file, reason in failures:
            complain(f"skipped {naming(str(file), reason)}")
        if predicted:
            _print_predictions([(files[file], found) for file, found in predicted.items()], top)
        elif not failures:
            print_line("no audio files found")
    return 0 if predicted or not failures else 1


@options.formerly({"--abstain": "--threshold"})
@command.command(epilog="Example: mirclr classify train --from-tags --map 'Hard Rock=Rock'")
@options.library
@options.labels("Learn from a table instead: CSV with file, artist, genre, mood_…")
@click.option("--from-tags", is_flag=True, help="Learn the genres that your files' own tags say.")
@click.option(
    "--min-songs",
    type=click.IntRange(2),
    default=5,
    show_default=True,
    help="Of the tags' genres, learn those of so many songs.",
)
@renames
@options.path_option(
    "-o", "--output", help="File to write; by default LIBRARY.heads.safetensors, which is used at once."
)
@options.threshold(0.4, "A genre is 'not sure' below this.")
@click.option("--explain", is_flag=True, help="Print all figures, beside chance.")
@options.as_json
def train(
    library_path: Path,
    labels_path: Path | None,
    from_tags: bool,
    min_songs: int,
    renames: tuple[str, ...],
    output: Path | None,
    threshold: float,
    explain: bool,
    as_json: bool,
) -> None:
    """Learn your own genres and moods, and say how well they are told apart.

    With --from-tags, from the genres in your files' tags: one of each song, spelt one way, without those that mirclr
    guessed. Genres of few songs or of one artist are left out, as they would teach that artist. With --labels, from
    a CSV table with a header: file (the end of a song's path), and as known artist, album, genre, and columns mood_…
    or tag_… with numbers from 0 to 1. What is learned is measured on artists that it was not learned from, and then
    used for this library.
    """
    from dataclasses import asdict

    from mirclr.classify import Heads, cross_validate, heads_path, unusable, usable_tasks
    from mirclr.classify.predict import predict_library
    from mirclr.library import LibraryStore

    if output and labels_path:
        options.never_over([labels_path], output, "-o")
    if from_tags == (labels_path is not None):
        raise click.UsageError("learn from your files' tags by --from-tags, or from a table by --labels FILE")
    with LibraryStore.open(library_path) as library:
        found, report = _labelled(library, labels_path, min_songs, renames)
        encoder = library.stamp
        assert encoder is not None  # it holds vectors
        if not as_json:
            remark_unmatched(found)
            _print_genres(report, left_out=from_tags, all_of_them=explain)
        with progress("Learning", 2 * len(usable_tasks(found.labels))) as advance:
            scores = cross_validate(found.vectors, found.labels, abstain=threshold, advance=advance)
            heads = Heads(abstain=threshold)
            heads.fit(found.vectors, found.labels, encoder=encoder, scores=scores, advance=advance)
        heads.save(output or heads_path(library_path))
        if output is None:
            predict_library(library, heads)
    output = output or heads_path(library_path)
    left_out = unusable(found.labels)
    if as_json:
        facts = {"heads": str(output), "tracks": len(found.tracks), "unmatched": found.unmatched}
        figures = {"unusable": left_out, "abstain": threshold, "figures": [asdict(s) for s in scores]}
        print_json({**facts, **figures, "genres": asdict(report)})
        return
    for what, why in left_out.items():
        remark(f"not learned: {what}: {why}")
    if explain:
        print_scores([("", scores)])
    else:
        _print_learned(scores)
    learned = int(((found.labels.genre != "") | (found.labels.fractions == found.labels.fractions).any(axis=1)).sum())
    if output == heads_path(library_path):
        then = options.command_line("tag", "write", "--dry-run", library_path=library_path)
        closing(f"Learned from {counted(learned, 'song')}; from now on it guesses for your library.")
        closing(f"To put the guesses into your files: {then}")
        detail(f"What was learned is in {output}")
    else:
        closing(f"Learned from {counted(learned, 'song')}: {output}")


@command.command(epilog="Example: mirclr classify correct 'Nils Frahm' genre=ambient vocal=no")
@click.argument("words", metavar="[SONG]… [WHAT=VALUE]…", nargs=-1)
@options.library
@options.labels("What is right of many songs: CSV with file, genre, mood_…")
@click.option("--shares", metavar="SHARES", help="How common genres are: 'rock=40%, jazz=10%', or tags.")
@click.option("--forget", is_flag=True, help="Forget what you said of these songs, or of all.")
@options.as_json
def correct(
    words: tuple[str, ...],
    library_path: Path,
    labels_path: Path | None,
    shares: str | None,
    forget: bool,
    as_json: bool,
) -> None:
    """Say what is right of songs; the guesses of all others learn from it.

    A song is named as for `recommend`: words of an artist, a title or an album, a file or a folder, which may be many
    songs. What is right: genre=funk (also a genre of your own), mood=calm, and yes or no for any mood, instrument,
    vocal, acoustic or danceable: vocal=no, piano=yes. It holds for these songs, and songs that sound like them are
    guessed by it, in a moment. --shares says how common genres are in your library, or takes that from the tags of
    your files.
    """
    from mirclr.classify.correcting import correct_library, labels_of_file, parse_labels
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        given = labels_of_file(library, labels_path) if labels_path else parse_labels(library, words, forget=forget)
        with options.wrong_usage(ValueError):
            did = correct_library(library, given, shares=shares, forget=forget)
    if as_json:
        print_json(did.to_json())
        return
    for line in did.in_words():
        closing(line)


def _labelled(
    library: LibraryStore, labels_path: Path | None, min_songs: int, renames: Sequence[str]
) -> tuple[Labelled, GenreReport]:
    """What there is to learn from, and what there is of each genre."""
    from dataclasses import replace

    import numpy as np

    from mirclr.classify import labelled_by_file, labelled_by_tags, read_labels
    from mirclr.classify.classes import labelled_by_own_genres, report_genres
    from mirclr.names import parse_renames, renamed
    from mirclr.tags import SEPARATOR

    found = labelled_by_file(library, read_labels(labels_path)) if labels_path else labelled_by_tags(library)
    known = {part.strip() for text in found.labels.genre for part in text.split(SEPARATOR)} - {""}
    with options.wrong_usage(ValueError):
        names = parse_renames(renames, known)
    if labels_path is None:
        return labelled_by_own_genres(library, least=min_songs, renames=names)
    genre = np.array([renamed(genre, names) if genre else "" for genre in found.labels.genre], object)
    found = replace(found, labels=replace(found.labels, genre=genre))
    return found, report_genres(found.labels)


def _print_genres(report: GenreReport, *, left_out: bool, all_of_them: bool) -> None:
    """Print what there is of each genre before it is learned, and what is wrong with some."""
    sound = [one for one in report.classes if not (one.problem and left_out)]
    if sound:
        print_table(("genre", "songs", "artists"), [(one.genre, one.tracks, one.artists or None) for one in sound])
    if poor := [one for one in report.classes if one.problem]:
        most = len(poor) if all_of_them else 6
        named = [f"{one.genre} ({one.problem})" for one in poor[:most]]
        more = [f"and {counted(len(poor) - most, 'more genre')}"] if len(poor) > most else []
        joined = "; join some by --map 'Surf Rock=Rock'" if left_out else ""
        what = "Left out" if left_out else "Hardly learned, as they teach these songs or this artist alone"
        remark(f"{what}: {', '.join([*named, *more])}{joined}.")
    if report.unlabelled:
        remark(f"{counted(report.unlabelled, 'song')} without a genre of your own: nothing is learned from these.")
    if report.several:
        remark(f"{counted(report.several, 'song')} with several genres: the first counts.")
    if report.unknown_artists:
        remark(f"{counted(report.unknown_artists, 'song')} with a genre, but without an artist.")


def _print_learned(scores: Sequence[Scores]) -> None:
    """Print how well genres and moods are told apart, without the field's words."""
    from mirclr.classify.crossval import in_plain_words

    for one in scores:
        if one.task != "genre":
            continue
        cells = [(name, of["tracks"], percent(of["right"]), of["taken_for"]) for name, of in one.classes.items()]
        print_table(("genre", "songs", "right", "else mostly taken for"), cells)
        right, guess = one.values["accuracy"] or 0.0, one.chance["accuracy"] or 0.0
        closing(
            f"Right for {round(right * one.tracks)} of {counted(one.tracks, 'song')} ({percent(right)}); "
            f"always saying the commonest genre would be right for {percent(guess)}."
        )
    moods = [one for one in scores if one.task == "mood" and one.label != "mean"]
    if moods:
        rows = [(one.label, one.tracks, percent(one.values["roc_auc"] or 0.5)) for one in moods]
        print_table(("mood", "songs", "of two songs, the one that has more of it is found"), rows)
    closing(in_plain_words(scores))
    sure = next((one.sure for one in scores if one.sure), None)
    if sure:
        closing(
            f"Guesses of {percent(sure['threshold'])} and more are sure enough to be written into files: "
            f"{sure['tracks']} of {counted(sure['of'], 'song')}, of which {percent(sure['right'])} are right."
        )
    elif any(one.task == "genre" for one in scores):
        closing(
            "There are too few songs to say when a guess is sure: only genres of at least 90 % are written into files."
        )


def remark_unmatched(found: Labelled) -> None:
    """Remark which files of the labels the library does not hold."""
    if found.unmatched:
        some = ", ".join(found.unmatched[:3]) + (", …" if len(found.unmatched) > 3 else "")
        n = len(found.unmatched)
        remark(f"{counted(n, 'file')} of the labels {'is' if n == 1 else 'are'} not in the library: {some}")


def print_scores(rows: Sequence[tuple[str, Sequence[Scores]]]) -> None:
    """Print scores by task, of one or several kinds of vectors, each task closed by its chance row."""
    from mirclr.classify.crossval import protocol

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
    print_table(columns, table, title=protocol([one for _, scores in rows for one in scores]))
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
    from mirclr.classify import UNKNOWN
    from mirclr.classify.predict import count_labels, heads_for, mean_affect, predict_library, predictions
    from mirclr.library import LibraryStore

    counts: dict[str, dict[str, int]] = {}
    means: dict[str, float] = {}
    listed: dict[int, dict[str, Any]] = {}
    with LibraryStore.open(library_path) as library:
        used = heads_for(library, heads_file)
        for one in used:
            ids, probabilities = predict_library(library, one.heads, one.tasks, source=one.source)
            counts |= count_labels(one.heads, probabilities)
            means |= mean_affect(one.heads, probabilities)
            for track, found in zip(
                ids.tolist() if as_json else (), predictions(one.heads, probabilities), strict=False
            ):
                listed.setdefault(track, {}).update(_as_json(found, top))
        tracks = library.tracks(list(listed))
    if as_json:
        rows = [{"id": track.id, "file": str(track.file), **listed[track.id]} for track in tracks]
        average = {name: round(number, 4) for name, number in means.items()}
        print_json({"heads": str(used[0].file), "counts": counts, "mean": average, "tracks": rows})
        return
    also = {label: n for task, labels in counts.items() if task not in ("genre", "mood") for label, n in labels.items()}
    for task in ("genre", "mood"):
        labels = counts.get(task, {})
        rest = labels.pop(UNKNOWN, 0) if task == "genre" else 0
        cells = [*labels.items(), *([("not sure", rest)] if rest else [])]
        if cells:
            print_table((task if task == "genre" else "strongest mood", "songs"), cells)
    if also:
        print_table(("likely", "songs"), list(also.items()))
    if means:
        closing(f"On average: {', '.join(f'{AFFECT.get(name, name)} {percent(p)}' for name, p in means.items())}.")
    for one in used:
        detail(f"{', '.join(sorted(one.tasks))} by {one.file}")
    closing(
        f"{counted(len(ids), 'song')} {'has' if len(ids) == 1 else 'have'} guesses now. Try: "
        f"{options.command_line('tag', 'write', '--dry-run', library_path=library_path)}"
    )


def _as_json(found: Prediction, top: int) -> dict[str, Any]:
    """A prediction as JSON values, with the likeliest labels."""
    facts: dict[str, Any] = {"genre": found.top_genre} if found.genre else {}
    named = (("genres", found.genre), ("moods", found.moods), ("instruments", found.instruments))
    some = [
        *((name, dict(list(of.items())[:top])) for name, of in named),
        ("voice", found.voice),
        ("sound", found.sound),
    ]
    facts |= {name: {label: round(p, 4) for label, p in of.items()} for name, of in some if of}
    return facts | {name: round(number, 4) for name, number in found.affect.items()}


def _print_predictions(predicted: Sequence[tuple[str, Prediction]], top: int | None) -> None:
    """Print a row a file, in the columns that are predicted: the likeliest alone, or so many with their chances."""
    some = predicted[0][1]
    tells_more = bool(some.voice or some.sound or some.instruments)
    rows = []
    for name, found in predicted:
        sure = bool(found.genre) and found.top_genre == next(iter(found.genre))
        if top is None:
            genre, moods = (_likely(found.genre, 1) if sure else "not sure"), ", ".join(list(found.moods)[:2])
        else:
            genre, moods = _likely(found.genre, top), _likely(found.moods, top)
            genre = genre if sure else f"not sure ({genre})"
        cells = [cell for cell, labels in ((genre, found.genre), (moods, found.moods)) if labels]
        also = ", ".join(found.likely) if top is None else _likely(found.likely, len(found.likely))
        rows.append((name, *cells, *map(percent, found.affect.values()), *([also] if tells_more else [])))
    labelled = [name for name, labels in (("genre", some.genre), ("moods", some.moods)) if labels]
    affect = [AFFECT.get(name, name) for name in some.affect]
    print_table(("file", *labelled, *affect, *(["also"] if tells_more else [])), rows)


def _likely(probabilities: Mapping[str, float], top: int) -> str:
    return ", ".join(f"{label} {percent(p)}" for label, p in list(probabilities.items())[:top])
