import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import mirclr
from mirclr import cli
from mirclr.cli import COMMANDS, group, main, options, show
from mirclr.errors import CheckpointError, MirclrError
from mirclr.recommend import Query


def run(capsys, *arguments):
    """The command line as a process sees it: exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    out, err = capsys.readouterr()
    return stopped.value.code, out, err


def commands(command, name="mirclr"):
    """A command and all below it, by their names."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for child in command.list_commands(context):
            yield from commands(command.get_command(context, child), f"{name} {child}")


ALL = dict(commands(group))


def raising(error):
    """A command line whose `clips info` meets an error."""

    @click.command()
    def command():
        raise error

    return command


# what is there


def test_every_file_with_a_command_is_one_and_every_command_has_a_file():
    files = Path(cli.__file__).parent.glob("*.py")
    assert {f.stem for f in files if re.search(r"^def command\(", f.read_text("utf-8"), re.MULTILINE)} == set(COMMANDS)


def test_the_command_line_is_imported_by_its_own_tests_alone():
    """Also in the code that tests give to other processes, which no linter of imports reads."""
    root = Path(cli.__file__).parents[2]
    own = {
        root / "mirclr" / "__main__.py",
        *(root / "tests" / f"test_{n}.py" for n in ("cli", "config_file", "mistakes", "output", "show")),
        root / "tests" / "commands.py",
    }
    own |= set((root / "mirclr" / "cli").glob("*.py"))
    files = {file for folder in ("mirclr", "recipes", "tests") for file in (root / folder).rglob("*.py")}
    assert own <= files
    found = {file for file in files if re.search(r"mirclr\.cli\b|mirclr import .*\bcli\b", file.read_text("utf-8"))}
    assert found <= own, found - own


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_list_says_what_the_commands_say(name):
    command = importlib.import_module(f"mirclr.cli.{name}").command
    assert command.help.splitlines()[0] == COMMANDS[name]


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_command_has_a_help_with_an_example(name):
    command = ALL[name]
    assert command.help
    assert command.help[0].isupper()
    assert command.help.split("\n\n")[0].rstrip().endswith(".")
    # an example names the command itself, or for a group one of its subcommands
    assert command.epilog.startswith(f"Example: {name}"), command.epilog
    words = name.split()[1:]
    result = CliRunner().invoke(group, [*words, "--help"])
    assert result.exit_code == 0
    assert "Example: mirclr" in result.output
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts}"


@pytest.mark.parametrize("name", sorted(ALL))
def test_every_parameter_reaches_its_function(name):
    """An option without a parameter of the function, or the other way round, is found before a user finds it."""
    command = ALL[name]
    wrapped = command.callback
    code = getattr(wrapped, "__wrapped__", wrapped).__code__
    taken = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    given = {p.name for p in command.params if p.expose_value}
    if code.co_flags & inspect.CO_VARKEYWORDS:  # the rest are a query's
        assert given - taken <= {f.name for f in fields(Query)}
        assert taken <= given
    elif not taken & {"ctx", "context"}:
        assert given == taken


def test_the_help_lists_the_commands():
    output = CliRunner().invoke(group, ["--help"]).output
    for name, line in COMMANDS.items():
        assert f"  {name}" in output
        assert line.split()[0] in output


def test_every_command_is_in_one_section_of_the_help():
    assert sorted(name for names in cli.SECTIONS.values() for name in names) == sorted(COMMANDS)


FOR_PEOPLE = [name for section in ("Start here", "Your library") for name in cli.SECTIONS[section]]
UNHEARD_OF = r"(?i)\b(seeds?|heads?|affect|tracks?|vectors?|embeddings?|cosine|decod\w*|centres?|near-dup\w*)\b(?!:)"


RESEARCH = {"mirclr evaluate"} | {
    f"mirclr evaluate {name}" for name in ("retrieval", "probe", "labels-curve", "profile")
}


@pytest.mark.parametrize(
    "name", [n for n in sorted(set(ALL) - RESEARCH) if n != "mirclr" and n.split()[1] in FOR_PEOPLE]
)
def test_the_help_of_what_people_use_has_no_word_that_they_have_not_heard(name):
    """A reader who knows music, and nothing of how it is compared."""
    text = ALL[name].get_help(click.Context(ALL[name], info_name=name))
    text = re.sub(r"--[\w-]+|`[^`]*`|[\w.]*\.\w+", "", text)  # names of options, commands and files
    assert not re.findall(UNHEARD_OF, text)


