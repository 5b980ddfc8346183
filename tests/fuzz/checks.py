"""What is done with a damaged file, and what must hold: it is read, or refused by an error of ours; nothing is harmed.

A check returns a word on what came of it, and raises where something does not hold. A case is a function of its kind,
number and seed.
"""

import hashlib
import random
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np

from mirclr.errors import MirclrError
from tests.fuzz import music, stores, texts

REFUSED = "refused"


@dataclass(frozen=True)
class Case:
    """A damaged file in a folder of its own, the random numbers of the case, and the folder of the whole files."""

    path: Path
    chance: random.Random
    whole: Path


@dataclass(frozen=True)
class Kind:
    """A kind of files: how whole ones are made, what is done with damaged ones, and how many of a thousand it gets."""

    make: Callable[[Path], None]
    check: Callable[[Case], str]
    share: int


class Broken(AssertionError):
    """Something that must hold does not."""


def hold(condition: object, what: str) -> None:
    """See that something holds."""
    if not condition:
        raise Broken(what)


def refused(path: Path, error: MirclrError) -> str:
    """An error of ours names the file, on one line."""
    hold(path.name in str(error), f"the error does not name the file: {error}")
    hold(len(str(error)) < 4000, f"the error has {len(str(error))} signs")
    return REFUSED


# music


def check_decoding(case: Case) -> str:
    """Excerpts are finite sound of a stated length, and so is the whole, read as a stream."""
    path = case.path
    from mirclr.audio import decode_blocks, read_excerpts
    from mirclr.tags import read_tags

    tags = read_tags(path)
    hold(all(len(t) < 1 << 20 for t in (tags.title, tags.artist, tags.album) if t), "a tag of a megabyte")
    try:
        found = read_excerpts(path, count=3, seconds=0.5, rate=16000)
        hold(0 < found.duration_s <= 24 * 3600, f"{found.duration_s} s")
        hold(found.waveforms.shape[1] == 8000 and 1 <= len(found.waveforms) <= 3, f"{found.waveforms.shape}")
        hold(np.isfinite(found.waveforms).all(), "samples that are not finite")
        hold(all(np.abs(found.waveforms).max(axis=1) > 0), "an excerpt of silence")
        if case.chance.random() < 0.2:
            for block in decode_blocks(path, rate=16000):
                hold(np.isfinite(block).all(), "samples that are not finite")
    except MirclrError as error:
        return refused(path, error)
    return "decoded"


def check_embedding(case: Case) -> str:
    """What decodes has a vector of numbers."""
    path = case.path
    from mirclr.audio import read_excerpts

    embedder = _embedder(case.whole / stores.ENCODER)
    try:
        found = read_excerpts(path, count=3, seconds=1.0, rate=16000)
        vector = embedder.pool(embedder.embed_excerpts(found.waveforms))
    except MirclrError as error:
        return refused(path, error)
    hold(np.isfinite(vector).all() and np.linalg.norm(vector) > 0, "a vector that is not finite")
    return "embedded"


@cache
def _embedder(checkpoint: Path) -> Any:
    import torch

    from mirclr.models.embedder import Embedder

    torch.set_num_threads(1)
    return Embedder.load(checkpoint, device="cpu")


_FIELDS = {"genre": ("Electronic",), "mood": ("calm", "sad"), "bpm": ("123",), "key": ("Am",)}


