"""Which songs there are: of folders and files, of a manifest, or of object storage and the web, by fsspec.

Of folders here the files are those that `mirclr embed` takes, CUE sheets included. Of an address (``s3://…``,
``https://…``) they are all below it that are named as audio, or begin as audio does where their name has no suffix.

Contents: `Listed`, made by `list_songs`.
"""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from mirclr.data.manifest import Track, inside, read_manifest
from mirclr.data.scan import Exclusions, Found, Part, PassedOver, audio_of, is_audio, left_out, make_part, suffix_of
from mirclr.errors import ManifestError, StorageError, is_fault_of_machine
from mirclr.ingest.exclusions import pattern_of
from mirclr.ingest.finding import find_below, roots_of
from mirclr.library import Failure
from mirclr.library.checks import below_root
from mirclr.provenance import size_and_time
from mirclr.storage import Folder, is_url
from mirclr.tags import AUDIO_SUFFIXES, Tags
from mirclr.terminal import shown

MANIFEST = ".jsonl"
_HERE = ("file://", "local://")
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
        Of the file, as of `SeenFile`; -1 and 0 where a listing does not have it.
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
    LibraryError, ManifestError, StorageError
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
        elif is_url(source):
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
    if not is_url(source):
        manifest = Path(os.path.expanduser(source)).resolve()
        root = (audio_root or manifest.parent).resolve()
        for track, part in _with_parts(read_manifest(manifest), str(root)):
            file = inside(root, track.path)
            found = make_part(file, part.number, part.span, part.tags) if part else file
            _add(listing, str(root), found, _tags(track), track.id)
        return
    if audio_root:
        raise ManifestError(f"{plain(source)}: its files are beside it; --audio-root is for a manifest on this machine")
    folder, name = folder_and_name(source)
    with TemporaryDirectory() as scratch:
        copy = Path(scratch) / "manifest.jsonl"
        folder.fetch(name, copy)
        tracks = read_manifest(copy)
    for track, part in _with_parts(tracks, str(folder)):
        path = f"{track.path}/{part.number:02d}" if part else track.path
        url = f"{folder.url}/{track.path}"
        listing.add(Listed(str(folder), path, url, -1, 0, part, _tags(track), track.id))


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


def folder_and_name(address: str) -> tuple[Folder, str]:
    """The folder of a file at an address, and its name in it; a query, such as a signature, is part of the name."""
    place, mark, query = address.partition("?")
    folder, _, name = place.rpartition("/")
    return Folder(folder), f"{name}{mark}{query}"


def _of_address(address: str, globs: Sequence[str], listing: Listing) -> None:
    folder, files = Folder(address), dict[str, dict[str, Any]]()
    single = suffix_of(address.partition("?")[0]) in AUDIO_SUFFIXES
    if not single:
        files = folder.find()
    if not files:
        folder, name = folder_and_name(address)
        facts = folder.facts(name)
        if facts is None:
            raise StorageError(f"{plain(address)}: there is nothing of this name")
        single, files = facts.get("type") == "file", {name: facts}
    root, web = str(folder), address.lower().startswith("http")
    exclusions = _exclusions(globs, root)
    for name, facts in sorted(files.items()):
        path = unquote(name.partition("?")[0]) if web else name
        if not below_root(path) or facts.get("type") == "directory":
            continue
        if single or _is_wanted(folder, name, path, exclusions, listing.passed):
            size = facts.get("size")
            url = f"{folder.url}/{name}"
            listing.add(Listed(root, path, url, -1 if size is None else int(size), _time_ns(facts), id=path))
    listing.passed.patterns |= exclusions.used


def _is_wanted(folder: Folder, name: str, path: str, exclusions: Exclusions, passed: PassedOver) -> bool:
    """Whether a file at an address is taken, as `audio_files` has it of files here."""
    parts = PurePosixPath(path).parts
    why = next((what for part in parts if (what := left_out(part))), None)
    if not why and exclusions and any(exclusions.names(Path(str(folder), *parts[: i + 1])) for i in range(len(parts))):
        why = "excluded"
    if why:
        passed.left_out[why] += 1
        return False
    suffix = suffix_of(parts[-1])
    if suffix in AUDIO_SUFFIXES:
        return True
    if not suffix:
        with suppress(StorageError):  # what cannot be read is reported where it is named as audio
            if is_audio(folder.begin(name, 16)):
                return True
    passed.suffixes[suffix] += 1
    return False


def _time_ns(facts: Mapping[str, Any]) -> int:
    """When a file was written, in ns since 1970, as its listing says; 0 where it does not."""
    changed = next((facts[name] for name in _TIMES if facts.get(name) is not None), None)
    if isinstance(changed, datetime):
        return int(changed.timestamp() * 1e9)
    return int(changed * 1e9) if isinstance(changed, int | float) else 0


def plain(address: str) -> str:
    """An address without a user's name and password, and without a query, as it is kept and shown."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
