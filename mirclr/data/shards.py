"""Shards: cached clips packed into tar files, to be read from any disk or store in long sequential reads.

A folder holds, for each shard, ``00000.tar`` and ``00000.json``, and once all are there ``shards.json``. The tar is as
WebDataset has it (https://github.com/webdataset/webdataset): of each track ``NUMBER.npy``, its log-mel (T, F) float16
or its samples (N, 1) int16, and ``NUMBER.json``, what is known of it. The JSON beside it says the same of all its
tracks at once, with where their arrays begin, so that a process knows a whole batch and reads its own rows alone.

Which tracks a shard holds is drawn by their ids: an album is not in one place.

Axes: N samples, F mel bands, T frames.
"""

import io
import json
import os
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from pydantic import ValidationError

from mirclr import config
from mirclr.data.clips import SHARDS, Cached, ClipCache, Skipped
from mirclr.data.manifest import Track
from mirclr.data.sampling import refuse_evaluation_data
from mirclr.errors import MirclrError, ShardsError, StorageError
from mirclr.provenance import content_digest, digest_bytes, digest_json, stamp
from mirclr.storage import Folder

FORMAT = 1
LABELS = ("artist", "album", "genre", "moods", "tags")  # fields that a recipe may learn from
_KIND = "mirclr shards of clips"
_MEMBER = re.compile(rb"\d{9}\.npy\0")  # the first of a shard
_BEGIN = 64  # bytes by which a file of the folder is known
_LONGEST = 1 << 40  # bytes of a shard


@dataclass(frozen=True)
class Shard:
    """A shard as the index knows it: its number of tracks, its bytes, and their digest."""

    name: str
    tracks: int
    bytes: int
    digest: str


@dataclass(frozen=True)
class Member:
    """A track in a shard.

    Attributes
    ----------
    track : Track
    key : str
        Digest of its audio, as in the cache of clips.
    length : int
        Frames or samples that are there.
    first : int
        How many of the track come before them.
    offset : int
        Where they begin in the shard, in bytes.
    """

    track: Track
    key: str
    length: int
    first: int
    offset: int


