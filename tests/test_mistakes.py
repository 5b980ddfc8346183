"""What is typed wrong is answered with what was meant, and with where to read on; and --quiet, --verbose, --debug."""

import click
import pytest

from mirclr.cli import mistakes
from tests.commands import COMMANDS, exits, group


def answer(capsys, *typed):
    code, out, err = exits(capsys, *typed)
    assert (code, out) == (2, "")
    assert "Traceback" not in err
    assert "Error:" not in err  # click's own words
    return err.splitlines()


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["recomend", "x"], "mirclr recommend"),
        (["Recommend"], "mirclr recommend"),
        (["rec"], "mirclr recommend"),
        (["emebd"], "mirclr embed"),
        (["tag-write"], "mirclr tag write"),
        (["write"], "mirclr tag write"),
        (["playlist-refresh"], "mirclr playlist refresh"),
        (["list"], "mirclr library list"),
        (["import"], "mirclr embed"),
        (["undo"], "mirclr tag undo"),
        (["serach"], "mirclr search"),
        (["library", "lst"], "mirclr library list"),
        (["library", "exclude", "ad"], "mirclr library exclude add"),
        (["library", "undo"], "mirclr tag undo"),
        (["classify", "trian", "--labels", "x"], "mirclr classify train"),
    ],
)
def test_the_nearest_command_is_offered(capsys, typed, meant):
    first, *_ = answer(capsys, *typed)
    assert f"did you mean: {meant}" in first


def test_every_command_is_found_by_a_slip_of_its_name(capsys):
    for name in COMMANDS:
        slip = name[0] + name[2] + name[1] + name[3:]  # two letters the other way round
        assert f"mirclr {name}" in answer(capsys, slip)[0]


def test_words_that_are_no_command_may_be_a_folder_a_file_or_music(capsys, tmp_path):
    (tmp_path / "a song.mp3").touch()
    assert f"did you mean: mirclr embed {tmp_path}" in answer(capsys, tmp_path)[0]
    assert f"mirclr recommend '{tmp_path / 'a song.mp3'}'" in answer(capsys, tmp_path / "a song.mp3")[0]
    assert any("mirclr recommend 'Nils Frahm'" in line for line in answer(capsys, "Nils Frahm"))


def test_the_other_words_name_commands_and_options_that_there_are():
    paths = dict(mistakes.walk(group))
    flags = {flag for command in (group, *paths.values()) for flag in mistakes._flags(command)}
    assert set(mistakes.OTHER_WORDS.values()) <= set(paths)
    assert set(mistakes.OTHER_OPTIONS.values()) <= flags
    assert not set(mistakes.OTHER_WORDS) & set(COMMANDS)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["embed", "x", "--libary", "y"], "did you mean --library?"),
        (["embed", "x", "--LIBRARY", "y"], "did you mean --library?"),
        (["embed", "x", "-library", "y"], "no option -library; did you mean --library?"),
        (["embed", "x", "--libary=y"], "no option --libary; did you mean --library?"),
        (["recommend", "x", "--artist_cap", "1"], "did you mean --artist-cap?"),
        (["recommend", "x", "--limit", "1"], "did you mean --count?"),
        (["recommend", "x", "--dry"], "no option --dry"),
        (["embed", "x", "--artist-cap", "1"], "it is one of mirclr recommend"),
        (["export", "-o", "x"], "no option -o; it is one of mirclr recommend"),
        (["--library", "y", "recommend", "x"], "it comes after: mirclr recommend … --library …"),
        (["recommend", "x", "--same-album", "YES"], "--same-album YES: expected yes or no; did you mean yes?"),
        (["recommend", "x", "-n", "0"], "--count 0: expected a whole number, 1 or more"),
        (["recommend", "x", "-n", "many"], "--count many: expected a whole number, 1 or more"),
        (["recommend", "x", "--diversity", "2"], "expected a number, 0 to 1"),
        (["evaluate", "profile", "x", "--fraction", "1"], "expected a number, between 0 and 1"),
        (["recommend", "x", "-o"], "-o needs a value after it"),
        (["recommend", "x", "--json=1"], "--json takes no value"),
        (["recommend", "x", "–count", "3"], "–count begins with another dash; type --count"),
        (["-help"], "no option -help; did you mean --help?"),
        (["-V"], "did you mean --version?"),
        (["embed"], "PATH is missing; for example: mirclr embed"),
        (["playlist", "refresh", "nils", "frahm"], 'a name of several words goes in quotes: "like this"'),
        (["describe", "-q", "-v"], "--quiet and --verbose ask for the opposite"),
    ],
)
def test_an_option_or_value_that_is_wrong_is_answered_with_the_right_one(capsys, typed, meant):
    first, second = answer(capsys, *typed)
    assert meant in first
    assert second.startswith("  see: mirclr")
    assert second.endswith("--help")


