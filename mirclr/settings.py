"""A person's own defaults, in one small file: ``config.toml``.

::

    library = "~/Music/library.db"   # holds for every command that has the option
    device = "cpu"

    [recommend]                      # and below the name of a command for that one alone
    artist-cap = 1
    exclude = ["genre:Christmas"]

This module reads and changes the file; which options a command has, and what they take, the command line knows.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mirclr.errors import SettingsError, in_words
from mirclr.provenance import config_dir, data_dir, writing

EVERYWHERE = ("library", "device", "workers")
"""What may stand at the top of the file: it is of all commands that have the option."""


@dataclass(frozen=True)
class Settings:
    """What a file of settings says: `everywhere`, and by the path of a command ("recommend", "tag write")."""

    file: Path
    everywhere: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, Any] = field(default_factory=dict)


def settings_file() -> Path:
    """Where the file lies: in ``$MIRCLR_HOME``, or in the system's folder for such files."""
    return config_dir() / "config.toml"


def read_settings(file: Path | None = None) -> Settings:
    """Read the settings; there are none where there is no file.

    Raises
    ------
    SettingsError
        It is no TOML, or at its top stands what is neither one of `EVERYWHERE` nor a section.
    """
    file = file or settings_file()
    values = _parsed(_text(file), file)
    everywhere = {name: value for name, value in values.items() if not isinstance(value, dict)}
    for name in everywhere:
        if name not in EVERYWHERE:
            if near := get_close_matches(name, EVERYWHERE, n=1, cutoff=0.75):
                raise SettingsError(f"{file}: {name} is nothing that can be set; did you mean {near[0]}?")
            raise SettingsError(
                f"{file}: {name} stands at the top, where {', '.join(EVERYWHERE)} may; put it below the command that "
                "it is for, such as [recommend]"
            )
    return Settings(file, everywhere, {name: value for name, value in values.items() if isinstance(value, dict)})


def default_library() -> Path:
    """The library that is meant where none is named: that of the settings, or ``library.db`` in the data folder.

    Raises
    ------
    SettingsError
        The settings cannot be read, or name no path there.
    """
    settings = read_settings()
    named = settings.everywhere.get("library")
    if named is None:
        return data_dir() / "library.db"
    if not isinstance(named, str) or not named.strip():
        raise SettingsError(f"{settings.file}: library: found {named!r}; expected a path in quotes")
    return settings.file.parent / Path(named).expanduser()  # a relative one is relative to the file


def command_line(*words: object, library_path: Path | None = None) -> str:
    """A command of mirclr's as a person can paste it; a library is named where it is not the default one."""
    of_another = library_path is not None and library_path.absolute() != default_library().absolute()
    return shlex.join(["mirclr", *map(str, words), *(["--library", str(library_path)] if of_another else [])])


def change_settings(section: Sequence[str], name: str, value: Any) -> Path:
    """Set one value in the file, or with None take it out.

    Parameters
    ----------
    section : sequence of str
        The command's path, such as ``("tag", "write")``; none for what stands at the top.
    name : str
        The option, without its dashes.
    value : str, int, float, list or None
        What it is to be.

    Returns
    -------
    Path
        The file that was written.

    Raises
    ------
    SettingsError
        The file is no TOML, or the value stands in it in a form that is not changed by a line.
    """
    file = settings_file()
    text = changed(_text(file), section, name, value, file)
    with writing(file.resolve(), "w") as f:  # a link stays one
        f.write(text)
    return file


def changed(text: str, section: Sequence[str], name: str, value: Any, file: Path) -> str:
    """The text of a file with one value set, or taken out; the rest, its comments too, stays as it is.

    The parameters and what it raises are those of `change_settings`.
    """
    at = wanted = _parsed(text, file)
    for part in section:
        at = at.setdefault(part, {})
    if value is None:
        at.pop(name, None)
    else:
        at[name] = value
    new = _edited(text, list(section), name, value)
    own_form = SettingsError(f"{file}: {name} stands there in a form of its own; change it in a text editor")
    try:
        done = _without_empty(_parsed(new, file)) == _without_empty(wanted)
    except SettingsError:
        raise own_form from None
    if not done:
        raise own_form
    return new


def _text(file: Path) -> str:
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise SettingsError(f"{file}: is not UTF-8 (byte {error.start}); save it as UTF-8") from error
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {in_words(error, file)}") from error


def _parsed(text: str, file: Path) -> dict[str, Any]:
    if not text:
        return {}
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f'{file}: is not TOML: {error}; texts stand in quotes, as in: device = "cpu"') from error


def _edited(text: str, section: list[str], name: str, value: Any) -> str:
    """The text with the line of one value changed, added or taken out."""
    lines = text.splitlines()
    headers = [i for i, line in enumerate(lines) if re.match(r"\s*\[", line)]
    begin = 0
    if section:
        header = re.compile(r"\s*\[\s*" + r"\s*\.\s*".join(map(re.escape, section)) + r"\s*\]\s*(#.*)?$")
        begin = next((i + 1 for i in headers if header.match(lines[i])), -1)
    if begin < 0:
        if value is None:
            return text
        lines += [*([""] if lines else []), f"[{'.'.join(section)}]"]
        begin = len(lines)
    end = next((i for i in headers if i >= begin), len(lines))
    held = next((i for i in range(begin, end) if re.match(rf"\s*{re.escape(name)}\s*=", lines[i])), None)
    if held is not None:
        del lines[held]
    if value is not None:
        last = next((i + 1 for i in range(end - 1, begin - 1, -1) if i < len(lines) and lines[i].strip()), begin)
        at = held if held is not None else last
        lines.insert(at, f"{name} = {json.dumps(value, ensure_ascii=False)}")
        if not section and at + 1 < len(lines) and re.match(r"\s*\[", lines[at + 1]):
            lines.insert(at + 1, "")
    return "\n".join(lines) + "\n" if lines else ""


def _without_empty(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without sections that hold nothing."""
    kept = {name: _without_empty(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in kept.items() if value != {}}
