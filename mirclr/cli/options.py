"""Options that several commands share, so that they are spelt and explained once."""

import math
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from mirclr.cli.show import remark, speak
from mirclr.extensions import allow_named, is_class_name
from mirclr.models.pretrained import checkpoint_named
from mirclr.settings import default_library

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]
_C = TypeVar("_C", bound=click.Command)

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")


class HomePath(click.Path):
    """A path whose ``~`` means the home folder, where no shell has made it so (``make demo MUSIC=~/Music``)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; an empty one, as of a variable that is not set, is wrong usage."""
        if not os.fspath(value).strip():
            self.fail("a path is empty", param, ctx)
        path = os.path.expanduser(value)
        if self.exists and not os.path.lexists(path):
            kind = "file" if not self.dir_okay else "folder" if not self.file_okay else "file or folder"
            self.fail(f"{os.fspath(value)}: there is no such {kind}{_meant_path(path)}", param, ctx)
        return super().convert(path, param, ctx)


def _meant_path(path: str | os.PathLike[str]) -> str:
    """What lies beside a path that is not there, by nearly its name, as a question."""
    folder, name = os.path.split(os.path.normpath(path))
    try:
        near = get_close_matches(name, os.listdir(folder or "."), n=1)
    except OSError:
        near = []
    return f"; did you mean {shlex.quote(os.path.join(folder, near[0]))}?" if near else ""


library: Decorator = click.option(
    "--library",
    "library_path",
    type=HomePath(path_type=Path, dir_okay=False),
    default=default_library,
    show_default="your own; see mirclr config",
    help="The library file.",
)


def command_line(*words: object, library_path: Path | None = None) -> str:
    """A command of mirclr's as a person can paste it; a library is named where it is not the default one."""
    of_another = library_path is not None and library_path.absolute() != default_library().absolute()
    return shlex.join(["mirclr", *map(str, words), *(["--library", str(library_path)] if of_another else [])])


def check_apart(output: Path, library_path: Path) -> None:
    """Refuse to write something else in the library's place."""
    if output.resolve() == library_path.resolve():
        raise click.BadParameter(f"{output}: is the library itself; name another file", param_hint="-o")


class _Checkpoint(click.ParamType):
    """``builtin``, the path of a checkpoint, or ``package.module:Class``; the command gets a `pathlib.Path`."""

    name = "checkpoint"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        if is_class_name(value) and not Path(value).exists():
            allow_named([value], Path())  # a person's own word
        return checkpoint_named(value)


CHECKPOINT = _Checkpoint()


class Number(click.FloatRange):
    """A number, within bounds where there are some; "nan" and "inf" are none."""

    name = "number"

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
    "--workers", type=click.IntRange(min=0), default=0, help="Processes that decode; 0: one for each core."
)
device: Decorator = click.option(
    "--device", default="auto", show_default=True, help="What runs the encoder: auto, cpu, cuda, cuda:1, mps …"
)
overrides: Decorator = click.option(
    "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Change the recipe, as training.steps=200."
)


def audio_root(help: str = "Folder of the audio files; by default that of the manifest or corpus.") -> Decorator:
    """Where the files of a manifest are."""
    kind = HomePath(path_type=Path, exists=True, file_okay=False)
    return click.option("--audio-root", type=kind, help=help)


def everywhere(command: click.Command, path: str = "") -> None:
    """Give a command, and all below it, what every command has: common options, settings, names that complete.

    Parameters
    ----------
    command : click.Command
        The command.
    path : str
        Its name after ``mirclr``.
    """
    if not any(p.name == "debug" for p in command.params):
        for param in command.params:
            if isinstance(param, click.Option) and param.multiple:
                param.callback = _beside_settings(param.callback)
            if names := _HELD.get((path, param.name)):
                param.type = _Held(names)
        for decorate in _EVERYWHERE:
            decorate(command)
    for name, child in command.commands.items() if isinstance(command, click.Group) else ():
        everywhere(child, f"{path} {name}".strip())


class _Held(click.types.StringParamType):
    """A text that a shell completes with what the library holds."""

    def __init__(self, names: Callable[[Any], Iterable[str]]) -> None:
        self._names = names

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> "list[CompletionItem]":
        """The names that begin so; where there are none, a path may be meant."""
        from click.shell_completion import CompletionItem

        from mirclr.errors import MirclrError
        from mirclr.library import LibraryStore

        path = ctx.params.get("library_path") or default_library()
        with suppress(MirclrError, OSError), LibraryStore.open(path) as library:
            if names := [name for name in self._names(library) if name.lower().startswith(incomplete.lower())]:
                return [CompletionItem(name) for name in names]
        return [CompletionItem(incomplete, type="file")]


_HELD: dict[tuple[str, str | None], Callable[[Any], Iterable[str]]] = {
    ("recommend", "seeds"): lambda library: library.artists(),
    ("recommend", "profile"): lambda library: library.profiles(),
    ("evaluate profile", "name"): lambda library: library.profiles(),
    ("block remove", "rules"): lambda library: library.blocks(),
    **{(f"playlist {name}", "name"): lambda library: library.playlists() for name in ("refresh", "show", "delete")},
    **{
        (f"profile {name}", "name"): lambda library: library.profiles()
        for name in ("import", "update", "show", "delete")
    },
}
"""What a shell completes, by the path of a command and the name of its parameter."""


def _beside_settings(callback: Callable[..., Any] | None) -> Callable[..., Any]:
    """Of an option that may be given several times, put what is typed beside what a person's settings hold."""

    def both(context: click.Context, param: click.Parameter, typed: tuple[Any, ...]) -> Any:
        added = context.meta.get("mirclr.added", {}).get(param, ())
        values = (*(param.type.convert(text, param, context) for text in added), *typed)
        return callback(context, param, values) if callback else values

    return both


def _said(context: click.Context, param: click.Parameter, value: bool) -> None:
    """Take note of a flag of `everywhere`, wherever in the line it stands."""
    said: set[str | None] = context.meta.setdefault("mirclr.said", set())
    if value:
        said.add(param.name)
    if {"quiet", "verbose"} <= said:
        raise click.UsageError("--quiet and --verbose ask for the opposite; leave one out")
    speak(quiet="quiet" in said, verbose="verbose" in said)


def _flag_everywhere(*names: str, help: str) -> Decorator:
    return click.option(*names, is_flag=True, expose_value=False, callback=_said, help=help)


_EVERYWHERE = (
    _flag_everywhere("-q", "--quiet", help="Print only what was asked for, and errors."),
    _flag_everywhere("-v", "--verbose", help="Say more, such as how long it took."),
    _flag_everywhere("--debug", help="Show the whole traceback of an error."),
)


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


@contextmanager
def wrong_usage(*kinds: type[Exception]) -> Iterator[None]:
    """Show errors of these kinds, which come from what was typed, with the command's usage; the exit code is 2."""
    try:
        yield
    except kinds as error:
        raise click.UsageError(str(error)) from None
