"""From the bytes of a file to its lines, JSON values and members, within limits; and what could not be read."""

import io
import json
import re
import zipfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import IO, Any, cast

from mirclr.errors import HistoryError
from mirclr.library import shown

MAX_BYTES = 2 * 1024**3
MAX_NAME = 1000
CHUNK = 1 << 18
FIRST_S = 946_684_800  # the first second of 2000
_MAX_MEMBERS = 10_000
_MAX_LINE = 1 << 20
_MAX_LINES = _MAX_LISTENS = 5_000_000  # of a listener: one each three minutes for 28 years
_MAX_UNREAD = 100_000  # things that cannot be read, where they are more than those that can
_NAMED = 5

_GAP = re.compile(r"[\s,]*")
_LISTS = re.compile(rb'"(listens|scrobbles|track|tracks|items|feedback|history|plays)"\s*:\s*(?=\[)')
_NUMBER = re.compile(r"\d{1,13}(\.\d{1,9})?", re.ASCII)
_CLOCK = r"(?:,? (?:at )?(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?(?:\s?(?P<half>[ap])\.?m\.?)?)?"
_DATES = tuple(
    re.compile(date + _CLOCK, re.ASCII)
    for date in (
        r"(?P<day>\d{1,2}) (?P<name>[a-z]{3}) (?P<year>\d{4})",
        r"(?P<name>[a-z]{3}) (?P<day>\d{1,2}), (?P<year>\d{4})",
        r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})",
        r"(?P<one>\d{1,2})/(?P<other>\d{1,2})/(?P<year>\d{4})",
        r"(?P<year>\d{4})[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})",
    )
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

Numbered = Iterator[tuple[str, str]]
"""Lines, each after a text that names its place."""
Values = Iterator[tuple[str, Any]]
"""JSON values, likewise."""


class Problems:
    """What could not be read: how much, and the first few by name.

    Attributes
    ----------
    read : int
        How much could.
    kind : str
        What the file was found to be, once that is known.
    """

    def __init__(self) -> None:
        self.count, self.unread, self.read, self.named = 0, 0, 0, list[str]()
        self.kind = ""

    def add(self, where: str, what: str) -> None:
        """Report something that is left out."""
        self.unread += 1
        self.note(where, what)

    def note(self, where: str, what: str) -> None:
        """Report something that is read, but not all of it."""
        self.count += 1
        if len(self.named) < _NAMED:
            self.named.append(shown(f"{where}: {what}"))

    @property
    def too_many(self) -> bool:
        """Whether reading on is not worth it."""
        return self.unread > max(_MAX_UNREAD, self.read) or self.read > _MAX_LISTENS

    def lines(self) -> list[str]:
        """For people: a line each, and how many more there are."""
        more = self.count - len(self.named)
        rest = ["the rest is left out, as it holds too much, or too little that can be read"] if self.too_many else []
        return [*self.named, *([f"and {more} more"] if more else []), *rest]


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= 20 else float("inf")  # Python refuses thousands of digits


# NaN and the infinities are no numbers here
_JSON = json.JSONDecoder(parse_constant=lambda name: None, parse_int=_integer)


def lines(stream: IO[bytes], inside: str, problems: Problems) -> Numbered:
    """The lines of a text that are not empty, without the ends; those that are too long are left out."""
    number = 0
    while (line := stream.readline(_MAX_LINE)) and not problems.too_many:
        number += 1
        where = f"{inside}line {number}"
        if number > _MAX_LINES:
            problems.add(where, "more lines than a history has; the rest is left out")
            return
        if len(line) == _MAX_LINE and not line.endswith(b"\n"):
            while line and not line.endswith(b"\n"):
                line = stream.readline(_MAX_LINE)
            problems.add(where, "longer than 1 MB")
            continue
        text = line.decode("utf-8", "surrogateescape")
        if text := (text.removeprefix("\ufeff") if number == 1 else text).strip(" \r\n"):
            yield where, text


def json_values(stream: IO[bytes], inside: str, problems: Problems) -> Values:
    """The JSON values of a stream that can seek: those of a list, of the first list in an object, or one a line."""
    head = stream.read(CHUNK)
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"["):
        stream.seek(len(head) - len(start))
        yield from _listed(stream, inside, problems)
        return
    found = _LISTS.search(head)
    first_line = start.partition(b"\n")[0]
    if found and not is_listen_line(first_line):
        stream.seek(found.end())
        yield from _listed(stream, inside, problems)
        return
    stream.seek(0)
    for where, line in lines(stream, inside, problems):
        try:
            yield where, _JSON.decode(line)
        except (ValueError, RecursionError):
            problems.add(where, "not JSON")


def is_listen_line(line: bytes) -> bool:
    """Whether a line is a JSON object of one listen, by itself, and not one that holds a list of them."""
    try:
        value = _JSON.decode(line.decode("utf-8", "replace").strip())
    except (ValueError, RecursionError):
        return False
    names = ("track_metadata", "artist", "artistName", "artist_name", "score", "timeMs", "ts", "endTime")
    return isinstance(value, dict) and any(name in value for name in names)


