"""What music a folder holds: the files by their names or first bytes, and the tracks that CUE sheets make of them.

What is not taken is counted, so that nothing goes by in silence. Hidden files and folders are left out, and so are the
folders in which systems and network drives keep what was thrown away, thumbnails and snapshots; and what a person
excluded.

Contents: `audio_files` (below a folder), `audio_at` (at one file), `Part`, `PassedOver`,
`Exclusions`.
"""

import fnmatch
import math
import os
import re
import stat
import sys
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path, PurePath

from mirclr.data.cue import file_named, read_cue
from mirclr.errors import CueError
from mirclr.provenance import digest_json
from mirclr.tags import AUDIO_SUFFIXES, Tags

CUE = ".cue"
_BINS = frozenset(  # of Synology, QNAP, NetApp, Windows, macOS and the archives that it makes
    (
        "#recycle",
        "#snapshot",
        "$recycle.bin",
        "@eadir",
        "@recently-snapshot",
        "@recycle",
        "@tmp",
        "__macosx",
        "network trash folder",
        "system volume information",
        "temporary items",
        "~snapshot",
    )
)
_SUFFIX = re.compile(r"\.[a-z0-9+~]{1,7}")  # what is longer, or of words, is of a title such as "01. A song"
_BEGINNINGS = (
    *(b"fLaC", b"OggS", b"ID3", b"MAC ", b"wvpk", b"MPCK", b"MP+", b"DSD ", b"TTA1", b"TTA2", b"caff", b".snd"),
    *(b"ajkg", b"tBaK", b"#!AMR", b"\x0b\x77", b"\x7f\xfe\x80\x01"),  # Shorten, TAK, AMR, AC-3, DTS
    *(b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75"),  # Matroska, ASF
)
_LISTED = 8
_FOLDS_CASE = sys.platform in ("win32", "darwin")


@dataclass(frozen=True)
class ScanFailure:
    """A file or folder that could not be taken, and why; the path is relative to what was scanned."""

    path: str
    reason: str


@dataclass(frozen=True)
class Part:
    """A track that is a part of a file.

    Attributes
    ----------
    file : Path
        The audio file.
    number : int
        Of the track, as its sheet has it.
    span : tuple of float
        Begin and end in seconds; an end of infinity is that of the file.
    tags : Tags
        What the sheet says of it.
    mark : str
        Changes with what the sheet says: begin, end and tags.
    """

    file: Path
    number: int
    span: tuple[float, float]
    tags: Tags
    mark: str

    @property
    def place(self) -> Path:
        """Names the track: a path that no file can have, below that of its own file."""
        return self.file / f"{self.number:02d}"

    def all_tags(self, own: Tags) -> Tags:
        """What the sheet says, and where it says nothing the tags of the file; its title is not the track's."""
        said = {name: value for name, value in vars(self.tags).items() if value}
        own_place = {"title": self.tags.title, "duration_s": None, "track_number": self.number}
        return replace(own, **(said | own_place))


Found = Path | Part


def audio_of(found: Found) -> Path:
    """The audio file of what was found."""
    return found.file if isinstance(found, Part) else found


def span_of(found: Found) -> tuple[float, float] | None:
    """Begin and end of a part, in seconds; None of a file."""
    return found.span if isinstance(found, Part) else None


def place_of(found: Found) -> Path:
    """What names it: the file, or the place of a part."""
    return found.place if isinstance(found, Part) else found


@dataclass
class PassedOver:
    """What a scan did not take.

    Attributes
    ----------
    suffixes : Counter of str
        How many files of each suffix, in lower case, are no audio; "" of those without one.
    left_out : Counter of str
        How many folders and files were not looked at, by what they are: the name of a bin, "hidden" or "excluded".
    remarks : list of str
        What is wrong with CUE sheets, whose files are then tracks as a whole.
    patterns : set of str
        The exclusions that something was of.
    """

    suffixes: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    remarks: list[str] = field(default_factory=list)
    patterns: set[str] = field(default_factory=set)

    def lines(self) -> list[str]:
        """For people, a line for each kind; none where nothing was passed over."""
        kinds = [f"{n} {suffix or 'without a suffix'}" for suffix, n in self.suffixes.most_common(_LISTED)]
        if others := self.suffixes.total() - sum(n for _, n in self.suffixes.most_common(_LISTED)):
            kinds.append(f"{others} of other kinds")
        left = [f"{n} {what}" for what, n in self.left_out.most_common()]
        return [
            *self.remarks,
            *([f"passed over: {', '.join(kinds)}"] if kinds else []),
            *([f"left out: {', '.join(left)}"] if left else []),
        ]

    def as_json(self) -> dict[str, object]:
        """The same as JSON values."""
        return {"passed_over": dict(self.suffixes), "left_out": dict(self.left_out), "remarks": self.remarks}


class Exclusions:
    """Patterns of folders and files that are to be left out.

    A pattern is that of a path below a root, or without '/' that of a name anywhere below it; './' before it means one
    right below the root. '*' and '?' stand for what is between two '/', '**' for any folders; brackets are as they are.
    Case counts where the system says so.

    Parameters
    ----------
    patterns : mapping of str to sequences of str
        By the root that they hold for, an absolute folder.

    Attributes
    ----------
    used : set of str
        The patterns that something was of.
    """

    def __init__(self, patterns: Mapping[str, Sequence[str]]) -> None:
        self._patterns = [(Path(root), [(p, _segments(p)) for p in kept]) for root, kept in patterns.items() if kept]
        self.used: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def names(self, path: Path) -> bool:
        """Whether a pattern is that of this very path."""
        for root, patterns in self._patterns:
            if path != root and path.is_relative_to(root):
                parts = _folded(path.relative_to(root).parts)
                if found := [pattern for pattern, segments in patterns if _matches(parts, segments)]:
                    self.used.update(found)
                    return True
        return False

    def covers(self, path: Path) -> bool:
        """Whether a pattern is that of a path or of a folder that it is in."""
        return bool(self._patterns) and any(map(self.names, (path, *path.parents)))


def _segments(pattern: str) -> tuple[str, ...]:
    """A pattern as what is between its '/', '**' before one that holds at any depth."""
    anchored = pattern.removeprefix("./")
    parts = _folded(part for part in anchored.split("/") if part not in ("", "."))
    return parts if anchored != pattern or len(parts) > 1 else ("**", *parts)


def _folded(parts: Iterable[str]) -> tuple[str, ...]:
    plain = (unicodedata.normalize("NFC", part) for part in parts)
    return tuple(part.casefold() for part in plain) if _FOLDS_CASE else tuple(plain)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """Whether the parts of a path are those of a pattern, by all ways at once: '**' may stand for any number."""
    ends = {0}
    for segment in pattern:
        if segment == "**":
            ends = set(range(min(ends), len(parts) + 1))
        else:
            ends = {at + 1 for at in ends if at < len(parts) and _regex(segment).match(parts[at])}
        if not ends:
            return False
    return len(parts) in ends


@lru_cache(maxsize=1024)
def _regex(segment: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(segment.replace("[", "[[]")))


def left_out(name: str) -> str | None:
    """What a folder or file is that is never looked at, by its name; None of any other."""
    if name.startswith("."):
        return "hidden"
    return name if name.lower() in _BINS or name == "lost+found" else None


def may_say_of_audio(name: str) -> bool:
    """Whether a file may be audio or a CUE sheet, by its name: by its suffix, or as it has none."""
    suffix = suffix_of(name)
    return suffix in AUDIO_SUFFIXES or suffix in ("", CUE)


def suffix_of(name: str) -> str:
    """The suffix of a name in lower case; "" where it has none."""
    suffix = PurePath(name).suffix.lower()
    return suffix if _SUFFIX.fullmatch(suffix) else ""


def audio_files(
    folder: Path, *, exclusions: Exclusions | None = None, passed: PassedOver | None = None
) -> Iterator[Found | ScanFailure]:
    """Every audio file below a folder, by its name, in sorted order; of files with a CUE sheet their tracks.

    A file without a suffix is audio if its first bytes are. A link to something below the folder is skipped, as its
    target is met anyway; one that leads out of it is a failure, as is an empty file and one that is not a regular file.

    Parameters
    ----------
    folder : Path
        Where to look.
    exclusions : Exclusions, optional
        What is to be left out.
    passed : PassedOver, optional
        Collects what was not taken.

    Yields
    ------
    Path, Part or ScanFailure
        Paths are absolute, links in `folder` itself resolved.

    Raises
    ------
    NotADirectoryError
        If `folder` is not a folder.
    """
    root = folder.resolve()
    if not root.is_dir():
        raise NotADirectoryError(f"{folder}: not a folder")
    exclusions, passed = exclusions or Exclusions({}), passed or PassedOver()
    if exclusions.covers(root):
        passed.left_out["excluded"] += 1
        return
    unreadable: list[OSError] = []
    for place, folders, files in os.walk(root, onerror=unreadable.append):
        folders[:] = sorted(_wanted(Path(place), folders, exclusions, passed))
        for name in folders:
            if (Path(place) / name).is_symlink() and (found := _looked_at(root, Path(place) / name)):
                yield found
        yield from _in_folder(root, Path(place), files, exclusions, passed)
        while unreadable:
            yield _unreadable(root, unreadable.pop())
    while unreadable:
        yield _unreadable(root, unreadable.pop())


def audio_at(
    files: Iterable[Path], *, exclusions: Exclusions | None = None, passed: PassedOver | None = None
) -> Iterator[tuple[Path, Found | ScanFailure]]:
    """The tracks that each of some files is: one, whatever its name, or several where a CUE sheet beside it says so.

    A CUE sheet stands for the tracks that it and those beside it make. A pipe or a device is a failure, as reading it
    may have no end; its path is its name. What is not there is no failure here.
    """
    exclusions, passed = exclusions or Exclusions({}), passed or PassedOver()
    sheets: dict[Path, dict[str, list[Part]]] = {}
    for file in files:
        folder = file.parent
        if exclusions.covers(file):
            passed.left_out["excluded"] += 1
            continue
        if file.exists() and not file.is_file():
            yield file, ScanFailure(file.name, "not a regular file")
            continue
        if folder not in sheets:
            sheets[folder] = _parts_in(folder, exclusions, passed)
        if file.suffix.lower() == CUE:
            yield from ((file, part) for parts in sheets[folder].values() for part in parts)
        else:
            yield from ((file, part) for part in sheets[folder].get(file.name, [file]))


def _wanted(place: Path, names: Iterable[str], exclusions: Exclusions, passed: PassedOver) -> Iterator[str]:
    for name in names:
        if why := left_out(name):
            passed.left_out[why] += 1
        elif exclusions.names(place / name):
            passed.left_out["excluded"] += 1
        else:
            yield name


def _in_folder(
    root: Path, place: Path, names: Sequence[str], exclusions: Exclusions, passed: PassedOver
) -> Iterator[Found | ScanFailure]:
    """The audio files of one folder, in sorted order."""
    wanted = sorted(_wanted(place, names, exclusions, passed))
    audio = {name for name in wanted if is_named_as_audio(place / name)}
    sheets = [name for name in wanted if name.lower().endswith(CUE)]
    parts, used = _parts_of(place, sheets, audio, passed)
    for name in wanted:
        if name in used:
            continue
        if name not in audio:
            passed.suffixes[suffix_of(name)] += 1
        elif (found := _looked_at(root, place / name)) is None or isinstance(found, ScanFailure):
            yield from [found] if found else []
        else:
            yield from (part for part in parts.get(name, [found]) if not exclusions.names(place_of(part)))


def _parts_in(folder: Path, exclusions: Exclusions, passed: PassedOver) -> dict[str, list[Part]]:
    """The tracks that the CUE sheets of one folder make of its audio files, by the name of the file."""
    try:
        names = os.listdir(folder)
    except OSError:
        return {}  # decoding will say what is wrong
    if not any(name.lower().endswith(CUE) for name in names):
        return {}  # as of most folders
    names = sorted(name for name in names if not left_out(name) and not exclusions.names(folder / name))
    sheets = [name for name in names if name.lower().endswith(CUE)]
    return _parts_of(folder, sheets, {name for name in names if is_named_as_audio(folder / name)}, passed)[0]


def _parts_of(
    place: Path, sheets: Iterable[str], audio: Collection[str], passed: PassedOver
) -> tuple[dict[str, list[Part]], set[str]]:
    """The tracks that sheets, the first of several, make of the audio files of a folder; and the sheets of use."""
    parts: dict[str, list[Part]] = {}
    used = set()
    for sheet in sheets:
        try:
            found = read_cue(place / sheet)
        except CueError as error:
            passed.remarks.append(f"{place / sheet}: {error}; no tracks are made of it")
            continue
        except OSError as error:
            passed.remarks.append(f"{place / sheet}: cannot be read ({error.strerror or error})")
            continue
        for named, tracks in found.items():
            name = file_named(named, sheet if len(found) == 1 else "", audio)
            if name is None:
                if not (place / named).exists():
                    passed.remarks.append(
                        f"{place / sheet}: names {named}, which is not there; no tracks are made of it"
                    )
                continue
            used.add(sheet)
            parts.setdefault(name, [make_part(place / name, t.number, (t.start_s, t.end_s), t.tags) for t in tracks])
    return parts, used


def make_part(file: Path, number: int, span: tuple[float, float], tags: Tags) -> Part:
    """A part of a file, with its mark."""
    begin, end = span
    said = {name: value for name, value in vars(tags).items() if value}
    mark = digest_json([begin, None if math.isinf(end) else end, said])[:16]
    return Part(file, number, span, tags, mark)


def is_named_as_audio(file: Path) -> bool:
    """Whether a file may be audio: by its suffix; without one by its first bytes."""
    suffix = suffix_of(file.name)
    if suffix:
        return suffix in AUDIO_SUFFIXES
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            return False
        with file.open("rb") as f:
            return is_audio(f.read(16))
    except OSError:
        return False


def is_audio(first: bytes) -> bool:
    """Whether a file begins as audio does, by its first 16 bytes."""
    if first.startswith(_BEGINNINGS) or first[4:8] == b"ftyp":
        return True
    if first[:4] in (b"RIFF", b"RF64", b"BW64", b"FORM", b"FRM8", b"riff"):
        return first[8:12] in (b"WAVE", b"AIFF", b"AIFC") or first[12:16] == b"DSD " or first[:4] == b"riff"
    if len(first) < 4 or first[0] != 0xFF or first[1] < 0xE0:
        return False
    adts = first[1] & 0xF6 == 0xF0 and first[2] >> 2 & 15 < 13
    # of the header of MPEG audio layer, rate and frequency must be some that there are
    return adts or (first[1] >> 1 & 3 in (1, 2) and first[2] >> 4 not in (0, 15) and first[2] >> 2 & 3 != 3)


def _unreadable(root: Path, error: OSError) -> ScanFailure:
    place = Path(str(error.filename or root))
    return ScanFailure(place.relative_to(root).as_posix(), f"the folder cannot be read: {error.strerror}")


def _looked_at(root: Path, file: Path) -> Path | ScanFailure | None:
    """Look at one file, or at a link to a folder; None for what is met elsewhere."""
    path = file.relative_to(root).as_posix()
    try:
        if file.is_symlink():
            if file.resolve().is_relative_to(root) and file.exists():
                return None
            there = "leads out of the folder; scan its target by itself" if file.exists() else "leads nowhere"
            return ScanFailure(path, f"a link that {there}")
        facts = file.stat()
    except (OSError, RuntimeError) as error:
        return ScanFailure(path, getattr(error, "strerror", None) or str(error))
    if not stat.S_ISREG(facts.st_mode):
        return ScanFailure(path, "not a regular file")  # reading a pipe would wait for ever
    return file if facts.st_size else ScanFailure(path, "an empty file")