def test_no_line_of_the_lists_of_commands_is_cut_off(capsys):
    for name, command in ALL.items():
        if isinstance(command, click.Group) and name != "mirclr":
            _, out, _ = run(capsys, *name.split()[1:], "--help")
            listed = re.sub(r"\s", "", out.partition("Commands:")[2])
            first = [child.help.partition("\n\n")[0] for child in command.commands.values() if not child.hidden]
            assert not [line for line in first if re.sub(r"\s", "", line) not in listed]


def test_options_below_titles_are_all_there():
    command = ALL["mirclr recommend"]
    text = command.get_help(click.Context(command))
    assert [
        name for names in command.sections.values() for name in names if name not in {p.name for p in command.params}
    ] == []
    for param in command.params:
        if isinstance(param, click.Option) and not param.hidden:
            assert text.count(f"{param.opts[-1]} ") >= 1, param.name


def test_help_may_be_asked_for_in_words(capsys):
    assert run(capsys, "help") == run(capsys, "--help")
    assert run(capsys, "help", "tag", "write") == run(capsys, "tag", "write", "--help")


def test_the_version(capsys):
    assert run(capsys, "--version") == (0, f"mirclr {mirclr.__version__}\n", "")


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom mirclr.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as stopped:\n    assert not stopped.code\n"
        "print(*sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"torch", "torchaudio", "pydantic", "sklearn", "librosa", "faiss", "numpy", "yaml", "rich", "mutagen"}
    assert "Start here:" in done.stdout
    assert not heavy & set(done.stderr.split())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_is_cheap_to_import(name):
    """Its own help, and wrong usage, are told without waiting for torch. One process checks them all."""
    loaded = imports_of_commands()
    assert not {"torch", "sklearn", "librosa", "faiss", "pydantic"} & loaded[name]


