"""The plugin of beets, in a library of beets' own: its command, its fields, and how beets finds it."""

import logging
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import mutagen
import pytest

import mirclr
from mirclr.library import LibraryStore
from mirclr.recommend.playlist import read_playlist
from tests.conftest import AUDIO

beets = pytest.importorskip("beets")

Beet = Callable[..., tuple[int, str, str]]
PLUGINS = Path(mirclr.__file__).parent / "plugins" / "beetsplug"
SETTINGS = """
directory: {music}
library: beets.db
pluginpath: {plugins}
plugins: mirclr
import: {{copy: no, move: no, write: no, autotag: no, quiet: yes}}
paths: {{default: sorted/$title}}
mirclr: {{library: mirclr.db, auto: yes}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where beets keeps its settings; its music is known to it by a link to where it lies, and imported."""
    folder = tmp_path_factory.mktemp("beets").resolve()
    (folder / "disk" / "album").mkdir(parents=True)
    for song in sorted(AUDIO.glob("*.ogg")):
        file = mutagen.File(shutil.copy(song, folder / "disk" / "album" / song.name), easy=True)
        file["title"], file["artist"] = song.stem, song.stem.partition("-")[0]
        file.save()
    music = folder / "disk"
    try:
        (folder / "music").symlink_to(music)
        music = folder / "music"
    except OSError:  # a system without links
        pass
    (folder / "config.yaml").write_text(SETTINGS.format(music=music, plugins=PLUGINS), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEETSDIR", str(folder))
        for module in ("data.clips", "audio.decoding", "ingest.storing"):
            patch.setattr(f"mirclr.{module}.results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs))
        handler = _Lines()
        logging.getLogger("beets").addHandler(handler)
        called(None, "import", str(music))
        yield folder
        logging.getLogger("beets").removeHandler(handler)


class _Lines(logging.Handler):
    """What beets logs, as lines: its own handler writes to what was standard error when it was first run."""

    def emit(self, record: logging.LogRecord) -> None:
        LINES.append(record.getMessage())


LINES: list[str] = []


def called(capsys: pytest.CaptureFixture[str] | None, *arguments: str) -> tuple[int, str, str]:
    """Run ``beet``: exit code, standard output, what it logs."""
    from beets import ui

    LINES.clear()
    try:
        ui.main(list(arguments))
        code = 0
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    return code, capsys.readouterr().out if capsys else "", "\n".join(LINES)


@pytest.fixture
def beet(folder: Path, capsys: pytest.CaptureFixture[str]) -> Beet:
    """Run ``beet`` in that folder."""
    return lambda *arguments: called(capsys, *arguments)


@pytest.fixture
def elsewhere(folder: Path) -> Iterator[int]:
    """A track of mirclr's library that beets knows nothing of, the very sound of one that it knows."""
    with LibraryStore.open(folder / "mirclr.db") as library:
        from mirclr.library import Entry
        from mirclr.tags import Tags

        (_, rows) = library.vectors([1])
        library.write(
            entries=[Entry("/elsewhere", "x.ogg", 1, 1, "f", "a", 200.0, Tags(title="Not of beets"), rows[0])]
        )
        track = library.find_file(Path("/elsewhere/x.ogg"))
        assert track is not None
        yield track.id
        library.remove([track.id])


def test_beets_loads_it_by_its_name(folder: Path, tmp_path: Path):
    """As it is installed, from whatever folder."""
    done = subprocess.run(
        [sys.executable, "-m", "beets", "help", "mirclr"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "beet mirclr similar QUERY" in done.stdout
    assert "error" not in done.stderr


def test_what_is_imported_is_listened_to_and_has_fields(beet: Beet, folder: Path):
    with mirclr.Library.open(folder / "mirclr.db") as library:
        assert list(library.roots()) == [str(folder / "disk")]  # and no album's folder
        held = {track.file.name for track in library.tracks()}
    assert held == {song.name for song in AUDIO.glob("*.ogg")}
    code, out, err = beet("mirclr", "embed")
    assert (code, out) == (0, "4 unchanged; fields of no songs changed\n"), err
    code, out, _ = beet("ls", "-f", "$title|$mirclr_genre|$mirclr_mood")
    rows = [line.split("|") for line in out.splitlines()]
    assert len(rows) == 4
    assert any(genre and "$" not in genre for _, genre, _ in rows)
    guessed = next(genre for _, genre, _ in rows if genre and "$" not in genre)
    code, out, _ = beet("ls", f"mirclr_genre:{guessed.split(',')[0]}")
    assert out


def test_tempo_and_key_are_numbers_to_ask_for(beet: Beet, folder: Path):
    code, out, _ = beet("mirclr", "embed", "--describe")
    assert (code, out) == (0, "4 unchanged; fields of 4 songs changed\n")
    with mirclr.Library.open(folder / "mirclr.db") as library:
        tempos = [d.tempo_bpm for d in library.descriptions().values() if d.tempo_bpm]
    _, out, _ = beet("ls", f"mirclr_bpm:{min(tempos) - 0.1}..{max(tempos) + 0.1}")
    assert len(out.splitlines()) == len(tempos)
    _, out, _ = beet("ls", f"mirclr_bpm:{max(tempos) + 1}..")
    assert out == ""


def test_similar_songs_are_those_of_both_libraries(beet: Beet, folder: Path, elsewhere: int):
    """What mirclr itself lists, but for what beets does not have."""
    with mirclr.Library.open(folder / "mirclr.db") as library:
        seed, title = library.tracks([2])[0], library.tracks([2])[0].title
        listed = library.recommend(f"id:{seed.id}", artist_cap=0, versions=True, fill=True)
        names = [str(r.track.file) for r in listed if r.track.id != elsewhere]
        assert any(r.track.id == elsewhere for r in listed)
    options = ("--artist-cap", "0", "--versions", "yes", "--fill", "yes")
    code, out, err = beet("mirclr", "similar", "-f", "$mirclr_match|$path", *options, f"title:{title}")
    assert code == 0, err
    rows = [line.split("|") for line in out.splitlines()]
    assert [os.path.realpath(path) for _, path in rows] == names
    assert all(0 <= int(match) <= 100 for match, _ in rows)
    assert "mirclr_match" not in beet("ls", "-f", "$mirclr_match")[1].replace("$mirclr_match", "")


def test_not_to_and_how_many(beet: Beet, folder: Path):
    with mirclr.Library.open(folder / "mirclr.db") as library:
        first, second, *_ = (track.title for track in library.tracks())
    _, out, _ = beet("mirclr", "similar", "--fill", "yes", "--not", f"title:{second}", "-f", "$title", f"title:{first}")
    assert {first, second}.isdisjoint(out.splitlines())
    _, out, _ = beet("mirclr", "similar", "--to", f"title:{second}", "-n", "3", "-f", "$title", f"title:{first}")
    listed = out.splitlines()
    assert (listed[0], listed[-1]) == (first, second)
    _, out, _ = beet("mirclr", "similar", "--fill", "yes", "--artist-cap", "0", "-n", "1", f"title:{first}")
    assert len(out.splitlines()) == 1


def test_a_playlist_is_written(beet: Beet, folder: Path, tmp_path: Path):
    file = tmp_path / "list.m3u8"
    asked = ("--fill", "yes", "--artist-cap", "0", "--versions", "yes")
    with mirclr.Library.open(folder / "mirclr.db") as library:
        title = library.tracks([1])[0].title
    code, out, _ = beet("mirclr", "playlist", *asked, str(file), f"title:{title}")
    assert code == 0
    assert re.fullmatch(rf"wrote {re.escape(str(file))} \(\d songs?\)\n", out)
    _, out, _ = beet("mirclr", "similar", *asked, "-f", "$path", f"title:{title}")
    assert read_playlist(file) == [Path(os.path.realpath(line)) for line in out.splitlines()]


def test_files_that_beets_moves_are_followed(beet: Beet, folder: Path):
    with mirclr.Library.open(folder / "mirclr.db") as library:
        before = library.tracks([3])[0]
    assert beet("move", f"title:{before.title}")[0] == 0
    with mirclr.Library.open(folder / "mirclr.db") as library:
        after = library.tracks([3])[0]
        assert after.file.is_file()
    assert after.path.startswith("sorted/") != before.path.startswith("sorted/")
    assert len(beet("mirclr", "similar", "--fill", "yes", f"title:{before.title}")[1].splitlines()) > 0


def test_songs_of_one_long_file_are_that_song_of_beets(folder: Path):
    from mirclr.beetsplug import BeetsSongs

    file = folder / "disk" / "album.flac"
    parts = [SimpleNamespace(id=i, file=file) for i in (7, 8)]
    library = SimpleNamespace(column=lambda _: (SimpleNamespace(tolist=lambda: []), []), parts=lambda: parts)
    item = SimpleNamespace(path=os.fsencode(folder / "music" / "album.flac"))
    songs = BeetsSongs([item], library)
    assert songs.ids(item) == ([7, 8] if (folder / "music").is_symlink() else [])
    assert set(songs.of_track) == set(songs.ids(item))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "expected one of embed, similar, playlist; see: beet help mirclr"),
        (("sing",), "found sing; expected one of embed, similar, playlist; see: beet help mirclr"),
        (("similar",), "expected a query: which songs are they to sound like?"),
        (("similar", "title:no such"), "no song of your beets library matches: title:no such"),
        (
            ("similar", "--bpm", "quick", "torus"),
            "bpm: found 'quick'; expected a tempo such as 120, 115..125, 'over 120' or 'under 90'",
        ),
        (("playlist", "title:x"), "expected a playlist's file before the query; it ends in .m3u8, .m3u, .xspf, .jspf"),
    ],
)
def test_what_is_amiss_is_a_line(beet: Beet, arguments: tuple[str, ...], line: str):
    assert beet("mirclr", *arguments) == (1, "", f"error: {line}")


def test_without_a_library_it_says_what_to_do(beet: Beet, folder: Path, tmp_path: Path):
    held, away = folder / "mirclr.db", tmp_path / "mirclr.db"
    held.rename(away)
    try:
        code, _, err = beet("mirclr", "similar", "title:x")
    finally:
        away.rename(held)
    assert (code, err) == (1, "error: none of your songs was listened to yet; do so with: beet mirclr embed")
