"""Processes of their own: what they import, and what they do not."""

import subprocess
import sys
from pathlib import Path


def test_a_script_needs_no_guard(tmp_path):
    """It is not run again in the processes that are started, in any of the two ways."""
    script = tmp_path / "script.py"
    script.write_text(
        "from mirclr.processes import results_in_order, streamed\n"
        "print('once')\n"
        "print([found for _, found in results_in_order(divmod, [(7, 2), (9, 4)], workers=2)])\n"
        "print(list(streamed(range, 3)))\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["once", "[(3, 1), (2, 1)]", "[0, 1, 2]"]


def test_a_function_of_the_script_itself_is_found(tmp_path):
    script: Path = tmp_path / "script.py"
    script.write_text(
        "from mirclr.processes import results_in_order\n"
        "def double(x):\n    return 2 * x\n"
        "if __name__ == '__main__':\n"
        "    print([found for _, found in results_in_order(double, [(4,)], workers=1)])\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[8]\n"
