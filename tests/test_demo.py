"""The demo on one's own music: what it leaves is what one goes on with."""

import shlex
import shutil

import pytest

from mirclr.library import LibraryStore
from mirclr.provenance import digest_bytes
from mirclr.settings import default_library
from tests.commands import invoke

pytestmark = pytest.mark.usefixtures("in_this_process")


def test_the_demo_puts_ones_own_music_into_the_default_library(home, tmp_path, songs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    music = tmp_path / "my music"
    music.mkdir()
    for song in songs[:2]:
        shutil.copy(song, music)
    earlier = home / f"demo-{digest_bytes(str(music.resolve()).encode())[:8]}" / "12345678.db"
    LibraryStore.open(earlier, create=True).close()
    result = invoke(["demo", "--music", music])
    assert result.exit_code == 0, result.output
    again = result.stdout.splitlines()[-1].partition("go on with: ")[2]
    assert "--library" not in again
    assert f"mirclr library delete --library {earlier}" in result.stderr
    typed = shlex.split(again)
    assert typed[:2] == ["mirclr", "recommend"]
    with LibraryStore.open(default_library()) as library:
        assert len(library.tracks()) == 2
        assert library.tasks()
    assert invoke(typed[1:]).exit_code in (0, 1)
