"""Wrong usage in words for people: what was typed, what was most likely meant, and where the help is."""

import os
import re
import shlex
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher, get_close_matches
from typing import cast

import click

from mirclr.cli.options import bounds, meant_path

OTHER_WORDS = {
    "add": "embed",
    "analyse": "describe",
    "analyze": "describe",
    "artists": "library list",
    "ban": "block add",
    "bpm": "describe",
    "copies": "duplicates",
    "delete": "library delete",
    "dedupe": "duplicates",
    "dupes": "duplicates",
    "exclude": "library exclude add",
    "find": "recommend",
    "genre": "classify predict",
    "history": "profile import",
    "import": "embed",
    "init": "embed",
    "key": "describe",
    "like": "recommend",
    "listen": "embed",
    "mix": "recommend",
    "mood": "classify predict",
    "play": "recommend",
    "preferences": "config",
    "predict": "classify predict",
    "radio": "recommend",
    "refresh": "playlist refresh",
    "report": "evaluate library",
    "scan": "embed",
    "settings": "config",
    "similar": "recommend",
    "songs": "library list",
    "stats": "library info",
    "status": "library info",
    "tempo": "describe",
    "tracks": "library list",
    "undo": "tag undo",
    "uninstall": "library delete",
    "update": "sync",
}
"""What people type for a command whose name they do not know yet."""

OTHER_OPTIONS = {
    "--decade": "--year",
    "--min-year": "--year",
    "--max-year": "--year",
    "--minutes": "--length",
    "--random": "--shuffle",
    "--rename": "--map",
    "--time": "--length",
    "--years": "--year",
    "--amount": "--count",
    "--album": "--same-album",
    "--avoid": "--not",
    "--cores": "--workers",
    "--cuda": "--device",
    "--database": "--library",
    "--db": "--library",
    "--encoder": "--checkpoint",
    "--file": "--output",
    "--force": "--yes",
    "--gpu": "--device",
    "--ignore": "--exclude",
    "--jobs": "--workers",
    "--lib": "--library",
    "--limit": "--count",
    "--listener": "--for",
    "--max": "--count",
    "--model": "--checkpoint",
    "--num": "--count",
    "--number": "--count",
    "--out": "--output",
    "--overwrite": "--replace",
    "--profile": "--for",
    "--silent": "--quiet",
    "--simulate": "--dry-run",
    "--tempo": "--bpm",
    "--threads": "--workers",
    "--top": "--count",
    "--user": "--for",
    "--why": "--explain",
    "--without": "--exclude",
    "-f": "--yes",
    "-V": "--version",
    "-?": "--help",
    "-y": "--yes",
    "-j": "--json",
}
"""What other programs call an option; only one that the command has is offered."""


def in_plain_words(error: click.UsageError, root: click.Group, argv: Sequence[str]) -> list[str]:
    """Wrong usage as lines: what is wrong and what may have been meant, and then where to read on.

    Parameters
    ----------
    error : click.UsageError
        What click, or a command of ours, found.
    root : click.Group
        The command line, in whose commands what was typed is looked for.
    argv : sequence of str
        What was typed.
    """
    path, command = (error.ctx.command_path, error.ctx.command) if error.ctx else _command_of(argv, root)
    if unknown := re.match(r"No such command '(?P<name>.*)'", error.message, re.DOTALL):
        return _no_command(unknown["name"], path, command, root)
    if isinstance(error, click.NoSuchOption):
        text = _no_option(error.option_name, command, root, argv)
    elif isinstance(error, click.MissingParameter):
        text = _missing(error, command)
    elif isinstance(error, click.BadParameter):
        text = bad_value(error)
    elif isinstance(error, click.BadOptionUsage):
        text = _no_value(error, command)
    else:
        text = _one_too_many(error.format_message(), command)
    return [f"{path}: {text.rstrip('.')}", f"see: {path} --help"]


def _command_of(argv: Sequence[str], root: click.Group) -> tuple[str, click.Command]:
    """The command that was typed, with its path: click does not say it of every error."""
    path, command = "mirclr", cast(click.Command, root)
    for word in argv:
        if isinstance(command, click.Group) and (child := command.get_command(click.Context(command), word)):
            path, command = f"{path} {word}", child
        elif not word.startswith("-"):
            break
    return path, command


