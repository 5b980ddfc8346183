"""What tests share: real music, a home of their own, a small trained encoder."""

from pathlib import Path

import pytest
import torch

AUDIO = Path(__file__).parent / "audio"

torch.set_num_threads(1)  # the networks here are tiny, and threads that wait for each other are slow on a busy machine


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep every test out of the user's data directory and cache."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MIRCLR_HOME", str(folder))
    return folder


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode here: processes that are started for each test would take longer than all else."""
    for room in ("clips", "embed"):
        monkeypatch.setattr(f"mirclr.{room}.results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs))


@pytest.fixture(scope="session")
def songs() -> list[Path]:
    """Four real tracks of eight seconds (see tests/audio/README.md)."""
    return sorted(AUDIO.glob("*.ogg"))
