"""A person's own settings (config.toml) and the completion of shells."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies

from mirclr import settings as person
from mirclr.cli import mistakes
from mirclr.cli.defaults import settable
from mirclr.errors import SettingsError
from mirclr.library import LibraryStore
from tests.commands import exits, group, invoke

ROOT = Path(__file__).parents[1]


@pytest.fixture
def file(tmp_path, monkeypatch):
    """Where the settings lie."""
    monkeypatch.setenv("MIRCLR_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    assert person.settings_file() == tmp_path / "home" / "config.toml"
    return person.settings_file()


@pytest.fixture
def library(tmp_path):
    path = tmp_path / "music.db"
    with LibraryStore.open(path, create=True) as opened:
        opened.add_blocks(["artist:Some One"])
        opened.save_playlist("late evening", {"query": {"seeds": ["x"]}, "output": None})
    return path


# the file


def test_without_a_file_nothing_is_set(file, capsys):
    assert person.default_library() == file.parent / "library.db"
    code, out, err = exits(capsys, "config")
    assert (code, out) == (0, f"{file} (not there yet: nothing is set)\n")
    assert "mirclr config set" in err


def test_what_is_set_is_shown_and_holds(file, library, capsys):
    assert exits(capsys, "config", "set", "library", library)[0] == 0
    assert person.default_library() == library
    assert exits(capsys, "block", "list") == (0, "artist:Some One\n", "")
    shown = exits(capsys, "config")[1].splitlines()
    assert shown == [str(file), f'library = "{library}"'.replace("\\", "\\\\")]
    other = file.parent / "other.db"
    assert str(other) in exits(capsys, "block", "list", "--library", other)[2]  # what is typed goes before
    assert exits(capsys, "config", "unset", "library")[0] == 0
    assert file.read_text() == ""
    assert person.default_library() == file.parent / "library.db"


def test_a_relative_library_lies_beside_the_file_and_a_tilde_is_home(file, monkeypatch):
    file.write_text('library = "music/mine.db"\n')
    assert person.default_library() == file.parent / "music" / "mine.db"
    monkeypatch.setenv("HOME", str(file.parent / "me"))
    monkeypatch.setenv("USERPROFILE", str(file.parent / "me"))
    file.write_text('library = "~/mine.db"\n')
    assert person.default_library() == file.parent / "me" / "mine.db"


def test_a_path_that_is_set_holds_from_any_folder(file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert exits(capsys, "config", "set", "library", "here.db")[0] == 0
    monkeypatch.chdir(file.parent)
    assert person.default_library() == tmp_path / "here.db"


def given_to(command, *arguments):
    """The values that a command is called with."""
    found = {}
    name, *rest = command.split()
    context = group.make_context("mirclr", [name, *rest, *arguments])
    with context:
        one = group
        args = [name, *rest, *arguments]
        while hasattr(one, "commands") or one is group:
            name, one, args = one.resolve_command(context, args)
            context = one.make_context(name, args, parent=context)
            args = [*context._protected_args, *context.args] if hasattr(context, "_protected_args") else context.args
        found |= context.params
    return found


def test_a_value_of_the_file_is_a_default_and_what_is_typed_goes_before(file):
    file.write_text('device = "cpu"\n[recommend]\nartist-cap = 1\nsame-album = true\n[tag.write]\nthreshold = 0.9\n')
    assert given_to("recommend", "x")["artist_cap"] == 1
    assert given_to("recommend", "x")["same_album"] == "yes"
    assert given_to("recommend", "x", "--artist-cap", "5")["artist_cap"] == 5
    assert given_to("tag write")["threshold"] == 0.9
    assert given_to("embed", "x")["device"] == "cpu"
    assert given_to("embed", "x", "--device", "cuda")["device"] == "cuda"
    file.unlink()
    assert given_to("recommend", "x")["artist_cap"] == 2
    assert given_to("embed", "x")["device"] == "auto"


def test_of_options_that_may_be_given_again_both_count(file):
    file.write_text('[recommend]\nexclude = ["genre:Christmas"]\n[embed]\nexclude = "Podcasts"\n')
    assert given_to("recommend", "x", "--exclude", "artist:A")["exclude"] == ("genre:Christmas", "artist:A")
    assert given_to("embed", "x")["globs"] == ("Podcasts",)
    file.write_text("")
    assert given_to("recommend", "x", "--exclude", "artist:A")["exclude"] == ("artist:A",)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("library = ~/x.db\n", "is not TOML"),
        ('library = "x.db\n', "is not TOML"),
        ("library = 3\n", "library: found 3; expected a path in quotes"),
        ("artist-cap = 3\n", "artist-cap stands at the top"),
        ('librari = "x.db"\n', "librari is nothing that can be set; did you mean library?"),
        ("[recomend]\nartist-cap = 3\n", "[recomend] is no command; did you mean recommend?"),
        ("[recommend]\nartist_cap = 3\n", "artist_cap: nothing that may be set there; did you mean artist-cap?"),
        ("[recommend]\nexplain = true\n", "[recommend] explain: nothing that may be set there"),
        (
            '[recommend]\nartist-cap = "many"\n',
            "[recommend] artist-cap: found 'many'; expected a whole number, 0 or more",
        ),
        ("[recommend]\nartist-cap = -1\n", "[recommend] artist-cap: found '-1'; expected a whole number, 0 or more"),
        ("[recommend]\nartist-cap = 1.5\n", "[recommend] artist-cap: found '1.5'; expected a whole number, 0 or more"),
        ("[recommend]\nartist-cap = [1, 2]\n", "[recommend] artist-cap: found several values; expected one"),
        ("[recommend]\nartist-cap = true\n", "[recommend] artist-cap: found True; expected"),
        ("[recommend]\nartist-cap = 1979-05-27\n", "[recommend] artist-cap: found"),
        ('[recommend]\nsame-album = "perhaps"\n', "[recommend] same-album: found 'perhaps'; expected yes or no"),
        ("[recommend.nonsense]\na = 1\n", "[recommend] nonsense: nothing that may be set there"),
        ("workers = -1\n", "workers: found '-1'; expected a whole number, 0 or more"),
        (b"\xff\xfe", "is not UTF-8"),
    ],
)
def test_a_wrong_file_is_one_line_that_names_it_and_the_place(file, capsys, text, says):
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    for line in (["config"], ["recommend", "x"]):
        code, out, err = exits(capsys, *line)
        assert (code, out) == (1, "")
        assert err.startswith(f"mirclr: {file}: ") or (f"{file}:" in err and "workers" in err)
        assert says in err
        assert err.count("\n") == 1
        if b"workers" in file.read_bytes():
            break  # of recommend it is no option
    assert exits(capsys, "recommend", "--help")[0] == 0
    assert exits(capsys, "--help")[0] == 0


def test_a_file_of_an_editor_that_begins_with_a_mark_is_read(file):
    file.write_bytes(b'\xef\xbb\xbfdevice = "cpu"\r\n')
    assert person.read_settings().everywhere == {"device": "cpu"}


def test_comments_and_order_stay_where_one_value_is_changed(file, capsys):
    file.write_text(
        '# mine\ndevice = "cpu"  # no GPU here\n\n[recommend] # lists\n# few of one artist\nartist-cap = 1\n\n[embed]\n'
    )
    assert exits(capsys, "config", "set", "recommend.artist-cap", "2")[0] == 0
    assert exits(capsys, "config", "set", "recommend.count", "30")[0] == 0
    assert exits(capsys, "config", "set", "workers", "3")[0] == 0
    assert file.read_text() == (
        '# mine\ndevice = "cpu"  # no GPU here\nworkers = 3\n\n[recommend] # lists\n# few of one artist\n'
        "artist-cap = 2\ncount = 30\n\n[embed]\n"
    )


def test_a_file_in_another_form_is_left_alone(file, capsys):
    text = 'recommend = {artist-cap = 1}\n[embed]\nexclude = [\n  "a",\n  "b",\n]\n'
    file.write_text(text)
    for name, value in (("recommend.artist-cap", "2"), ("embed.exclude", "c")):
        code, _, err = exits(capsys, "config", "set", name, value)
        assert code == 1
        assert "change it in a text editor" in err
    assert file.read_text() == text


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_file_that_is_a_link_stays_one(file, tmp_path, capsys):
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "dotfiles" / "mirclr.toml").write_text("")
    file.symlink_to(tmp_path / "dotfiles" / "mirclr.toml")
    assert exits(capsys, "config", "set", "device", "cpu")[0] == 0
    assert file.is_symlink()
    assert (tmp_path / "dotfiles" / "mirclr.toml").read_text() == 'device = "cpu"\n'


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        (["recommend.artist-cap", "many"], "recommend.artist-cap: found 'many'; expected a whole number, 0 or more"),
        (["recommend.artistcap", "1"], "did you mean recommend.artist-cap?"),
        (["count", "1"], "say which: recommend.count or"),
        (["recommend.artist-cap", "1", "2"], "takes one value, not 2"),
        (["recommend.json", "1"], "nothing that can be set"),
        (["recommend.yes", "1"], "nothing that can be set"),
    ],
)
def test_what_cannot_be_set_is_refused_with_what_can(file, capsys, typed, says):
    code, out, err = exits(capsys, "config", "set", *typed)
    assert (code, out) == (2, "")
    assert says in err
    assert not file.exists()


def test_an_option_of_one_command_alone_needs_no_more_than_its_name(file, capsys):
    assert exits(capsys, "config", "set", "port", "9000") == (0, f"set serve.port in {file}\n", "")


names = strategies.sampled_from(["library", "device", "workers"])
sections = strategies.sampled_from([(), ("recommend",), ("embed",), ("tag", "write")])
values = strategies.one_of(
    strategies.integers(-9, 9),
    strategies.text(strategies.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=8),
    strategies.lists(strategies.text("a#[]=\" '\\é", max_size=4), max_size=3),
    strategies.none(),
)


@settings(max_examples=150, deadline=None)
@given(strategies.lists(strategies.tuples(sections, names, values), max_size=8))
def test_any_changes_read_back_as_what_was_set(changes):
    """Oracle: a dictionary that is changed beside the text."""
    text, held = "# begun by hand\n", {}
    for section, name, value in changes:
        text = person.changed(text, section, name, value, Path("config.toml"))
        held.pop((*section, name), None)
        if value is not None:
            held[(*section, name)] = value
    assert text.startswith("# begun by hand\n")
    assert leaves(tomllib.loads(text)) == held


def leaves(values, before=()):
    """The values by their whole paths."""
    found = {}
    for name, value in values.items():
        found |= leaves(value, (*before, name)) if isinstance(value, dict) else {(*before, name): value}
    return found


def test_every_option_that_takes_a_value_may_be_set_and_no_question_be_answered():
    """A file never says yes where a command asks."""
    for path, command in mistakes.walk(group):
        assert not {"yes", "overwrite", "dry-run", "json", "help"} & set(settable(command)), path
    assert {"artist-cap", "exclude", "count"} <= set(settable(dict(mistakes.walk(group))["recommend"]))


def test_settings_error_is_a_value_error():
    assert issubclass(SettingsError, ValueError)


# completion


def completed(*words):
    """What a shell is offered for the last of the words."""
    asked = {"_MIRCLR_COMPLETE": "bash_complete", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = invoke([], env=asked, prog_name="mirclr")
    assert done.exit_code == 0
    return done.stdout.splitlines()


def test_commands_options_and_names_are_completed(library):
    assert completed("mirclr", "rec") == ["plain,recommend"]
    assert completed("mirclr", "playlist", "ref") == ["plain,refresh"]
    assert "plain,--artist-cap" in completed("mirclr", "recommend", "--art")
    assert completed("mirclr", "recommend", "--same-album", "") == ["plain,yes", "plain,no"]
    refresh = ("mirclr", "playlist", "refresh", "--library", str(library))
    assert completed(*refresh, "LATE") == ["plain,late evening"]
    assert completed(*refresh, "nothing") == ["file,nothing"]
    assert completed("mirclr", "recommend", "--library", str(library.parent / "no.db"), "x") == ["file,x"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_for_each_shell(capsys, shell):
    code, out, err = exits(capsys, "completion", shell)
    assert code == 0
    assert f"_MIRCLR_COMPLETE={shell}_complete" in out
    assert err == "to keep it, see: mirclr completion --help\n"
    assert exits(capsys, "completion", shell, "-q") == (0, out, "")


@pytest.mark.skipif(not shutil.which("bash") or sys.platform == "win32", reason="there is no bash")
def test_bash_takes_the_script_and_a_name_of_two_words_stays_one(library, tmp_path, capsys):
    (tmp_path / "mirclr").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m mirclr "$@"\n')
    (tmp_path / "mirclr").chmod(0o755)
    (tmp_path / "script").write_text(exits(capsys, "completion", "bash")[1])
    ask = (
        f"source {tmp_path / 'script'} || exit 9; compopt() {{ :; }}; "
        f"COMP_WORDS=(mirclr playlist refresh --library {library} la); COMP_CWORD=5; "
        '_mirclr_completion mirclr; printf "<%s>" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", ask],
        env=os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "<late evening>"), done.stderr
