"""A report for the owner of the music: what is there, what to look after, how it sounds; in plain words."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mirclr.evaluation.report.parts import Bars, Part
from mirclr.evaluation.report.values import Extreme, Histogram, LibraryReport
from mirclr.settings import command_line
from mirclr.terminal import bpm, clock, counted, percent, size, span

_FIRST = 10  # of what is listed, unless all are asked for


def owner_parts(report: LibraryReport, *, whole: bool = False) -> list[Part]:
    """The report in parts for the owner; the first is what the library holds.

    Parameters
    ----------
    report : LibraryReport
        As `report_on` makes it.
    whole : bool
        All that the report lists of each kind, instead of the first ten.
    """
    parts = [_music(report), _to_look_after(report), *_lists(report, None if whole else _FIRST)]
    parts += [_tempo(report), _mood(report), _odd(report, whole), _extremes(report.overview.extremes)]
    return [part for part in parts if part.note or part.rows or part.bars]


def _music(r: LibraryReport) -> Part:
    of = r.overview
    names = [counted(n, what) for n, what in ((r.artists, "artist"), (r.albums, "album")) if n]
    held = ", ".join([counted(r.tracks, "song"), *names])
    add = f"{held}; to add some: {_command(r, 'embed', 'FOLDER')}"
    note = [f"{held}: {span(3600 * r.hours)}, {size(of.bytes)}." if r.tracks else add]
    if of.first_year and of.last_year:
        years = f"of {of.first_year}" if of.first_year == of.last_year else f"from {of.first_year} to {of.last_year}"
        note.append(f"Songs {years}.")
    lacking = [f"{counted(n, 'song')} {have} no {what}" for n, what, have in _lacking(r)]
    note += [f"{'; '.join(lacking)}."] if lacking and r.tracks else []
    bars = [
        _bars("By decade", of.decades, r.tracks - of.without_year),
        _bars("By genre, as your files say", of.genres, r.tracks),
    ]
    return Part("Your music", tuple(note), bars=tuple(b for b in bars if b and len(b.labels) > 1))


def _command(r: LibraryReport, *words: str) -> str:
    return command_line(*words, library_path=Path(r.library))


def _lacking(r: LibraryReport) -> Iterable[tuple[int, str, str]]:
    for n, what in ((r.overview.without_year, "year"), (r.overview.without_genre, "genre")):
        if n:
            yield n, what, "has" if n == 1 else "have"


def _to_look_after(r: LibraryReport) -> Part:
    of, d = r.overview, r.duplicates
    alike: int | str = 0
    if r.tracks > 1 and not of.looked_for_copies:
        alike = max(0, (d.near or 0) - of.copies) or "not known yet"
    rows = [
        ("files that cannot be read", r.failures, _command(r, "library", "info", "--failures")),
        ("songs whose file is gone", r.gone, f"moved? {_command(r, 'sync', 'NEW_FOLDER')}"),
        ("songs that play with a fault", of.damaged, "obtain them again"),
        ("songs without a title", r.without_title, "known by their file names"),
        ("songs without an artist", r.without_artist, "known by their file names"),
        ("songs that are there more than once", of.copied, _command(r, "duplicates")),
        ("songs that may be there twice", alike, _command(r, "duplicates")),
        ("songs that are not ready to be recommended", r.without_vector, _command(r, "sync")),
    ]
    found = tuple(row for row in rows if row[1])
    if not found:
        fine = "Nothing: every file can be read, has a title and an artist, and is there once." if r.tracks else ""
        return Part("What to look after", (fine,) if fine else ())
    return Part("What to look after", (), ("what", "how many", "what to do"), found)


def _lists(r: LibraryReport, most: int | None) -> list[Part]:
    """What is counted among what to look after, by name."""
    of = r.overview

    def part(title: str, columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]], of_all: int) -> Part:
        listed = tuple(rows[:most])
        return Part(title, (_first_of(len(listed), of_all),) if len(listed) < of_all else (), columns, listed)

    copies = [(c.track if i == 0 else "", file) for c in of.copy_groups[:most] for i, file in enumerate(c.files)]
    first = _first_of(len(of.copy_groups[:most]), of.copied) if len(of.copy_groups[:most]) < of.copied else ""
    return [
        part("Files that cannot be read", ("file", "why"), [(b.file, b.reason) for b in r.broken], r.failures),
        part(
            "Songs that play with a fault",
            ("file", "fault"),
            [(b.file, b.reason) for b in of.damaged_files],
            of.damaged,
        ),
        part("Songs whose file is gone", ("file",), [(file,) for file in r.gone_files], r.gone),
        part("Songs without a title", ("file",), [(file,) for file in of.untitled_files], r.without_title),
        Part("Songs that are there more than once", (first,) if first else (), ("song", "file"), tuple(copies)),
    ]


def _first_of(n: int, of_all: int) -> str:
    return f"The first {n:,} of {of_all:,}."


def _tempo(r: LibraryReport) -> Part:
    of = r.overview
    if not of.middle_bpm:
        known = bool(of.described) or not r.tracks
        return Part("Tempo", () if known else (f"Not known yet; to find it out: {_command(r, 'describe')}",))
    low, high = of.middle_bpm
    note = [f"Half of the songs lie between {low:.0f} and {bpm(high)}."]
    if of.described < r.tracks:
        note.append(
            f"Known of {of.described:,} of {counted(r.tracks, 'song')}; for the others: {_command(r, 'describe')}"
        )
    bars = _bars("By tempo, in beats a minute", of.tempos, sum(of.tempos.counts) if of.tempos else 0)
    return Part("Tempo", tuple(note), bars=tuple(filter(None, [bars])))


def _mood(r: LibraryReport) -> Part:
    of = r.overview
    if not of.mood_known:
        return Part(
            "Mood", (f"Not known yet; to find it out: {_command(r, 'classify', 'predict')}",) if r.tracks else ()
        )
    bars = _bars("By the strongest mood of each song", of.moods, of.mood_known)
    return Part("Mood", ("As a guess, by the sound.",), bars=(bars,) if bars else ())


def _odd(r: LibraryReport, whole: bool) -> Part:
    note = "Least like all others: special ones, or files that are not music."
    columns = ("song", "file") if whole else ()
    rows = tuple((o.track, o.file) if whole else (o.track,) for o in r.outliers)
    return Part("Odd ones", (note,) if rows else (), columns, rows)


def _extremes(found: Sequence[Extreme]) -> Part:
    return Part("Extremes", (), (), tuple((_end(e), e.track) for e in found))


def _end(extreme: Extreme) -> str:
    """What a song is, with how much where people know the measure."""
    if extreme.what in ("shortest", "longest"):
        return f"{extreme.what}, {clock(extreme.value)}"
    return f"{extreme.what}, {bpm(extreme.value)}" if extreme.what in ("slowest", "fastest") else extreme.what


def _bars(caption: str, of: Histogram | None, songs: int) -> Bars | None:
    """Counts with their part of so many songs."""
    if not of:
        return None
    return Bars(caption, of.labels, of.counts, tuple(f"{n:,} ({percent(n / songs)})" for n in of.counts))
