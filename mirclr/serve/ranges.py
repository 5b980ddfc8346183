"""Which part of a file a request means, by RFC 9110: preconditions (section 13) and byte ranges (section 14).

starlette's `FileResponse` knows ranges, but no preconditions; it refuses units that it does not know, which are to be
ignored, and answers HEAD with a part.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate, parsedate_to_datetime

_SPEC = re.compile(r"(\d*)-(\d*)", re.ASCII)
_MOST_DIGITS = 18


@dataclass(frozen=True)
class Version:
    """A file as it is now.

    Attributes
    ----------
    size : int
        In bytes.
    etag : str
        A strong one, with its quotes.
    changed_s : int
        In seconds since 1970.
    """

    size: int
    etag: str
    changed_s: int

    @property
    def headers(self) -> dict[str, str]:
        """The headers that describe it."""
        return {"ETag": self.etag, "Last-Modified": formatdate(self.changed_s, usegmt=True)}


@dataclass(frozen=True)
class Asked:
    """What a request gets: its status, 200, 206, 304, 412 or 416, and the bytes from `begin` to before `end`."""

    status: int
    begin: int = 0
    end: int = 0


def asked_of(method: str, headers: Mapping[str, str], version: Version) -> Asked:
    """What a request for a file gets.

    Of several ranges that lie apart the whole file is sent, which RFC 9110 leaves to the server.

    Parameters
    ----------
    method : str
        ``GET`` or ``HEAD``; ranges are of GET alone.
    headers : mapping of str to str
        Of the request, by names in whatever case the mapping takes.
    version : Version
        The file.
    """
    if refused := _precondition(headers, version):
        return Asked(refused)
    whole = Asked(200, 0, version.size)
    text = headers.get("range")
    if method != "GET" or text is None or not _same_version(headers.get("if-range"), version):
        return whole
    unit, found, specs = text.partition("=")
    if not found or unit.strip().lower() != "bytes":
        return whole
    ranges = [_range(spec.strip(), version.size) for spec in specs.split(",") if spec.strip()]
    if not ranges or None in ranges:  # not well-formed: as if it were not there
        return whole
    there = sorted(r for r in ranges if r and r[0] < r[1])
    if not there:
        return Asked(416)
    begin, end = there[0]
    for first, last in there[1:]:
        if first > end:
            return whole
        end = max(end, last)
    return Asked(206, begin, end)


def is_held(headers: Mapping[str, str], etag: str) -> bool:
    """Whether a client says that it has what a tag names: `If-None-Match`."""
    return _lists(headers.get("if-none-match", ""), etag, weak=True)


def _range(spec: str, size: int) -> tuple[int, int] | None:
    """Begin and end of one range, which are equal where nothing of it is there; None of what is none."""
    match = _SPEC.fullmatch(spec)
    if not match or match.groups() == ("", "") or max(map(len, match.groups())) > _MOST_DIGITS:
        return None
    first, last = match.groups()
    if not first:
        return max(0, size - int(last)), size
    if last and int(last) < int(first):
        return None
    begin = min(int(first), size)
    return begin, min(int(last) + 1, size) if last else size


def _precondition(headers: Mapping[str, str], version: Version) -> int | None:
    """The status of a request whose preconditions do not hold, in the order of RFC 9110, 13.2.2."""
    if (wanted := headers.get("if-match")) is not None:
        if not _lists(wanted, version.etag, weak=False):
            return 412
    elif (date := _date(headers.get("if-unmodified-since"))) is not None and version.changed_s > date:
        return 412
    if "if-none-match" in headers:
        return 304 if is_held(headers, version.etag) else None
    if (date := _date(headers.get("if-modified-since"))) is not None and version.changed_s <= date:
        return 304
    return None


def _lists(text: str, etag: str, *, weak: bool) -> bool:
    """Whether a list of tags, or ``*``, has this one."""
    tags = [tag.strip() for tag in text.split(",")]
    return "*" in tags or etag in tags or (weak and f"W/{etag}" in tags)


def _same_version(text: str | None, version: Version) -> bool:
    """Whether a client that has a part of the file has it of this version: by its tag, or the very date."""
    if text is None:
        return True
    if text.lstrip().startswith(('"', "W/")):
        return text.strip() == version.etag
    return _date(text) == version.changed_s


def _date(text: str | None) -> float | None:
    """Seconds since 1970; None of what is no date."""
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, TypeError):
        return None


def version_of(size: int, mtime_ns: int) -> Version:
    """The version of a file by its size and time of change, as `mirclr.provenance.size_and_time` gives them."""
    return Version(size, f'"{size:x}-{mtime_ns & (1 << 64) - 1:x}"', max(0, min(mtime_ns // 10**9, _LAST_S)))


_LAST_S = int(datetime(9999, 12, 31, tzinfo=UTC).timestamp())
