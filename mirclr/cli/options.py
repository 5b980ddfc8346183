"""Options that several commands share, so that they are spelt and explained once."""

import math
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import click

from mirclr.cli.show import detail, remark
from mirclr.errors import MirclrError
from mirclr.extensions import allow_named, is_class_name
from mirclr.models.pretrained import checkpoint_named
from mirclr.settings import command_line as command_line
from mirclr.settings import default_library
from mirclr.storage import is_url

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
_C = TypeVar("_C", bound=click.Command)

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")


class HomePath(click.Path):
    """A path whose ``~`` means the home folder, where no shell has made it so (``make demo MUSIC=~/Music``).

    Parameters
    ----------
    or_address : bool
        Take an address such as ``s3://bucket/music`` too, as a text.
    """

    def __init__(self, *args: Any, or_address: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._or_address = or_address

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; an empty one, as of a variable that is not set, is wrong usage."""
        if self._or_address and isinstance(value, str) and is_url(value):
            return value
        if not os.fspath(value).strip():
            self.fail("a path is empty", param, ctx)
        path = os.path.expanduser(value)
        if self.exists and not os.path.lexists(path):
            kind = "file" if not self.dir_okay else "folder" if not self.file_okay else "file or folder"
            self.fail(f"{os.fspath(value)}: there is no such {kind}{meant_path(path)}", param, ctx)
        if not self.file_okay and os.path.isfile(path):
            self.fail(f"{os.fspath(value)}: is a file; expected a folder", param, ctx)
        if not self.dir_okay and os.path.isdir(path):
            self.fail(f"{os.fspath(value)}: is a folder; expected a file", param, ctx)
        return super().convert(path, param, ctx)


def on_ray(command: Callable[..., Any]) -> Callable[..., Any]:
    """Where a command works: ``--on``, ``--address``."""
    for decorate in (
        click.option("--address", metavar="ADDRESS", help="The cluster: auto, or HOST:PORT; else this machine alone."),
        click.option("--on", type=click.Choice(["ray"]), help="Work on many machines: a cluster, by Ray."),
    ):
        command = decorate(command)
    return command


output_on_ray: Decorator = click.option(
    "-o", "--output", type=HomePath(path_type=Path, or_address=True), help="Folder to write, with --on ray."
)


def here_alone(paths: Sequence[Path | str], output: object, address: str | None) -> tuple[Path, ...]:
    """The paths of a command that works here, where nothing asks for a cluster."""
    if output or address:
        raise click.UsageError("-o and --address are for --on ray")
    if far := [path for path in paths if isinstance(path, str)]:
        raise click.UsageError(f"{far[0]}: what is at an address is listened to on Ray: --on ray -o FOLDER")
    return tuple(path for path in paths if isinstance(path, Path))


def never_over(read: Sequence[Path], place: Path, option: str) -> None:
    """Raise where what is written would replace a file that is read."""
    if place.exists() and any(file.exists() and file.samefile(place) for file in read):
        raise click.UsageError(f"{option}: {place} is what is read itself; name another place")


def meant_path(path: str | os.PathLike[str]) -> str:
    """What lies beside a path that is not there, by nearly its name, as a question after a semicolon."""
    folder, name = os.path.split(os.path.normpath(path))
    try:
        near = get_close_matches(name, os.listdir(folder or "."), n=1)
    except OSError:
        near = []
    return f"; did you mean {shlex.quote(os.path.join(folder, near[0]))}?" if near else ""


def _named(context: click.Context, param: click.Parameter, path: Path) -> Path:
    if not context.resilient_parsing:
        detail(f"library: {path}")
    return path


library: Decorator = click.option(
    "--library",
    "library_path",
    type=HomePath(path_type=Path, dir_okay=False),
    default=default_library,
    show_default=False,
    callback=_named,
    help="Another library than your own (mirclr library info).",
)


class _IndexAddress(click.ParamType):
    """The address of an index; what is wrong with it is reported without repeating it, as it may hold a password."""

    name = "uri"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        from mirclr.errors import EngineError
        from mirclr.index.address import Address

        try:
            Address.parse(str(value))
        except EngineError as error:
            self.fail(str(error), param, ctx)
        return str(value)


def index(default: str | None, help: str) -> Decorator:
    """Build the option that says where an index is."""
    return click.option("--index", type=_IndexAddress(), metavar="URI", default=default, show_default=True, help=help)


def check_apart(output: Path, library_path: Path, option: str = "-o") -> None:
    """Refuse to write something else in the library's place."""
    if output.resolve() == library_path.resolve():
        raise click.BadParameter(f"{output}: is the library itself; name another file", param_hint=option)


class _Checkpoint(click.ParamType):
    """``builtin``, the path of a checkpoint, or ``package.module:Class``; the command gets a `pathlib.Path`."""

    name = "checkpoint"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if is_class_name(value) and not Path(value).exists():
            allow_named([value], Path())  # a person's own word
        return checkpoint_named(value)


CHECKPOINT = _Checkpoint()


class InSections(click.Command):
    """A command of many options, whose help lists them below titles.

    Parameters
    ----------
    sections : mapping of str to sequence of str
        By title the names of the parameters below it; the others come last.
    """

    def __init__(self, *args: Any, sections: Mapping[str, Sequence[str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = sections

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options below their titles."""
        options = (p for p in self.get_params(ctx) if isinstance(p, click.Option))
        records = {p.name: record for p in options if (record := p.get_help_record(ctx))}
        titled = {name for names in self.sections.values() for name in names}
        rest = [name for name in records if name not in titled]
        for title, names in (*self.sections.items(), ("Other options", rest)):
            with formatter.section(title):
                formatter.write_dl([records[name] for name in names if name in records])


def bounds(kind: click.IntRange | click.FloatRange) -> str:
    """The numbers that a type takes, in words; nothing where it takes all."""
    low, high, open_ = kind.min, kind.max, kind.min_open or kind.max_open
    if low is not None and high is not None:
        return f"between {low:g} and {high:g}" if open_ else f"{low:g} to {high:g}"
    if low is not None:
        return f"more than {low:g}" if kind.min_open else f"{low:g} or more"
    return "" if high is None else f"less than {high:g}" if kind.max_open else f"{high:g} or less"


class Whole(click.IntRange):
    """A whole number, within bounds where there are some."""

    name = "number"

    def _describe_range(self) -> str:  # what click says of it in a help
        return bounds(self)


class Number(click.FloatRange):
    """A number, within bounds where there are some; "nan" and "inf" are none."""

    name = "number"

    def _describe_range(self) -> str:
        return bounds(self)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; it must be finite, as no bound keeps "nan" out."""
        try:
            finite = math.isfinite(float(value))
        except (ValueError, TypeError, OverflowError):
            finite = True  # no number at all, which click puts into words
        if not finite:
            self.fail(f"{value} is not a finite number", param, ctx)
        return super().convert(value, param, ctx)


def path_option(
    *names: str, help: str, exists: bool = False, required: bool = False, folder: bool = False
) -> Decorator:
    """Build an option that takes a path, given to the command as a `pathlib.Path`."""
    kind = HomePath(path_type=Path, exists=exists, dir_okay=folder, file_okay=not folder)
    return click.option(*names, type=kind, required=required, help=help)


exclude: Decorator = click.option(
    "--exclude",
    "globs",
    metavar="GLOB",
    multiple=True,
    help="Leave out folders and files of this name, or path below the folder; may be given again. Kept in the library.",
)


def count(default: int, help: str, *, most: int | None = None) -> Decorator:
    """How many of what a command gives."""
    return click.option(
        "-n", "--count", "n", type=click.IntRange(1, most), default=default, show_default=True, help=help
    )


def seed(help: str, *, default: int | None = None, least: int | None = None) -> Decorator:
    """The seed of random numbers."""
    kind = click.INT if least is None else click.IntRange(least)
    return click.option("--seed", type=kind, default=default, show_default=True, help=help)


def plot(help: str) -> Decorator:
    """The picture to draw."""
    return click.option("--plot", type=HomePath(path_type=Path), help=help)


def checkpoint(help: str, *, default: str | None = None) -> Decorator:
    """The encoder."""
    return click.option("--checkpoint", type=CHECKPOINT, default=default, help=help)


def labels(help: str, *, required: bool = False) -> Decorator:
    """A file of labels."""
    return path_option("--labels", "labels_path", exists=True, required=required, help=help)


def threshold(default: float, help: str, *, least: float = 0.0) -> Decorator:
    """How probable something must be."""
    return click.option("--threshold", type=Number(least, 1), default=default, show_default=True, help=help)


workers: Decorator = click.option(
    "--workers", type=click.IntRange(min=0), default=0, help="Processes that read files; 0: one for each core."
)
device: Decorator = click.option(
    "--device",
    metavar="DEVICE",
    default="auto",
    show_default=True,
    help="What computes: auto, cpu, cuda, cuda:1, mps …",
)
overrides: Decorator = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe, as training.steps=200."
)


def audio_root(help: str = "Folder of the audio files; by default that of the manifest or corpus.") -> Decorator:
    """Where the files of a manifest are."""
    kind = HomePath(path_type=Path, exists=True, file_okay=False)
    return click.option("--audio-root", type=kind, help=help)


def formerly(names: Mapping[str, str]) -> Callable[[_C], _C]:
    """Take options and subcommands by their old names too; on standard error the new name is given.

    Stands above ``@click.command``.

    Parameters
    ----------
    names : mapping of str to str
        By the old name the new one, such as ``--picture`` to ``--plot``, or a subcommand's.
    """
    bare = {old.lstrip("-"): (old, new) for old, new in names.items()}

    def normalized(token: str) -> str:  # click asks for every name of an option or subcommand that is typed
        if token not in bare:
            return token
        old, new = bare[token]
        remark(f"mirclr: {old} is now called {new}")
        return new.lstrip("-")

    def decorate(command: _C) -> _C:
        command.context_settings["token_normalize_func"] = normalized
        return command

    return decorate


def once_a_command(subcommand: str) -> type[click.Group]:
    """A kind of group that was a command itself: arguments that name no subcommand go to this one, with a note."""

    class Group(click.Group):
        def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
            typed = args[0] if args else ""
            if typed not in self.commands and not os.path.exists(typed) and get_close_matches(typed, self.commands):
                self.resolve_command(ctx, args)  # fails with the nearest: it is no file, but nearly a subcommand
            if typed not in (*self.commands, *ctx.help_option_names):
                remark(f"mirclr: {ctx.command_path} is now called {ctx.command_path} {subcommand}")
                args = [subcommand, *args]
            return super().parse_args(ctx, args)

    return Group


def confirmed(question: str) -> bool:
    """Ask a person, who may say no.

    Raises
    ------
    MirclrError
        Nobody is there to answer, as in a script.
    """
    try:
        return click.confirm(question, err=True)
    except click.Abort as abort:
        if not isinstance(abort.__context__, EOFError):
            raise
        raise MirclrError("nothing was done, as nobody answered; to go on without a question: --yes") from None


@contextmanager
def wrong_usage(*kinds: type[Exception]) -> Iterator[None]:
    """Show errors of these kinds, which come from what was typed, with the command's usage; the exit code is 2."""
    try:
        yield
    except kinds as error:
        raise click.UsageError(str(error)) from None
