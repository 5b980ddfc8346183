"""What people want of mirclr, each by one command: tests/goals.sh, as a person with a shell runs it."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GOALS = (ROOT / "tests" / "goals.sh").read_text(encoding="utf-8")


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("sh"), reason="there is no sh")
def test_every_goal_is_reached(tmp_path):
    python = shlex.quote(sys.executable)
    asked = {"PYTHON": python, "MIRCLR": f"{python} -m mirclr", "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        ["sh", str(ROOT / "tests" / "goals.sh")], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "all goals are reached"
    assert done.stdout.count("reached: ") == GOALS.count("\ngoal ")


@pytest.mark.skipif(sys.platform == "win32" or not shutil.which("sh"), reason="there is no sh")
def test_a_goal_that_is_missed_is_told(tmp_path):
    """With a command that does nothing, and says nothing, no goal that shows something is reached."""
    asked = {"PYTHON": "true", "MIRCLR": "true", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        ["sh", str(ROOT / "tests" / "goals.sh")], env=os.environ | asked, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "not reached: a party playlist without Christmas" in done.stdout
