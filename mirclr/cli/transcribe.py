"""``mirclr transcribe``: notes, beats and chords of songs, to MIDI files, tables, pictures and sound."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import closing, naming, print_json, print_table, progress, remark
from mirclr.terminal import bpm, clock, counted

if TYPE_CHECKING:
    from mirclr.transcription import Notes

_SCORE = (".musicxml",)
_MIDI = (".mid", ".midi")
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,7}")  # as of a file; a folder "Vol. 2" has none
_OTHERS = {"--notes": (".csv",), "--plot": (".png", ".svg", ".pdf"), "--sonify": (".wav",)}
PRESETS = ("piano", "melody", "full", "drums")


def _either(*names: str, help: str) -> options.Decorator:
    """An option that takes a file or a folder."""
    return click.option(*names, type=options.HomePath(path_type=Path), help=help)


@options.formerly({"--picture": "--plot"})
@click.command(epilog="Example: mirclr transcribe song.mp3 -o song.mid")
@click.argument(
    "songs", metavar="SONG…", nargs=-1, required=True, type=options.HomePath(path_type=Path, dir_okay=False)
)
@_either("-o", "--output", help="The MIDI file of one song (or a score: .musicxml), or a folder; by default beside.")
@click.option(
    "--preset",
    type=click.Choice(PRESETS),
    default="piano",
    show_default=True,
    help="What to write: all notes of a piano, the melody alone, notes of any instruments, or drums.",
)
@click.option(
    "--sensitivity",
    type=options.Number(min=0, max=1),
    default=0.5,
    show_default=True,
    help="More finds more notes, also wrong ones.",
)
@_either("--notes", "table", help="Write the notes as a table too: .csv for one song, else a folder.")
@_either("--plot", help="Draw them as a piano roll: .png, .svg or .pdf for one song, else a folder.")
@_either("--sonify", "sound", help="To check by ear, song left and notes right: .wav for one song, else a folder.")
@options.path_option("--network", help="Another network than one that mirclr comes with: .onnx")
@options.as_json
def command(
    songs: tuple[Path, ...],
    output: Path | None,
    preset: str,
    sensitivity: float,
    table: Path | None,
    plot: Path | None,
    sound: Path | None,
    network: Path | None,
    as_json: bool,
) -> int:
    """Write the notes of songs to MIDI files.

    Each becomes one part, with its tempo and bars. Notes of many instruments at once, and of voices, are found less
    surely than those of a piano alone: --sonify lets you hear what was found, with a click on each beat. --json has
    beats, chords and keys too.

    The exit code is 1 where no song could be read.
    """
    from mirclr.errors import AudioError
    from mirclr.transcription import transcribe

    if plot:
        from mirclr.pictures import new_figure

        new_figure((1, 1), "the picture of notes")  # what is missing is reported before the work
    songs = tuple(dict.fromkeys(songs))
    score = output is not None and output.suffix.lower() in _SCORE and not output.is_dir()
    if score:
        from mirclr.transcription.musicxml import require_music21

        require_music21()
    wanted: dict[str, tuple[Path | None, Sequence[str]]] = {"-o": (output, _SCORE if score else (*_MIDI, *_SCORE))}
    for option, to in (("--notes", table), ("--plot", plot), ("--sonify", sound)):
        wanted |= {option: (to, _OTHERS[option])} if to else {}
    places = _targets(songs, wanted)
    found: list[tuple[Path, Notes | None, str]] = []
    with progress("Finding notes", len(songs)) as advance:
        for song in songs:
            try:
                notes = transcribe(song, preset=preset, sensitivity=sensitivity, network=network)
                _write(song, notes, places[song])
                found.append((song, notes, ""))
            except AudioError as error:
                found.append((song, None, str(error).removeprefix(f"{song}: ")))
            advance()
    _print(found, {song: places[song]["-o"] for song in songs}, as_json)
    return 0 if any(notes is not None for _, notes, _ in found) else 1


def _targets(
    songs: Sequence[Path], wanted: Mapping[str, tuple[Path | None, Sequence[str]]]
) -> dict[Path, dict[str, Path]]:
    """Where the files of each song go, by option: a file of such an ending, a folder, or beside the song.

    No two go to one place, and none to that of another song's of an earlier run: then they are named by the whole name
    of the song's file, or numbered.
    """
    named = {}
    for option, (to, endings) in wanted.items():
        if to is None or to.is_dir():
            continue
        if to.suffix.lower() in endings:
            if len(songs) > 1:
                raise click.UsageError(f"{option} {to}: one file, but {len(songs)} songs; name a folder")
            named[option] = to
        elif to.exists() or _ENDING.fullmatch(to.suffix) or str(to) == "-":
            raise click.UsageError(f"{option} {to}: expected a file that ends in {', '.join(endings)}, or a folder")
    folders = {option: (to, endings[0]) for option, (to, endings) in wanted.items() if option not in named}
    taken: set[str] = set()
    found = {}
    for song in songs:
        for name in chain([song.stem, song.name], (f"{song.name} {n}" for n in count(2))):
            places = {option: (to or song.parent) / f"{name}{ending}" for option, (to, ending) in folders.items()}
            if not any(str(place).casefold() in taken or _is_of_another(place, song) for place in places.values()):
                break
        taken |= {str(place).casefold() for place in places.values()}  # some systems keep one file for other cases
        found[song] = named | places
        for option, place in found[song].items():
            _check_place(place, songs, option, option in named)
    return found


def _is_of_another(place: Path, song: Path) -> bool:
    from mirclr.transcription import is_ours

    return place.is_file() and is_ours(place) and not is_ours(place, song)


def _check_place(place: Path, songs: Sequence[Path], option: str, named: bool) -> None:
    """Raise where a song would be replaced, or a file that was neither `named` nor made by this command."""
    from mirclr.transcription import is_ours

    options.never_over(songs, place, option)
    if not named and place.exists() and not is_ours(place):
        raise click.UsageError(f"{place}: is there, and not from here; to replace it, name it by {option}")


def _write(song: Path, notes: Notes, places: Mapping[str, Path]) -> None:
    midi = places["-o"]
    (notes.write_musicxml if midi.suffix.lower() in _SCORE else notes.write_midi)(midi)
    if path := places.get("--notes"):
        notes.write_csv(path)
    if path := places.get("--plot"):
        notes.plot(path)
    if path := places.get("--sonify"):
        from mirclr.transcription import write_check

        write_check(song, notes, path)


def _print(found: Sequence[tuple[Path, Notes | None, str]], midis: Mapping[Path, Path], as_json: bool) -> None:
    if as_json:
        print_json([_as_json(song, notes, midis[song], problem) for song, notes, problem in found])
        return
    rows = [
        (str(song), clock(n.seconds), len(n), bpm(n.tempo_bpm) if n.tempo_bpm else None, str(midis[song]))
        for song, n, _ in found
        if n is not None
    ]
    if rows:
        print_table(("song", "length", "notes", "tempo", "written"), rows)
    for song, some, problem in found:
        if problem:
            remark(f"skipped {naming(str(song), problem)}")
        elif some and some.remark:
            remark(naming(str(song), some.remark))
    if rows:
        closing(f"{counted(sum(row[2] for row in rows), 'note')} of {counted(len(rows), 'song')}")


def _as_json(song: Path, notes: Notes | None, midi: Path, problem: str) -> dict[str, Any]:
    if notes is None:
        return {"file": str(song), "midi": None, "seconds": None, "notes": [], "problem": problem}
    return {"file": str(song), "midi": str(midi), **notes.as_json(), "problem": notes.remark}
