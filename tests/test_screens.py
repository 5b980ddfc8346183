"""Every command as its users meet it, beside files that read well: tests/screens, which `make screens` writes again.

A file in tests/screens/80 is a walk: lines that begin with ``$`` are typed on a terminal of 80 columns, and what
follows is what it shows. The other folders hold the same walks at 140 columns, piped, and where there is ASCII alone.
To walk on, add a line with ``$`` to a file of tests/screens/80 and run ``make screens``. A line ``# at: 80 piped``
names the folders of a walk that is not in all of them.
"""

import contextlib
import difflib
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import mirclr
from mirclr.library import Description, LibraryStore
from tests import commands
from tests.made_up_music import SONGS, make_music
from tests.screen import LOOKS, Look, displayed, run_line, same, written_by

SCREENS = Path(__file__).parent / "screens"
WALKS = sorted(file.stem for file in (SCREENS / "80").glob("*.txt"))
DECODING = (
    "audio.decoding",
    "data.clips",
    "evaluation.report.measure",
    "ingest.near_duplicates",
    "ingest.storing",
)


def lines_of(walk: str) -> tuple[list[str], list[str]]:
    """The remarks and the typed lines of a walk."""
    text = (SCREENS / "80" / f"{walk}.txt").read_text(encoding="utf-8")
    before, *typed = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
    return [line for line in before.splitlines() if line.startswith("#")], typed[::2]


def looks_of(walk: str) -> list[str]:
    """The looks in which a walk is kept."""
    named = [line.removeprefix("# at: ").split() for line in lines_of(walk)[0] if line.startswith("# at: ")]
    return named[0] if named else list(LOOKS)


@pytest.fixture(scope="module")
def decoding_here() -> Iterator[None]:
    """Decode in this process: those that are started for each command would take longer than all else."""
    with pytest.MonkeyPatch.context() as patch:
        for module in DECODING:
            patch.setattr(f"mirclr.{module}.results_in_order", lambda work, jobs, **_: ((j, work(*j)) for j in jobs))
        yield


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory, decoding_here: None) -> tuple[Path, Path]:
    """Anna's home with her music and a described library, and a copy of it from which it is made new."""
    if sys.getfilesystemencoding() != "utf-8":
        pytest.skip("her artists have names that no file may have here")
    home, kept = (tmp_path_factory.mktemp("screens").resolve() / name for name in ("anna", "as_it_was"))
    make_music(home / "music")
    with pytest.MonkeyPatch.context() as patch:
        live_in(home, patch)
        run_line("mirclr embed music", LOOKS["piped"], patch)
        run_line("mirclr classify predict", LOOKS["piped"], patch)
        with LibraryStore.open(home / ".mirclr" / "library.db") as library:
            library.store_descriptions({t.id: described(t.path) for t in library.tracks()})
    for name, text in FILES.items():
        (home / name).write_text(text, encoding="utf-8")
    shutil.copytree(home, kept)
    return home, kept


def described(path: str) -> Description:
    """A tempo, key and loudness, whatever the machine."""
    number, song = next((n, song) for n, song in enumerate(SONGS) if song.place == path)
    tempo = {"rock": 130.0, "house": 124.0, "folk": 92.0}.get(song.sound, 61.0) + number % 5
    return Description(tempo, ("Am", "C", "F#m", "Eb")[number % 4], 0.8, -14.0 - number % 7)


FILES = {
    "labels.csv": "file,genre,artist\n"
    + "".join(f'music/{s.place},{s.genre},"{s.artist}"\n' for s in SONGS if s.genre and s.sound != "choir"),
    "likes.txt": "+ Night Trains - Road\n+ Velvet Hammer - Loud\n+ Nobody - Unheard\n- Marta - Glow\n",
    "more-likes.txt": "+ Ána Bergström - Snö\n",
    "lastfm.csv": "uts,utc_time,artist,artist_mbid,album,album_mbid,track,track_mbid\n"
    + "".join(
        f'"{1700000000 + i}","14 Nov 2023, 22:13","{artist}","","{album}","","{title}",""\n'
        for i, (artist, album, title) in enumerate(
            [("Night Trains", "Iron", "Rust")] * 3
            + [("Simon & Daughters", "Bridges", "Ferry"), ("Portishead", "Dummy", "Roads")]
        )
    ),
    "tiny.yaml": """name: tiny
data: {train: tracks.jsonl, audio_root: music}
audio: {clip_seconds: 2.0}
encoder: {name: resnet, widths: [4, 8], blocks: [1, 1], dim: 8}
projector: {hidden: 8, dim: 4}
training: {steps: 3, batch: 4, precision: float32, log_every: 1}
validation: null
embedding: {excerpts: 3}
""",
    "typo.yaml": "name: typo\ndata: {train: tracks.jsonl}\nsteps: 100\n",
}


