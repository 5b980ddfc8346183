"""What reaches the terminal: in any encoding, of any name, whoever reads it."""

import ast
import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from mirclr import cli
from mirclr.audio import NotRead, what_is_wrong
from mirclr.cli import main, show
from mirclr.errors import LibraryError, MirclrError, in_words, is_fault_of_machine
from mirclr.terminal import one_line, shown

HOSTILE = "x\x1b]0;owned\x07\x1b[2J\x9b2J\ny\r42 embedded\u202egpj.\u2066\u200b\u2028\x00\x7f\udcff"
"""What steers terminals, begins lines, turns the direction of writing, cannot be seen, or is no UTF-8."""


def bad_signs(text, allowed="\n"):
    return {c for c in text if c not in allowed and shown(c) != c}


@pytest.fixture
def stream(monkeypatch):
    """Standard output and error of an encoding, as bytes."""

    def of(encoding):
        both = []
        for name in ("stdout", "stderr"):
            raw = io.BytesIO()
            monkeypatch.setattr(sys, name, io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="\n"))
            both.append(raw)
        return both

    return of


def speaking(monkeypatch, speak):
    """Run ``mirclr clips``, which does this."""

    @click.command()
    def command():
        speak()

    monkeypatch.setattr("mirclr.cli.clips.command", command)
    with pytest.raises(SystemExit) as stopped:
        main(["clips"])
    return stopped.value.code


# what may be shown


@pytest.mark.parametrize(
    "text",
    [
        "Sigur Rós – Ágætis",
        "ドリーム\u3000ポップ",
        "de\u00a0l'âme",
        "می\u200cخواهم",
        "👩\u200d🎤 live",
        "क्\u200dष",
        "",
        " a  b ",
    ],
)
def test_what_people_write_stays(text):
    assert shown(text) == text


def test_what_steers_a_terminal_is_replaced():
    assert len(shown(HOSTILE)) == len(HOSTILE)
    assert not bad_signs(shown(HOSTILE), "")
    assert shown("a\u200cb\u200d") == "a�b�"
    assert one_line("a\r\n  b\nc\x1b\n") == "a b c�"


@pytest.mark.parametrize("place", ["line", "remark", "table", "title", "column", "note", "error", "usage"])
def test_no_door_lets_a_name_steer_the_terminal(place, capsys, monkeypatch):
    def speak():
        if place == "line":
            show.print_line("1", HOSTILE)
        elif place == "remark":
            show.remark(f"skipped {HOSTILE}")
        elif place in ("table", "title", "column"):
            text = {"table": 60 * "a", "title": "b", "column": "c"} | {place: HOSTILE}
            show.print_table((text["column"], "n"), [(text["table"], 1)], title=text["title"])
        elif place == "note":
            monkeypatch.setattr(show, "_LINE_EVERY_S", 0)
            with show.progress("Doing", 1) as advance:
                advance(note=HOSTILE)
        elif place == "error":
            raise LibraryError(HOSTILE)
        else:
            raise click.UsageError(HOSTILE)

    code = speaking(monkeypatch, speak)
    assert code == {"error": 1, "usage": 2}.get(place, 0)
    out, err = capsys.readouterr()
    assert "owned" in out + err
    assert not bad_signs(out + err, "\n\t")
    assert not [line for line in (out + err).splitlines() if line.startswith(("y", "42"))] or place == "usage"


def test_a_title_is_no_markup(capsys):
    show.print_table(("[b]",), [(20 * "[/x]",)], title="near [/foo]")
    out = capsys.readouterr().out
    assert "near [/foo]" in out
    assert "[/x]" in out


def test_commands_print_through_one_door():
    for file in Path(cli.__file__).parent.glob("*.py"):
        if file.stem == "show":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in ("print", "click.echo", "click.secho", "sys.stdout.write", "sys.stderr.write"), (
                    file
                )


