"""Bounds as people write them: ``120``, ``115..125``, ``1990s``, ``before 1990``, ``2m..8m``, ``45m``.

Words are English, in any case; what a shell would split may be joined by hyphens (``before-1990``).
"""

import math
import re
from collections.abc import Callable
from typing import NamedTuple

from mirclr.errors import QueryError

Range = tuple[float, float]

ABOUT_BPM = 1 / 24
"""How far from a tempo is about it, as a fraction: 115 to 125 is about 120."""
ABOUT_LENGTH = 0.1
"""How far from a song's length is about it, as a fraction."""
ABOUT_YEARS = 2
LEAST_LENGTH_S = 180.0
"""A playlist is no shorter."""

_BELOW = r"before|under|below|less than|shorter than|slower than|<(?!=)"
_ABOVE = r"after|over|above|more than|longer than|faster than|>(?!=)"
_UP_TO = r"until|till|up to|to|at most|<="
_FROM = r"since|from|at least|>="
_NEAR = r"about|around|circa|ca\.?|near|~"
_OPEN = re.compile(rf"(?:(?P<below>{_BELOW})|(?P<above>{_ABOVE})|(?P<up_to>{_UP_TO})|(?P<start>{_FROM}))(.+)")
_TWO = re.compile(r"(?:from|between)?(.*?)(?:\.\.+|…|(?<=[\w.'])\s*[-–—]\s*|(?<=\s)(?:to|and|until|till)(?=\s))(.*)")
_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
}


class Bounds(NamedTuple):
    """What a text asks for.

    Attributes
    ----------
    least, most : float
        Both are within; infinite where there is no limit.
    about : bool
        Whether it was meant as about that.
    """

    least: float
    most: float
    about: bool = False


def parse_bpm(text: str) -> Bounds:
    """Read a tempo: ``120`` and ``~120`` are about that, ``115..125`` is as it stands, ``~115..125`` is about it.

    What is about a tempo may be at half or twice of it too: it is often found so.

    Raises
    ------
    QueryError
        It is none.
    """
    expected = "a tempo such as 120, 115..125, 'over 120' or 'under 90'"
    return _parse(re.sub(r"\s*bpm\b", "", text.lower()), text, expected, _tempo, lambda n: n * ABOUT_BPM)


def parse_years(text: str) -> Bounds:
    """Read years: ``1994``, ``1990s``, ``90s``, ``1990..1999``, ``before 1990``, ``since 2000``, ``~1994``.

    Raises
    ------
    QueryError
        These are none.
    """
    expected = "years such as 1994, 1990s, 1990..1999, 'before 1990' or 'since 2000'"
    return _parse(re.sub(r"\bthe\b|['’‘]", "", text.lower()), text, expected, _year, lambda n: ABOUT_YEARS, step=1)


def parse_duration(text: str) -> Bounds:
    """Read the length of songs: ``3m`` and ``~3m`` are about that, ``2m..8m``, ``under 5m``, ``2:30..4:00``.

    A number alone is seconds.

    Raises
    ------
    QueryError
        It is none.
    """
    expected = "a length such as 3m, 2m..8m, 2:30..4:00 or 'under 5m'"
    return _parse(text.lower(), text, expected, _one_duration, lambda n: n * ABOUT_LENGTH)


def parse_length(text: str) -> float:
    """Read how long a playlist is to be, in seconds: ``45m``, ``1h30m``, ``1:15:00``; a number alone is minutes.

    Raises
    ------
    QueryError
        It is none, or too short for a song.
    """
    plain = text.strip().lower()
    try:
        seconds = 60 * float(plain) if re.fullmatch(r"[\d.]+", plain) else seconds_of(plain)
    except ValueError:
        raise QueryError(f"found {text!r}; expected a length such as 45m, 1h30m or 1:15:00") from None
    if not LEAST_LENGTH_S <= seconds < math.inf:
        raise QueryError(f"found {text!r}; expected at least 3 minutes, as in 45m or 1h30m")
    return seconds


def seconds_of(text: str) -> float:
    """Seconds of ``90``, ``2m``, ``2m30s``, ``2m30``, ``1h``, ``90 minutes``, ``2:30`` or ``1:15:00``.

    Raises
    ------
    ValueError
        It is none of these.
    """
    if clock := re.fullmatch(r"(?:(\d+):)?(\d+):([0-5]\d(?:\.\d+)?)", text.strip()):
        hours, minutes, seconds = clock.groups(default="0")
        return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    parts = re.findall(r"([\d.]+)\s*([a-z]*)", text)
    if not parts or "".join(f"{n}{unit}" for n, unit in parts) != re.sub(r"\s", "", text):
        raise ValueError(text)
    total, unit_s = 0.0, 60
    for number, unit in parts:
        if unit not in _UNITS and unit:
            raise ValueError(text)
        unit_s = _UNITS.get(unit) or unit_s // 60 or 1  # "1h30" is thirty minutes more
        total += float(number) * unit_s
    return total


def _parse(
    plain: str, text: str, expected: str, one: Callable[[str], Range], width: Callable[[float], float], step: int = 0
) -> Bounds:
    """Read one of the forms; `one` reads what stands for a value, `step` lies between it and the next one."""
    try:
        found = _read(plain.strip(), one, width, step)
    except (ValueError, OverflowError):
        raise QueryError(f"found {text!r}; expected {expected}") from None
    if found.least > found.most:
        raise QueryError(f"found {text!r}; expected the smaller number first")
    return found


def _read(plain: str, one: Callable[[str], Range], width: Callable[[float], float], step: int) -> Bounds:
    near = re.fullmatch(rf"(?:{_NEAR})[\s_-]*(.+)", plain)
    if near:
        plain = near[1]
    if "  " in plain or "_" in plain:
        plain = re.sub(r"[\s_]+", " ", plain)
    between = _TWO.fullmatch(plain)
    opened = _OPEN.fullmatch(re.sub(r"(?<=[a-z])-(?=[\da-z])", " ", plain))
    if opened and not (between and opened["start"] == "from"):
        least, most = one(opened[5].strip())
        if opened["below"] or opened["above"]:
            return Bounds(-math.inf, least - step) if opened["below"] else Bounds(most + step, math.inf)
        return Bounds(-math.inf, most) if opened["up_to"] else Bounds(least, math.inf)
    if between:
        low, high = (end.strip() for end in between.groups())
        if not low and not high:
            raise ValueError(plain)
        return Bounds(one(low)[0] if low else -math.inf, one(high)[1] if high else math.inf, bool(near))
    least, most = one(plain)
    about = bool(near) or not step
    return Bounds(least - width(least), most + width(most), True) if about else Bounds(least, most)


def _tempo(text: str) -> Range:
    if not re.fullmatch(r"\d+(\.\d*)?", text) or not 0 < float(text) < 10_000:
        raise ValueError(text)
    return float(text), float(text)


def _year(text: str) -> Range:
    """``1994``, or all of ``1990s`` or ``90s``."""
    found = re.fullmatch(r"(\d{4}|\d0(?=s))(s)?", text)
    if not found or (found[2] and not found[1].endswith("0")):
        raise ValueError(text)
    year = int(found[1])
    if year < 100:
        year += 1900 if year >= 30 else 2000
    return float(year), float(year + 9 if found[2] else year)


def _one_duration(text: str) -> Range:
    seconds = seconds_of(text)
    if not math.isfinite(seconds):
        raise ValueError(text)
    return seconds, seconds
