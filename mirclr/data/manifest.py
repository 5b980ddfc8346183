"""Manifests: which tracks there are, what is known of them, and on which side of a split each belongs.

A manifest is a file of JSON Lines, one `Track` a line, UTF-8; fields that are None are left out. Paths are
relative, with ``/``, to an audio root that is named apart from the manifest; `inside` is how a path becomes
a file, and it refuses what would leave the root.

Contents: `Track`, `inside`, `read_manifest`, `examine_manifest`, `write_manifest`, `scan_folder`, `check_tracks`,
`tags_by_file`.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mirclr.config.wording import expected
from mirclr.data.scan import Exclusions, Part, PassedOver, ScanFailure, audio_files, audio_of, place_of
from mirclr.errors import ManifestError, in_words
from mirclr.names import known_artist
from mirclr.provenance import digest_bytes, open_regular, sha256_of, writing
from mirclr.tags import Tags, read_tags

Split = Literal["train", "valid", "test"]
_Text = Annotated[str, Field(min_length=1)]
_LONGEST_LINE = 1 << 20  # bytes
_MOST_ERRORS = 20  # of one line that are listed


class Track(BaseModel):
    """One piece of music: a file, or a part of one.

    Attributes
    ----------
    id : str
        Unique in its manifest, stable between versions of it.
    path : str
        File, relative to the audio root, with ``/``.
    start_s : float
        Where the track begins in the file, in seconds.
    duration_s : float or None
        Length in seconds.
    title, artist, album, genre : str or None
    moods, tags : tuple of str
        Moods; any other labels.
    split : {"train", "valid", "test"} or None
    licence : str or None
    sha256 : str or None
        Of the file at `path`; 64 hexadecimal digits.
    recording : str or None
        Equal for versions of one recording, which must stay in one split.
    source : dict or None
        Where a corpus has it from, such as package, version and path.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    id: _Text
    path: _Text
    start_s: Annotated[float, Field(ge=0)] = 0.0
    duration_s: Annotated[float, Field(gt=0)] | None = None
    title: _Text | None = None
    artist: _Text | None = None
    album: _Text | None = None
    genre: _Text | None = None
    moods: tuple[_Text, ...] = ()
    tags: tuple[_Text, ...] = ()
    split: Split | None = None
    licence: _Text | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    recording: _Text | None = None
    source: dict[str, str] | None = None

    @field_validator("path")
    @classmethod
    def _stays_inside(cls, path: str) -> str:
        if problem := _escape(path):
            raise ValueError(problem)
        return path


def _escape(relative: str) -> str | None:
    """Why a path cannot be one below a root, on any system; None if it can."""
    posix, windows = PurePosixPath(relative), PureWindowsPath(relative)
    if "\0" in relative:
        return "it contains a NUL character"
    # a drive alone is no sign: "V: The Suite/01.mp3" is a good path where ":" may be in names
    if posix.is_absolute() or windows.root:
        return "it is absolute; it must be relative to the audio root"
    if ".." in posix.parts or ".." in windows.parts:
        return "it contains '..'; it must stay below the audio root"
    return None


def inside(root: Path, relative: str) -> Path:
    """Give the file that a manifest's path means, sure to be below the root, symbolic links followed.

    Parameters
    ----------
    root : Path
        The audio root.
    relative : str
        A path from a manifest. The file need not exist.

    Returns
    -------
    Path
        Absolute.

    Raises
    ------
    ManifestError
        If the path is absolute, contains ``..``, or leads out of the root through a link or a drive letter.
    """
    problem = _escape(relative)
    if problem is None:
        base = root.resolve()
        try:
            file = (base / relative).resolve()
        except (OSError, RuntimeError, ValueError) as error:  # a loop of links; a name the system cannot have
            problem = f"it cannot be followed ({in_words(error)})"
        else:
            if file.is_relative_to(base):
                return file
            problem = "it leads out of the audio root through a link"
    raise ManifestError(f"path {relative!r}: {problem} ({root})")