# encodings


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "latin-1", "ascii", "cp437", "utf-16"])
def test_any_encoding_takes_what_is_printed(encoding, stream, monkeypatch):
    out, err = stream(encoding)
    text = "ドリーム – né 👩\u200d🎤 \udcff"

    def speak():
        show.print_table(("what", "n"), [(text, 1.5)], title=text)
        show.print_line(text)
        show.remark(text)
        raise LibraryError(text)

    assert speaking(monkeypatch, speak) == 1
    told, errors = out.getvalue().decode(encoding), err.getvalue().decode(encoding)
    assert told.count("n") >= 4
    assert errors.splitlines()[1].startswith("mirclr: ")
    assert "1.500" in told


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii"])
def test_json_is_valid_in_any_encoding(encoding, stream, monkeypatch):
    value = {"é": ["ドリーム", "👩\u200d🎤", HOSTILE, os.fsdecode(b"bad\xff\xfe.mp3")]}
    out, _ = stream(encoding)
    assert speaking(monkeypatch, lambda: show.print_json(value)) == 0
    told = out.getvalue().decode(encoding)
    assert not bad_signs(told)
    assert ("ドリーム" in told) == (encoding == "utf-8")
    assert json.loads(told) == value


def test_json_names_a_file_byte_for_byte(stream, monkeypatch):
    out, _ = stream("utf-8")
    speaking(monkeypatch, lambda: show.print_json("bad\udcff.mp3"))
    assert out.getvalue() == b'"bad\\udcff.mp3"\n'


@pytest.mark.parametrize("arguments", [["--help"], ["embed", "--help"], ["nonsense"], ["corpus", "list"]])
def test_a_locale_without_utf8_ends_no_command(arguments):
    environment = dict(os.environ, PYTHONIOENCODING="ascii:strict", PYTHONUTF8="0")
    done = subprocess.run([sys.executable, "-m", "mirclr", *arguments], capture_output=True, env=environment)
    assert done.returncode == (2 if arguments == ["nonsense"] else 0)
    assert b"Traceback" not in done.stderr


# readers that leave, disks that are full


