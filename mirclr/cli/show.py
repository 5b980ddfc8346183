"""How commands print: songs, tables and JSON on standard output, progress and remarks on standard error.

What is printed goes through here, so that names and tags cannot steer a terminal, an encoding that lacks their letters
ends no command, and a reader that leaves (``mirclr … | head``) ends one quietly. On a terminal songs and tables are
laid out in its width; into a file or another program the same go as lines with tabs between the cells.
"""

import json
import os
import re
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol

import mirclr.cli.streams  # noqa: F401  (how texts are written in ASCII)
from mirclr.pace import Pace
from mirclr.terminal import clock, number, one_line, percents, shown

if TYPE_CHECKING:
    from rich.console import Console

_COLOURED = 2000  # songs of which each line has colours, which take their time
_WIDE = 110  # columns from which on there is room for albums
_GAP = 2
_LONGEST_WHY = 30
_SHORTEST_NAME = 24  # for which words, and then lengths, make room
_LINE_EVERY_S = 15.0


class Advance(Protocol):
    """Moves a progress display on by `steps`, with a word on the present state."""

    def __call__(self, steps: int = 1, note: str = "") -> None:
        """Advance by `steps`."""


def print_line(*cells: str) -> None:
    """Print one line to standard output, with tabs between the cells; a single one as a sentence."""
    if len(cells) == 1:
        _write_sentence(sys.stdout, shown(cells[0]))
    else:
        _write(sys.stdout, "\t".join(map(shown, cells)))


def print_sentence(text: str) -> None:
    """Print a sentence to standard output; on a terminal it is broken between words."""
    _write_sentence(sys.stdout, text)


class _Level:
    """How much is printed; set by `speak`."""

    quiet = False
    verbose = False


def speak(*, quiet: bool = False, verbose: bool = False) -> None:
    """Say less from now on (no progress, no remarks), or more (details): ``--quiet`` and ``--verbose``."""
    _Level.quiet, _Level.verbose = quiet, verbose


def loudness() -> Literal["quiet", "usual", "verbose"]:
    """How much is to be said, for what says it in another way than by lines of a command."""
    return "quiet" if _Level.quiet else "verbose" if _Level.verbose else "usual"


def remark(text: str) -> None:
    """Print a line for the person at the terminal, on standard error; nothing under ``--quiet``."""
    if not _Level.quiet:
        complain(text)


def detail(text: str) -> None:
    """Print a line on standard error for who asks for more, by ``--verbose``."""
    if _Level.verbose:
        complain(text)


def complain(text: str) -> None:
    """Print a line on standard error in any case: what could not be done, and what to do."""
    _write_sentence(sys.stderr, text)


def closing(text: str) -> None:
    """Print a line on standard output that says what a command has done; nothing under ``--quiet``."""
    if not _Level.quiet:
        _write_sentence(sys.stdout, text)


def _write_sentence(stream: IO[str] | None, text: str) -> None:
    """Write a sentence in a line; on a terminal in several where it has no room, broken between words."""
    text = one_line(text)
    room = shutil.get_terminal_size().columns if is_terminal(stream) else 0
    for line in _broken(text, room) if 20 <= room < len(text) else [text]:
        _write(stream, line)


