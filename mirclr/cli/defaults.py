"""A person's settings as defaults of the commands' options, checked by what each option takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import click

from mirclr.cli.mistakes import bad_value
from mirclr.errors import SettingsError
from mirclr.settings import Settings

_NEVER = ("version", "help")


@dataclass
class Defaults:
    """What the settings give to a command: `values`, as click's ``default_map``; `added` to what is typed."""

    values: dict[str, Any]
    added: dict[click.Parameter, list[str]]


def defaults_of(settings: Settings, path: str, command: click.Command) -> Defaults:
    """The settings of a command and all below it.

    Raises
    ------
    SettingsError
        The settings name no option of the command, or no value that the option takes.
    """
    everywhere = {name: value for name, value in settings.everywhere.items() if name != "library"}
    added: dict[click.Parameter, list[str]] = {}
    values = _values(command, settings.sections.get(path, {}), everywhere, f"{settings.file}: [{path}]", added)
    return Defaults(values, added)


def check_sections(settings: Settings, commands: Sequence[str]) -> None:
    """Refuse a section that names no command.

    Raises
    ------
    SettingsError
        There is one; the text names the nearest command.
    """
    for name in settings.sections:
        if name not in commands:
            raise SettingsError(f"{settings.file}: [{name}] is no command{_meant(name, commands)}")


def _values(
    command: click.Command,
    section: Mapping[str, Any],
    everywhere: Mapping[str, Any],
    where: str,
    added: dict[click.Parameter, list[str]],
) -> dict[str, Any]:
    options, found = settable(command), dict[str, Any]()
    children = command.commands if isinstance(command, click.Group) else {}
    for name, value in {**{n: v for n, v in everywhere.items() if n in options}, **section}.items():
        if name in children and isinstance(value, dict):
            continue
        if name not in options:
            raise SettingsError(f"{where} {name}: nothing that may be set there{_meant(name, [*options, *children])}")
        option = options[name]
        texts = [as_typed(option, one, f"{where} {name}") for one in (value if isinstance(value, list) else [value])]
        if option.multiple:
            added[option] = texts
        elif isinstance(value, list):
            raise SettingsError(f"{where} {name}: found several values; expected one")
        else:
            found[option.name or ""] = texts[0]
    for name, child in children.items():
        below = f"{where.removesuffix(']')}.{name}]"
        found[name] = _values(child, section.get(name, {}), everywhere, below, added)
    return found


def settable(command: click.Command) -> dict[str, click.Option]:
    """The options of a command that settings may name: those that take a value, by their long names."""
    return {
        flag[2:]: param
        for param in command.params
        if isinstance(param, click.Option) and not (param.is_flag or param.hidden)
        for flag in param.opts
        if flag.startswith("--") and flag[2:] not in _NEVER
    }


def as_typed(option: click.Option, value: Any, where: str) -> str:
    """A value of the settings as it would be typed.

    Raises
    ------
    SettingsError
        The option takes no such value; the text begins with `where`.
    """
    if isinstance(value, bool) and isinstance(option.type, click.Choice):
        value = "yes" if value else "no"
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise SettingsError(f"{where}: found {value!r}; expected a text in quotes, or a number")
    try:
        option.type.convert(str(value), option, None)
    except click.BadParameter as error:
        raise SettingsError(f"{where}: {bad_value(error, named=False)}") from error
    return str(value)


def _meant(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name.replace("_", "-"), known, n=1)
    return f"; did you mean {near[0]}?" if near else ""
