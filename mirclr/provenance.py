"""Where an artifact came from: digests, versions and seeds, the stamp in every artifact.

Chain rule: an artifact carries the digest of what it was made from. Digests are BLAKE2b-128 in hexadecimal for
what mirclr makes; a published corpus has the SHA-256 that its manifest states.
"""

import hashlib
import json
import os
import platform
import stat
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, BinaryIO

import platformdirs

from mirclr.version import __version__

_BLOCK = 1 << 20
_ALIGN = 64  # bytes, where arrays begin
_LONGEST_HEADER = 8192


def digest_bytes(*parts: bytes) -> str:
    """BLAKE2b-128 of the concatenated parts, each preceded by its length; 32 hexadecimal digits."""
    h = hashlib.blake2b(digest_size=16)
    for part in parts:
        h.update(len(part).to_bytes(8, "little"))
        h.update(part)
    return h.hexdigest()


def digest_json(value: Any) -> str:
    """Digest of a JSON value, the same whatever the order of its keys."""
    return digest_bytes(json.dumps(value, sort_keys=True, ensure_ascii=False).encode())


def sha256_of(path: Path) -> str:
    """SHA-256 of a whole file, as published manifests state it; 64 hexadecimal digits."""
    h = hashlib.sha256()
    with path.open("rb") as f:
        while block := f.read(_BLOCK):
            h.update(block)
    return h.hexdigest()


