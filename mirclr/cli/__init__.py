"""The command line: one command per file, and the one place where an error becomes a line and an exit code.

Exit codes: 0 done; 1 could not be done (one line says why); 2 wrong usage; 130 interrupted.

`COMMANDS` holds the one-line helps, so that ``mirclr --help`` imports no command; a test holds them to the
commands' own.
"""

import importlib
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import click

import mirclr
from mirclr.cli.everywhere import everywhere
from mirclr.cli.show import complain, detail
from mirclr.cli.streams import ReaderLeft, printing
from mirclr.errors import (
    MirclrError,
    MissingExtra,
    NoMatch,
    SettingsError,
    exit_code,
    in_words,
    is_fault_of_machine,
)
from mirclr.extensions import allow_named
from mirclr.settings import read_settings

COMMANDS = {
    "augment": "Let you hear and see what the augmentations of a recipe do.",
    "block": "Keep artists, albums, genres, folders or songs out of all lists.",
    "checkpoint": "Show what a checkpoint holds; make it run without torch.",
    "classify": "Guess genre and mood; learn your own genres.",
    "clips": "Show or clear the cache of decoded clips, or pack it into shards.",
    "completion": "Let the tab key complete commands, options and names.",
    "config": "Show and set your own defaults, such as your library.",
    "corpus": "List the corpora that mirclr knows, and obtain them.",
    "demo": "Try it at once: listen to music, and list what sounds alike.",
    "describe": "Find tempo, key and loudness of your songs.",
    "duplicates": "Find songs that you have twice, also under other names.",
    "embed": "Listen to your music, once, and keep what it sounds like.",
    "evaluate": "Report on your library; measure encoders against labels.",
    "export": "Write your library to files for other programs.",
    "identify": "Find which song a recording is of, also a short and noisy one.",
    "index": "Keep your library's vectors in a database, and up to date there.",
    "library": "Look at your library, check it, remove songs from it, delete it.",
    "manifest": "List the music of a folder in a manifest; check manifests.",
    "map": "Draw a map of your songs: those that sound alike lie close.",
    "playlist": "Make saved playlists again; mix, copy, list and delete them.",
    "profile": "Keep what a listener played and likes, for recommend --for.",
    "recommend": "List songs that sound like the ones you name.",
    "search": "List songs that are as you say: calm piano, no vocals, 1990s.",
    "serve": "Open your library in a browser, and answer music players.",
    "sync": "Bring your library up to date with your folders.",
    "tag": "Write genre, mood, tempo and key into your files; take it back.",
    "teacher": "Obtain teachers, and label music with them.",
    "train": "Train an encoder of your own from a recipe.",
    "transcribe": "Write the notes of songs to MIDI files.",
    "watch": "Keep your library up to date while your folders change.",
}


GLOSSARY = (
    ("library", "A file with what mirclr knows of your songs. The songs themselves stay where they are, unchanged."),
    ("match", "How alike two songs sound. 92 % means: more alike than 92 of 100 pairs of songs in your library."),
    ("genre, mood", "What a song sounds like. They are guesses; what your files' own tags say is kept apart."),
    ("profile", "What one listener played and likes, so that a list can be for this listener."),
    ("encoder", "The network that turns sound into numbers which can be compared. One comes with mirclr."),
)
"""Words for people, at the end of ``mirclr --help``."""

SECTIONS = {
    "Start here": ("embed", "recommend", "search", "serve", "playlist", "demo"),
    "Your library": (
        "library",
        "sync",
        "watch",
        "classify",
        "describe",
        "transcribe",
        "map",
        "tag",
        "duplicates",
        "identify",
        "block",
        "profile",
        "evaluate",
    ),
    "For researchers": (
        "train",
        "export",
        "index",
        "checkpoint",
        "augment",
        "teacher",
        "corpus",
        "manifest",
        "clips",
    ),
    "This program": ("config", "completion"),
}
"""The commands as ``mirclr --help`` shows them: each in one section, the most wanted first."""