def read_manifest(path: Path) -> list[Track]:
    """Read a manifest.

    Raises
    ------
    ManifestError
        Naming the file, line and field of the first problem, and how many there are.
    OSError
        If the file cannot be read.
    """
    tracks, problems = examine_manifest(path)
    if problems:
        more = f" (and {len(problems) - 1} more; see: mirclr manifest check)" if len(problems) > 1 else ""
        raise ManifestError(problems[0] + more)
    return tracks


def examine_manifest(path: Path) -> tuple[list[Track], list[str]]:
    """Read what is right in a manifest, and describe every line that is not.

    Returns
    -------
    tracks : list of Track
        Of the lines that are right, in order.
    problems : list of str
        One for each wrong field: file, line, field, what was found.
    """
    tracks, problems = [], []
    with open_regular(path) as f:
        for number, line in enumerate(iter(lambda: f.readline(_LONGEST_LINE + 1), b""), start=1):
            if len(line) > _LONGEST_LINE:
                problems.append(
                    f"{path}:{number}: a line of more than {_LONGEST_LINE} bytes; what follows was not read"
                )
                break
            if not line.strip():
                continue
            try:
                # strict: a number in quotes is a mistake in the file, to be reported and not mended
                tracks.append(Track.model_validate_json(line, strict=True))
            except ValidationError as error:
                wrong = error.errors(include_url=False)
                problems += [f"{path}:{number}: {_told(one)}" for one in wrong[:_MOST_ERRORS]]
                if len(wrong) > _MOST_ERRORS:
                    problems.append(f"{path}:{number}: and {len(wrong) - _MOST_ERRORS} more wrong fields")
    return tracks, problems


def _told(error: Mapping[str, Any]) -> str:
    """One pydantic error as text: field, what is wrong, what was found."""
    if error["type"] == "json_invalid":
        return f"not a line of JSON: {error['ctx']['error']}"
    field = _short(".".join(str(part) for part in error["loc"]) or "line")
    if error["type"] == "missing":
        return f"field '{field}' is missing"
    if error["type"] == "extra_forbidden":
        near = get_close_matches(field, Track.model_fields, 1)
        return f"field '{field}' is not known{f'; did you mean {near[0]}?' if near else ''}"
    if error["type"] == "value_error":
        return f"field '{field}': {str(error['msg']).removeprefix('Value error, ')}"
    try:
        found = repr(error["input"])
    except ValueError:  # a whole number of more digits than Python writes
        found = "a number too long to show"
    return f"field '{field}': expected {expected(error)}; found {_short(found)}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}…"


def write_manifest(path: Path, tracks: Iterable[Track]) -> None:
    """Write a manifest, atomically; equal tracks give equal bytes."""
    with writing(path, "w") as f:
        for track in tracks:
            f.write(track.model_dump_json(exclude_none=True, exclude_defaults=True) + "\n")


def scan_folder(
    folder: Path, *, exclusions: Exclusions | None = None, passed: PassedOver | None = None
) -> Iterator[Track | ScanFailure]:
    """Take every track below a folder (`mirclr.data.scan.audio_files`) into a manifest, by its tags, in sorted order.

    Yields
    ------
    Track or ScanFailure
        A track's id is made from its relative path: stable as long as the file stays in its place.

    Raises
    ------
    NotADirectoryError
        If `folder` is not a folder.
    """
    root = folder.resolve()
    for found in audio_files(folder, exclusions=exclusions, passed=passed):
        yield found if isinstance(found, ScanFailure) else _scan(root, found)