def live_in(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Be Anna: her folder, and her home."""
    home.mkdir(exist_ok=True)
    patch.chdir(home)
    for name in ("HOME", "USERPROFILE"):
        patch.setenv(name, str(home))
    patch.setenv("MIRCLR_HOME", str(home / ".mirclr"))


@pytest.fixture
def anna(furnished: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Anna's home, as it was."""
    home, kept = furnished
    monkeypatch.chdir(kept.parent)  # Windows removes no folder in which a process is
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(kept, home, dirs_exist_ok=True)
    live_in(home, monkeypatch)
    commands.called(names_of(home), monkeypatch)
    return home


def names_of(home: Path) -> dict[str, str]:
    """How folders of this machine are called on the screens."""
    return {str(home): "/home/anna", str(Path(mirclr.__file__).parents[1]): "/opt"}


def walked(walk: str, look: str, home: Path, patch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """The file of a walk as it is now, and its lines of words that are wider than the terminal."""
    remarks, typed = lines_of(walk)
    parts = ["".join(f"{line}\n" for line in remarks)] if remarks else []
    too_wide = []
    for line in typed:
        screen, wide = run_line(line, LOOKS[look], patch, names_of(home))
        too_wide += [] if "--json" in line or "completion" in line else wide
        parts.append(f"$ {line}\n{screen}" if os.sep == "/" else f"$ {line}\n{screen}".replace("\\", "/"))
    # what is copied from the screen stays whole: commands, and the paths of files
    return "\n".join(parts), [line for line in too_wide if not re.search(r"mirclr \w+ |[\\/]", line)]


@pytest.mark.parametrize(("walk", "look"), [(walk, look) for walk in WALKS for look in looks_of(walk)])
def test_screens_are_as_they_were(walk, look, anna, monkeypatch, request):
    file = SCREENS / look / f"{walk}.txt"
    was = file.read_text(encoding="utf-8") if file.exists() else ""
    now, too_wide = walked(walk, look, anna, monkeypatch)
    if not same(was, now) and request.config.getoption("--update-screens"):
        file.parent.mkdir(exist_ok=True)
        file.write_text(now, encoding="utf-8", newline="\n")
        was = now
    assert not too_wide, "these break inside words"
    if same(was, now):
        return
    shown = difflib.unified_diff(was.splitlines(), now.splitlines(), str(file), "now", lineterm="", n=1)
    pytest.fail("\n".join([*shown, "", "read it; if it is meant: make screens"]), pytrace=False)


def test_each_screen_is_of_a_walk():
    """None is left over from a walk that was renamed."""
    kept = {(file.parent.name, file.stem) for file in SCREENS.glob("*/*.txt")}
    assert kept == {(look, walk) for walk in WALKS for look in looks_of(walk)}


def subcommands(command: click.Command, name: str = "mirclr") -> Iterator[str]:
    """The names of all commands that do something."""
    if isinstance(command, click.Group):
        for child in command.list_commands(click.Context(command)):
            yield from subcommands(command.get_command(click.Context(command), child), f"{name} {child}")
    else:
        yield name


NOT_WALKED = {
    "mirclr serve": "ends by Ctrl-C alone",
    "mirclr watch": "ends by Ctrl-C alone",
    "mirclr teacher import": "downloads",
    "mirclr checkpoint export": "needs onnx",
    "mirclr library import": "takes what Ray wrote",
    "mirclr clips shard": "is walked by its own tests",
    "mirclr checkpoint quantize": "needs onnx",
}


def test_every_command_is_walked():
    typed = [line.rpartition(" | ")[2] for walk in WALKS for line in lines_of(walk)[1]]
    names = set(subcommands(commands.group))
    helped = {line.removesuffix(" --help") for line in typed if line.endswith(" --help")}
    assert names <= helped
    done = {name for name in names for line in typed if f"{line} ".startswith(f"{name} ") and "--help" not in line}
    assert names - done == set(NOT_WALKED)


@pytest.mark.parametrize("look", ["piped", "ascii"])
def test_what_is_piped_or_has_ascii_alone_is_plain(look):
    for file in (SCREENS / look).glob("*.txt"):
        screen = file.read_text(encoding="utf-8")
        assert "\x1b" not in screen, file
        if look == "ascii":
            told = [line for line in screen.splitlines() if not line.startswith(("$", "#"))]
            assert not [line for line in told if not line.isascii()], file


def test_colour_is_on_terminals_that_want_it(anna, monkeypatch):
    line = ["recommend", "Road", "-n", "3"]
    plain = {}
    for look in (Look(80), Look(80, no_color=True), Look(terminal=False)):
        written, _ = written_by(line, look, monkeypatch)
        plain[look] = b"".join(data for _, data in written)
        coloured = re.search(rb"\x1b\[[0-9;]*[34]\d(;|m)", plain[look])
        assert bool(coloured) == (look == Look(80)), look
    on_terminals = [displayed(plain[look], look) for look in list(plain)[:2]]
    assert on_terminals[0] == on_terminals[1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pty")
@pytest.mark.parametrize("name", ["80", "140", "ascii"])
def test_a_real_terminal_shows_the_same(name, anna, monkeypatch):
    """Above, commands run in this process, with streams that say they are terminals; here is a process on one."""
    import fcntl
    import pty
    import struct
    import termios

    look = LOOKS[name]
    for variable in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("PYTHONIOENCODING", look.encoding)
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, look.columns, 0, 0))
    line = ["recommend", "Road", "-n", "3"]
    with subprocess.Popen([sys.executable, "-m", "mirclr", *line], stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        data = b""
        with contextlib.suppress(OSError):  # Linux's end of a terminal
            while part := os.read(master, 65536):
                data += part
    os.close(master)
    assert process.returncode == 0
    assert displayed(data, look) == run_line(f"mirclr {shlex.join(line)}", look, monkeypatch).text


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("22 songs ready", "22 songs ready", True),
        ("22 songs ready", "23 songs ready", False),
        ("1  Loud   49 %", "1  Loud    5 %", True),
        ("1  Loud   49 %", "1  Rust   49 %", False),
        ("1  Loud   49 %", "2  Loud   49 %", False),
        ("cosine 0.668", "cosine -0.1", True),
        ("Embedding 2/2 0:00:01", "Embedding 2/2 0:01:00", True),
        ("Embedding 2/2 0:00:01", "Embedding 1/2 0:00:01", False),
        ("a  b", "a b", False),
        ("builtin (8dd3ec75aa05)", "builtin (0123456789ab)", True),
        ("1.2 GB in 3 minutes", "900 MB in 5 minutes", False),
        ("1:02", "1:03", False),
        ("made by mirclr 0.1.0\ncommit 0123\nseed 0\n", "made by mirclr 0.2.0\nseed 0\n", True),
    ],
)
def test_screens_are_compared_but_for_chance(one, other, equal):
    assert same(one, other) == equal