def path_hints(text: str, argv: Sequence[str]) -> list[str]:
    """What may help where an error speaks of a path that is not there: the one beside it, or quotes around it.

    Parameters
    ----------
    text : str
        The error.
    argv : sequence of str
        What was typed.
    """
    paths = [os.path.expanduser(word) for word in argv]
    absent = [
        i for i, path in enumerate(paths) if path and path[0] != "-" and path in text and not os.path.lexists(path)
    ]
    if "no such" not in text or not absent:
        return []
    for begin in absent:
        for end in range(begin + 2, len(paths) + 1):
            if os.path.exists(whole := " ".join(paths[begin:end])):
                return [f"a name with spaces in it goes in quotes: {shlex.quote(whole)}"]
    near = [meant_path(paths[i]).removeprefix("; ") for i in absent]
    return [hint for hint in near if hint]


def other_dash(argv: Sequence[str], root: click.Group) -> None:
    """Refuse an option that begins with a long dash, as texts that were copied from a page have it."""
    path, command = _command_of(argv, root)
    for word in argv[: argv.index("--") if "--" in argv else None]:
        flag = f"--{word.lstrip('-–—').partition('=')[0]}"
        if word[:1] in "–—" and flag in _flags(command):
            context = click.Context(command, info_name=path)
            raise click.UsageError(f"{word} begins with another dash; type {flag}", context)


# commands


def _no_command(typed: str, path: str, group: click.Command, root: click.Group) -> list[str]:
    """What is known of a word that names no command."""
    assert isinstance(group, click.Group)
    shown, names = shlex.quote(typed), _subcommands(group)
    meant = [f"{path} {name}" for name in _begun(typed, names)] or [f"mirclr {other}" for other in _same(typed, root)]
    if not meant and group is not root:
        meant = [f"{path} {name}" for name in _near(typed, names)]
    if not meant:
        meant = [f"mirclr {other}" for other in _same(typed, root, exactly=False)]
    if not meant and group is root and os.path.exists(os.path.expanduser(typed)):
        folder = os.path.isdir(os.path.expanduser(typed))
        meant = [f"mirclr {'embed' if folder else 'recommend'} {shown}"]
    lines = [f"{path}: no command {shown}{'; did you mean: ' + ' or '.join(meant) if meant else ''}"]
    if group is not root:
        return [*lines, f"{path} has: {', '.join(names)}"]
    if not meant:
        lines.append(f"to ask for music like it: mirclr recommend {shown}")
    return [*lines, "all commands: mirclr --help"]


def _same(typed: str, root: click.Group, *, exactly: bool = True) -> list[str]:
    """Commands, wherever they are, that a word names: by their last word or all of them, or by another word for it."""
    paths = [path for path, _ in walk(root)]
    words = [word for word in re.split(r"[-_ ]", typed.lower()) if word]
    if whole := [path for path in paths if words in (path.split(), path.split()[::-1])]:
        return whole
    by: dict[str, list[str]] = {}
    for path in sorted(paths, key=lambda path: (len(path.split()), not path.startswith("library"))):
        by.setdefault(path.split()[-1], []).append(path)
    by |= {word: [path] for word, path in OTHER_WORDS.items() if path in paths}
    found = by.get(typed.lower(), []) if exactly else [path for word in _near(typed, list(by)) for path in by[word][:1]]
    return found[:2]