def imports_of_commands(found={}):  # noqa: B006  (the processes' answer is kept)
    if not found:
        code = (
            "import sys, json, importlib\nfrom mirclr.cli import COMMANDS\nfound = {}\n"
            "for name in COMMANDS:\n    importlib.import_module(f'mirclr.cli.{name}')\n"
            "    found[name] = sorted({m.split('.')[0] for m in sys.modules})\nprint(json.dumps(found))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        found.update({name: set(modules) for name, modules in json.loads(done.stdout).items()})
    return found


# one spelling of an option for one thing

FORMER = [
    ("classify predict", "--picture", "--plot", "x.png"),
    ("classify train", "--abstain", "--threshold", "0.5"),
    ("duplicates", "--min", "--threshold", "0.9"),
    ("tag write", "--likely", "--threshold", "0.9"),
    ("evaluate profile", "--share", "--fraction", "0.5"),
    ("corpus fetch", "--to", "--output", "x"),
]


@pytest.mark.parametrize(("name", "old", "new", "value"), FORMER)
@pytest.mark.parametrize("form", ["apart", "joined"])
def test_options_go_by_their_old_names_too_and_the_new_one_is_given(capsys, name, old, new, value, form):
    command = ALL[f"mirclr {name}"]
    arguments = ["x"] * sum(isinstance(p, click.Argument) for p in command.params)
    if name == "classify train":
        arguments += ["--labels", __file__]

    def parsed(option):
        given = [option, value] if form == "apart" else [f"{option}={value}"]
        return command.make_context(name, [*arguments, *given]).params

    assert parsed(old) == parsed(new)
    assert capsys.readouterr().err == f"mirclr: {old} is now called {new}\n"
    assert old not in command.get_help(click.Context(command))
    assert any(new in p.opts for p in command.params)


def test_subcommands_go_by_their_old_names_too(capsys):
    group = ALL["mirclr manifest"]
    name, command, _ = group.resolve_command(group.make_context("manifest", ["twins"]), ["twins", "--help"])
    assert (name, command) == ("duplicates", ALL["mirclr manifest duplicates"])
    assert capsys.readouterr().err == "mirclr: twins is now called duplicates\n"


def shown_options():
    for name, command in ALL.items():
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                yield name, option


def test_an_option_of_several_commands_is_of_one_kind():
    """The same flag takes the same kind of value everywhere; what many share is one definition."""
    kinds, helps = {}, {}
    for name, option in shown_options():
        for flag in option.opts:
            kind = type(option.type).__name__
            kinds.setdefault(flag, {}).setdefault((kind, option.is_flag), []).append(name)
            helps.setdefault(flag, set()).add(option.help)
    # globs, or rules of a query; classify predict has none where files are named; clips shard writes to URLs too
    several = {"--exclude", "--library", "-o", "--output"}
    assert not {flag: found for flag, found in kinds.items() if len(found) > 1 and flag not in several}
    for flag in ("--workers", "--device", "--set"):
        assert len(helps[flag]) == 1, flag


def test_one_thing_has_one_spelling():
    flags = {frozenset(option.opts) for _, option in shown_options()}
    assert frozenset({"-n", "--count"}) in flags
    assert frozenset({"-o", "--output"}) in flags
    single = [flag for names in flags for flag in names if not flag.startswith("--")]
    assert sorted(set(single)) == ["-n", "-o", "-q", "-v"]  # a short form belongs to one long one
    assert not {old for _, old, _, _ in FORMER if old != "--to"} & {flag for names in flags for flag in names}
    assert not [name for name, option in shown_options() if "--to" in option.opts and name != "mirclr recommend"]


# how it ends


@pytest.mark.parametrize(
    "arguments",
    [("nonsense",), ("clips", "nonsense"), ("train",), ("train", "--nonsense"), ("--nonsense",), ("embed",)],
)
def test_wrong_usage(capsys, arguments):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    first, *more = err.splitlines()
    assert re.match(r"mirclr( \w+)*: ", first)
    assert any("mirclr" in line and "--help" in line for line in more) or "mirclr clips has: " in err
    assert "Traceback" not in err


def test_help_without_arguments(capsys):
    code, out, err = run(capsys)
    assert code == 2
    assert "Start here:" in out + err


def test_an_error_of_ours_is_one_line(capsys, tmp_path):
    code, out, err = run(capsys, "library", "info", "--library", str(tmp_path / "no.db"))
    assert (code, out) == (1, "")
    assert err.startswith(f"mirclr: {tmp_path / 'no.db'}: no such library")
    assert err.count("\n") == 1


@pytest.mark.parametrize("place", [0, 1, 2])
def test_debug_raises_wherever_it_stands(tmp_path, place):
    line = ["library", "info", "--library", str(tmp_path / "no.db")]
    line.insert(place, "--debug")
    with pytest.raises(MirclrError):
        main(line)


def test_debug_after_two_dashes_is_an_argument(capsys):
    code, _, err = run(capsys, "train", "-o", "run", "--", "--debug")
    assert code == 1
    assert err.startswith("mirclr: --debug: there is no such file")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (CheckpointError("a: b"), 1, "mirclr: a: b\n"),
        (PermissionError(13, "Permission denied", "a"), 1, "mirclr: a: permission denied\n"),
        (OSError(28, "No space left on device", b"a"), 1, "mirclr: a: no space is left on the disk\n"),
        (MemoryError(), 1, "mirclr: not enough memory\n"),
        (RuntimeError("[enforce fail] can't allocate memory: 9 bytes\n"), 1, None),
        (KeyboardInterrupt(), 130, "mirclr: interrupted; what was done is kept\n"),
        (click.Abort(), 130, "mirclr: interrupted; what was done is kept\n"),
        (click.UsageError("so not"), 2, None),
        (click.UsageError("so not\x1b[2J"), 2, None),
    ],
)
def test_exit_codes(capsys, monkeypatch, error, code, line):
    monkeypatch.setattr("mirclr.cli.clips.command", raising(error))
    stopped_with, out, err = run(capsys, "clips")
    assert (stopped_with, out) == (code, "")
    if line:
        assert err.lstrip("\n") == line  # click ends the line that shows ^C
    else:
        assert "so not" in err if code == 2 else err.startswith("mirclr: not enough memory ([enforce fail]")
        assert "\x1b" not in err


def test_an_error_that_is_not_ours_is_not_hidden(monkeypatch):
    monkeypatch.setattr("mirclr.cli.clips.command", raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        main(["clips"])


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals on Windows")
def test_an_interrupt_at_any_place_ends_with_130(tmp_path):
    """``python -m`` ends by the signal itself where it came while code was run from text, even if it was caught."""
    (tmp_path / "interrupted.py").write_text("""
import sys
from mirclr import cli
def interrupted(*_, **__):
    exec("raise KeyboardInterrupt")
cli.group.main = interrupted
cli.main()
""")
    line = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr.strip() == "mirclr: interrupted; what was done is kept"


@pytest.mark.parametrize("raised", ["RecursionError('half imported')", "ImportError('numpy is half imported')"])
def test_an_interrupt_that_a_library_makes_another_error_of_is_one(tmp_path, raised):
    (tmp_path / "interrupted.py").write_text(f"""
import signal
from mirclr import cli
def interrupted(*_, **__):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise {raised}
signal.signal(signal.SIGINT, signal.default_int_handler)
cli.group.main = interrupted
cli.main()
""")
    done = subprocess.run(
        [sys.executable, "interrupted.py"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(cli.__file__).parents[2])},
    )
    assert (done.returncode, done.stderr) == (130, "mirclr: interrupted; what was done is kept\n")


