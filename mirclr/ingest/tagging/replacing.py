"""One file replaced by a changed copy of itself: whole, checked, with all that belonged to the file.

The copy has a short name in the same folder and is locked while it is made; `remove_leftovers` removes those that a
killed run left. Until the very last step the file is as it was, and after it the file is whole.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from mirclr.errors import TagsError
from mirclr.tags.block import Splice

try:
    import fcntl
except ImportError:  # Windows, where a file that is open cannot be taken away
    fcntl = None  # type: ignore[assignment]

_PREFIX, _SUFFIX = ".mirclr-", ".tmp"
_BLOCK = 1 << 20


def remove_leftovers(folder: Path) -> int:
    """Remove copies that killed runs left in a folder, and none that is being made; how many there were."""
    swept = 0
    try:
        with os.scandir(folder) as entries:
            found = [e.path for e in entries if e.name.startswith(_PREFIX) and e.name.endswith(_SUFFIX)]
    except OSError:
        return 0
    for path in found:
        with contextlib.suppress(OSError), open(path, "rb+") as f:
            if not stat.S_ISREG(os.fstat(f.fileno()).st_mode) or os.path.islink(path):
                continue
            if _locked(f):
                if fcntl is None:
                    f.close()
                os.unlink(path)
                swept += 1
    return swept


def _locked(f: IO[bytes]) -> bool:
    """Whether nobody else held the lock of a copy; it is held from now on, until the file is closed."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(f.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def _copy_beside(target: Path) -> Iterator[tuple[Path, IO[bytes]]]:
    """A new, locked file beside another; it is gone afterwards unless it was moved."""
    while True:
        path = target.with_name(f"{_PREFIX}{secrets.token_hex(4)}{_SUFFIX}")
        try:
            f = open(path, "xb+")  # noqa: SIM115
        except FileExistsError:
            continue
        if _locked(f) and path.exists():  # else a remove_leftovers was quicker than the lock
            break
        f.close()
    try:
        yield path, f
    finally:
        try:
            f.close()  # writes what is left, for which a full disk has no place either
        finally:
            path.unlink(missing_ok=True)


def digest_of(f: BinaryIO) -> str:
    """BLAKE2b-256 of a whole open file."""
    h = hashlib.blake2b(digest_size=32)
    f.seek(0)
    while block := f.read(_BLOCK):
        h.update(block)
    return h.hexdigest()


def spliced(source: BinaryIO, splices: Sequence[Splice], out: IO[bytes]) -> None:
    """Copy an open file with splices, which are in the order of their starts."""
    at = 0
    for splice in [*splices, None]:
        end = splice.start if splice else None
        source.seek(at)
        while block := source.read(_BLOCK if end is None else min(_BLOCK, end - at)):
            out.write(block)
            at += len(block)
        if splice:
            out.write(splice.new)
            at += splice.length


def refusal(target: Path, *, break_links: bool) -> str | None:
    """Why a file must not be replaced."""
    status = target.lstat()
    if not stat.S_ISREG(status.st_mode):
        return "not an ordinary file"
    if status.st_nlink > 1 and not break_links:
        return (
            f"it has {status.st_nlink} names (hard links), which writing would take apart; "
            "--break-links writes this one all the same"
        )
    if not os.access(target, os.W_OK):
        return "it may not be written"
    if not os.access(target.parent, os.W_OK | os.X_OK):
        return "its folder may not be written"
    return None


def replace(
    target: Path,
    source: BinaryIO,
    splices: Sequence[Splice],
    *,
    check: Callable[[Path], None],
    before: Callable[[], None],
    touch: bool,
) -> None:
    """Put a spliced copy of a file in its place.

    Parameters
    ----------
    target : Path
        The file itself, not a link to it.
    source : binary file
        The same, open.
    splices : sequence of Splice
        In the order of their starts.
    check : callable
        Called with the finished copy; what it raises leaves the file as it is.
    before : callable
        Called just before the file is replaced.
    touch : bool
        Let the time of change advance, rather than preserve it.

    Raises
    ------
    TagsError
        The copy could not be given what belongs to the file, or the file changed meanwhile.
    OSError
        The disk is full, the folder may not be written, and the like.
    """
    status = os.fstat(source.fileno())
    try:
        with _copy_beside(target) as (copy, f):
            spliced(source, splices, f)
            f.flush()
            _dress(target, copy, f, status)
            os.fsync(f.fileno())
            check(copy)
            if not touch:
                os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))
            now = target.lstat()
            if (now.st_ino, now.st_size, now.st_mtime_ns) != (status.st_ino, status.st_size, status.st_mtime_ns):
                raise TagsError("it was changed by another program meanwhile")
            before()
            if fcntl is None:
                f.close()
                source.close()
            os.replace(copy, target)
    except OSError as error:
        if isinstance(error, TagsError) or error.errno is None:
            raise
        raise type(error)(error.errno, error.strerror, str(target)) from error  # of the file, not of its copy
    _sync_folder(target.parent)


def _dress(target: Path, copy: Path, f: IO[bytes], status: os.stat_result) -> None:
    """Give a copy the owner, the mode and the extended attributes of the file."""
    if hasattr(os, "fchown"):
        mine = os.fstat(f.fileno())
        if (mine.st_uid, mine.st_gid) != (status.st_uid, status.st_gid):
            try:
                os.fchown(f.fileno(), status.st_uid, status.st_gid)
            except PermissionError as error:
                raise TagsError("it belongs to another user or group, to whom a new file cannot be given") from error
    shutil.copystat(target, copy)
    os.utime(copy)
    if hasattr(os, "listxattr") and _attributes(target) != _attributes(copy):
        raise TagsError("it has extended attributes that a new file cannot be given")


def _attributes(path: Path) -> dict[str, bytes]:
    """Extended attributes, but for those that the system itself gives (``security.…``)."""
    try:
        names = [n for n in os.listxattr(path) if not n.startswith("security.")]
        return {name: os.getxattr(path, name) for name in names}
    except OSError:  # this disk has none
        return {}


def _sync_folder(folder: Path) -> None:
    """Make a rename outlive a power cut, where the system can."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
