"""What tests share: real music, a home of their own, a small trained encoder."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from mirclr import processes
from mirclr.audio import write_wav
from mirclr.config import parse_recipe
from mirclr.library import LibraryStore
from mirclr.models.checkpoint import save_checkpoint
from mirclr.models.embedder import Embedder
from mirclr.models.encoder import Model

TINY = parse_recipe("""
name: tiny
data: {train: tracks.jsonl}
audio: {clip_seconds: 1.0}
mel: {n_mels: 24}
encoder: {name: resnet, widths: [4, 8], blocks: [1, 1], dim: 8}
projector: {hidden: 8, dim: 4}
training: {precision: float32}
embedding: {excerpts: 3}
""")
AUDIO = Path(__file__).parent / "audio"

# no machine is judged by its load
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
torch.set_num_threads(1)  # the networks here are tiny, and threads that wait for each other are slow on a busy machine


def pytest_addoption(parser: pytest.Parser) -> None:
    """``--update-screens`` writes tests/screens again."""
    parser.addoption("--update-screens", action="store_true", help="write tests/screens again, as commands print now")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep every test out of the user's data directory and cache."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("MIRCLR_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True, scope="module")
def nothing_stays_replaced() -> Iterator[None]:
    """What a file of tests puts in place of work in processes is gone when it is over: files run in any order."""
    yield
    real = processes.results_in_order
    held = {
        name: vars(module).get("results_in_order", real) for name, module in sys.modules.items() if "mirclr" in name
    }
    assert [name for name, found in held.items() if found is not real] == []


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decode here: processes that are started for each test would take longer than all else."""
    for module in ("data.clips", "audio.decoding", "ingest.storing"):
        monkeypatch.setattr(f"mirclr.{module}.results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs))


DEVICES = [
    "cpu",
    *(["cuda"] if torch.cuda.is_available() else []),
    *(["mps"] if torch.backends.mps.is_available() else []),
]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each kind of device that is here."""
    return torch.device(request.param)


@pytest.fixture(scope="session")
def songs() -> list[Path]:
    """Four real tracks of eight seconds (see tests/audio/README.md)."""
    return sorted(AUDIO.glob("*.ogg"))


def write_aac(path: Path, tone: np.ndarray) -> None:
    """A mono waveform, (n,) float32 at 48 kHz, as m4a; skips the test where that cannot be written."""
    av = pytest.importorskip("av")
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
        frame.sample_rate = 48000
        out.mux([*stream.encode(frame), *stream.encode(None)])


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny encoder of random weights."""
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    torch.manual_seed(0)
    save_checkpoint(path, Model(TINY), {})
    return path


@pytest.fixture(scope="session")
def embedder(checkpoint: Path) -> Embedder:
    """The same, loaded."""
    return Embedder.load(checkpoint)


@pytest.fixture
def music(tmp_path: Path, songs: list[Path]) -> Path:
    """A folder of the four tracks."""
    root = (tmp_path / "music").resolve()
    (root / "sub").mkdir(parents=True)
    for song, place in zip(songs, ("a.ogg", "b.ogg", "sub/c.ogg", "sub/d.ogg"), strict=True):
        shutil.copy(song, root / place)
    return root


@pytest.fixture
def library(tmp_path: Path) -> Iterator[LibraryStore]:
    """An empty library."""
    with LibraryStore.open(tmp_path / "lib.db", create=True) as library:
        yield library


def tone(path: Path, hertz: float, seconds: float = 1.0) -> None:
    """Write a sine."""
    t = np.arange(int(16000 * seconds)) / 16000
    write_wav(path, (0.3 * np.sin(2 * np.pi * hertz * t)).astype(np.float32), 16000)