class Refusing(io.StringIO):
    """A stream that can be written to no more."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def write(self, text):
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(("number", "system"), [(errno.EPIPE, "posix"), (errno.EPIPE, "nt"), (errno.EINVAL, "nt")])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_reader_that_left_ends_a_command_quietly(number, system, name, monkeypatch, capsys):
    monkeypatch.setattr(sys, name, Refusing(number))
    monkeypatch.setattr("mirclr.cli.streams.os", SimpleNamespace(**{**vars(os), "name": system}))
    done = []

    def speak():
        (show.print_line if name == "stdout" else show.remark)("a")
        done.append("more")

    try:
        assert speaking(monkeypatch, speak) == 0
    finally:
        monkeypatch.setattr("mirclr.cli.streams.os.name", os.name)
    assert not done
    assert capsys.readouterr() == ("", "")


def test_output_to_a_full_disk_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", Refusing(errno.ENOSPC))
    assert speaking(monkeypatch, lambda: show.print_json([1])) == 1
    assert capsys.readouterr().err == "mirclr: standard output: no space is left on the disk\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_process_whose_output_is_full_ends_with_one_line():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-m", "mirclr", "corpus", "list"], stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"mirclr: standard output: no space is left on the disk\n")


# errors in words


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "a b"), "a b: no such file or directory"),
        (OSError(errno.EIO, "Input/output error"), "the disk failed (input/output error); check it and its cable"),
        (OSError("plain"), "plain"),
        (MirclrError("ours"), "ours"),
        (ValueError(), "ValueError"),
        (MemoryError("Unable to allocate 5.9 GiB"), "not enough memory (Unable to allocate 5.9 GiB)"),
    ],
)
def test_errors_are_told_in_words(error, words):
    assert in_words(error).startswith(words)
    assert "Errno" not in in_words(error)


def test_faults_of_the_machine_are_known():
    for number in (errno.ENOSPC, errno.EIO, errno.EROFS, errno.ENOMEM, errno.EMFILE):
        assert is_fault_of_machine(OSError(number, "x"))
    assert is_fault_of_machine(MemoryError())
    assert is_fault_of_machine(RuntimeError("CUDA out of memory. Tried to allocate 20 MiB"))
    for error in (OSError(errno.ENOENT, "x"), OSError("x"), ValueError("out of memory"), LibraryError("out of memory")):
        assert not is_fault_of_machine(error)


def test_of_music_a_failing_disk_is_said_of_the_file():
    file, bad = Path("a.ogg"), OSError(errno.EIO, "Input/output error")
    assert not is_fault_of_machine(bad, music=True)
    assert what_is_wrong(file, bad).startswith("a.ogg: cannot be read (the disk failed (input/output error)")
    assert isinstance(what_is_wrong(file, bad), NotRead)
    assert not isinstance(what_is_wrong(file, ValueError("odd")), NotRead)
    for number in (errno.ENOSPC, errno.EROFS, errno.EMFILE, errno.ENFILE):
        with pytest.raises(OSError, match="x") as raised:
            what_is_wrong(file, OSError(number, "x"))
        assert raised.value.errno == number
    for error in (OSError(errno.ENOMEM, "x"), MemoryError(), RuntimeError("can't allocate memory")):
        with pytest.raises(MemoryError):
            what_is_wrong(file, error)


# what libraries say to programmers


def test_warnings_of_libraries_stay_off_the_terminal(tmp_path):
    """Also in processes that are started."""
    (tmp_path / "noisy.py").write_text(
        "import logging, subprocess, sys, warnings\nimport click\n"
        "def noise():\n    warnings.warn('empty frequency set')\n    logging.getLogger('libav').warning('overread')\n"
        "@click.command()\ndef command():\n    noise()\n"
        "    subprocess.run([sys.executable, '-c', 'import warnings; warnings.warn(\"again\")'])\n"
    )
    code = (
        "import sys, mirclr.cli.clips, noisy\nfrom mirclr.cli import main\nmirclr.cli.clips.command = noisy.command\n"
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), *sys.path]))
    for words, quiet in ((["clips"], True), (["clips", "--debug"], False)):
        run = f"{code}sys.argv = ['mirclr', *{words!r}]\nmain()"
        done = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        assert (done.stderr == "") == quiet


# every command that prints JSON, of a file whose name is no UTF-8


@pytest.fixture
def odd(tmp_path, songs, in_this_process):
    """A library of tracks and of a failure with such names, and these names as bytes."""
    root = tmp_path / "music"
    root.mkdir()
    tracks = [os.fsdecode(name) for name in (b"a\xff.ogg", b"b\xfe\x1b.ogg", b"c.ogg")]
    broken = os.fsdecode(b"d\xfd.ogg")
    try:
        for song, name in zip(songs, tracks, strict=False):
            (root / name).write_bytes(song.read_bytes())
        (root / broken).write_bytes(b"no music")
    except OSError:
        pytest.skip("the names of files are UTF-8 here")
    return root, tracks, broken, ["--library", str(tmp_path / "lib.db")]


def test_json_of_every_command_names_files_that_are_no_utf8(odd, checkpoint, stream, monkeypatch):
    root, tracks, broken, library = odd

    def told(*line, code=0):
        out, _ = stream("utf-8")
        with pytest.raises(SystemExit) as stopped:
            main([*line, "--json"])
        assert stopped.value.code == code
        text = out.getvalue().decode()
        assert not bad_signs(text)
        return json.loads(text)

    failures = told("embed", str(root), "--checkpoint", str(checkpoint), *library)["failures"]
    assert [entry["file"] for entry in failures] == [str(root / broken)]
    files = {str(root / name) for name in tracks}
    assert {row["file"] for row in told("library", "list", *library)} == files
    assert told("library", "info", "--failures", *library)["failures"][0]["file"] == str(root / broken)
    assert told("sync", "--retry", *library)["failures"][0]["file"] == str(root / broken)
    found = told("recommend", str(root / tracks[2]), "--artist-cap", "0", *library)["recommendations"]
    assert {row["file"] for row in found} <= files - {str(root / tracks[2])}
    assert told("evaluate", "library", "--robustness", "0", *library)["broken"][0]["file"] == str(root / broken)
    (root / tracks[1]).unlink()
    assert told("sync", "--dry-run", *library)["changes"][0]["file"] == str(root / tracks[1])
    assert told("library", "verify", *library, code=1)["problems"]