class _LazyGroup(click.Group):
    """A group that imports a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"mirclr.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        everywhere(command, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name and command and name not in SECTIONS["This program"] and not ctx.resilient_parsing:
            try:
                _take_settings(ctx, name, command)
            except SettingsError:
                if not {"-h", "--help"} & set(rest):  # the help is there in any case
                    raise
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, COMMANDS[name]) for name in names], col_spacing=2)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Words"):
            formatter.write_dl(GLOSSARY, col_spacing=2)
        super().format_epilog(ctx, formatter)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example: mirclr embed ~/Music, and then: mirclr recommend Metallica",
)
@click.version_option(mirclr.__version__, "--version", message="%(prog)s %(version)s")
# for those who wrote an encoder themselves; what refuses to load a checkpoint names it
@click.option(
    "--allow-code", "names", metavar="MODULE:CLASS", multiple=True, hidden=True, help="Let a checkpoint use this class."
)
def group(names: tuple[str, ...]) -> None:
    """Find which of your songs sound alike, and make playlists of them.

    Every command explains itself: mirclr recommend --help
    """
    allow_named(names, Path())


everywhere(group)


def _take_settings(context: click.Context, name: str, command: click.Command) -> None:
    """Let a person's settings be the defaults of a command that is about to run."""
    settings = read_settings()
    if not (settings.everywhere or settings.sections):
        return
    from mirclr.cli.defaults import check_sections, defaults_of

    check_sections(settings, list(COMMANDS))
    defaults = defaults_of(settings, name, command)
    context.default_map = {name: defaults.values}
    context.meta["mirclr.added"] = defaults.added
    detail(f"settings: {settings.file}")


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process. Every error of ours becomes one line on standard error."""
    argv = list(sys.argv[1:] if args is None else args)
    debug = "--debug" in argv[: argv.index("--") if "--" in argv else None]
    if argv[:1] == ["help"]:  # as other programs have it
        argv = [*argv[1:], "--help"]
    if args is None and not debug:
        _silence_libraries()
    interrupts = _noted_interrupts() if args is None else []
    began = time.monotonic()
    try:
        with printing():
            code = _run(argv, debug, interrupts)
            detail(f"took {time.monotonic() - began:.1f} s")
    except ReaderLeft:
        code = 0
    if args is None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C would be a traceback, now that the process ends
        # "python -m" ends by the signal, though it was caught, where code that is run from text was interrupted, such
        # as that of a dataclass; to run some more clears the note
        exec("")  # noqa: S102  (nothing is run)
    sys.exit(code)


def _run(argv: list[str], debug: bool, interrupts: list[int]) -> int:
    """Run a command; the exit code."""
    try:
        if any(word[:1] in ("–", "—") for word in argv):
            from mirclr.cli.mistakes import other_dash

            other_dash(argv, group)
        result: Any = group.main(argv, prog_name="mirclr", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):  # the first is what click makes of Ctrl-C
        return _interrupted()
    except Exception as error:
        return _interrupted() if interrupts else _failed(error, argv, debug)
    return result if isinstance(result, int) else 0


def _noted_interrupts() -> list[int]:
    """A list to which each Ctrl-C is put: one that meets a library's import may surface as any other error."""
    noted: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
    return noted


def _interrupted() -> int:
    complain("mirclr: interrupted; what was done is kept")
    return 130


def _failed(error: Exception, argv: Sequence[str], debug: bool) -> int:
    """Print why a command raised, and return its exit code; an error that is not ours is raised again."""
    if isinstance(error, ImportError) and not debug:
        error = MissingExtra.of_import(error) or error
    if type(error).__name__ == "NoArgsIsHelpError":  # which click has had since 8.2
        assert isinstance(error, click.UsageError)
        for line in error.format_message().splitlines():
            complain(line)
        return error.exit_code
    if isinstance(error, click.UsageError):
        from mirclr.cli.mistakes import in_plain_words

        lines, code = in_plain_words(error, group, argv), error.exit_code
    elif isinstance(error, click.ClickException):
        lines, code = [f"mirclr: {error.format_message()}"], error.exit_code
    elif debug or not (isinstance(error, MirclrError | OSError) or is_fault_of_machine(error)):
        raise error
    else:
        first, *more = error.args if isinstance(error, NoMatch) else (in_words(error),)
        lines = [f"mirclr: {first}", *more, *_hints(error, argv)]
        code = exit_code(error)
    complain(lines[0])
    for line in lines[1:]:
        complain(f"  {line}")
    return code


def _hints(error: Exception, argv: Sequence[str]) -> list[str]:
    if is_fault_of_machine(error):
        return []
    from mirclr.cli.mistakes import path_hints

    return path_hints(in_words(error), argv)


def _silence_libraries() -> None:
    """Keep warnings and logs of libraries off the terminal, here and in the processes that are started."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    logging.getLogger().addHandler(logging.NullHandler())  # else what nobody handles is printed