def _broken(text: str, room: int) -> list[str]:
    """The lines of a sentence. A command that ends it, which a person may want to paste, is a line of its own."""
    from mirclr.cli import COMMANDS

    command = re.search(rf"(?<=: )mirclr ({'|'.join(COMMANDS)})\b.*$", text)
    before = text[: command.start()].rstrip() if command else text
    lines = textwrap.wrap(before, room, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    if len(lines) > 1 and " " not in lines[-1].strip() and " " in lines[-2].strip():  # no word is left alone
        lines[-2], _, last = lines[-2].rpartition(" ")
        lines[-1] = f"  {last} {lines[-1].strip()}"
    return [*lines, *([f"  {command[0]}"] if command else [])]


def _write(stream: IO[str] | None, text: str) -> None:
    if stream is not None:  # None where the caller closed it
        stream.write(f"{text}\n")
        stream.flush()


def ask(*lines: str) -> str | None:
    """Ask a person for a line, on standard error, even under ``--quiet``; None at the end of input.

    The last of the lines is what stands before the answer.
    """
    if sys.stderr is not None:
        sys.stderr.write("\n".join(shown(line) for line in lines) + " ")
        sys.stderr.flush()
    reply = sys.stdin.readline() if sys.stdin is not None else ""
    if not reply or not sys.stdin.isatty():  # no key was pressed that would have ended the line
        complain(reply.strip())
    return reply.strip() if reply else None


def print_json(value: Any, *, indent: int | None = 2) -> None:
    r"""Print a JSON value, letters as they are where the output is UTF-8. NaN is not JSON: it raises.

    What a terminal would obey is escaped, and so are bytes of a name that are no UTF-8, as the surrogates ``\udc80`` to
    ``\udcff``: JSON that reads back as the very name (in Python by `os.fsencode`).
    """
    utf8 = (getattr(sys.stdout, "encoding", None) or "").lower().replace("-", "") in ("utf8", "utf8sig")
    text = json.dumps(value, indent=indent, ensure_ascii=not utf8, allow_nan=False)
    _write(sys.stdout, re.sub(r"[^\n -~]", _escaped, text))


def _escaped(found: re.Match[str]) -> str:
    sign = found[0]
    return sign if shown(sign) == sign else json.dumps(sign)[1:-1]


def print_facts(facts: Iterable[tuple[str, Any]], *, title: str = "") -> None:
    """Print names and their values, a line each."""
    print_table((), list(facts), title=title)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str = "") -> None:
    """Print a table to standard output.

    Parameters
    ----------
    columns : sequence of str
        The heading of each column; none at all for rows without a heading.
    rows : sequence of sequences
        Texts, or numbers, which `mirclr.terminal.number` writes, or None.
    title : str
        Printed above.
    """
    lines = [list(columns), *([_cell(value) for value in row] for row in rows)]
    if not is_terminal(sys.stdout):
        for line in ([title] if title else [], *lines):
            if line:
                print_line(*line)
        return
    from rich.text import Text

    console = _console(sys.stdout)
    _print_title(console, title)
    lines = [[_as_printed(cell) for cell in line] for line in lines if line]
    widths = _column_widths(lines, console.width)
    figures = [all(_is_figure(line[i]) for line in lines[bool(columns) :]) for i in range(len(widths))]
    for at, line in enumerate(lines):
        style = "bold" if columns and not at else ""
        wrapped = [
            Text(cell or ("" if style else _as_printed("–"))).wrap(
                console, width, justify="right" if of_figures else "left", overflow="fold"
            )
            for cell, width, of_figures in zip(line, widths, figures, strict=True)
        ]
        for parts in zip_longest(*wrapped):
            texts = ("" if part is None else part.plain for part in parts)
            whole = (" " * _GAP).join(_padded(text, width) for text, width in zip(texts, widths, strict=True))
            console.print(Text(whole.rstrip()), style=style, soft_wrap=True)


def _print_title(console: "Console", title: str) -> None:
    """Print what stands above a table or list, apart from what came before."""
    from rich.text import Text

    if not title:
        return
    if getattr(sys.stdout, "last", "") not in ("", "\n", "\n\n"):
        console.print()
    for line in Text(_as_printed(one_line(title))).wrap(console, console.width):
        console.print(Text(line.plain.rstrip()), style="bold", soft_wrap=True)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return number(value) if isinstance(value, int | float) else str(value)


def _is_figure(cell: str) -> bool:
    """Whether a cell is a number, perhaps with its unit: "3:48", "92 %", "-13.2 LUFS"; or empty."""
    return not cell or re.fullmatch(r"[-+]?[\d,.:]*\d( (%|\w{1,4}))?", cell) is not None


def _column_widths(lines: Sequence[Sequence[str]], room: int) -> list[int]:
    """How wide each column is: as its widest cell, or where there is no room for all, the widest ones are narrowed.

    No column is made narrower than its longest word, up to 24 cells, while there is another way.
    """
    from rich.cells import cell_len

    columns = list(zip(*lines, strict=True))
    widths = [max(map(cell_len, column), default=1) or 1 for column in columns]
    words = [max((cell_len(word) for cell in column for word in cell.split()), default=1) for column in columns]
    least = [min(width, max(1, min(word, 24))) for width, word in zip(widths, words, strict=True)]
    for floors in (least, [min(floor, 6) for floor in least]):
        while sum(widths) + _GAP * (len(widths) - 1) > room:
            widest = max(range(len(widths)), key=lambda i: (widths[i] > floors[i], widths[i]))
            if widths[widest] <= floors[widest]:
                break
            widths[widest] -= 1
    return widths


@dataclass(frozen=True)
class ListedSong:
    """A line of a list of songs.

    Attributes
    ----------
    title : str
        Of the song, or the name of its file.
    artist, album : str
        Empty where they are not known.
    duration_s : float
        Its length in seconds.
    match : float in [0, 1], optional
        How well it belongs, if that is known.
    why : str
        A few words, separated by commas, or nothing.
    file : str
        Where it is; printed into files and other programs alone.
    more : tuple of str
        Lines below it, for who asks for more.
    """

    title: str
    artist: str = ""
    album: str = ""
    duration_s: float = 0.0
    match: float | None = None
    why: str = ""
    file: str = ""
    more: tuple[str, ...] = ()