def test_a_path_that_is_not_there_is_answered_with_the_one_beside_it(capsys, tmp_path):
    (tmp_path / "My Music").mkdir()
    first, _ = answer(capsys, "manifest", "scan", tmp_path / "My Musik", "-o", "x")
    assert f"there is no such folder; did you mean '{tmp_path / 'My Music'}'?" in first
    first, _ = answer(capsys, "manifest", "scan", tmp_path / "no" / "no", "-o", "x")
    assert first.endswith("there is no such folder")


def test_any_error_about_a_path_that_is_not_there_helps_on(capsys, tmp_path):
    (tmp_path / "My Music").mkdir()
    (tmp_path / "music.db").touch()
    _, _, err = exits(capsys, "embed", tmp_path / "My", "Music")
    assert f"a name with spaces in it goes in quotes: '{tmp_path / 'My Music'}'" in err
    _, _, err = exits(capsys, "library", "info", "--library", tmp_path / "musik.db")
    assert f"did you mean {tmp_path / 'music.db'}?" in err
    _, _, err = exits(capsys, "library", "info", "--library", tmp_path / "quite another")
    assert err.count("\n") == 1


def test_words_that_begin_with_a_long_dash_are_words_all_the_same(capsys, tmp_path):
    code, _, err = exits(capsys, "recommend", "– untitled –", "--library", tmp_path / "none.db")
    assert code == 1
    assert "no such library" in err


def test_devices_and_corpora_are_answered_with_what_was_meant(capsys, tmp_path):
    (tmp_path / "music").mkdir()
    for typed, meant in (("gpu", "did you mean cuda?"), ("metal", "did you mean mps?"), ("x", "expected auto, cpu")):
        code, _, err = exits(capsys, "embed", tmp_path / "music", "--device", typed, "--library", tmp_path / "l.db")
        assert (code, meant in err) == (1, True), err
    assert "did you mean debian-games?" in exits(capsys, "corpus", "fetch", "debian-game")[2]


def test_every_wrong_choice_says_what_there_is_to_choose(capsys):
    """Of all commands, so that none speaks in click's words."""
    choices = [
        (path, command, option)
        for path, command in mistakes.walk(group)
        for option in command.params
        if isinstance(option, click.Option) and isinstance(option.type, click.Choice)
    ]
    assert choices
    for path, command, option in choices:
        needed = ["x"] * sum(isinstance(p, click.Argument) and p.required for p in command.params)
        first, *_ = answer(capsys, *path.split(), *needed, option.opts[-1], "nonsense")
        assert all(str(choice) in first for choice in option.type.choices), path


# how much is said


def test_quiet_leaves_out_remarks_and_never_errors(capsys, tmp_path):
    library = tmp_path / "lib.db"
    code, out, err = exits(capsys, "library", "info", "--quiet", "--library", library)
    assert (code, out) == (1, "")
    assert err.startswith(f"mirclr: {library}: no such library")


@pytest.mark.parametrize("place", [0, 1, 2])
def test_verbose_may_stand_anywhere_and_says_how_long_it_took(capsys, place):
    line = ["clips", "info"]
    line.insert(place, "-v")
    code, out, err = exits(capsys, *line)
    assert (code, out.count("\n")) == (0, 1)
    assert err.startswith("took ")
    assert exits(capsys, "clips", "info") == (0, out, "")  # the next command knows nothing of it


def test_all_commands_have_the_options_that_hold_everywhere():
    shared = {"quiet", "verbose", "debug"}
    assert shared <= {p.name for p in group.params}
    for path, command in mistakes.walk(group):
        assert shared <= {p.name for p in command.params}, path