def check_tagging(case: Case) -> str:
    """Tags are written without harm to the music and taken back to the byte, or the file stays as it was."""
    path = case.path
    from mirclr.ingest.tagging import Journal, undo_change, write_values
    from mirclr.tags import read_tags, read_values

    before, stat = path.read_bytes(), path.stat()
    sound, texts_before = packets(path), read_tags(path)
    fields = {name: values for name, values in _FIELDS.items() if case.chance.random() < 0.6} or {
        "genre": ("Electronic",)
    }
    journal = Journal(path.with_name("library.db"))
    try:
        change = write_values(path, fields, record=journal.add)
    except MirclrError as error:
        hold(path.read_bytes() == before, "a file was changed that is said to be left alone")
        hold([p.name for p in _beside(path)] == [path.name], "a file was left behind")
        return refused(path, error)
    hold([p.name for p in _beside(path)] == [path.name], "a file was left behind")
    hold(path.stat().st_mtime_ns == stat.st_mtime_ns, "the time of change is another")
    if change is None:
        hold(path.read_bytes() == before, "nothing was to be written, and the file is another")
        return "left as it was"
    hold(len(path.read_bytes()) < len(before) + 20_000, "the file grew by more than tags take")
    hold(sound in (None, packets(path)), "the music is another")  # None: too short for FFmpeg to know it
    for name, values in fields.items():
        hold(read_values(path, name) == values, f"{name} reads back as {read_values(path, name)}")
    now = read_tags(path)
    kept = ("title", "artist", "album", "year")
    hold([getattr(now, k) for k in kept] == [getattr(texts_before, k) for k in kept], "another tag changed")
    hold(write_values(path, fields) is None, "what was written is written again")
    changes, unread = journal.read()
    hold(len(changes) == 1 and not unread, "the journal does not read back")
    hold(undo_change(changes[0]) == "undone", "nothing was undone")
    hold(path.read_bytes() == before, "the file is not byte for byte what it was")
    hold([p.name for p in _beside(path)] == [path.name], "a file was left behind")
    return "written and taken back"


def _beside(path: Path) -> list[Path]:
    return sorted(p for p in path.parent.iterdir() if not p.name.startswith("library.db"))


def packets(path: Path) -> str | None:
    """Digest of the packets of a file's sound, by FFmpeg's own guess of what it is; None where it finds none."""
    told = hashlib.sha256()
    with suppress(av.error.FFmpegError, ValueError), av.open(str(path), options={"protocol_whitelist": "file"}) as file:
        if not file.streams.audio:
            return None
        with suppress(av.error.FFmpegError, ValueError):
            for packet in file.demux(file.streams.audio[0]):
                told.update(bytes(packet))
        return told.hexdigest()
    return None


def check_journal(case: Case) -> str:
    """A damaged journal takes back what it can, and harms no music."""
    from mirclr.ingest.tagging import Journal, undo_change

    song = case.path.with_name("song.mp3")
    shutil.copy(case.whole / "_song.mp3", song)
    sound, held = packets(song), song.read_bytes()
    case.path.rename(case.path.with_name("library.db.tags.jsonl"))
    journal = Journal(case.path.with_name("library.db"))
    journal.mend()
    changes, _ = journal.read()
    for change in changes:
        with suppress(MirclrError):
            undo_change(replace(change, file=song))
        hold(packets(song) == sound, "the music is another")
    return "undone" if song.read_bytes() != held else REFUSED


# texts


def check_playlist(case: Case) -> str:
    """A playlist gives paths."""
    path = case.path
    from mirclr.recommend.playlist import read_playlist

    try:
        found = read_playlist(path)
    except MirclrError as error:
        return refused(path, error)
    hold(isinstance(found, list), "no list")
    return "read"


def check_history(case: Case) -> str:
    """A history gives listens, each with numbers that can be, and few lines on what is left out."""
    path = case.path
    from mirclr.recommend.history import merge, read_history

    try:
        found = read_history(path)
    except MirclrError as error:
        return refused(path, error)
    hold(found.listens, "no listen, and no error")
    for listen in found.listens:
        hold(listen.plays >= 0 and listen.taste in (-1, 0, 1), f"{listen}")
        hold(listen.last_s is None or 0 < listen.last_s < 1e11, f"{listen}")
        hold(listen.file or (listen.artist or listen.title), f"{listen}")
    hold(len(found.problems) < 1000, f"{len(found.problems)} lines on problems")
    merge(found.listens, found.listens)
    return "read"


def check_cue(case: Case) -> str:
    """A cue sheet gives tracks that begin before they end."""
    path = case.path
    from mirclr.data.cue import read_cue

    try:
        found = read_cue(path)
    except MirclrError as error:  # who reads it names the sheet
        return refused(path, MirclrError(f"{path}: {error}"))
    hold(isinstance(found, dict), "no files")
    return "read" if found else REFUSED