def _scan(root: Path, found: Path | Part) -> Track | ScanFailure:
    part = found if isinstance(found, Part) else None
    file, place = audio_of(found), place_of(found)
    path, name = file.relative_to(root).as_posix(), place.relative_to(root).as_posix()
    try:
        tags = read_tags(file)
    except OSError as error:
        return ScanFailure(name, error.strerror or str(error))
    if tags.duration_s is None:
        return ScanFailure(name, "not audio, or damaged: its header gives no duration")
    start_s, end_s = part.span if part else (0.0, tags.duration_s)
    duration_s = min(end_s, tags.duration_s) - start_s
    if duration_s <= 0:
        return ScanFailure(name, f"begins at {start_s:.1f} s, where its file of {tags.duration_s:.1f} s has ended")
    if part:
        tags = part.all_tags(tags)
    try:
        return Track(
            id=digest_bytes(name.encode())[:16],
            path=path,
            start_s=round(start_s, 3),
            duration_s=round(duration_s, 3),
            title=tags.title,
            artist=tags.artist,
            album=tags.album,
            genre=tags.genre,
        )
    except UnicodeEncodeError:
        return ScanFailure(name, "its name is not valid UTF-8; rename it")
    except ValidationError as error:
        return ScanFailure(name, "; ".join(_told(one) for one in error.errors(include_url=False)))


def check_tracks(tracks: Sequence[Track], audio_root: Path | None = None) -> list[str]:
    """Find what is wrong with a manifest as a whole, and with its files where a root is given.

    Parameters
    ----------
    tracks : sequence of Track
        One manifest, or several that are used together.
    audio_root : Path, optional
        Check too that each file is there, below the root, and has the digest that is stated.

    Returns
    -------
    list of str
        One line each; empty when all is well.
    """
    problems = _repeated_ids(tracks)
    problems += _in_two_splits("artist", ((known_artist(t.artist), t.artist, t) for t in tracks))
    problems += _in_two_splits("recording", ((t.recording, t.recording, t) for t in tracks))
    if audio_root is not None:
        if not audio_root.is_dir():
            return [*problems, f"audio root {audio_root}: not a folder"]
        if len(tracks) > 1 and not any((audio_root / track.path).exists() for track in tracks):
            return [*problems, f"audio root {audio_root}: none of the {len(tracks)} files is below it"]
        for track in tracks:
            problems += _wrong_file(track, audio_root)
    return problems


def _repeated_ids(tracks: Sequence[Track]) -> list[str]:
    paths = defaultdict(list)
    for track in tracks:
        paths[track.id].append(track.path)
    return [f"id {i!r} is given to {len(p)} tracks: {_some(p)}" for i, p in paths.items() if len(p) > 1]


def _in_two_splits(what: str, groups: Iterable[tuple[str | None, str | None, Track]]) -> list[str]:
    """What must not be divided between splits, and is; of a key, the name as the first has it, and a track each."""
    splits: dict[str, dict[str, list[str]]] = defaultdict(dict)
    names: dict[str, str | None] = {}
    for key, name, track in groups:
        if key and track.split is not None:
            splits[key].setdefault(track.split, []).append(track.id)
            names.setdefault(key, name)
    return [
        f"{what} {names[key]!r} is in {len(sides)} splits: "
        + "; ".join(f"{split} ({_some(ids)})" for split, ids in sorted(sides.items()))
        for key, sides in splits.items()
        if len(sides) > 1
    ]


def _wrong_file(track: Track, root: Path) -> list[str]:
    try:
        file = inside(root, track.path)
        if not file.is_file():
            return [f"track {track.id!r}: no file {track.path!r} below {root}"]
        if track.sha256 is not None and (found := sha256_of(file)) != track.sha256:
            return [f"track {track.id!r}: {track.path!r} has sha256 {found}; the manifest says {track.sha256}"]
    except (ManifestError, OSError) as error:
        return [f"track {track.id!r}: {in_words(error)}"]
    return []


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def tags_by_file(manifest: Path) -> dict[Path, Tags]:
    """What a manifest says of its files, by their absolute paths; its own paths are relative to its folder.

    Of a file that several of its tracks are parts of, it says nothing.
    """
    tracks = read_manifest(manifest)
    of_file = Counter(t.path for t in tracks)
    return {
        inside(manifest.parent, t.path).resolve(): Tags(title=t.title, artist=t.artist, album=t.album, genre=t.genre)
        for t in tracks
        if of_file[t.path] == 1
    }
