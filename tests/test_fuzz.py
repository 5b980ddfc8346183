"""The fuzz run in small: `make fuzz` is the same with 20,000 cases."""

import random

import pytest

from mirclr.errors import LibraryError
from tests.fuzz import run
from tests.fuzz.checks import KINDS, Kind, hold, refused
from tests.fuzz.mutate import MOST, mutated


def test_damaged_files_of_every_kind_harm_nothing(tmp_path):
    summary = run.run(40, 7, 1, list(KINDS), tmp_path / "kept")
    assert summary["violations"] == []
    assert sum(map(sum, (counts.values() for counts in summary["came"].values()))) == summary["cases"] >= 30
    assert summary["folders"]["files"] == 20
    assert not (tmp_path / "kept").exists()


def test_damage_is_the_same_for_the_same_seed_and_bounded():
    whole, others = b"title = 12, artist = 345\n" * 40, [b"another file" * 9]
    made = [mutated(whole, others, random.Random(f"1:{i}")) for i in range(300)]
    assert made == [mutated(whole, others, random.Random(f"1:{i}")) for i in range(300)]
    assert len(set(made)) > 250
    assert max(map(len, made)) <= MOST
    assert mutated(b"", others, random.Random(1)) is not None


@pytest.mark.parametrize("what", ["crash", "harm", "no name"])
def test_what_does_not_hold_is_kept_with_its_file(what, tmp_path, monkeypatch, capsys):
    def check(case):
        if what == "crash":
            raise ZeroDivisionError
        hold(what != "harm", "the music is another")
        return refused(case.path, LibraryError("something is wrong"))

    def make(folder):
        (folder / "a.txt").write_bytes(b"whole" * 20)

    monkeypatch.setitem(KINDS, "playlist", Kind(make, check, 1))
    monkeypatch.setattr(run, "results_in_order", lambda work, jobs, **_: ((job, work(*job)) for job in jobs))
    summary = run.run(2, 1, 1, ["playlist"], tmp_path / "kept")
    assert [v["came"] for v in summary["violations"]] == ["CRASH" if what == "crash" else "HARM"] * 2
    assert sorted(p.name for p in (tmp_path / "kept").iterdir()) == [
        f"playlist-{i}-a.txt{more}" for i in (0, 1) for more in ("", ".txt")
    ]
    assert "playlist-0-a.txt" in capsys.readouterr().out
