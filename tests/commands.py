"""The one door from the tests to the command line; test_cli.py, test_output.py and test_show.py look behind it."""

from collections.abc import Sequence
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mirclr.cli import COMMANDS, group, main

__all__ = ["COMMANDS", "exits", "group", "invoke", "main"]


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