def test_an_interrupt_while_the_command_line_is_imported_ends_with_130(tmp_path):
    (tmp_path / "click.py").write_text("raise KeyboardInterrupt")
    root = str(Path(cli.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-m", "mirclr", "--help"],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), root])},
    )
    assert (done.returncode, done.stderr) == (130, "mirclr: interrupted; what was done is kept\n")


def test_a_reader_that_leaves_is_told_nothing():
    code = "from mirclr.cli import main\nmain(['corpus', 'list'])"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert err == b""
    assert process.wait() == 0


def test_a_table_is_printed_where_standard_output_is_closed(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    show.print_table(("a",), [(1,)])


def test_an_empty_path_is_wrong_usage(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for line in (["embed", ""], ["sync", ""], ["recommend", "x", "--library", ""]):
        assert CliRunner().invoke(group, line).exit_code == 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        ["train", "RECIPE", "-o", "OUT"],
        ["train", "RECIPE", "-o", "OUT", "--set", "training.lr"],
        ["embed", "MUSIC", "--checkpoint", "RECIPE", "--library", "LIB"],
        ["library", "list", "--library", "RECIPE"],
        ["recommend", "x", "--library", "LIB"],
        ["export", "--library", "LIB", "--csv", "OUT"],
        ["corpus", "fetch", "nonsense"],
    ],
)
def test_what_cannot_be_done_is_one_line(capsys, tmp_path, line):
    (tmp_path / "RECIPE").write_text("name: x\nnonsense: 1\n")
    (tmp_path / "MUSIC").mkdir()
    places = ("RECIPE", "MUSIC", "LIB", "OUT")
    code, _, err = run(capsys, *(str(tmp_path / word) if word in places else word for word in line))
    assert code == (2 if "--set" in line else 1)  # what is typed wrong is wrong usage
    assert err.startswith("mirclr: ")
    assert err.count("\n") == 1
    assert not (tmp_path / "OUT").exists()


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999", "NaN"])
def test_no_option_takes_what_is_no_number(number):
    lines = (
        ["recommend", "x", "--diversity", number],
        ["recommend", "x", "--bpm", f"{number}.."],
        ["evaluate", "profile", "x", "--fraction", number],
        ["evaluate", "labels-curve", "--library", "x", "--labels", __file__, "--fractions", number],
        ["evaluate", "labels-curve", "--library", "x", "--labels", __file__, "--shares", number],
    )
    for line in lines:
        done = CliRunner().invoke(group, line)
        assert done.exit_code == 2
        assert "No such option" not in done.output


def all_options(command):
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from all_options(command.get_command(context, name))
    yield from command.params


def test_every_number_on_the_command_line_is_a_finite_one():
    """One type takes them all, so that no option can forget."""
    numbers = [p.type for p in all_options(group) if isinstance(p.type, click.FloatRange | click.types.FloatParamType)]
    assert len(numbers) > 5
    assert all(isinstance(kind, options.Number) for kind in numbers)


def test_every_path_on_the_command_line_knows_the_home_folder():
    paths = [p.type for p in all_options(group) if isinstance(p.type, click.Path)]
    assert len(paths) > 50
    assert all(isinstance(kind, options.HomePath) for kind in paths)


# how it speaks


def test_json_keeps_unicode_and_refuses_nan(capsys):
    show.print_json({"a": "é", "b": [1.5, None]})
    assert json.loads(capsys.readouterr().out) == {"a": "é", "b": [1.5, None]}
    show.print_json("é")
    assert capsys.readouterr().out == '"é"\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        show.print_json(float("nan"))


def test_the_home_folder_is_understood_where_no_shell_expands_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "empty").mkdir()
    result = CliRunner().invoke(group, ["demo", "--music", "~/empty"])
    assert "found no songs" in str(result.exception)
