"""The command line: one command per file, and the one place where an error becomes a line and an exit code.

Exit codes: 0 done; 1 could not be done (one line says why); 2 wrong usage; 130 interrupted.

`COMMANDS` holds the one-line helps, so that ``mirclr --help`` imports no command; a test holds them to the
commands' own.
"""

import importlib
import io
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Any

import click

import mirclr
from mirclr.cli.show import ReaderLeft, printing, remark
from mirclr.errors import MirclrError, NoMatch, OverrideError, in_words, is_fault_of_machine

COMMANDS = {
    "augment": "Show and play what the augmentations of a recipe do to a file.",
    "block": "Keep artists, albums, folders or tracks out of all recommendations.",
    "checkpoint": "Show what a checkpoint holds; export its encoder.",
    "classify": "Predict genre, moods, valence and arousal; fit heads of your own.",
    "clips": "Show or clear the cache of decoded clips.",
    "corpus": "List the corpora that mirclr knows, and obtain them.",
    "demo": "Do the main job end to end on real music.",
    "describe": "Find tempo, key and loudness of a library's tracks.",
    "duplicates": "Find near-duplicates: the same recording under several names.",
    "embed": "Turn audio files into vectors in a library.",
    "evaluate": "Measure a library's vectors against labels, beside baselines.",
    "export": "Write a library's vectors and tracks to a file.",
    "library": "Look at a library, check it, remove tracks from it.",
    "manifest": "Scan a folder into a manifest; check manifests, mark near-duplicates.",
    "playlist": "Run saved queries again; list and delete them.",
    "profile": "Keep what a listener played and likes, for recommend --for.",
    "recommend": "Recommend tracks that belong with the given ones.",
    "sync": "Bring a library up to date with its folders.",
    "tag": "Write genre, mood, tempo and key into files' tags, and take them out again.",
    "teacher": "Obtain teachers, and label music with them.",
    "train": "Train a contrastive encoder from a recipe.",
    "watch": "Keep a library up to date while its folders change.",
}


class _LazyGroup(click.Group):
    """A group that imports a command's module only when that command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(f"mirclr.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            ctx.fail(f"no command {args[0]!r}; the commands are: {', '.join(sorted(COMMANDS))}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Example: mirclr demo",
)
@click.version_option(mirclr.__version__, "--version", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Show the whole traceback of an error.")
def group(debug: bool) -> None:
    """Learn which music sounds similar, from music without labels, and make that useful."""


def main(args: Sequence[str] | None = None) -> None:
    """Run the command line and exit the process. Every error of ours becomes one line on standard error."""
    argv = list(sys.argv[1:] if args is None else args)
    # --debug may stand anywhere before a bare "--"; click would want it before the command's name
    end = argv.index("--") if "--" in argv else len(argv)
    debug = "--debug" in argv[:end]
    argv = [a for a in argv[:end] if a != "--debug"] + argv[end:]
    if args is None and not debug:
        _silence_libraries()
    interrupts = _noted_interrupts() if args is None else []
    try:
        with printing():
            code = _run(argv, debug, interrupts)
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
        result: Any = group.main(argv, prog_name="mirclr", standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):  # the first is what click makes of Ctrl-C
        return _interrupted()
    except Exception as error:
        return _interrupted() if interrupts else _failed(error, debug)
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
    remark("mirclr: interrupted; what was done is kept")
    return 130


def _failed(error: Exception, debug: bool) -> int:
    """Print why a command raised, and return its exit code; an error that is not ours is raised again."""
    if isinstance(error, click.ClickException):
        text = io.StringIO()
        error.show(text)
        for line in text.getvalue().splitlines():
            remark(line.replace("\t", "  "))
        return error.exit_code
    if debug or not (isinstance(error, MirclrError | OSError) or is_fault_of_machine(error)):
        raise error
    first, *more = error.args if isinstance(error, NoMatch) else (in_words(error),)
    remark(f"mirclr: {first}")
    for line in more:
        remark(f"  {line}")
    return 2 if isinstance(error, OverrideError) else 1  # what was typed, or what was met


def _silence_libraries() -> None:
    """Keep warnings and logs of libraries off the terminal, here and in the processes that are started."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    logging.getLogger().addHandler(logging.NullHandler())  # else what nobody handles is printed
