"""Processes of their own: what they import, and what they do not."""

import errno
import functools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mirclr.errors import ProcessError
from mirclr.processes import JOB_S, Child, Lost, give_way, results_in_order, seconds_for_file, streamed


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


def test_a_job_without_end_is_given_up_and_takes_no_other_with_it():
    jobs = [(3600,), (0,), (0,)]
    results = [result for _, result in results_in_order(time.sleep, jobs, workers=1, seconds_for=lambda *_: 2.0)]
    assert results == [Lost.OUT_OF_TIME, None, None]


def test_what_ends_a_process_is_known_and_named():
    found = [r for _, r in results_in_order(signal.raise_signal, [(signal.SIGABRT,)], workers=1)]
    assert found == [Lost.CRASHED]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no such signal here")
def test_a_process_that_the_system_kills_is_out_of_memory():
    """As Linux and macOS do where memory runs out; the file is not at fault."""
    jobs = [(signal.SIGKILL,), (signal.SIGTERM,)]
    found = [r for _, r in results_in_order(signal.raise_signal, jobs, workers=2)]
    assert found[0] is Lost.OUT_OF_MEMORY


def test_memory_that_does_not_suffice_is_no_error_of_the_job():
    found = [r for _, r in results_in_order(bytearray, [(2**62,), (3,)], workers=1)]
    assert found == [Lost.OUT_OF_MEMORY, bytearray(3)]


def test_what_a_job_raises_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(results_in_order(divmod, [(1, 0)], workers=1))


def test_a_process_prints_nothing(capfd):
    assert [r for _, r in results_in_order(os.write, [(2, b"noise")], workers=1)] == [5]
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be held back")
def test_ctrl_c_is_held_back_from_the_first_process_that_is_started():
    code = """
import signal
from mirclr.processes import _without_interrupts
with _without_interrupts():
    from multiprocessing import resource_tracker
    resource_tracker.ensure_running()
    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]


def test_a_process_that_cannot_start_is_no_fault_of_a_job(monkeypatch):
    """Neither where it ends before its first job, nor where the system gives none."""
    with pytest.raises(ProcessError, match=r"cannot be started \(exit code 3\).*--workers 1"):
        list(results_in_order(divmod, [(7, 2)], workers=1, begin=functools.partial(os._exit, 3)))

    def none_left(_):
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(multiprocessing.get_context("spawn").Process, "start", none_left)
    with pytest.raises(ProcessError, match=r"cannot be started \(Resource temporarily unavailable\)"):
        list(results_in_order(divmod, [(7, 2)], workers=1))


def test_a_large_file_may_take_longer(tmp_path):
    large = tmp_path / "large"
    with large.open("wb") as f:
        f.truncate(1 << 30)
    assert seconds_for_file(large) > 1800
    assert seconds_for_file(tmp_path / "none") == JOB_S


@pytest.mark.parametrize("why", ["start method", "daemon"])
def test_a_worker_of_another_pool_does_the_work_itself(monkeypatch, why):
    """Of joblib's, whose way to start processes is its own, or of one that may start none."""
    if why == "daemon":
        monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)
    else:
        monkeypatch.setattr(multiprocessing, "get_start_method", lambda **_: "loky")
    here = os.getpid()
    assert [result for _, result in results_in_order(os.getpid, [()] * 3)] == [here] * 3
    assert list(streamed(range, 3)) == [0, 1, 2]


def test_there_are_no_fewer_processes_than_none():
    with pytest.raises(ValueError, match="workers: found -1; expected 0 or more"):
        list(results_in_order(os.getpid, [()], workers=-1))


def _tell_how_it_is_scheduled(send):
    give_way()
    send((os.nice(0), os.sched_getscheduler(0)))


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="of Linux")
def test_what_gives_way_runs_when_nobody_else_does():
    assert list(Child(_tell_how_it_is_scheduled).messages()) == [(19, os.SCHED_IDLE)]
