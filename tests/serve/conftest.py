"""A library of made-up music for all tests of the service, embedded once; each test gets a copy of the library file."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import mirclr
from mirclr.classify import Heads
from mirclr.classify.predict import predict_library
from mirclr.library import Description
from mirclr.models.pretrained import builtin_heads
from mirclr.serve.app import create_app
from mirclr.serve.settings import ServeSettings
from tests.made_up_music import SONGS, make_music

HOST = "http://127.0.0.1:8338"
DECODING = ("audio.decoding", "data.clips")


@pytest.fixture(scope="session")
def made_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of the songs of `tests.made_up_music`, with genres, moods, tempos and keys."""
    root = tmp_path_factory.mktemp("served").resolve()
    make_music(root / "music")
    path = root / "library.db"
    with pytest.MonkeyPatch.context() as patch, mirclr.Library.open(path, create=True) as library:
        for module in DECODING:  # decode here: processes that are started take longer than all else
            patch.setattr(f"mirclr.{module}.results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs))
        library.embed([root / "music"])
        predict_library(library, Heads.load(builtin_heads()))
        places = [song.place for song in SONGS]
        library.store_descriptions(
            {
                track.id: Description(100.0 + n, ("Am", "C", "F#m", "Eb")[n % 4], 0.8, -14.0 - n % 7)
                for track in library.tracks()
                for n in [places.index(track.path)]
            }
        )
        assert len(library.index) == len(SONGS)  # and its index is kept beside it
    return path


@pytest.fixture
def library_path(made_library: Path, tmp_path: Path) -> Path:
    """A copy of the library, to be written to; its music is shared."""
    for file in made_library.parent.glob("library.db*"):
        shutil.copy(file, tmp_path / file.name)
    return tmp_path / "library.db"


@pytest.fixture
def client(library_path: Path) -> Iterator[TestClient]:
    """Asks the service of that library, as a browser on this machine."""
    with TestClient(create_app(ServeSettings(library_path)), base_url=HOST, raise_server_exceptions=False) as client:
        yield client
