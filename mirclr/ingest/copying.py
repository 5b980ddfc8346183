"""Songs of a list onto a stick or into a folder: numbered in their order, transcoded where that is asked for.

Names are such as every system and FAT can hold. A file takes its name when it is whole; what is there already stays,
unless overwriting is asked for. A song that is a part of a file is cut out of it, without loss unless another kind is
asked for.
"""

import os
import re
import shutil
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mirclr.audio import Span, why_lost
from mirclr.audio.transcoding import can_write, expected_bytes, try_transcode
from mirclr.errors import CopyError, in_words, is_fault_of_machine
from mirclr.library import LibraryTrack
from mirclr.library.files import LEADS_OUT, leads_out
from mirclr.processes import Lost, results_in_order, seconds_for_file
from mirclr.provenance import file_digest
from mirclr.tags.covers import add_cover
from mirclr.tags.pictures import read_pictures
from mirclr.terminal import shown, size

_MOST_OF_A_COVER = 8 << 20  # bytes, of what a player is given
_LONGEST = 200  # bytes of a name, of the 255 that systems allow


@dataclass(frozen=True)
class PlannedCopy:
    """What is to become of one song.

    Attributes
    ----------
    track : LibraryTrack
    target : Path
    kind : str or None
        Of `mirclr.audio.transcoding.FORMATS`; None for a copy byte for byte.
    """

    track: LibraryTrack
    target: Path
    kind: str | None


@dataclass(frozen=True)
class Copied:
    """What became of one song.

    Attributes
    ----------
    plan : PlannedCopy
    did : str
        "copied", "transcoded", "there" (the same is there already), or "failed".
    reason : str or None
        Why it failed, naming the file.
    """

    plan: PlannedCopy
    did: str
    reason: str | None = None


def plan_copies(tracks: Sequence[LibraryTrack], folder: Path, kind: str | None = None) -> list[PlannedCopy]:
    """The names that songs get in a folder, in their order.

    Parameters
    ----------
    tracks : sequence of LibraryTrack
        In the order of playing.
    folder : Path
        Where they go.
    kind : str, optional
        Of `mirclr.audio.transcoding.FORMATS`: what is of another kind is transcoded.
    """
    digits = max(2, len(str(len(tracks))))
    plans = []
    for number, track in enumerate(tracks, 1):
        suffix = track.file.suffix.lower().lstrip(".")
        to = kind if kind and (suffix != kind or track.span) else "flac" if track.span else None
        name = f"{track.artist} - {track.title}" if track.artist and track.title else track.title or track.file.stem
        ending = f".{to or suffix}" if to or suffix else ""
        plans.append(PlannedCopy(track, folder / f"{number:0{digits}d} {safe_name(name, ending)}", to))
    return plans


def safe_name(name: str, ending: str = "") -> str:
    """A text as a name that every system can hold, FAT too, with its ending."""
    plain = unicodedata.normalize("NFC", shown(" ".join(name.split()))).replace("�", "_")
    plain = re.sub(r'[<>:"/\\|?*\x00-\x1f]', "_", plain)
    room = _LONGEST - len(ending.encode())
    plain = plain.encode("utf-8", "replace")[:room].decode("utf-8", "ignore")
    return (plain.rstrip(". ") or "_") + ending


def copy_songs(
    plans: Sequence[PlannedCopy], folder: Path, *, kbps: int = 192, overwrite: bool = False, workers: int = 0
) -> Iterator[Copied]:
    """Copy or transcode songs into a folder, which is made where it is not there.

    Parameters
    ----------
    plans : sequence of PlannedCopy
        Of `plan_copies`.
    folder : Path
        The same.
    kbps : int
        Kilobits a second of what is transcoded, of kinds that lose some of the sound.
    overwrite : bool
        Replace other files of these names.
    workers : int
        Processes that transcode; 0: one a core.

    Yields
    ------
    Copied
        One for each, in their order; when it is yielded, its file is whole.

    Raises
    ------
    CopyError
        There is no room for all of them, or their kind cannot be written; nothing was.
    OSError
        The disk is full or gone; what was yielded is there.
    """
    for kind in {plan.kind for plan in plans if plan.kind}:
        if not can_write(kind):
            raise CopyError(f"the FFmpeg that is installed cannot write {kind}; try another kind, such as --as flac")
    folder.mkdir(parents=True, exist_ok=True)
    _sweep(folder)
    known = {plan.target: done for plan in plans if (done := _done_already(plan, overwrite))}
    _check_room([plan for plan in plans if plan.target not in known], folder, kbps)
    jobs = [_job(plan, kbps) for plan in plans if plan.kind and plan.target not in known]
    made = results_in_order(_transcoded, jobs, workers=workers, seconds_for=seconds_for_file)
    try:
        for plan in plans:
            if plan.target in known:
                yield known[plan.target]
            elif plan.kind is None:
                yield _copied(plan)
            else:
                (_, part, *_), result = next(made)
                yield _placed(plan, part, result)
    finally:
        close = getattr(made, "close", None)
        if close:
            close()
        _sweep(folder)


