"""A library whose file goes, or is another one, while it is served: no answer is of the old one, no write is lost."""

import os
import shutil
from pathlib import Path

import pytest


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps a file that is open")
def test_a_library_that_goes_while_it_is_served_is_a_line(client, library_path: Path, tmp_path: Path) -> None:
    assert client.get("/api/v1/tracks").status_code == 200
    aside = tmp_path / "aside.db"
    library_path.rename(aside)
    gone = client.get("/api/v1/tracks")
    assert gone.status_code == 503
    assert "begin mirclr serve again" in gone.json()["detail"]
    assert client.put("/api/v1/playlists/x", json={"tracks": [1]}).status_code == 503
    assert client.get("/rest/getArtists?u=me").status_code == 503
    assert not library_path.exists()  # and no empty one is made in its place
    shutil.copy(aside, library_path)
    assert client.put("/api/v1/playlists/x", json={"tracks": [1]}).status_code == 503
    aside.replace(library_path)
    assert client.get("/api/v1/tracks").status_code == 200
