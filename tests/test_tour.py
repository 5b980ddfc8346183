"""recipes/tour runs from beginning to end, with and without what is optional."""

import runpy
import sys
import types
from pathlib import Path

import numpy as np
import pytest

TOUR = Path(__file__).parents[1] / "recipes" / "tour" / "tour.py"


class Umap(types.ModuleType):
    """Stands for umap where it is not installed: the first two dimensions."""

    class UMAP:
        def __init__(self, *, n_neighbors: int, metric: str, init: str, random_state: int) -> None:
            assert n_neighbors >= 2

        def fit_transform(self, rows: np.ndarray) -> np.ndarray:
            return rows[:, :2]


@pytest.fixture
def tour(tmp_path, monkeypatch, in_this_process, capsys):
    def run(*arguments: str) -> list[str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [str(TOUR), *arguments])
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.setenv("MIRCLR_ALLOW_CODE", "")
        monkeypatch.setattr("mirclr.training.trainer._tensorboard", lambda run: lambda step, metrics: None)
        runpy.run_path(str(TOUR), run_name="__main__")
        sys.modules.pop("my_loss", None)
        return capsys.readouterr().out.splitlines()

    return run


def test_the_tour_runs_where_nothing_optional_is_installed(tour, monkeypatch):
    find = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda n, *a: None if n in ("pandas", "umap") else find(n, *a))
    lines = tour()
    assert lines[0] == "embedding: 4 embedded"
    assert "table: left out, as pandas is not installed (pip install pandas)" in lines
    assert "map: left out, as umap is not installed (pip install umap-learn)" in lines
    assert [line.partition(":")[0] for line in lines[-3:]] == ["classifier", "own loop", "recipe"]
    assert "12 pieces" in lines[-3]
    before, after = (float(part.split()[-1]) for part in lines[-2].removeprefix("own loop: ").split(", after 20 steps"))
    assert after < before
    assert lines[-1].startswith("recipe: 20 steps, loss ")


def test_the_optional_parts_of_the_tour_run(tour, monkeypatch):
    pytest.importorskip("matplotlib")
    find = __import__("importlib.util").util.find_spec
    if find("umap") is None:
        monkeypatch.setitem(sys.modules, "umap", Umap("umap"))
        monkeypatch.setattr("importlib.util.find_spec", lambda n, *a: True if n == "umap" else find(n, *a))
    lines = tour()
    assert "map: 4 songs in 2 dimensions" in lines
    assert Path("tour-output/map.png").is_file()
    assert any(line.startswith("table: 4 rows" if find("pandas") else "table: left out") for line in lines)


def test_the_tour_says_what_it_needs(tour, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(SystemExit, match="holds 0 songs that can be read; the tour needs two or more"):
        tour(str(tmp_path / "empty"))
