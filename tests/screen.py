"""A terminal in the tests: what a command leaves on it, and whether two screens are the same but for chance.

Contents: `Look` (a kind of terminal), `run_line` (a typed line to its screen), `written_by` (to what it wrote, escapes
and all), `displayed` (what a terminal makes of that), `same` (compares screens).
"""

import io
import os
import re
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pyte
import pytest
import wcwidth

from tests.commands import main


@dataclass(frozen=True)
class Look:
    """How a command is met: on a terminal of so many columns, or piped; and what letters there are."""

    columns: int = 80
    terminal: bool = True
    encoding: str = "utf-8"
    no_color: bool = False


LOOKS = {
    "80": Look(80),
    "140": Look(140),
    "piped": Look(terminal=False),
    "ascii": Look(80, encoding="ascii"),
}


Written = list[tuple[str, bytes]]
"""What was written, in order, each with the name of its stream."""


class _Raw(io.RawIOBase):
    def __init__(self, name: str, written: Written) -> None:
        self.stream, self.written = name, written

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.written.append((self.stream, bytes(data)))
        return len(data)


class _Text(io.TextIOWrapper):
    """A text stream that is a terminal, or is none."""

    terminal = False

    def isatty(self) -> bool:
        return self.terminal


class Screen(NamedTuple):
    """What a typed line leaves: the screen, at its end the exit code where it is not 0; and lines that had no room."""

    text: str
    too_wide: list[str]


def run_line(
    line: str, look: Look, monkeypatch: pytest.MonkeyPatch, names: Mapping[str, str] = MappingProxyType({})
) -> Screen:
    """Do what a typed line says.

    Parameters
    ----------
    line : str
        ``mirclr …``, perhaps with ``printf 'y\\n' |`` before it for what is typed into it; or ``cp``, ``mv``, ``rm``
        of files.
    names : mapping of str to str
        How folders are called on the screen: before it is laid out, as another machine's may be longer.
    """
    typed, _, command = line.rpartition(" | ")
    name, *words = shlex.split(command)
    if name != "mirclr":
        _file_command(name, *map(Path, words))
        return Screen("", [])
    answers = shlex.split(typed)[1].replace("\\n", "\n") if typed else ""
    written, code = written_by(words, look, monkeypatch, typed=answers)
    for folder, other in names.items():
        written = [(stream, data.replace(os.fsencode(folder), other.encode())) for stream, data in written]
    data = b"".join(data for _, data in written)
    screen = displayed(data, look) if look.terminal else _lines(written, look)
    return Screen(screen + (f"[exit {code}]\n" if code else ""), _too_wide(data, look) if look.terminal else [])


def written_by(
    arguments: Sequence[str], look: Look, monkeypatch: pytest.MonkeyPatch, *, typed: str = ""
) -> tuple[Written, object]:
    """Run a command in this process as if it were met so; what it wrote, and its exit code."""
    written: Written = []
    streams = {}
    for stream in ("stdout", "stderr"):
        raw = io.BufferedWriter(_Raw(stream, written))
        streams[stream] = _Text(raw, encoding=look.encoding, newline="\n", write_through=True)
    streams["stdin"] = _Text(io.BytesIO(typed.encode()), "utf-8")
    with monkeypatch.context() as patch:
        for key in ("NO_COLOR", "FORCE_COLOR", "CI", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM", "LINES"):
            patch.delenv(key, raising=False)
        if look.no_color:
            patch.setenv("NO_COLOR", "1")
        patch.setenv("COLUMNS", str(look.columns))
        patch.setenv("TERM", "xterm-256color" if look.terminal else "dumb")
        patch.setattr("rich.console.detect_legacy_windows", lambda: False)
        for stream, text in streams.items():
            text.terminal = look.terminal
            patch.setattr(sys, stream, text)
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        for text in (streams["stdout"], streams["stderr"]):
            text.flush()
    return written, stopped.value.code


def _file_command(name: str, *places: Path) -> None:
    if name == "mv":
        shutil.move(*places)
    elif name == "cp":
        (shutil.copytree if places[0].is_dir() else shutil.copy)(*places)
    elif name == "rm":
        for place in places:
            (shutil.rmtree if place.is_dir() else os.remove)(place)
    else:
        raise ValueError(f"{name}: no line of a screen")


def displayed(data: bytes, look: Look) -> str:
    """What a terminal shows in the end of what is written to it."""
    screen = pyte.Screen(look.columns, 2000)
    screen.set_mode(pyte.modes.LNM)  # a new line begins at the left, as terminals are set
    pyte.Stream(screen).feed(data.decode(look.encoding))
    lines = [
        "".join(screen.buffer[row][column].data for column in range(look.columns)).rstrip()
        for row in range(max(screen.buffer, default=-1) + 1)
    ]
    return "\n".join(lines).rstrip("\n") + "\n" * any(lines)


def _too_wide(data: bytes, look: Look) -> list[str]:
    """The lines that a terminal breaks, where it does so in the middle of words."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data.decode(look.encoding))
    return [line for line in re.split(r"[\r\n]+", text) if wcwidth.wcswidth(line) > look.columns]


def _lines(written: Written, look: Look) -> str:
    """Lines of both streams in their order; those of standard error begin with ``2> ``."""
    lines: list[str] = []
    held = {"stdout": "", "stderr": ""}
    for stream, data in written:
        *whole, held[stream] = (held[stream] + data.decode(look.encoding)).split("\n")
        lines += [("2> " if stream == "stderr" else "") + line for line in whole]
    assert not any(held.values()), f"a line without an end: {held}"
    return "".join(f"{line}\n" for line in lines)


_CHANCE = (
    (re.compile(r"\b[0-9a-f]{8,64}\b"), "DIGEST"),
    (re.compile(r"\b\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?)?"), "DATE"),
    (re.compile(r"\b\d+:\d\d:\d\d\b"), "TIME"),
    (re.compile(r"-?\d+(\.\d+)?e[-+]\d+"), "N"),
    (
        re.compile(r"-?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?(?= ?(%|bpm|LUFS|[kMG]?B\b|s\b|seconds?\b|minutes?\b|hours?\b))"),
        "N",
    ),
    (re.compile(r"-?\d+\.\d+"), "N"),
    (re.compile(r"\b\d{5,}\b"), "N"),  # bytes
)
"""What differs from one machine or day to another, in the order in which it is looked for."""


_MADE_BY = re.compile(r"^made by\s.*?(?=^seed\s)", re.MULTILINE | re.DOTALL)
"""What made a checkpoint: versions, which machine, and where there is a repository its commit."""


def same(one: str, other: str) -> bool:
    """Whether two screens are equal but for numbers that depend on the machine, and the spaces beside these."""
    first, second = (_MADE_BY.sub("", text).splitlines() for text in (one, other))
    return [_without_chance(line) for line in first] == [_without_chance(line) for line in second]


def _without_chance(line: str) -> str:
    masked = line
    for kind, instead in _CHANCE:
        masked = kind.sub(instead, masked)
    return line if masked == line else re.sub(r" +", " ", masked)