def check_recipe(case: Case) -> str:
    """A recipe is valid, or refused."""
    path = case.path
    from mirclr.config import read_recipe, recipe_yaml

    try:
        recipe = read_recipe(path)
    except MirclrError as error:
        return refused(path, error)
    hold(recipe_yaml(recipe), "nothing to write")
    return "read"


def check_manifest(case: Case) -> str:
    """A manifest gives tracks whose paths lead out of no folder, or is refused."""
    path = case.path
    from mirclr.data.manifest import inside, read_manifest

    try:
        tracks = read_manifest(path)
    except MirclrError as error:
        return refused(path, error)
    for track in tracks:
        with suppress(MirclrError):
            hold(inside(path.parent, track.path).resolve().is_relative_to(path.parent.resolve()), track.path)
    return "read"


# what mirclr keeps


def check_library(case: Case) -> str:
    """A damaged library answers, or is refused; no path leads out of its folder."""
    path = case.path
    from mirclr.index import open_index
    from mirclr.library import LibraryStore
    from mirclr.recommend import Query, recommend

    try:
        with LibraryStore.open(path) as library:
            library.info()
            library.verify()
            for track in library.tracks():
                with suppress(MirclrError):
                    hold(".." not in track.file.parts, f"leads out of the folder: {track.file}")
            _, matrix = library.vectors()
            hold(np.isfinite(matrix).all(), "vectors that are not finite")
            library.failures(), library.blocks(), library.playlists(), library.profiles(), library.descriptions()
            for task in library.tasks():
                library.probabilities(task)
            index = open_index(library)
            recommend(library, index, Query(seeds=("Song 1",), n=5))
    except MirclrError as error:
        hold(len(str(error)) < 4000, f"the error has {len(str(error))} signs")
        return REFUSED
    return "answered"


def check_index(case: Case) -> str:
    """A damaged index is made again, or answers as comparing with all does."""
    path = case.path
    from mirclr.index import open_index
    from mirclr.library import LibraryStore

    library_path = path.with_name("library.db")
    shutil.copy(case.whole / "_library.db", library_path)
    path.rename(path.with_name("library.db.index"))
    with LibraryStore.open(library_path) as library:
        ids, matrix = library.vectors()
        similarities, found = open_index(library).search(matrix, 3)
    exact = matrix @ matrix.T
    best = np.argsort(-exact, axis=1, kind="stable")[:, :3]
    hold((ids[best] == found).all(), "other neighbours")
    hold(np.allclose(np.take_along_axis(exact, best, 1), similarities, atol=1e-5), "other similarities")
    return "answered rightly"


def check_checkpoint(case: Case) -> str:
    """A checkpoint is whole, or refused."""
    path = case.path
    from mirclr.models.checkpoint import load_checkpoint

    try:
        load_checkpoint(path)
    except MirclrError as error:
        return refused(path, error)
    return "read"


def check_heads(case: Case) -> str:
    """So are heads."""
    path = case.path
    from mirclr.classify import Heads

    try:
        heads = Heads.load(path)
    except MirclrError as error:
        return refused(path, error)
    hold(heads.tasks, "no task")
    return "read"


KINDS: dict[str, Kind] = {
    "decoding": Kind(music.make_music, check_decoding, 270),
    "embedding": Kind(stores.make_encoder_and_music, check_embedding, 40),
    "tagging": Kind(music.make_music, check_tagging, 230),
    "journal": Kind(music.make_journal, check_journal, 10),
    "playlist": Kind(texts.make_playlists, check_playlist, 90),
    "history": Kind(texts.make_histories, check_history, 110),
    "cue": Kind(texts.make_cues, check_cue, 40),
    "recipe": Kind(texts.make_recipes, check_recipe, 70),
    "manifest": Kind(texts.make_manifests, check_manifest, 30),
    "library": Kind(stores.make_library_alone, check_library, 50),
    "index": Kind(stores.make_index, check_index, 20),
    "checkpoint": Kind(stores.make_checkpoints, check_checkpoint, 20),
    "heads": Kind(stores.make_heads, check_heads, 20),
}
