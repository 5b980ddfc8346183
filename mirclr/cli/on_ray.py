"""Commands that work on a cluster, ``--on ray``: what they ask of it, and what they print."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.endings import close_with_songs, remark_failures, remark_failures_of_vectors
from mirclr.cli.show import closing, failures_as_json, print_json, print_table, progress, remark
from mirclr.models.pretrained import builtin_checkpoint, checkpoint_named, is_there
from mirclr.terminal import counted

if TYPE_CHECKING:
    from mirclr.cluster.listing import Listing
    from mirclr.cluster.session import Cluster
    from mirclr.cluster.shards import VectorFolder
    from mirclr.data.clips import Skipped
    from mirclr.data.manifest import Track
    from mirclr.training.teacher import LabelledTrack

OUTPUT = "name a folder for the vectors, which all machines can write to: -o VECTORS"


@contextmanager
def cluster(address: str | None, *, workers: int, device: str) -> Iterator[Cluster]:
    """A session of Ray, and what is at hand there for a kind of device: auto, cpu or cuda."""
    from mirclr.cluster.session import Cluster, has_gpu, session
    from mirclr.models.embedder import has_torch

    if device not in ("auto", "cpu", "cuda"):
        raise click.UsageError(f"--device {device}: with --on ray it is auto, cpu or cuda; Ray says which GPU")
    with session(address):
        yield Cluster(workers, gpus=device == "cuda" or (device == "auto" and has_torch() and has_gpu()))


def embed_on_ray(
    paths: Sequence[Path | str],
    output: Path | str | None,
    checkpoint: Path | None,
    globs: Sequence[str],
    *,
    address: str | None,
    workers: int,
    retry: bool,
    device: str,
    as_json: bool,
) -> int:
    """``mirclr embed --on ray``."""
    from mirclr.cluster.listing import list_songs
    from mirclr.errors import PatternError

    if output is None:
        raise click.UsageError(OUTPUT)
    with options.wrong_usage(PatternError):
        listing = list_songs([str(path) for path in paths], globs)
    counts, failures = bring_vectors_up_to_date(
        listing, str(output), checkpoint, address=address, workers=workers, retry=retry, device=device
    )
    if as_json:
        lists = {"failures": failures_as_json(failures), **listing.passed.as_json()}
        print_json({"vectors": str(output), **counts, **lists})
    else:
        remark_failures_of_vectors(failures)
        for line in listing.passed.lines():
            remark(line)
        close_with_vectors(str(output), counts)
    return 0 if counts["embedded"] or counts["unchanged"] or not failures else 1


def bring_vectors_up_to_date(
    listing: Listing,
    output: str,
    checkpoint: Path | None,
    *,
    address: str | None,
    workers: int,
    retry: bool,
    device: str,
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Embed what a folder of vectors lacks, showing progress; as of `mirclr.cli.embed.bring_up_to_date`."""
    from mirclr.cluster.embedding import embed_on_cluster
    from mirclr.cluster.session import require_ray
    from mirclr.cluster.shards import VectorFolder
    from mirclr.models.embedder import Embedder

    require_ray()
    checkpoint = checkpoint or _checkpoint_of(VectorFolder(output))
    embedder = Embedder.load(checkpoint, device="cpu")
    counts = {"embedded": 0, "unchanged": 0, "failed": 0}
    failures = [(str(failure.file), failure.reason) for failure in listing.failures]
    with (
        cluster(address, workers=workers, device=device) as at_hand,
        progress("Listening to songs", len(listing.songs)) as advance,
    ):
        for done in embed_on_cluster(listing, output, embedder, checkpoint, at_hand, retry=retry):
            counts["embedded"] += done.embedded
            counts["unchanged"] += done.unchanged
            failures += done.failures
            note = f"{len(failures)} could not be read" if failures else ""
            advance(done.embedded + done.unchanged + len(done.failures), note=note)
    counts["failed"] = len(failures)
    return counts, failures


def _checkpoint_of(folder: VectorFolder) -> Path:
    """The checkpoint that a folder of vectors was made with; the built-in one of a new folder."""
    stamp = folder.encoder()
    if stamp is None:
        return builtin_checkpoint()
    made_with = checkpoint_named(stamp.name)
    if not is_there(made_with):
        raise click.UsageError(
            f"{folder} was made with {made_with}, which is not here; name that encoder with --checkpoint, or "
            "another folder with -o"
        )
    return made_with


def close_with_vectors(output: str, counts: Mapping[str, int]) -> None:
    """Say how many songs a folder of vectors holds now, and what to do with it."""
    ready = counts["embedded"] + counts["unchanged"]
    if not any(counts.values()):
        closing("no music found")
        return
    done = [f"{counts['embedded']:,} new"] if 0 < counts["embedded"] < ready else []
    done += ["nothing new"] if not counts["embedded"] and ready else []
    done += [f"{counts['failed']:,} could not be read"] if counts["failed"] else []
    about = f" ({', '.join(done)})" if done else ""
    closing(f"{output}: the vectors of {counted(ready, 'song')}{about}")
    if ready:
        remark(f"Into your library: mirclr library import {shlex.quote(output)}")


