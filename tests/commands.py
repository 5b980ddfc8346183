"""The one door from the tests to the command line; test_cli.py, test_output.py and test_show.py look behind it."""

import importlib
import pkgutil
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mirclr import cli
from mirclr.cli import COMMANDS, group, main

__all__ = ["COMMANDS", "called", "exits", "group", "invoke", "main"]


def invoke(arguments: Sequence[object], **how: Any) -> Result:
    """Run a command in this process, as click's runner does: what it raises is the result's ``exception``."""
    return CliRunner().invoke(group, [str(a) for a in arguments], **how)


def exits(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Run a command as a process sees it: exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as stopped:
        main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    assert isinstance(stopped.value.code, int)
    return stopped.value.code, out, err


def called(names: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Have folders printed by other names, before lines are laid out: their widths are the same in any folder."""

    def renamed(text: str) -> str:
        for folder, name in names.items():
            text = text.replace(folder, name)
        return text

    for module in [importlib.import_module(f"mirclr.cli.{m.name}") for m in pkgutil.iter_modules(cli.__path__)]:
        for function in ("shown", "one_line"):
            if plain := getattr(module, function, None):
                monkeypatch.setattr(module, function, lambda text, plain=plain: plain(renamed(text)))
