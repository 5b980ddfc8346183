"""A song's sound and what its file says of itself, wherever the file is; run in a process apart, which may crash."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from mirclr.audio import Excerpts, Span
from mirclr.audio.reading import NotRead, try_excerpts, what_is_wrong
from mirclr.cluster.listing import Listed, folder_and_name
from mirclr.errors import StorageError, UnreachableAudio, in_words, is_fault_of_machine
from mirclr.processes import JOB_S, seconds_for_file
from mirclr.provenance import file_digest, size_and_time
from mirclr.storage import is_url

_BYTES_A_SECOND = 500_000


@dataclass(frozen=True)
class ReadSong:
    """A song that was decoded: its excerpts, and its file's size, time and digest, as of `SeenFile`."""

    excerpts: Excerpts
    size: int
    mtime_ns: int
    digest: str


def read_listed(song: Listed, count: int, seconds: float, rate: int) -> "ReadSong | str":
    """Decode the excerpts of a song; what is wrong with it comes back as text, as of `try_excerpts`.

    A file at an address is copied to this machine for as long as it is decoded.
    """
    span = song.part.span if song.part else None
    if not is_url(song.audio):
        return _read(song, Path(song.audio), count, seconds, rate, span)
    try:
        with _fetched(song) as file:
            found = _read(song, file, count, seconds, rate, span)
    except UnreachableAudio as error:
        return NotRead(error)
    if isinstance(found, str):
        return type(found)(found.replace(str(file), place_of_listed(song), 1))
    return found


def _read(song: Listed, file: Path, count: int, seconds: float, rate: int, span: Span | None) -> "ReadSong | str":
    try:
        size, mtime_ns = size_and_time(file)  # before it is decoded, as in try_excerpts
        excerpts = try_excerpts(file, count, seconds, rate, span)
        if isinstance(excerpts, str):
            return excerpts
        mark = f":{song.part.mark}" if song.part else ""
        return ReadSong(excerpts, size, mtime_ns, file_digest(file) + mark)
    except Exception as error:
        return what_is_wrong(file, error)


@contextmanager
def _fetched(song: Listed) -> Iterator[Path]:
    """A copy of a file at an address, under its own suffix.

    Raises
    ------
    UnreachableAudio
        The address does not give it.
    OSError
        This machine is at fault, as its disk is full.
    """
    with TemporaryDirectory(prefix="mirclr-") as folder:
        file = Path(folder) / f"song{PurePosixPath(song.audio_path or song.path).suffix[:16]}"
        try:
            there, name = folder_and_name(song.audio)
            there.fetch(name, file)
        except StorageError as error:
            why = error.__cause__ or error
            if is_fault_of_machine(why):
                raise why from None
            what = "there is no such file" if isinstance(why, FileNotFoundError) else " ".join(in_words(why).split())
            raise UnreachableAudio(f"{place_of_listed(song)}: cannot be read ({what})") from error
        yield file


def place_of_listed(song: Listed) -> str:
    """What names a song for people: its root and its path."""
    return f"{song.root.rstrip('/')}/{song.path}"


def seconds_for_listed(song: Listed, *_: object) -> float:
    """Seconds that `read_listed` may take."""
    if is_url(song.audio):
        return JOB_S + max(0, song.size) / _BYTES_A_SECOND
    return seconds_for_file(Path(song.audio))