def _done_already(plan: PlannedCopy, overwrite: bool) -> Copied | None:
    """What is known of a song without writing: it is there, or cannot be read, or another file is in its place."""
    source, target = plan.track.file, plan.target
    if leads_out(plan.track.root, source):
        return Copied(plan, "failed", f"{source}: {LEADS_OUT.format(plan.track.root)}")
    try:
        source.stat()
        if not os.path.lexists(target):
            return None
        if plan.kind is None and file_digest(source) == file_digest(target):
            return Copied(plan, "there")
        if os.path.samefile(source, target):
            return Copied(plan, "failed", f"{target}: is the song itself; name another folder")
    except OSError as error:
        if is_fault_of_machine(error, music=True):
            raise
        return Copied(plan, "failed", f"{source}: cannot be read ({in_words(error, source)})")
    if overwrite:
        return None
    if plan.kind is not None:  # of the same name and number; what it was made from, nothing shows
        return Copied(plan, "there")
    return Copied(plan, "failed", f"{target}: another file of this name is there; --overwrite replaces it")


def _check_room(plans: Sequence[PlannedCopy], folder: Path, kbps: int) -> None:
    needed = sum(
        expected_bytes(plan.track.duration_s, plan.kind, kbps) if plan.kind else plan.track.file.stat().st_size
        for plan in plans
    )
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise CopyError(
            f"{folder}: {size(free)} are free, and the songs need {size(needed)}; nothing was copied; take fewer, or "
            "make them smaller: --as mp3 --kbps 128"
        )


def _job(plan: PlannedCopy, kbps: int) -> tuple[object, ...]:
    track, number = plan.track, plan.target.name.partition(" ")[0]
    tags = {"title": track.title, "artist": track.artist, "album": track.album, "genre": track.genre}
    tags |= {"album_artist": track.album_artist, "date": str(track.year) if track.year else None, "track": number}
    known = {name: value for name, value in tags.items() if value}
    return track.file, _part_of(plan), plan.kind, kbps, track.span, known


def _transcoded(
    source: Path, part: Path, kind: str, kbps: int, span: Span | None, tags: Mapping[str, str]
) -> str | None:
    """Transcode a song, with the cover that its file carries; what is wrong with the file comes back as text."""
    problem = try_transcode(source, part, kind, kbps, span, tags)
    try:
        covers = read_pictures(source) if problem is None else []
        if covers and len(covers[0].data) <= _MOST_OF_A_COVER:
            add_cover(part, kind, covers[0])
    except Exception:  # a picture that cannot be written leaves what is not whole; the song counts
        return try_transcode(source, part, kind, kbps, span, tags)
    return problem


def _part_of(plan: PlannedCopy) -> Path:
    """The file that is being written, with a short name in the same folder."""
    return plan.target.with_name(f".mirclr-{plan.target.name.partition(' ')[0]}.part")


def _copied(plan: PlannedCopy) -> Copied:
    source, part = plan.track.file, _part_of(plan)
    try:
        reading = source.open("rb")
    except OSError as error:
        return Copied(plan, "failed", f"{source}: cannot be read ({in_words(error, source)})")
    try:
        with reading, part.open("wb") as f:
            shutil.copyfileobj(reading, f, 1 << 20)
            f.flush()
            os.fsync(f.fileno())
    except OSError as error:
        if is_fault_of_machine(error, music=True):
            raise
        return Copied(plan, "failed", f"{source}: cannot be copied ({in_words(error, source)})")
    with suppress(OSError):  # a disk that has no such times
        shutil.copystat(source, part)
        part.chmod(0o644)
    os.replace(part, plan.target)
    return Copied(plan, "copied")


def _placed(plan: PlannedCopy, part: Path, result: str | Lost | None) -> Copied:
    if result is None:
        with part.open("rb+") as f:
            os.fsync(f.fileno())
        os.replace(part, plan.target)
        return Copied(plan, "transcoded")
    part.unlink(missing_ok=True)
    reason = why_lost(plan.track.file, result) if isinstance(result, Lost) else result
    return Copied(plan, "failed", reason)


def _sweep(folder: Path) -> None:
    """Remove what a run that was stopped left half written."""
    for left in folder.glob(".mirclr-*.part"):
        if re.fullmatch(r"\.mirclr-\d+\.part", left.name):
            with suppress(OSError):
                left.unlink()