def walk(group: click.Group, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """All commands below a group, with their paths, such as "tag write"."""
    context = click.Context(group)
    for name in _subcommands(group):
        command = group.get_command(context, name)
        if command:
            yield f"{before}{name}", command
            if isinstance(command, click.Group):
                yield from walk(command, f"{before}{name} ")


def _subcommands(group: click.Group) -> list[str]:
    return list(group.list_commands(click.Context(group)))


# options


def _no_option(typed: str, command: click.Command, root: click.Group, argv: Sequence[str]) -> str:
    """What is known of an option that a command does not have."""
    joined = (a for a in argv if len(typed) == 2 and re.match(r"-\w{2}", a) and typed[1] in a)  # -library
    whole = next(joined, typed).partition("=")[0]
    what = f"no option {shlex.quote(whole)}"
    if near := _near_option(whole, _flags(command)):
        return f"{what}; did you mean {' or '.join(near)}?"
    others = [path for path, one in walk(root) if whole in _flags(one)]
    if others and command is root:
        named = [path for path in others if path.split()[0] in argv]
        return f"{what} before the command; it comes after: mirclr {(named or others)[0]} … {whole} …"
    if others:
        return f"{what}; it is one of mirclr {'recommend' if 'recommend' in others else others[0]}"
    return what


def _near_option(typed: str, flags: Sequence[str]) -> list[str]:
    if len(typed) > 2 and not typed.startswith("--"):
        typed = f"-{typed}"
    known = OTHER_OPTIONS.get(typed) or OTHER_OPTIONS.get(typed.lower())
    if known and known in flags:
        return [known]
    return _near(typed.lower().replace("_", "-"), [flag for flag in flags if flag.startswith("--")], least=0.7)


def _flags(command: click.Command) -> list[str]:
    shown = (p for p in command.params if isinstance(p, click.Option) and not p.hidden)
    return ["--help", *(flag for option in shown for flag in (*option.opts, *option.secondary_opts))]


# values


def _missing(error: click.MissingParameter, command: click.Command) -> str:
    """Which argument or option is wanted, and how the command is used."""
    param = error.param
    if param is None:
        return error.format_message()
    name = _flag(param) if isinstance(param, click.Option) else _metavar(param)
    says = f" ({param.help.rstrip('.')})" if isinstance(param, click.Option) and param.help else ""
    example = (command.epilog or "").removeprefix("Example: ")
    return f"{name} is missing{says}{f'; for example: {example}' if example else ''}"


def _no_value(error: click.BadOptionUsage, command: click.Command) -> str:
    """Which value an option wants."""
    option = next((p for p in command.params if isinstance(p, click.Option) and error.option_name in p.opts), None)
    if option is None or option.is_flag:
        return f"{error.option_name} takes no value"
    says = f" ({option.help.rstrip('.')})" if option.help else ""
    return f"{error.option_name} needs a value after it{says}"


def bad_value(error: click.BadParameter, *, named: bool = True) -> str:
    """What stands where another kind of value is expected; `named`: after the name of the option."""
    param, message = error.param, error.message
    hint = error.param_hint if isinstance(error.param_hint, str) else None
    name = hint or (_flag(param) if isinstance(param, click.Option) else "")
    expected = _expected(param.type) if param else ""
    found = re.match(r"'?(?P<value>.*?)'? is not (in the range|a valid|one of|')", message, re.DOTALL)
    if not expected or not found:
        return f"{name}: {message}" if name and named and not message.startswith(name) else message
    value = found["value"]
    text = f"{f'{name} {value}:' if named else f'found {value!r};'} expected {expected}".strip()
    choices = [str(choice) for choice in getattr(param.type, "choices", ())] if param else []
    near = _near(value.lower(), choices)
    return f"{text}; did you mean {near[0]}?" if near else text


def _expected(kind: click.ParamType) -> str:
    """What a type takes; nothing where its own words say it."""
    if isinstance(kind, click.Choice):
        *some, last = map(str, kind.choices)
        return f"{', '.join(some)} or {last}" if some else last
    if isinstance(kind, click.IntRange | click.FloatRange):
        what = "a whole number" if isinstance(kind, click.IntRange) else "a number"
        return f"{what}, {bounds(kind)}" if bounds(kind) else what
    return "a whole number" if isinstance(kind, click.types.IntParamType) else ""


def _one_too_many(message: str, command: click.Command) -> str:
    """More words than a command takes, mostly a name of several words without quotes."""
    found = re.match(r"Got unexpected extra arguments? \((?P<rest>.*)\)", message, re.DOTALL)
    if not found:
        return message
    takes = any(isinstance(p, click.Argument) for p in command.params)
    quotes = '; a name of several words goes in quotes: "like this"' if takes else ""
    return f"takes no more words, but there is: {found['rest']}{quotes}"


def _flag(option: click.Option) -> str:
    return next((o for o in option.opts if o.startswith("--")), option.opts[0])


def _metavar(param: click.Parameter) -> str:
    return (param.metavar or (param.name or "").upper()).strip("[]…")


def _begun(typed: str, names: Sequence[str]) -> list[str]:
    """The names that a word is, but for capitals, or begins."""
    low = typed.lower()
    same = [name for name in names if name.lower() == low]
    return same or [name for name in names if len(low.strip("-")) > 1 and name.lower().startswith(low)][:2]


def _near(typed: str, names: Sequence[str], *, least: float = 0.6) -> list[str]:
    """The name that is nearest to what was typed; two where they are about as near."""
    by, low = {name.lower(): name for name in names}, typed.lower()
    close = get_close_matches(low, list(by), n=2, cutoff=least)
    nearness = [SequenceMatcher(None, name, low).ratio() for name in close]
    return _begun(typed, names) or [
        by[name] for name, near in zip(close, nearness, strict=True) if near > nearness[0] - 0.05
    ]