def print_songs(songs: Sequence[ListedSong], *, heading: str = "") -> None:
    """Print a numbered list of songs to standard output, a line each.

    On a terminal the heading comes first, and the lines fit its width. Elsewhere a line has number, artist, title,
    album, length, match, words and file, with tabs between them and an empty cell for what is not known.
    """
    matches = percents([song.match for song in songs])
    if not is_terminal(sys.stdout):
        for rank, (song, match) in enumerate(zip(songs, matches, strict=True), 1):
            length = clock(song.duration_s)
            print_line(str(rank), song.artist, song.title, song.album, length, match, song.why, song.file, *song.more)
        return
    from rich.text import Text

    console = _console(sys.stdout)
    _print_title(console, heading)
    layout = _Layout(songs, matches, console.width)
    for rank, (song, match) in enumerate(zip(songs, matches, strict=True), 1):
        line = layout.line(rank, song, match)
        if len(songs) > _COLOURED:
            print_line(line.plain)
        else:
            console.print(line, soft_wrap=True)
        indent = " " * (layout.rank + _GAP)
        for more in song.more:
            for part in Text(_as_printed(more)).wrap(console, console.width - len(indent)):
                console.print(Text(indent + part.plain.rstrip()), style="dim", soft_wrap=True)


class _Layout:
    """How wide the columns of a list of songs are, so that a line has `room` cells at most."""

    def __init__(self, songs: Sequence[ListedSong], matches: Sequence[str], room: int) -> None:
        from rich.cells import cell_len

        self.rank = len(str(len(songs)))
        self.length = max((len(clock(s.duration_s)) for s in songs), default=0)
        self.match = max(map(len, matches), default=0)
        name = max((cell_len(_full_name(s)) for s in songs), default=0)
        self.why = min(_LONGEST_WHY, max((cell_len(_as_printed(s.why)) for s in songs), default=0))
        album = max((cell_len(_as_printed(s.album)) for s in songs), default=0) if room >= _WIDE else 0
        room -= sum(width + _GAP for width in (self.rank, self.length, self.match) if width)
        if self.why and name + _GAP + self.why > room:
            self.why = max(room - name - _GAP, min(self.why, 18))
        if room - self.why - _GAP < min(name, _SHORTEST_NAME):
            self.why = 0
        if room < min(name, _SHORTEST_NAME):
            room, self.length = room + self.length + _GAP, 0
        room -= self.why and self.why + _GAP
        self._most = max(10, min(name, room))
        self.name = max((cell_len(_name_within(s, self._most)) for s in songs), default=0)
        self.album = min(album, room - self.name - _GAP)
        if self.album < 12:
            self.album = 0

    def line(self, rank: int, song: ListedSong, match: str) -> Any:
        """A song as a line of rich's `Text`."""
        from rich.text import Text

        cells = [
            (f"{rank:>{self.rank}}", "dim"),
            (_padded(_name_within(song, self._most), self.name), ""),
            (_padded(_cut(_as_printed(song.album), self.album), self.album) if self.album else "", "dim"),
            (f"{clock(song.duration_s):>{self.length}}" if self.length else "", "dim"),
            (f"{match:>{self.match}}", "green"),
            (_words_within(_as_printed(song.why), self.why) if self.why else "", "cyan"),
        ]
        line = Text()
        for text, style in cells:
            if text:
                line.append(" " * _GAP * bool(line) + text, style)
        line.rstrip()
        return line


def _full_name(song: ListedSong) -> str:
    return _as_printed(f"{song.artist} – {song.title}" if song.artist else song.title)


