"""``mirclr classify``: genre, moods, valence and arousal of files or a library; heads of one's own."""

import csv
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_line, print_table, progress, remark

if TYPE_CHECKING:
    import numpy as np

    from mirclr.classify import Figures, Heads, Labelled
    from mirclr.classify.segments import Segments
    from mirclr.data.scan import Found
    from mirclr.library import LibraryStore
    from mirclr.models.embedder import Embedder

FIGURES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "roc_auc": "ROC-AUC",
    "map": "mAP",
    "pearson_r": "Pearson r",
    "ece": "calib. error",
}
TASKS = ("genre", "mood", "affect")
_BATCH = 16
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)  # seconds between marks on a time axis


class _CommandWithSubcommands(click.Group):
    """A command, unless its first argument is the name of a subcommand."""

    allow_interspersed_args = True

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] in self.commands:
            ctx.args = args
            return args
        return click.Command.parse_args(self, ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        if not ctx.args:
            return click.Command.invoke(self, ctx)
        name, command, args = self.resolve_command(ctx, ctx.args)
        assert command is not None
        # below this command's parent, so that the subcommand's usage does not name this command's arguments
        with command.make_context(f"{ctx.info_name} {name}", args, parent=ctx.parent) as inner:
            return command.invoke(inner)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage(ctx.command_path, " ".join(click.Command.collect_usage_pieces(self, ctx)))
        for name in self.commands:
            formatter.write_usage(f"{ctx.command_path} {name}", "[OPTIONS]", prefix="       ")


@click.command(
    cls=_CommandWithSubcommands,
    no_args_is_help=False,
    epilog="Example: mirclr classify ~/Music/album song.ogg --segments over-time.csv --picture pictures",
)
@click.argument("paths", metavar="[PATH]…", nargs=-1, type=options.HomePath(path_type=Path))
@options.path_option(
    "--library", help="Classify this library; without PATH and this, library.db in your data directory."
)
@options.path_option("--heads", "heads_file", help="By default LIBRARY.heads.safetensors where it is, or the built-in.")
@click.option("--checkpoint", type=options.CHECKPOINT, help="Hears the files; by default the encoder of the heads.")
@click.option("--top", type=click.IntRange(min=1), default=3, show_default=True, help="How many genres and moods.")
@options.path_option("--segments", "segments_file", help="Write what is told of each few seconds of the files: .csv")
@click.option("--picture", type=options.HomePath(path_type=Path), help="Draw that: .png for one file, else a folder.")
@click.option("--hop", type=options.Number(min=0.1), help="Seconds between segments; by default the length of one.")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes that decode; 0: one a core.")
@click.option("--device", default="auto", help="auto, cpu, cuda, mps …")
@options.as_json
def command(
    paths: tuple[Path, ...],
    library: Path | None,
    heads_file: Path | None,
    checkpoint: Path | None,
    top: int,
    segments_file: Path | None,
    picture: Path | None,
    hop: float | None,
    workers: int,
    device: str,
    as_json: bool,
) -> int:
    """Tell genre, moods, valence and arousal of files, or of a library.

    Of files and folders it prints them. Of a library it stores every track's probabilities, for `tag write`, `export`
    and `library list --json`. A genre less probable than the heads' threshold is unknown. A file named like a
    subcommand is given as ./train. Of a few seconds the heads are less sure than of a whole track.
    """
    if paths and library:
        raise click.UsageError("name files or a --library, not both")
    if not paths:
        if checkpoint or segments_file or picture or hop:
            raise click.UsageError("--checkpoint, --segments, --picture and --hop are for files; name some")
        _classify_library(library or options.default_library(), heads_file, top, as_json)
        return 0
    if hop and not (segments_file or picture):
        raise click.UsageError("--hop is for --segments or --picture")
    from mirclr.classify import Heads
    from mirclr.data.scan import place_of
    from mirclr.models.pretrained import builtin_heads

    files, failures = _listed(paths)
    pictures = _pictures(list(map(place_of, files)), picture.expanduser()) if picture else {}
    heads_file = heads_file or builtin_heads()
    heads = Heads.load(heads_file)
    embedder = _embedder(heads, heads_file, checkpoint, device)
    told = {}
    with progress("Hearing", len(files)) as advance:
        for file, facts in _classify(list(files), embedder, heads, top, workers):
            if isinstance(facts, str):
                failures.append((place_of(file), facts))
            else:
                told[file] = facts
            advance(note=f"{len(failures)} failed" if failures else "")
    if segments_file or picture:
        failures += _write_segments(list(told), embedder, heads, hop, segments_file, pictures, top)
    if as_json:
        tracks = [{"file": str(place_of(file)), **facts} for file, facts in told.items()]
        named = [{"file": str(file), "reason": reason} for file, reason in failures]
        by = {"heads": str(heads_file), "encoder": embedder.stamp.name}
        print_json({**by, "tracks": tracks, "failures": named})
    else:
        for file, reason in failures:
            remark(f"skipped {reason if reason.startswith(str(file)) else f'{file}: {reason}'}")
        if told:
            _print_told([(files[file], facts) for file, facts in told.items()])
        elif not failures:
            print_line("no audio files found")
    return 0 if told or not failures else 1


@command.command(epilog="Example: mirclr classify train --labels labels.csv --library music.db")
@options.library
@options.path_option("--labels", "labels_path", exists=True, required=True, help="CSV: file, artist, genre, mood_…")
@options.path_option("-o", "--output", help="File of heads to write; by default LIBRARY.heads.safetensors.")
@click.option(
    "--abstain",
    type=options.Number(0, 1),
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
    from mirclr.library import LibraryStore

    labels = read_labels(labels_path)
    with LibraryStore.open(library_path) as library:
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
    print_line(f"{len(found.tracks)} tracks; heads: {output}")


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
                print_line(f"genre{f' by {name}' if named else ''}: {_answered(one)}")
    rules = sorted({one.positive.split(",")[0] for one in rows[0][1] if one.task == "mood" and one.positive})
    if rules:
        print_line(f"a mood is positive, for ROC-AUC and mAP, where its share is {' or '.join(rules)}")


def _answered(genre: "Figures") -> str:
    share, right = genre.values["answered"], genre.values["accuracy_answered"]
    answers = f"; {right:.1%} of the answers are right" if right is not None else ""
    return f"{share:.1%} of tracks answered, the others unknown{answers}"


def _task(figures: "Figures") -> str:
    return f"{figures.task}: {figures.label}" if figures.label else figures.task


def _cells(values: dict[str, float | None]) -> list[float | None]:
    return [values.get(name) for name in FIGURES]


def _classify_library(library_path: Path, heads_file: Path | None, top: int, as_json: bool) -> None:
    """Store what is told of a library's tracks, and print how many have each label on top."""
    from mirclr.classify import Heads
    from mirclr.library import LibraryStore
    from mirclr.models.pretrained import builtin_heads

    own = heads_path(library_path)
    heads_file = heads_file or (own if own.exists() else builtin_heads())
    with LibraryStore.open(library_path) as library:
        heads = Heads.load(heads_file)
        ids, probabilities = classify_tracks(library, heads)
        tracks = library.tracks(ids.tolist()) if as_json else []
    counts = _top_labels(heads, probabilities)
    means = _affect(heads, probabilities["affect"].mean(axis=0)) if "affect" in probabilities and len(ids) else {}
    if as_json:
        told = zip(tracks, _tops(heads, probabilities, top), strict=True)
        listed = [{"id": track.id, "file": str(track.file), **facts} for track, facts in told]
        print_json({"heads": str(heads_file), "counts": counts, "mean": means, "tracks": listed})
        return
    rows_shown = [(task, label, n) for task, tops in counts.items() for label, n in tops.items()]
    print_table(("task", "top label", "tracks"), rows_shown)
    if means:
        print_line(f"on average: {', '.join(f'{name} {value:.2f}' for name, value in means.items())}")
    print_line(f"{len(ids)} tracks classified by {heads_file}")


def classify_tracks(library: "LibraryStore", heads: "Heads") -> "tuple[np.ndarray, dict[str, np.ndarray]]":
    """Store what heads tell of all tracks of a library: ids (n,), and by task (n, C) probabilities."""
    heads.check_encoder(library)
    ids, vectors = library.vectors()
    probabilities = heads.predict_proba(vectors)
    for task, table in probabilities.items():
        names = heads.tasks[task].labels
        rows = {int(i): dict(zip(names, p.tolist(), strict=True)) for i, p in zip(ids, table, strict=True)}
        library.store_probabilities(task, rows, heads.digest)
    return ids, probabilities


def _listed(paths: Sequence[Path]) -> tuple[dict["Found", str], list[tuple[Path, str]]]:
    """The audio of files and folders, each with a short name, and what cannot be followed, with the reason."""
    from mirclr.data.scan import ScanFailure, audio_files, place_of
    from mirclr.errors import UnreadableAudio

    files: dict[Found, str] = {}
    failures = []
    for given in paths:
        path = given.expanduser().resolve()
        if not path.exists():
            raise UnreadableAudio(f"{given}: no such file or folder; expected audio files or folders of them")
        for found in audio_files(path) if path.is_dir() else [path]:
            if isinstance(found, ScanFailure):
                failures.append((path / found.path, found.reason))
            else:
                place = place_of(found)
                files.setdefault(found, _shown(place.relative_to(path) if path.is_dir() else place.name))
    return files, failures


def _embedder(heads: "Heads", heads_file: Path, checkpoint: Path | None, device: str) -> "Embedder":
    """The encoder that is asked for, or else that of the heads; other encoders than theirs are refused."""
    from mirclr.errors import EncoderMismatch
    from mirclr.models.embedder import Embedder
    from mirclr.models.pretrained import builtin_checkpoint, checkpoint_named

    if checkpoint is None:
        theirs = checkpoint_named(heads.encoder["name"])
        checkpoint = theirs if theirs.is_file() else builtin_checkpoint()
    embedder = Embedder.load(checkpoint, device=device)
    if not heads.are_of(embedder.stamp):
        raise EncoderMismatch(
            f"{checkpoint}: the encoder {embedder.stamp.digest[:8]}; the heads {heads_file} were fitted on "
            f"{heads.encoder['name']} ({heads.encoder['digest'][:8]}); name that with --checkpoint, or others with "
            "--heads (mirclr classify train fits some)"
        )
    return embedder


def _classify(
    files: Sequence["Found"], embedder: "Embedder", heads: "Heads", top: int, workers: int
) -> Iterator[tuple["Found", dict[str, Any] | str]]:
    """What is told of each file, or part of one, or why it cannot be heard."""
    from mirclr.audio.decoding import decode_files
    from mirclr.data.scan import audio_of, span_of
    from mirclr.library import NO_VECTOR, is_usable

    batch: list[tuple[Found, np.ndarray]] = []

    def told() -> Iterator[tuple["Found", dict[str, Any] | str]]:
        if batch:
            vectors = embedder.embed_tracks([waveforms for _, waveforms in batch])
            tops = _tops(heads, heads.predict_proba(vectors), top)
            for (file, _), facts, vector in zip(batch, tops, vectors, strict=True):
                yield file, facts if is_usable(vector) else NO_VECTOR
            batch.clear()

    decoded = decode_files(
        map(audio_of, files),
        spans=map(span_of, files),
        count=embedder.excerpts,
        seconds=embedder.seconds,
        rate=embedder.rate,
        workers=workers,
    )
    for file, heard in zip(files, decoded, strict=True):
        if heard.excerpts is None:
            yield file, heard.error or "cannot be decoded"
            continue
        batch.append((file, heard.excerpts.waveforms))
        if len(batch) == _BATCH:
            yield from told()
    yield from told()


def _tops(heads: "Heads", probabilities: "Mapping[str, np.ndarray]", top: int) -> Iterator[dict[str, Any]]:
    """For each row the genre, the likeliest genres and moods, valence and arousal; what the heads tell of these."""
    genres = heads.genres(probabilities["genre"]) if "genre" in probabilities else None
    for row in range(len(next(iter(probabilities.values())))):
        facts: dict[str, Any] = {"genre": genres[row]} if genres else {}
        for task, name in (("genre", "genres"), ("mood", "moods")):
            if task in probabilities:
                likely = (-probabilities[task][row]).argsort(kind="stable")[:top].tolist()
                labels = heads.tasks[task].labels
                facts[name] = {labels[i]: round(float(probabilities[task][row, i]), 4) for i in likely}
        if "affect" in probabilities:
            facts |= _affect(heads, probabilities["affect"][row])
        yield facts


def _affect(heads: "Heads", numbers: "np.ndarray") -> dict[str, float]:
    """(2,) numbers by their names, valence and arousal."""
    return {name: round(float(number), 4) for name, number in zip(heads.tasks["affect"].labels, numbers, strict=True)}


def _top_labels(heads: "Heads", probabilities: "Mapping[str, np.ndarray]") -> dict[str, dict[str, int]]:
    """How many tracks have each genre and mood on top, commonest first."""
    tops = {}
    if "genre" in probabilities:
        tops["genre"] = heads.genres(probabilities["genre"])
    if "mood" in probabilities:
        tops["mood"] = [heads.tasks["mood"].labels[i] for i in probabilities["mood"].argmax(axis=1)]
    return {task: dict(Counter(labels).most_common()) for task, labels in tops.items()}


def _print_told(told: Sequence[tuple[str, Mapping[str, Any]]]) -> None:
    """Print a row a file, in the columns that the heads tell of."""
    some = told[0][1]
    numbers = [name for name in some if name not in ("genre", "genres", "moods")]
    rows = []
    for name, facts in told:
        cells = [_likely(facts[many]) for many in ("genres", "moods") if many in facts]
        if "genre" in facts and facts["genre"] not in facts["genres"]:
            cells[0] = f"{facts['genre']} ({cells[0]})"
        rows.append((name, *cells, *(facts[number] for number in numbers)))
    print_table(("file", *(many for many in ("genres", "moods") if many in some), *numbers), rows)


def _likely(probabilities: Mapping[str, float]) -> str:
    return ", ".join(f"{label} {p:.2f}" for label, p in probabilities.items())


def _pictures(files: Sequence[Path], picture: Path) -> dict[Path, Path]:
    """Where to draw each file."""
    _figure((1, 1))  # what is missing is told before the work
    if picture.suffix.lower() == ".png":
        if len(files) > 1:
            raise click.UsageError(f"--picture {picture}: a picture shows one file, not {len(files)}; name a folder")
        return dict.fromkeys(files, picture)
    names: Counter[str] = Counter()
    pictures = {}
    for file in files:
        names[file.name] += 1
        again = f" ({names[file.name]})" if names[file.name] > 1 else ""
        pictures[file] = picture / f"{file.name}{again}.png"
    return pictures


def _write_segments(
    files: Sequence["Found"],
    embedder: "Embedder",
    heads: "Heads",
    hop: float | None,
    segments_file: Path | None,
    pictures: Mapping[Path, Path],
    top: int,
) -> list[tuple[Path, str]]:
    """Hear whole files, a few seconds at a time, into a table and pictures; returns what failed, with the reason."""
    from contextlib import ExitStack

    from mirclr.classify.segments import hear_segments
    from mirclr.data.scan import audio_of, place_of, span_of
    from mirclr.errors import AudioError
    from mirclr.provenance import writing

    failures = []
    columns = {task: heads.tasks[task].labels for task in TASKS if task in heads.tasks}
    with ExitStack() as stack:
        advance = stack.enter_context(progress("Hearing segments", None))
        table = csv.writer(stack.enter_context(writing(segments_file, "w"))) if segments_file else None
        if table:
            names = [n if task == "affect" else f"{task}:{n}" for task, labels in columns.items() for n in labels]
            table.writerow(["file", "start_s", "end_s", *names])
        for each in files:
            file = place_of(each)
            try:
                found = hear_segments(audio_of(each), embedder, heads, hop=hop, span=span_of(each), advance=advance)
            except AudioError as error:
                failures.append((file, str(error)))
                continue
            if table:
                table.writerows(_segment_rows(file, found, list(columns)))
            if file in pictures:
                _draw(found, heads, top, _shown(file.name), pictures[file])
    for path in filter(None, (segments_file, *(pictures[p] for p in map(place_of, files) if p in pictures))):
        if path.exists():
            remark(f"wrote {path}")
    return failures


def _segment_rows(file: Path, found: "Segments", tasks: Sequence[str]) -> Iterator[list[str]]:
    """A row a window; of a silent one the cells are empty."""
    for i, (start, end) in enumerate(zip(found.starts, found.ends, strict=True)):
        numbers = [p for task in tasks for p in found.probabilities[task][i].tolist()]
        yield [_shown(file), f"{start:.3f}", f"{end:.3f}", *("" if p != p else f"{p:.4f}" for p in numbers)]


def _draw(found: "Segments", heads: "Heads", top: int, title: str, path: Path) -> None:
    """Draw over time the genres and moods that are ever among the likeliest, and valence and arousal."""
    import numpy as np

    panels: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}  # name to labels and their (C, n) numbers
    for task in TASKS:
        if task in found.probabilities:
            labels, numbers = heads.tasks[task].labels, found.probabilities[task].T
            if task != "affect":
                heard = numbers[:, ~np.isnan(numbers[0])]
                ever = np.unique((-heard).argsort(axis=0)[:top])
                ever = ever[(-heard[ever].mean(axis=1)).argsort()]
                labels, numbers = tuple(labels[i] for i in ever), numbers[ever]
            panels[task] = labels, numbers
    heights = [max(3, len(labels)) for labels, _ in panels.values()]
    figure = _figure((11, 1.2 + 0.27 * sum(heights)))
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
    middles = (found.starts + found.ends) / 2
    edges = np.concatenate([found.starts[:1], (middles[:-1] + middles[1:]) / 2, found.ends[-1:]])
    bars = None
    for axes, (task, (labels, numbers)) in zip(all_axes, panels.items(), strict=True):
        if task == "affect":
            for name, line in zip(labels, numbers, strict=True):
                axes.stairs(line, edges, baseline=None, label=name)
            axes.set_ylim(0, 1)
            axes.legend(loc="upper right", ncols=2, fontsize=7)
        else:
            image = axes.pcolormesh(edges, np.arange(len(labels) + 1), numbers, vmin=0, vmax=1, cmap="magma")
            bars = bars or figure.colorbar(image, ax=list(all_axes), pad=0.01, aspect=40)  # one scale for all
            axes.set_yticks(np.arange(len(labels)) + 0.5, [_shown(label) for label in labels])
            axes.invert_yaxis()
        axes.set_ylabel(task)
        axes.tick_params(labelsize=8)
    step = next((s for s in _TIME_STEPS if edges[-1] / s <= 12), _TIME_STEPS[-1])
    marks = np.arange(0, edges[-1] + 1e-6, step)
    all_axes[-1].set_xticks(marks, [f"{int(s) // 60}:{int(s) % 60:02}" for s in marks])
    all_axes[-1].set_xlim(edges[0], edges[-1])
    all_axes[-1].set_xlabel("min:s")
    all_axes[0].set_title(title, fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _figure(inches: tuple[float, float]) -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        from mirclr.errors import MissingExtra

        raise MissingExtra.of("the picture of tags over time", "plot") from None
    return Figure(figsize=inches, layout="constrained")


def _shown(path: Path | str) -> str:
    from mirclr.library import shown

    return shown(str(path))
