"""What every command has, so that none need ask for it: common options, settings as defaults, names that complete."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli.options import Decorator, Whole
from mirclr.cli.show import speak
from mirclr.settings import default_library

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


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
            if type(param.type) is click.IntRange:
                param.type = Whole(param.type.min, param.type.max, param.type.min_open, param.type.max_open)
            elif param.type is click.INT and isinstance(param, click.Option):
                param.type = Whole()
            if isinstance(param, click.Option) and param.multiple:
                param.callback = _beside_settings(param.callback)
            if names := _HELD.get((path, param.name)):
                param.type = _Held(names)
        for decorate in _EVERYWHERE:
            decorate(command)
    command.short_help = " ".join((command.help or "").partition("\n\n")[0].split())  # whole in a list, not cut off
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


def _note_flag(context: click.Context, param: click.Parameter, value: bool) -> None:
    """Take note of a flag of `everywhere`, wherever in the line it stands."""
    flags: set[str | None] = context.meta.setdefault("mirclr.said", set())
    if value:
        flags.add(param.name)
    if {"quiet", "verbose"} <= flags:
        raise click.UsageError("--quiet and --verbose ask for the opposite; leave one out")
    speak(quiet="quiet" in flags, verbose="verbose" in flags)


def _flag_everywhere(*names: str, help: str) -> Decorator:
    return click.option(*names, is_flag=True, expose_value=False, callback=_note_flag, help=help)


_EVERYWHERE = (
    _flag_everywhere("-q", "--quiet", help="Print only what was asked for, and errors."),
    _flag_everywhere("-v", "--verbose", help="Say more, such as how long it took."),
    _flag_everywhere("--debug", help="Show the whole traceback of an error."),
)