def _name_within(song: ListedSong, width: int) -> str:
    """Artist and title in so many cells: a long artist is cut before a long title."""
    from rich.cells import cell_len

    name = _full_name(song)
    if cell_len(name) <= width or not song.artist:
        return _cut(name, width)
    room = max(width - cell_len(_as_printed(song.title)) - 3, width * 2 // 5)
    return _cut(f"{_cut(_as_printed(song.artist), room)} – {_as_printed(song.title)}", width)


def _cut(text: str, width: int) -> str:
    """A text in so many cells, with a sign where it was cut, between words where that takes little more."""
    from rich.cells import cell_len, set_cell_size

    if cell_len(text) <= width:
        return text
    sign = _as_printed("…")
    kept = set_cell_size(text, max(0, width - len(sign)))
    words = kept.rpartition(" ")[0]
    if text[len(kept) : len(kept) + 1] not in ("", " ") and cell_len(words) >= 0.7 * width:
        kept = words
    return kept.rstrip(" -–,;:(") + sign


def _words_within(words: str, width: int) -> str:
    """As many of the words between commas as fit; where not even one does, its beginning."""
    from rich.cells import cell_len

    parts = words.split(", ")
    while len(parts) > 1 and cell_len(", ".join(parts)) > width:
        parts.pop()
    return _cut(", ".join(parts), width)


def _padded(text: str, width: int) -> str:
    from rich.cells import cell_len

    return text + " " * (width - cell_len(text))


def is_terminal(stream: IO[str] | None) -> bool:
    """Whether a person reads a stream: a terminal, and no file or other program."""
    return stream is not None and stream.isatty()  # None where the caller closed it


def _is_plain() -> bool:
    """Whether a terminal shall get neither colours nor what moves: one that cannot, or a log of a CI."""
    return os.environ.get("TERM", "") == "dumb" or os.environ.get("CI", "").lower() not in ("", "0", "false")


def _console(stream: IO[str]) -> "Console":
    from rich.console import Console

    plain = _is_plain() or bool(os.environ.get("NO_COLOR"))
    color: Literal["auto"] | None = None if plain else "auto"
    console = Console(file=stream, highlight=False, color_system=color, force_terminal=None if plain else True)
    if console.width < 40:
        console.width = 40
    return console


def _as_printed(text: str) -> str:
    """A text as standard output will show it, so that its width is known."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return shown(text).encode(encoding, "mirclr.shown").decode(encoding)


def failures_as_json(failures: Iterable[tuple[object, str]]) -> list[dict[str, str]]:
    """Files and what is wrong with them, as a JSON value."""
    return [{"file": str(file), "reason": reason} for file, reason in failures]


def naming(file: str, reason: str) -> str:
    """What is wrong with a file, with its name."""
    return reason if reason.startswith(file) else f"{file}: {reason}"


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Advance]:
    """Show progress and the time left on standard error: a bar on a terminal, a line every 15 s elsewhere.

    Nothing is shown under ``--quiet``.

    Parameters
    ----------
    label : str
        What is being done, to what: "Embedding songs".
    total : int or None
        How many steps there are; None when unknown.
    """
    if _Level.quiet or total == 0:
        yield lambda steps=1, note="": None
    elif is_terminal(sys.stderr) and not _is_plain():
        with _bar(label, total) as advance:
            yield advance
    else:
        yield _lines(label, total)


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Advance]:
    from rich.console import RenderableType
    from rich.progress import BarColumn, Progress, ProgressColumn, Task
    from rich.text import Text

    pace, console, note_now = Pace(total), _console(sys.stderr), ""

    class State(ProgressColumn):
        """How far it is, and how long the rest takes: it is asked again and again, also while a step lasts."""

        def render(self, task: Task) -> RenderableType:
            parts = filter(None, (pace.so_far(), pace.left(), note_now))
            room = console.width - len(label) - bar_width - 2
            return Text(_cut("  ".join(parts), max(room, 10)), no_wrap=True)

    class Label(ProgressColumn):
        def render(self, task: Task) -> RenderableType:
            return Text(task.description, no_wrap=True)

    bar_width = max(5, min(20, console.width - 70))
    with Progress(Label(), BarColumn(bar_width=bar_width), State(), console=console) as bar:
        task = bar.add_task(shown(label), total=total)

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal note_now
            pace.advance(steps)
            note_now = shown(note)
            bar.update(task, advance=steps)

        yield advance


def _lines(label: str, total: int | None) -> Advance:
    pace, shown_at = Pace(total), time.monotonic()

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal shown_at
        pace.advance(steps)
        if time.monotonic() - shown_at >= _LINE_EVERY_S:
            shown_at = time.monotonic()
            remark(f"{label}: {', '.join(filter(None, (pace.so_far(), pace.left(), note)))}")

    return advance


class ProgressOf:
    """Progress that is given how far it is, and of how much: a bar that begins when that is known."""

    def __init__(self, label: str, stack: ExitStack) -> None:
        self._label, self._stack, self._done = label, stack, 0
        self._advance: Advance | None = None

    def __call__(self, done: int, total: int) -> None:
        """Show that so much is done, of so much."""
        if self._advance is None:
            self._advance = self._stack.enter_context(progress(self._label, total))
        self._advance(max(0, done - self._done))
        self._done = done