@dataclass(frozen=True)
class ShardSet:
    """All shards of a folder.

    Attributes
    ----------
    folder : Folder
        Where they are.
    domain, sample_rate, mel : str, int, dict
        What is kept of a track, and the settings of the log-mel.
    labels : dict of str to tuple of str
        For each field that a recipe may learn from, the names that tracks have in it.
    shards : tuple of Shard
    digest : str
        Of all of it.
    """

    folder: Folder
    domain: str
    sample_rate: int
    mel: dict[str, Any]
    labels: dict[str, tuple[str, ...]]
    shards: tuple[Shard, ...]
    digest: str

    @classmethod
    def open(cls, url: str) -> "ShardSet":
        """Open a set by the path or URL of its ``shards.json``.

        Raises
        ------
        StorageError
            It cannot be read.
        ShardsError
            It is none, or damaged.
        """
        place, _, name = url.replace(os.sep, "/").rpartition("/") if "://" not in url else url.rpartition("/")
        folder = Folder(place or ("/" if url.startswith("/") else "."))
        where = f"{folder}/{name}"
        try:
            found = json.loads(folder.read(name))
            if found["kind"] != _KIND:
                raise KeyError
            if found["format"] != FORMAT:
                raise ShardsError(f"{where}: of format {found['format']}; update mirclr, or make the shards again")
            shards = tuple(
                Shard(str(s["name"]), int(s["tracks"]), int(s["bytes"]), str(s["digest"])) for s in found["shards"]
            )
            mel = config.Mel.model_validate(found["mel"], strict=False).model_dump(mode="json")
            made = cls(
                folder,
                str(found["domain"]),
                int(found["sample_rate"]),
                mel,
                {field: tuple(map(str, found["labels"].get(field, ()))) for field in LABELS},
                shards,
                digest_json({k: v for k, v in found.items() if k != "provenance"}),
            )
            whole = shards and all(s.tracks > 0 and 0 < s.bytes < _LONGEST and _is_name(s.name) for s in shards)
        except StorageError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise ShardsError(
                    f"{where}: there is no such file; make shards with: mirclr clips shard RECIPE.yaml -o FOLDER, and "
                    f"name its {SHARDS}"
                ) from error
            raise
        except ShardsError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise ShardsError(
                f"{where}: does not describe shards of clips; make them with: mirclr clips shard"
            ) from None
        if not whole or made.domain not in ("mel", "waveform"):
            raise ShardsError(f"{where}: is damaged, or holds no shard; make the shards again")
        return made

    @property
    def row(self) -> int:
        """Numbers of a frame or sample."""
        return self.mel["n_mels"] if self.domain == "mel" else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of these numbers."""
        return np.dtype("<f2" if self.domain == "mel" else "<i2")

    def members(self, number: int) -> list[Member]:
        """The tracks of a shard.

        Raises
        ------
        ManifestError
            One is of a split for evaluation.
        ShardsError
            What describes them is damaged.
        """
        shard = self.shards[number]
        name = f"{shard.name}.json"
        try:
            held = json.loads(self.folder.read(name))["tracks"]
            found = [
                Member(
                    Track.model_validate(m["track"]), str(m["key"]), int(m["length"]), int(m["first"]), int(m["offset"])
                )
                for m in held
            ]
        except StorageError:
            raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reason = "a track of it is none" if isinstance(error, ValidationError) else "it is damaged"
            raise ShardsError(f"{self.folder}/{name}: {reason}; make the shards again in another folder") from None
        size = self.dtype.itemsize * self.row
        inside = all(m.length > 0 and m.offset >= 0 and m.offset + m.length * size <= shard.bytes for m in found)
        if len(found) != shard.tracks or not inside:
            raise ShardsError(f"{self.folder}/{name}: does not fit {SHARDS}; make the shards again in another folder")
        refuse_evaluation_data(m.track for m in found)
        return found


def _is_name(name: str) -> bool:
    """Whether it names a file of the folder itself, on every system."""
    return name.isascii() and name.replace("-", "").replace("_", "").isalnum()


@dataclass(frozen=True)
class Plan:
    """Which tracks go into which shard.

    Attributes
    ----------
    tracks : list of Track
        In the order in which they are packed.
    size : int
        Tracks of a shard.
    seconds : float or None
        What is kept of each: so much of its middle; None for all.
    """

    tracks: list[Track]
    size: int
    seconds: float | None

    @classmethod
    def of(cls, tracks: Sequence[Track], size: int, seconds: float | None) -> "Plan":
        """Put tracks in an order that is drawn by their ids."""
        refuse_evaluation_data(tracks)
        return cls(sorted(tracks, key=lambda t: digest_bytes(b"shards", t.id.encode())), size, seconds)

    def __len__(self) -> int:
        return -(-len(self.tracks) // self.size)

    def shard(self, number: int) -> list[Track]:
        """The tracks of a shard."""
        return self.tracks[number * self.size : (number + 1) * self.size]

    def digest(self, cache: ClipCache) -> str:
        """Of all that decides what is in the shards."""
        settings = [cache.folder.name, self.size, self.seconds]
        return digest_json([*settings, [t.model_dump(mode="json", exclude_defaults=True) for t in self.tracks]])


@dataclass(frozen=True)
class Written:
    """A shard that is there: made just now, or before; or nothing, as none of its tracks can be used."""

    number: int
    tracks: int
    bytes: int
    before: bool = False


def write_shards(
    plan: Plan,
    cache: ClipCache,
    root: Path,
    folder: Folder,
    *,
    part: tuple[int, int] = (0, 1),
    workers: int | None = None,
) -> Iterator[Written | Skipped]:
    """Pack tracks into shards, decoding what is not in the cache; shards that are there are left as they are.

    Each is written whole or not at all, so that what was stopped goes on where it was. `finish` writes the index.

    Parameters
    ----------
    plan : Plan
        What goes where.
    cache : ClipCache
        Where clips are kept meanwhile.
    root : Path
        The audio root of the tracks.
    folder : Folder
        Where to write.
    part : (int, int)
        Of so many machines that share the work, which this is, from 0.
    workers : int, optional
        Processes that decode.

    Raises
    ------
    ShardsError
        The folder holds shards of other tracks or settings.
    StorageError, CacheError
        The folder or the cache cannot be written.
    """
    digest = plan.digest(cache)
    there = folder.names()
    missing: dict[int, list[Cached]] = {}
    for number in range(part[0], len(plan), part[1]):
        if (found := _held(folder, there, number, digest)) is None:
            missing[number] = []
        else:
            yield Written(number, len(found["tracks"]), found["bytes"], before=True)
    if len(missing) == len(range(part[0], len(plan), part[1])):  # else the folder is one of these shards
        _check_names(folder, there, missing)
    place = {t.id: (n, i) for n in missing for i, t in enumerate(plan.shard(n))}
    left = {n: len(plan.shard(n)) for n in missing}
    reasons: dict[int, list[str]] = {n: [] for n in missing}
    for result in cache.fill([t for n in missing for t in plan.shard(n)], root, workers=workers):
        number = place[result.track.id][0]
        if isinstance(result, Cached):
            missing[number].append(result)
        else:
            reasons[number].append(result.reason)
            yield result
        left[number] -= 1
        if not left[number]:
            held = sorted(missing.pop(number), key=lambda c: place[c.track.id][1])
            yield _write(number, held, reasons.pop(number), plan, cache, folder, digest)


def _check_names(folder: Folder, there: set[str], numbers: Iterable[int]) -> None:
    """Raise where a file would be replaced that is not of shards; archives of that name are common."""
    marks = {f"{number:05d}.tar": _MEMBER for number in numbers} | {SHARDS: re.compile(rb'\s*\{\s*"kind": "mirclr ')}
    for name in sorted(marks.keys() & there):
        if not marks[name].match(folder.begin(name, _BEGIN)):
            raise ShardsError(f"{folder}/{name}: is there, and not of shards of clips; name another folder")


def _held(folder: Folder, there: set[str], number: int, digest: str) -> dict[str, Any] | None:
    """What describes a shard that is there already."""
    name = f"{number:05d}.json"
    if name not in there:
        return None
    try:
        found: dict[str, Any] = json.loads(folder.read(name))
        same = found["plan"] == digest
        _ = found["tracks"], found["bytes"], found["digest"], found["skipped"]
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, MirclrError):
            raise
        raise ShardsError(f"{folder}/{name}: is damaged, or not of shards of clips; name another folder") from None
    if not same:
        raise ShardsError(f"{folder}: holds shards of other tracks or settings; name another folder, or remove them")
    return found


def _write(
    number: int, tracks: list[Cached], skipped: list[str], plan: Plan, cache: ClipCache, folder: Folder, digest: str
) -> Written:
    """Write a shard, and then what describes it: where that is there, the shard is whole."""
    name = f"{number:05d}"
    members: list[Member] = []
    size, tar_digest = 0, ""
    if tracks:
        with folder.writing(f"{name}.tar") as f:
            members = _pack(f, number * plan.size, tracks, plan, cache)
            f.flush()
            size, tar_digest = f.tell(), content_digest(Path(f.name))
    described = {
        "format": FORMAT,
        "plan": digest,
        "bytes": size,
        "digest": tar_digest,
        "skipped": skipped,
        "tracks": [_described(m) for m in members],
    }
    folder.write(f"{name}.json", json.dumps(described, ensure_ascii=False).encode())
    return Written(number, len(members), size)


def _pack(out: IO[bytes], first: int, tracks: Sequence[Cached], plan: Plan, cache: ClipCache) -> list[Member]:
    """Write tracks as a tar, the same bytes for the same tracks."""
    members = []
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for number, cached in enumerate(tracks, first):
            begin, length = _kept(cached.length, plan.seconds, cache)
            rows = cache.read(cached, begin, length)
            header = io.BytesIO()
            shape = {"descr": cache.dtype.str, "fortran_order": False, "shape": (length, cache.row)}
            np.lib.format.write_array_header_1_0(header, shape)
            member = Member(cached.track, cached.key, length, begin, tar.offset + tarfile.BLOCKSIZE + header.tell())
            members.append(member)
            _add(tar, f"{number:09d}.npy", header.getvalue() + rows.tobytes())
            _add(tar, f"{number:09d}.json", json.dumps(_described(member), ensure_ascii=False).encode())
    return members


def _kept(length: int, seconds: float | None, cache: ClipCache) -> tuple[int, int]:
    """Where what is kept of a track begins, and how long it is."""
    if seconds is None:
        return 0, length
    kept = min(length, max(1, round(seconds * cache.steps_a_second)))
    return (length - kept) // 2, kept


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(data)
    tar.addfile(about, io.BytesIO(data))


def _described(member: Member) -> dict[str, Any]:
    about = member.track.model_dump(mode="json", exclude_defaults=True)
    return {name: getattr(member, name) for name in ("key", "length", "first", "offset")} | {"track": about}


def finish(plan: Plan, cache: ClipCache, folder: Folder) -> ShardSet | None:
    """Write the index, once all shards are there; None where some are not, as other machines make them.

    Raises
    ------
    ShardsError
        None of the tracks can be used.
    """
    digest, there = plan.digest(cache), folder.names()
    held = {number: _held(folder, there, number, digest) for number in range(len(plan))}
    found = {number: of for number, of in held.items() if of is not None}
    if len(found) < len(held):
        return None
    used = {number: of for number, of in found.items() if of["tracks"]}
    if not used:
        raise ShardsError(f"{folder}: none of the tracks can be used, so that there is no shard")
    tracks = [t["track"] for of in used.values() for t in of["tracks"]]
    index = {
        "kind": _KIND,
        "format": FORMAT,
        "domain": cache.domain,
        "sample_rate": cache.rate,
        "mel": cache.mel.model_dump(mode="json"),
        "seconds": plan.seconds,
        "skipped": sum(len(of["skipped"]) for of in found.values()),
        "labels": {field: _names(tracks, field) for field in LABELS},
        "shards": [
            {"name": f"{n:05d}", "tracks": len(of["tracks"]), "bytes": of["bytes"], "digest": of["digest"]}
            for n, of in used.items()
        ],
        "provenance": stamp(plan=digest),
    }
    folder.write(SHARDS, (json.dumps(index, indent=1, ensure_ascii=False) + "\n").encode())
    return ShardSet.open(f"{folder.url}/{SHARDS}")


def _names(tracks: Sequence[dict[str, Any]], field: str) -> list[str]:
    """The names that tracks have in a field of labels, sorted."""
    held = (t.get(field) or () for t in tracks)
    return sorted({name for value in held for name in ((value,) if isinstance(value, str) else value)})
