"""Texts as a terminal may show them, and numbers as people write them.

No name of a file and no tag steers the terminal, or makes a line of its own.
"""

import math
import re
import unicodedata
from collections.abc import Sequence

_JOINERS = "\u200c\u200d"
"""Invisible, and part of how Persian, Indic scripts and emoji are written."""


def shown(text: str) -> str:
    """A text with what cannot be printed, such as undecodable bytes or terminal controls, replaced by '�'.

    Also what turns the direction of writing, and what has no width. Spaces of any width stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or _is_harmless(text, i) else "�" for i, c in enumerate(text))


def _is_harmless(text: str, i: int) -> bool:
    if text[i] in _JOINERS:  # between letters that are joined or held apart; beside ASCII it only hides
        return 0 < i < len(text) - 1 and not (text[i - 1] + text[i + 1]).isascii() and text[i - 1] not in _JOINERS
    return unicodedata.category(text[i]) == "Zs"


def one_line(text: str) -> str:
    """The same, of a text that may have several lines: they become one."""
    return shown(re.sub(r"\s*[\r\n]+\s*", " ", text.strip("\r\n")))


def plural(n: int, what: str, many: str = "") -> str:
    """A noun for a number of things: "song", "songs", "copies"; `many` is its plural where that is irregular."""
    if n == 1:
        return what
    if many:
        return many
    if re.search(r"[^aeiou]y$", what):
        return f"{what[:-1]}ies"
    return f"{what}es" if re.search(r"(s|x|z|ch|sh)$", what) else f"{what}s"


def counted(n: int, what: str, many: str = "") -> str:
    """A number with its noun: "no songs", "1 song", "1,200 songs"."""
    return f"{f'{n:,}' if n else 'no'} {plural(n, what, many)}"


def number(value: float) -> str:
    """A number of any size: "0.810", "-13.2", "129", "12,000"; of a score three decimals, of what is larger fewer."""
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)  # a year is no "1,994"
    if not math.isfinite(value):
        return str(value)
    return f"{value:.3f}" if abs(value) < 9.9995 else f"{value:,.1f}" if abs(value) < 999.95 else f"{value:,.0f}"


def clock(seconds: float) -> str:
    """The length of a song, or a place in it: "3:48", "1:02:05"."""
    minutes, s = divmod(round(max(0.0, seconds)), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02d}:{s:02d}" if hours else f"{m}:{s:02d}"


def span(seconds: float) -> str:
    """How long something lasts: "45 seconds", "12 minutes", "2.9 hours", "3.2 days"."""
    if seconds < 1:
        return "no time" if seconds <= 0 else "under a second"
    if round(seconds) < 120:
        return counted(round(seconds), "second")
    if round(seconds / 60) < 90:
        return counted(round(seconds / 60), "minute")
    hours = round(seconds / 3600, 1)
    amount, unit = (hours, "hour") if hours < 48 else (round(seconds / 86400, 1), "day")
    return f"{amount:,.1f}".removesuffix(".0") + f" {plural(int(amount) if amount == int(amount) else 2, unit)}"


def size(n_bytes: int) -> str:
    """How much room something takes: "12 bytes", "843 kB", "1.2 GB"."""
    if n_bytes < 1000:
        return counted(n_bytes, "byte") if n_bytes else "0 bytes"
    value, units = n_bytes / 1000, iter(("kB", "MB", "GB", "TB"))
    unit = next(units)
    while value >= 999.5 and unit != "TB":
        value, unit = value / 1000, next(units)
    return f"{value:.1f}".removesuffix(".0") + f" {unit}" if value < 9.95 else f"{value:,.0f} {unit}"


def bpm(tempo: float) -> str:
    """A tempo: "129 bpm"."""
    return f"{tempo:.0f} bpm"


def percent(fraction: float) -> str:
    """A part of a whole: "92 %", "99.6 %"; never "100 %" or "0 %" of what is not all, or not nothing."""
    if fraction <= 0 or fraction >= 1:
        return "0 %" if fraction <= 0 else "100 %"
    cents = 100 * fraction
    if cents < 0.5:
        return "under 1 %"
    if cents < 99:
        return f"{cents:.0f} %"
    return f"{cents:.1f} %" if cents < 99.9 else f"{min(cents, 99.99):.2f} %"


def percents(fractions: Sequence[float | None]) -> list[str]:
    """Parts of a whole, to be compared: whole numbers, and decimals where all are near the whole; empty for None.

    Only what is all of it is "100 %".
    """
    least = min((100 * fraction for fraction in fractions if fraction is not None), default=0.0)
    decimals = 0 if least < 99 else 1 if least < 99.9 else 2
    most = 100 - 10**-decimals
    return ["" if f is None else "100 %" if f >= 1 else f"{min(100 * f, most):.{decimals}f} %" for f in fractions]


def did_you_mean(names: Sequence[str]) -> str:
    """The end of a line: "; did you mean A, B or C?"; empty where there are no names."""
    if not names:
        return ""
    *others, last = map(shown, names)
    return f"; did you mean {', '.join(others)}{' or ' if others else ''}{last}?"