def file_digest(path: Path) -> str:
    """Digest of a file's size and of 64 KiB at its start, middle and end.

    Reads 192 KiB whatever the size, so 100,000 files take minutes and not hours. Two different recordings never share
    it in practice, and a change of tags does alter it; a damaged copy, or samples that were changed between the three
    places, do not: `content_digest` shows those.
    """
    part = 1 << 16
    with path.open("rb") as f:
        size = f.seek(0, os.SEEK_END)
        blocks = []
        for start in sorted({0, max(0, size // 2 - part // 2), max(0, size - part)}):
            f.seek(start)
            blocks.append(f.read(part))
    return digest_bytes(size.to_bytes(8, "little"), *blocks)


def content_digest(path: Path) -> str:
    """Digest of all bytes of a file, with the algorithm before it: XXH3-128, so that the disk is the limit."""
    import xxhash

    h = xxhash.xxh3_128()
    with path.open("rb") as f:
        while block := f.read(_BLOCK):
            h.update(block)
    return f"xxh3:{h.hexdigest()}"


def size_and_time(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change in ns since 1970, which show whether a file is as it was.

    A time that 64 bits cannot hold, such as of a year after 2262, is the nearest that they can.
    """
    status = path.stat()
    return status.st_size, max(-(2**63), min(2**63 - 1, status.st_mtime_ns))


def stamp(**made_from: Any) -> dict[str, Any]:
    """Describe the present run: versions, machine kind and time, with the digests and seeds given.

    Parameters
    ----------
    **made_from
        What the artifact was made from, such as ``manifest="…digest…"`` or ``seed=7``. JSON values only.

    Returns
    -------
    dict
        JSON-ready; carries no user name, host name or path.
    """
    from importlib.metadata import PackageNotFoundError, version

    versions = {"mirclr": __version__, "python": platform.python_version()}
    for name in ("torch", "torchaudio", "librosa", "soundfile", "soxr", "numpy"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "versions": versions,
        "machine": {"system": platform.system(), "arch": platform.machine(), "cores": os.cpu_count()},
        "commit": _commit(),
        **made_from,
    }


def _commit() -> str | None:
    """The commit of the checkout that runs, with ``+`` when it has uncommitted changes; None when installed."""
    import subprocess

    root = Path(__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        describe = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12"]
        return subprocess.run(describe, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def shipped_dir(name: str) -> Path:
    """A folder that mirclr ships, ``data_manifests`` or ``recipes``: inside an installed package, or beside it.

    Raises
    ------
    FileNotFoundError
        The installation lacks it.
    """
    package = Path(__file__).resolve().parent
    for place in (package / f"_{name}", package.parent / name):
        if place.is_dir():
            return place
    raise FileNotFoundError(f"{package}: {name} is missing from this installation; install mirclr again")


def data_dir() -> Path:
    """Where a user's data lives (libraries, corpora): ``$MIRCLR_HOME`` or the system's own place."""
    home = os.environ.get("MIRCLR_HOME")
    return Path(home) if home else Path(platformdirs.user_data_dir("mirclr", appauthor=False))


def config_dir() -> Path:
    """Where a person's settings lie: ``$MIRCLR_HOME`` or the system's own place."""
    home = os.environ.get("MIRCLR_HOME")
    return Path(home) if home else Path(platformdirs.user_config_dir("mirclr", appauthor=False))


def cache_dir() -> Path:
    """Where what can be made or obtained again lives (decoded clips, teachers)."""
    home = os.environ.get("MIRCLR_HOME")
    return Path(home) / "cache" if home else Path(platformdirs.user_cache_dir("mirclr", appauthor=False))


def open_regular(path: Path) -> BinaryIO:
    """Open a file that a person names, to read it; a pipe or a device, which may have no end, is refused.

    Raises
    ------
    OSError
        It is not there, cannot be read, or is no regular file.
    """
    # looked at before it is opened: to open a pipe waits for who writes it
    if not stat.S_ISREG(path.stat().st_mode):
        if path.is_dir():
            raise IsADirectoryError(f"{path}: is a folder; expected a file")
        raise OSError(f"{path}: not a regular file; copy what it gives into a file first")
    return path.open("rb")


@contextmanager
def writing(path: Path, mode: str = "wb", *, sync: bool = True) -> Iterator[IO[Any]]:
    """Open a temporary file beside `path` that replaces it on success, so that no reader sees half a file.

    Parameters
    ----------
    path : Path
        The file to write; its folder is created.
    mode : {"wb", "w"}
        Text is UTF-8 with line feeds.
    sync : bool
        Wait until the disk has it, so that a power cut leaves the old file or the new one. Without, it may leave a
        damaged one: for files that are checked when read and can be made again.
    """
    import tempfile

    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".mirclr-", suffix=".part")  # short, as any fits
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error  # named as it was given
    try:
        with os.fdopen(handle, mode, **text) as f:  # type: ignore[call-overload]
            yield f
            if sync:
                f.flush()
                os.fsync(f.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes files private; these are the user's ordinary files
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.errno and error.filename in (None, temporary):  # such as of a full disk
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def write_arrays(path: Path, header: Mapping[str, Any], arrays: Iterable[Any]) -> None:
    """Write a line, which is a checksum and JSON, padded to 64 bytes; then arrays. What is there is replaced at once.

    It does not wait for the disk: such files are checked when they are read, and made again where they are damaged.

    Parameters
    ----------
    path : Path
        The file.
    header : mapping
        JSON values, among them ``format``.
    arrays : iterable of np.ndarray
        Contiguous.

    Raises
    ------
    OSError
        It cannot be written.
    """
    text = json.dumps(header).encode()
    text += b" " * (-(len(text) + 10) % _ALIGN)
    with writing(path, sync=False) as f:
        f.write(b"%08x %s\n" % (zlib.crc32(text), text))
        for array in arrays:
            f.write(array)


def read_header(f: BinaryIO, kind: str) -> dict[str, Any]:
    """Read the line that `write_arrays` wrote, up to where the arrays begin.

    Raises
    ------
    ValueError, LookupError, TypeError, RecursionError
        It is of another format than `kind`, or damaged.
    """
    line = f.readline(_LONGEST_HEADER)
    header: dict[str, Any] = json.loads(line[9:])
    if header["format"] != kind or line[:9] != b"%08x " % zlib.crc32(line[9:-1]) or line[-1:] != b"\n":
        raise ValueError(f"expected {kind}")
    return header