def _listed(stream: IO[bytes], inside: str, problems: Problems) -> Values:
    """The values of a JSON list, however long it is, one by one."""
    text = io.TextIOWrapper(stream, "utf-8", errors="replace")
    buffer = text.read(CHUNK)
    at, number = buffer.index("[") + 1, 1
    while not problems.too_many:
        gap = _GAP.match(buffer, at)
        at = gap.end() if gap else at
        if buffer.startswith("]", at):
            break
        where = f"{inside}listen {number}"
        try:
            value, at = _JSON.raw_decode(buffer, at)
        except (ValueError, RecursionError):  # broken, or it continues in the next chunk
            more = text.read(CHUNK) if len(buffer) - at <= _MAX_LINE else ""
            if not more:
                problems.add(where, "the JSON breaks off here; what follows is not read")
                break
            buffer, at = buffer[at:] + more, 0
            continue
        yield where, value
        number += 1
    text.detach()


def archived(path: Path, file: IO[bytes], wanted: re.Pattern[str], problems: Problems) -> Values:
    """The JSON values of the files in a zip whose names are wanted, by name; nothing is unpacked to disk."""
    try:
        archive = zipfile.ZipFile(file)
        names = archive.infolist()
    except (zipfile.BadZipFile, RuntimeError, ValueError, EOFError, NotImplementedError) as error:
        raise HistoryError(f"{path}: a damaged zip file ({error}); download the export again") from error
    held = [member for member in names if wanted.search(member.filename)]
    # no member gives more than the size it states: zipfile cuts it there
    if len(names) > _MAX_MEMBERS or sum(member.file_size for member in held) > MAX_BYTES:
        raise HistoryError(
            f"{path}: holds {len(names)} files, or more than 2 GB of listens; expected an export of one listener"
        )
    if not held:
        raise HistoryError(
            f"{path}: a zip file without listens/YEAR/MONTH.jsonl (ListenBrainz), Streaming_History_….json, "
            "StreamingHistory….json, YourLibrary.json (Spotify) or watch-history.json (YouTube Music)"
        )
    for member in sorted(held, key=lambda m: m.filename):
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            problems.add(member.filename, "packed in a way that no service uses")
            continue
        try:
            with archive.open(member) as packed, io.BufferedReader(cast(Any, packed), CHUNK) as stream:
                yield from json_values(stream, f"{member.filename}, ", problems)
        except (zipfile.BadZipFile, zlib.error, RuntimeError, ValueError, EOFError, OSError) as error:
            problems.add(member.filename, f"damaged ({error})")


# names and times


def name(value: Any) -> str:
    """A name as it can be stored and compared; empty where it is none."""
    if not isinstance(value, str) or len(value) > MAX_NAME:
        return ""
    return " ".join(value.replace("\0", "").encode("utf-8", "replace").decode().split())


def seconds(value: Any) -> float | None:
    """Seconds since 1970 of a time in UTC; None where it is none.

    A number of s or ms, ISO 8601, or as 02 Jan 2023 10:11, Jan 2, 2023, 10:11 AM, 02.01.2023 10:11, 1/22/2023 10:11 AM.
    Of two numbers between slashes the one above 12 is the day; the month is first where the clock has AM and PM, and
    what is left is no time, as both may be meant.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if not isinstance(value, str):
        return value / 1000 if value > 1e11 else float(value)
    text = value.strip()[:40]
    if _NUMBER.fullmatch(text):
        return float(text) / 1000 if float(text) > 1e11 else float(text)
    try:
        when = _written(" ".join(text.lower().split())) or datetime.fromisoformat(text)
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _written(text: str) -> datetime | None:
    """A date and a clock's time as people write them; ValueError where there is no such day."""
    found = next(filter(None, (date.fullmatch(text) for date in _DATES)), None)
    if found is None:
        return None
    of = found.groupdict()
    hour, minute, second = (int(of[part] or 0) for part in ("hour", "minute", "second"))
    if of["half"]:
        if not 1 <= hour <= 12:
            raise ValueError(text)
        hour = hour % 12 + 12 * (of["half"] == "p")
    if of.get("one"):
        month, day = int(of["one"]), int(of["other"])
        if month > 12:
            month, day = day, month
        elif day <= 12 and day != month and not of["half"]:
            raise ValueError(text)
    else:
        month, day = _MONTHS.index(of["name"]) + 1 if of.get("name") else int(of["month"]), int(of["day"])
    return datetime(int(of["year"]), month, day, hour, minute, second, tzinfo=UTC)


def believed(value: Any, where: str, problems: Problems) -> float | None:
    """A time as `seconds` reads it, where it can be that of a listen; else it is reported."""
    found = seconds(value)
    if found is not None and FIRST_S <= found <= time() + 86_400:
        return float(found)
    problems.note(where, "no time, or one before the year 2000 or in the future; it counts without")
    return None