FOR_RESEARCHERS = ("evaluate", "export", "help", "renew", "train")
"""Walks in which the field's own words stand, and scores with three decimals."""
OF_THE_TRADE = (
    "affect",
    "arousal",
    "centres?",
    "components?",
    "cosine",
    "digests?",
    "embedd(ed|ings?)",
    "errno",
    "fail(ed|ures?)",
    "heads?",
    "hubs?",
    "N_10",
    "near-duplicates?",
    "pydantic",
    "quer(y|ies)",
    "seeds?",
    "traceback",
    "tracks?",
    "valence",
    "vectors?",
)
NO_SENTENCE = r"\b1 (?!s\b|is\b|was\b)[a-z]+s\b|-0\.0+\b|\d\.\d{3}\b|\(s\)|\bNone\b|\bnan\b"
"""Plurals of one thing, numbers that nobody writes so, and what Python says of nothing."""


@pytest.mark.parametrize("walk", sorted(set(WALKS) - set(FOR_RESEARCHERS)))
def test_people_are_spoken_to_in_their_words(walk):
    text = (SCREENS / "80" / f"{walk}.txt").read_text(encoding="utf-8")
    _, *typed = re.split(r"^\$ (.*)\n", text, flags=re.MULTILINE)
    for command, screen in zip(typed[::2], typed[1::2], strict=True):
        if any(asked in command for asked in ("--json", "--explain", "--help", "completion", "mirclr help")):
            continue
        plain = re.sub(r"\S*[/\\.]\S*|track:|--\S+|mirclr \w+( \w+)?", "", screen)  # paths, commands, rules
        words = [found[0] for found in re.finditer(rf"\b({'|'.join(OF_THE_TRADE)})\b", plain, re.IGNORECASE)]
        assert not words, command
        assert not re.findall(NO_SENTENCE, screen), command