def import_into(library_path: Path, source: str, audio_root: Path | None, *, as_json: bool) -> int:
    """``mirclr library import``."""
    from mirclr.cluster.importing import import_vectors
    from mirclr.cluster.shards import VectorFolder
    from mirclr.errors import NoMatch
    from mirclr.index import open_index
    from mirclr.library import LibraryStore

    folder = VectorFolder(source)
    counts: Counter[str] = Counter(embedded=0, unchanged=0, failed=0)
    failures: list[tuple[str, str]] = []
    names = folder.names()
    with LibraryStore.open(library_path, create=True) as library:
        with progress("Taking songs in", len(names)) as advance:
            for done in import_vectors(library, folder, audio_root):
                counts.update(done.counts)
                failures += done.failures
                advance()
        with suppress(NoMatch):  # of a library without tracks
            open_index(library)
        if as_json:
            lists = {"failures": failures_as_json(failures), "damaged": folder.damaged}
            print_json({"library": str(library_path), "vectors": source, **counts, **lists})
        else:
            remark_failures(failures, library_path)
            for name in folder.damaged:
                remark(f"skipped {folder}/{name}: it is not whole; run mirclr embed --on ray again")
            close_with_songs(library, counts)
    return 0 if counts["embedded"] or counts["unchanged"] or not failures else 1


@contextmanager
def labelled_on_ray(
    tracks: Sequence[Track],
    teacher: str,
    heads: str | None,
    root: Path,
    output: Path,
    hop_s: float,
    address: str | None,
    workers: int,
    device: str,
) -> Iterator[Iterator[LabelledTrack | Skipped]]:
    """``mirclr teacher label --on ray``: what becomes of each track."""
    from mirclr.cluster.labelling import TeacherPlan, label_on_cluster

    def shared(path: str) -> str:
        return str(Path(path).expanduser().absolute())

    named = shared(teacher) if teacher.endswith(".safetensors") else teacher
    with cluster(address, workers=workers, device=device) as at_hand:
        plan = TeacherPlan(
            named,
            shared(heads) if heads else None,
            str(root.absolute()),
            str(output.absolute()),
            hop_s,
            "cuda" if at_hand.gpus else "cpu",
            at_hand.readers,
        )
        yield label_on_cluster(plan, tracks, at_hand)


def classify_on_ray(
    paths: Sequence[Path | str],
    output: Path | str | None,
    heads_file: Path | None,
    checkpoint: Path | None,
    *,
    address: str | None,
    workers: int,
    device: str,
    as_json: bool,
) -> int:
    """``mirclr classify predict --on ray``: listen to what is new, and guess for all that a folder holds."""
    from mirclr.classify import Heads
    from mirclr.classify.predict import load_embedder
    from mirclr.cluster.guessing import added, guess_on_cluster
    from mirclr.cluster.listing import list_songs
    from mirclr.cluster.session import session
    from mirclr.cluster.shards import VectorFolder
    from mirclr.models.pretrained import builtin_heads

    if output is None:
        raise click.UsageError(OUTPUT)
    heads_file = heads_file or builtin_heads()
    heads = Heads.load(heads_file)
    load_embedder(
        heads, heads_file, checkpoint=checkpoint, device="cpu"
    )  # what does not fit is reported before the work
    if checkpoint is None:
        theirs = checkpoint_named(heads.encoder["name"])
        checkpoint = theirs if is_there(theirs) else builtin_checkpoint()
    listing, guesses, songs = list_songs([str(path) for path in paths]), dict[str, Counter[str]](), 0
    failures: list[tuple[str, str]] = []
    with session(address):
        if paths:
            _, failures = bring_vectors_up_to_date(
                listing, str(output), checkpoint, address=address, workers=workers, retry=False, device=device
            )
        with (
            cluster(address, workers=workers, device="cpu") as at_hand,
            progress("Guessing genre and mood", len(VectorFolder(str(output)).names())) as advance,
        ):
            for done in guess_on_cluster(str(output), heads_file, at_hand):
                songs += done.songs
                added(guesses, done)
                advance()
    counts = {task: dict(labels.most_common()) for task, labels in guesses.items()}
    if as_json:
        lists = {"failures": failures_as_json(failures), **listing.passed.as_json()}
        print_json({"vectors": str(output), "heads": str(heads_file), "songs": songs, "counts": counts, **lists})
        return 0 if songs or not failures else 1
    remark_failures_of_vectors(failures)
    for task in ("genre", "mood"):
        if task in counts:
            print_table((task if task == "genre" else "strongest mood", "songs"), list(counts[task].items()))
    closing(f"{counted(songs, 'song')} {'has' if songs == 1 else 'have'} guesses now")
    if songs:
        remark(f"Into your library: mirclr library import {shlex.quote(str(output))}")
    return 0 if songs or not failures else 1
