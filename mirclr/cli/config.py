"""``mirclr config``: a person's own defaults, and where their file lies."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from mirclr.cli.options import CHECKPOINT, as_json, wrong_usage
from mirclr.cli.show import closing, print_json, print_line, remark
from mirclr.settings import EVERYWHERE, Settings


@click.group(invoke_without_command=True, epilog="Example: mirclr config set recommend.artist-cap 1")
@click.pass_context
def command(context: click.Context) -> None:
    """Show and set your own defaults, such as your library."""
    if context.invoked_subcommand is None:
        context.invoke(show)


@command.command(epilog="Example: mirclr config show")
@as_json
def show(as_json: bool) -> None:
    """Show where the file of your settings lies, and what it says.

    The file is a text that you may edit. At its top stand library, device and workers, which hold for every command;
    below [recommend], or another command's name, stand options of that command alone:

    \b
        library = "~/Music/library.db"
        [recommend]
        artist-cap = 1
        exclude = ["genre:Christmas"]

    What you type goes before what the file says; of options that may be given again, both count.
    """
    from mirclr.settings import default_library, read_settings

    settings, library = read_settings(), default_library()
    rows = _rows(settings)
    _check(settings)
    if as_json:
        facts = {"file": str(settings.file), "exists": settings.file.exists(), "library": str(library)}
        print_json({**facts, "settings": dict(rows)})
        return
    print_line(f"{settings.file}{'' if settings.file.exists() else ' (not there yet: nothing is set)'}")
    for name, value in rows:
        print_line(f"{name} = {json.dumps(value, ensure_ascii=False)}")
    if not rows:
        remark("set something with, for example: mirclr config set recommend.artist-cap 1")


@command.command("set", epilog="Example: mirclr config set recommend.artist-cap 1")
@click.argument("name", metavar="NAME")
@click.argument("values", metavar="VALUE…", nargs=-1, required=True)
def set_(name: str, values: tuple[str, ...]) -> None:
    """Set a default: library, device or workers, or an option of a command, such as recommend.artist-cap.

    An option that may be given several times takes several values: mirclr config set recommend.exclude
    genre:Christmas "artist:Some One"
    """
    from mirclr.cli.defaults import as_typed
    from mirclr.errors import SettingsError
    from mirclr.settings import change_settings

    section, last, option = _found(name)
    with wrong_usage(SettingsError):
        for value in values:
            as_typed(option, value, name)
    if len(values) > 1 and not option.multiple:
        raise click.UsageError(f"{name} takes one value, not {len(values)}; a text of several words goes in quotes")
    kept = [_kept(value, option) for value in values]
    file = change_settings(section, last, kept if option.multiple else kept[0])
    closing(f"set {'.'.join([*section, last])} in {file}")


@command.command(epilog="Example: mirclr config unset recommend.artist-cap")
@click.argument("name", metavar="NAME")
def unset(name: str) -> None:
    """Take a default out again, so that mirclr's own holds."""
    from mirclr.errors import NoMatch
    from mirclr.settings import change_settings, read_settings

    *section, last = name.split(".")
    held = [row for row, _ in _rows(read_settings())]
    if name not in held:
        raise NoMatch(f"{name} is not set; what is: {', '.join(held) or 'nothing'}")
    closing(f"took {name} out of {change_settings(section, last, None)}")


def _rows(settings: Settings) -> list[tuple[str, Any]]:
    """The settings one by one, by names such as "recommend.artist-cap"."""

    def walk(values: dict[str, Any], before: str) -> list[tuple[str, Any]]:
        rows = []
        for name, value in values.items():
            rows += walk(value, f"{before}{name}.") if isinstance(value, dict) else [(f"{before}{name}", value)]
        return rows

    return [*settings.everywhere.items(), *walk(settings.sections, "")]


def _check(settings: Settings) -> None:
    """Refuse what no command could take, as the command itself would."""
    from mirclr.cli import COMMANDS
    from mirclr.cli.defaults import check_sections, defaults_of

    check_sections(settings, list(COMMANDS))
    for path in {"embed", *settings.sections}:  # embed takes what holds for every command
        defaults_of(settings, path, _command(path))


def _found(name: str) -> tuple[list[str], str, click.Option]:
    """The section, the name below it and the option that a name such as "recommend.artist-cap" stands for."""
    from difflib import get_close_matches

    from mirclr.cli import SECTIONS
    from mirclr.cli.defaults import settable

    if name in EVERYWHERE:
        return [], name, settable(_command("embed"))[name]
    known: dict[str, tuple[list[str], str, click.Option]] = {}
    for path, one in _paths():
        for option_name, option in settable(one).items():
            known[f"{path}.{option_name}"] = (path.split("."), option_name, option)
    meant = [key for key in known if key == name or key.endswith(f".{name}")]
    meant.sort(key=lambda key: key.split(".")[0] not in SECTIONS["Start here"])
    if len(meant) == 1:
        return known[meant[0]]
    if meant:
        raise click.UsageError(f"{name} is an option of several commands; say which: {' or '.join(meant[:3])}")
    near = get_close_matches(name, [*EVERYWHERE, *known], n=1)
    more = f"did you mean {near[0]}?" if near else "name a command and its option, such as recommend.artist-cap"
    raise click.UsageError(f"{name} is nothing that can be set; {more}")


def _command(path: str) -> click.Command:
    from mirclr.cli import group

    found = group.get_command(click.Context(group), path)
    assert found is not None
    return found


def _paths() -> Iterator[tuple[str, click.Command]]:
    """Every command with its path, dots between."""
    from mirclr.cli import group
    from mirclr.cli.mistakes import walk

    for path, one in walk(group):
        yield path.replace(" ", "."), one


def _kept(value: str, option: click.Option) -> str | int | float:
    """What is kept of a value that was typed: a number as one, and a path so that it holds from any folder."""
    if isinstance(option.type, click.IntRange | click.FloatRange):
        return int(value) if value.lstrip("+-").isdigit() else float(value)
    is_path = isinstance(option.type, click.Path) or (option.type is CHECKPOINT and Path(value).is_file())
    return str(Path(value).expanduser().absolute()) if is_path else value
