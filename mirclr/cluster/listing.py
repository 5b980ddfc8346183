"""Which songs there are: of folders and files, of a manifest, or of object storage and the web, by fsspec.

Of folders here the files are those that `mirclr embed` takes, CUE sheets included. Of an address (``s3://…``,
``https://…``) they are all below it that are named as audio, or begin as audio does where their name has no suffix.

Contents: `Listed`, made by `list_songs`; `open_address`.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from mirclr.data.manifest import Track, inside, read_manifest
from mirclr.data.scan import Exclusions, Found, Part, PassedOver, audio_of, is_audio, left_out, make_part, suffix_of
from mirclr.errors import ClusterError, ManifestError, MirclrError, MissingExtra, in_words, is_fault_of_machine
from mirclr.ingest.exclusions import pattern_of
from mirclr.ingest.finding import find_below, roots_of
from mirclr.library import Failure
from mirclr.library.checks import below_root
from mirclr.provenance import is_address, size_and_time
from mirclr.tags import AUDIO_SUFFIXES, Tags
from mirclr.terminal import shown

MANIFEST = ".jsonl"
_HERE = ("file://", "local://")
_OF_EXTRA = ("s3", "s3a", "http", "https")
_TIMES = ("LastModified", "last_modified", "mtime", "modified", "updated")


@dataclass(frozen=True)
class Listed:
    """A song that is to be embedded.

    Attributes
    ----------
    root, path : str
        An absolute folder or an address, and what names the song below it, with '/'.
    audio : str
        Where its sound is: an absolute path or an address.
    size, mtime_ns : int
        Of the file, as of `SeenFile`; -1 and 0 where a listing does not tell.
    part : Part, optional
        The part of the file that is meant.
    tags : Tags, optional
        Taken instead of those in the file.
    id : str
        Of its manifest; else its path.
    """

    root: str
    path: str
    audio: str
    size: int = -1
    mtime_ns: int = 0
    part: Part | None = None
    tags: Tags | None = None
    id: str = ""

    @property
    def audio_path(self) -> str | None:
        """As `Entry.audio_path`: of a part its file, below the root."""
        return self.path.rpartition("/")[0] if self.part else None


@dataclass
class Listing:
    """What was listed: songs, each once; what cannot be followed; and what was passed over."""

    songs: dict[tuple[str, str], Listed] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    passed: PassedOver = field(default_factory=PassedOver)

    def add(self, song: Listed) -> None:
        """Add a song; one whose name no Parquet file can hold is a failure."""
        try:
            f"{song.root}{song.path}".encode()
        except UnicodeEncodeError:
            reason = f"{shown(song.path)}: its name is not valid UTF-8; rename it"
            self.failures.append(Failure(shown(song.root), shown(song.path), 0, 0, reason))
        else:
            self.songs.setdefault((song.root, song.path), song)


def list_songs(sources: Sequence[str], globs: Sequence[str] = (), *, audio_root: Path | None = None) -> Listing:
    """List the songs of folders, files, manifests and addresses.

    Parameters
    ----------
    sources : sequence of str
        What ends on ``.jsonl`` is a manifest; its paths are relative to its folder.
    globs : sequence of str
        What is left out below each of them, as of `pattern_of`; of a manifest nothing is.
    audio_root : Path, optional
        Folder of the files of manifests, in place of their own.

    Raises
    ------
    LibraryError, ManifestError, ClusterError
        There is nothing of such a name, a manifest is wrong, or an address cannot be listed.
    PatternError
        As of `pattern_of`.
    MissingExtra
        What an address needs is not installed.
    """
    listing = Listing()
    for source in sources:
        if source.startswith(_HERE):
            source = unquote(urlsplit(source).path)
        if suffix_of(source) == MANIFEST:
            _of_manifest(source, audio_root, listing)
        elif is_address(source):
            _of_address(source, globs, listing)
        else:
            _of_path(Path(source), globs, listing)
    return listing


# folders and files here


def _of_path(path: Path, globs: Sequence[str], listing: Listing) -> None:
    roots = roots_of([path], None)
    exclusions = _exclusions(globs, *roots.values())
    files, failures = find_below(roots, exclusions, listing.passed)
    listing.failures += failures
    for root, found in files:
        _add(listing, root, found)


def _exclusions(globs: Sequence[str], root: str) -> Exclusions:
    return Exclusions({root: [pattern for glob in globs if (pattern := pattern_of(glob, root))]})


def _add(listing: Listing, root: str, found: Found, tags: Tags | None = None, name: str = "") -> None:
    file = audio_of(found)
    part = found if isinstance(found, Part) else None
    path = (part.place if part else file).relative_to(root).as_posix()
    try:
        size, mtime_ns = size_and_time(file)
    except OSError as error:
        if is_fault_of_machine(error, music=True):
            raise
        listing.failures.append(Failure(root, path, 0, 0, f"{file}: cannot be read ({error.strerror})"))
    else:
        listing.add(Listed(root, path, str(file), size, mtime_ns, part, tags, name or path))


# manifests


def _of_manifest(source: str, audio_root: Path | None, listing: Listing) -> None:
    if not is_address(source):
        manifest = Path(os.path.expanduser(source)).resolve()
        root = (audio_root or manifest.parent).resolve()
        for track, part in _with_parts(read_manifest(manifest), str(root)):
            file = inside(root, track.path)
            found = make_part(file, part.number, part.span, part.tags) if part else file
            _add(listing, str(root), found, _tags(track), track.id)
        return
    if audio_root:
        raise ManifestError(
            f"{_plain(source)}: its files are beside it; --audio-root is for a manifest on this machine"
        )
    fs, name = open_address(source)
    with TemporaryDirectory() as folder, _reaching(source):
        fs.get_file(name, copy := str(Path(folder) / "manifest.jsonl"))
        tracks = read_manifest(Path(copy))
    root_name, address = name.rpartition("/")[0], source.partition("?")[0].rpartition("/")[0]
    for track, part in _with_parts(tracks, root_name):
        path = f"{track.path}/{part.number:02d}" if part else track.path
        listing.add(Listed(_plain(address), path, f"{address}/{track.path}", -1, 0, part, _tags(track), track.id))


def _with_parts(tracks: Sequence[Track], root: str) -> Iterator[tuple[Track, Part | None]]:
    """Tracks, and of those that share a file, or begin within one, which part of it each is."""
    of_file, numbers = Counter(t.path for t in tracks), Counter[str]()
    for track in tracks:
        if of_file[track.path] == 1 and not track.start_s:
            yield track, None
            continue
        numbers[track.path] += 1
        end = track.start_s + track.duration_s if track.duration_s else float("inf")
        yield track, make_part(Path(root, track.path), numbers[track.path], (track.start_s, end), _tags(track))


def _tags(track: Track) -> Tags:
    return Tags(title=track.title, artist=track.artist, album=track.album, genre=track.genre)


# object storage and the web


def open_address(address: str) -> tuple[Any, str]:
    """The file system of fsspec that an address is of, and the name of the address in it.

    Raises
    ------
    MissingExtra
        fsspec, or what it needs for such an address, is not installed.
    ClusterError
        There is no such kind of address.
    """
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise MissingExtra.of("an address such as s3://…", "remote") from None
    kind = address.partition("://")[0].lower()
    try:
        fs, name = url_to_fs(address)
    except ImportError as error:
        if kind in _OF_EXTRA:
            raise MissingExtra.of(f"{kind}://", "remote") from None
        raise MissingExtra(f"{kind}:// needs an optional part: {in_words(error)}") from None
    except ValueError as error:
        raise ClusterError(f"{_plain(address)}: no such kind of address ({in_words(error)})") from None
    return fs, str(name)


@contextmanager
def _reaching(address: str) -> Iterator[None]:
    """Raise what goes wrong at an address as a `ClusterError` that names it."""
    try:
        yield
    except Exception as error:  # file systems fail in every way there is
        if isinstance(error, MirclrError) or is_fault_of_machine(error):
            raise
        raise ClusterError(f"{_plain(address)}: cannot be read ({what_of_address(error)})") from error


def what_of_address(error: Exception) -> str:
    """What went wrong at an address, in a line."""
    if isinstance(error, FileNotFoundError):
        return "there is nothing of this name"
    if isinstance(error, PermissionError):
        return "it may not be read: see how fsspec is told who you are"
    return " ".join(in_words(error).split()) or type(error).__name__


def _of_address(address: str, globs: Sequence[str], listing: Listing) -> None:
    fs, name = open_address(address)
    with _reaching(address):
        files: Mapping[str, Any] = fs.find(name, withdirs=False, detail=True)
        if not files and fs.exists(name):
            files = {name: fs.info(name)}
    if not files:
        raise ClusterError(f"{_plain(address)}: there is nothing of this name")
    single = list(files) == [name]
    base = name.rpartition("/")[0] if single else name.rstrip("/")
    root = _plain(address.partition("?")[0].rpartition("/")[0] if single else address.rstrip("/"))
    web = address.lower().startswith("http")
    exclusions = _exclusions(globs, root)
    for file, facts in sorted(files.items()):
        path = file.removeprefix(base).lstrip("/")
        path = unquote(path.partition("?")[0]) if web else path
        url = file if is_address(file) else str(fs.unstrip_protocol(file))
        if not below_root(path) or facts.get("type") == "directory":
            continue
        if single or _is_wanted(fs, file, root, path, exclusions, listing.passed):
            size = facts.get("size")
            listing.add(Listed(root, path, url, -1 if size is None else int(size), _time_ns(facts), id=path))
    listing.passed.patterns |= exclusions.used


def _is_wanted(fs: Any, file: str, root: str, path: str, exclusions: Exclusions, passed: PassedOver) -> bool:
    """Whether a file at an address is taken, as `audio_files` has it of files here."""
    parts = PurePosixPath(path).parts
    why = next((what for part in parts if (what := left_out(part))), None)
    if not why and exclusions and any(exclusions.names(Path(root, *parts[: i + 1])) for i in range(len(parts))):
        why = "excluded"
    if why:
        passed.left_out[why] += 1
        return False
    suffix = suffix_of(parts[-1])
    if suffix in AUDIO_SUFFIXES:
        return True
    if not suffix:
        with suppress(Exception):  # what cannot be read is told of where it is named as audio
            if is_audio(fs.cat_file(file, start=0, end=16)[:16]):
                return True
    passed.suffixes[suffix] += 1
    return False


def _time_ns(facts: Mapping[str, Any]) -> int:
    """When a file was written, in ns since 1970, as its listing says; 0 where it does not."""
    said = next((facts[name] for name in _TIMES if facts.get(name) is not None), None)
    if isinstance(said, datetime):
        return int(said.timestamp() * 1e9)
    return int(said * 1e9) if isinstance(said, int | float) else 0


def _plain(address: str) -> str:
    """An address without a user's name and password, as it is kept and shown."""
    parts = urlsplit(address)
    if not (parts.query or "@" in parts.netloc):
        return address
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
