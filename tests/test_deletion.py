"""What mirclr keeps on a disk: named with its size, deleted when asked for, and nothing else."""

import json

import pytest

from mirclr.api import Library
from mirclr.data import clips
from mirclr.errors import LibraryNotFound, MirclrError, NoMatch
from mirclr.index import open_index
from mirclr.ingest.embedding import embed_files
from mirclr.ingest.finding import find_audio
from mirclr.ingest.tagging import Journal
from mirclr.library import LibraryStore
from mirclr.library.kept_files import files_of_library
from mirclr.library.renewal import open_renewed
from mirclr.training.teacher.musicnn import teachers_dir
from tests.commands import invoke

pytestmark = pytest.mark.usefixtures("in_this_process")
CHANGE = {"file": "/music/a.mp3", "before": {"genre": []}, "after": {"genre": ["Rock"]}}


@pytest.fixture
def full_home(home, embedder, music):
    """A default library with all that can lie beside it, caches, downloads, and files of a person's own."""
    from mirclr.classify import heads_path

    lib = home / "library.db"
    with LibraryStore.open(lib, create=True) as library:
        list(embed_files(library, find_audio([music], library)[0], embedder))
        open_index(library)
        library.save_playlist("evening", {"query": {}, "output": None})
        library.add_blocks(["artist:X", "artist:Y"])
        open_renewed(lib, embedder.stamp).close()
    heads_path(lib).write_bytes(b"h")
    Journal(lib).path.write_text(json.dumps(CHANGE) + "\n")
    for folder in (clips.clips_dir() / "x", teachers_dir(), home / "corpora" / "debian-games", home / "demo"):
        folder.mkdir(parents=True)
        (folder / "some").write_bytes(b"12345")
    LibraryStore.open(home / "demo" / "abc.db", create=True).close()
    (home / "config.toml").write_text("")
    for mine in (home / "notes.txt", home / "corpora" / "gtzan" / "a.wav", home / "other.db"):
        mine.parent.mkdir(exist_ok=True)
        mine.write_text("mine")
    return lib


def left(home):
    return {p.relative_to(home).as_posix() for p in home.rglob("*") if p.is_file()}


MINE = {"notes.txt", "corpora/gtzan/a.wav", "other.db"}
OTHERS = {"cache/clips/x/some", "cache/teachers/some", "corpora/debian-games/some", "demo/abc.db", "config.toml"}
JOURNAL = "library.db.tags.jsonl"


def test_a_library_goes_with_all_that_was_made_of_it(home, full_home, music):
    before = left(music)
    kinds = [file.what for file in files_of_library(full_home)]
    assert kinds == ["index", "own labels", "half-made library", "written tags", "library"]
    result = invoke(["library", "delete", "--dry-run"])
    for file in files_of_library(full_home):
        assert str(file.path) in result.stdout.replace("\n", "")
    assert "4 songs, 1 saved playlist, 2 rules" in result.stdout
    assert "wrote into 1 song stay there. To take them out, now or later: mirclr tag undo" in result.stdout
    assert full_home.exists()
    said = json.loads(invoke(["library", "delete", "--yes", "--json"]).stdout)
    assert {f["what"] for f in said["deleted"]} == {"index", "own labels", "half-made library", "library"}
    assert said["files_with_written_tags"] == 1
    assert left(home) == MINE | OTHERS | {JOURNAL, "demo/some"}
    assert left(music) == before


def test_everything_goes_but_what_mirclr_did_not_make(home, full_home):
    result = invoke(["library", "delete", "--everything"], input="y\n")
    assert "nothing can take them out" in result.stdout
    assert result.exit_code == 0
    assert left(home) == MINE | {"demo/some"}
    assert invoke(["library", "delete", "--everything"]).exception.__class__ is LibraryNotFound


def test_nothing_goes_without_an_answer(home, full_home):
    before = left(home)
    assert invoke(["library", "delete"], input="n\n").exit_code == 0
    result = invoke(["library", "delete"], input="")
    assert isinstance(result.exception, MirclrError)
    assert "--yes" in str(result.exception)
    assert left(home) == before


@pytest.mark.parametrize("name", ["other.db", "song.mp3", "library", "a-wal"])
def test_what_is_no_library_stays(home, full_home, tmp_path, name):
    other = tmp_path / name
    other.write_text("mine")
    other.with_name(f"{name}.index").write_text("mine too")
    for more in ([], ["--everything"]):
        result = invoke(["library", "delete", "--yes", "--library", other, *more])
        assert "not a library of mirclr's" in str(result.exception)
    assert other.read_text() == "mine"
    assert other.with_name(f"{name}.index").read_text() == "mine too"
    assert full_home.exists()


def test_a_library_of_any_name_is_deleted(home, tmp_path):
    with LibraryStore.open(tmp_path / "mine", create=True):
        pass
    assert invoke(["library", "delete", "--yes", "--library", tmp_path / "mine"]).exit_code == 0
    assert not list(tmp_path.glob("mine*"))


def test_a_library_in_use_stays(home, full_home):
    with LibraryStore.open(full_home):
        result = invoke(["library", "delete", "--yes"])
        assert "has it open" in str(result.exception)
    assert full_home.exists()


def test_a_damaged_library_can_be_deleted(home, full_home):
    data = bytearray(full_home.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    full_home.write_bytes(data)
    assert invoke(["library", "delete", "--yes"]).exit_code == 0
    assert not full_home.exists()


def test_a_link_is_deleted_and_not_what_it_leads_to(home, full_home, tmp_path):
    target = tmp_path / "elsewhere"
    (home / "cache" / "clips").rename(target)
    (home / "cache" / "clips").symlink_to(target, target_is_directory=True)
    assert invoke(["library", "delete", "--everything", "--yes"]).exit_code == 0
    assert left(target) == {"x/some"}


def test_info_names_where_all_lies(home, full_home):
    facts = json.loads(invoke(["library", "info", "--json"]).stdout)
    assert {f["path"] for f in facts["files"]} == {str(f.path) for f in files_of_library(full_home)}
    assert facts["folders"] == {"data": str(home), "caches": str(home / "cache"), "settings": str(home)}
    shown = invoke(["library", "info"]).stdout
    assert f"{full_home} (" in shown
    assert f"{home / 'cache'}" in shown


def test_from_python(home, full_home, music):
    with Library.open() as library:  # the default one
        assert [f.path for f in library.files] == [f.path for f in files_of_library(full_home)]
        assert library.remove(music / "sub") == 2
        assert library.remove([library.tracks()[0], library.tracks()[1].id]) == 2
        with pytest.raises(NoMatch):
            library.remove("Nobody")
        assert library.matching(music / "gone.ogg") == []
        deleted = library.delete()
    assert full_home in [f.path for f in deleted]
    assert {f.what for f in files_of_library(full_home)} == {"written tags"}


def test_removing_a_folder_forgets_what_could_not_be_read_there(library, embedder, music):
    (music / "sub" / "broken.mp3").write_text("not audio at all\n" * 100)
    list(embed_files(library, find_audio([music], library)[0], embedder))
    assert len(library.failures()) == 1
    result = invoke(["library", "remove", music / "sub", "--library", library.path])
    assert "2 songs removed, 1 file that could not be read forgotten" in result.stderr
    assert library.failures() == []
