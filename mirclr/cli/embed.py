"""``mirclr embed``: audio files to vectors in a library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.endings import close_with_songs, remark_failures
from mirclr.cli.identify import make_fingerprints, print_fingerprints
from mirclr.cli.show import closing, failures_as_json, print_json, progress, remark
from mirclr.extensions import is_class_name
from mirclr.models.pretrained import builtin_checkpoint, checkpoint_named, is_there

if TYPE_CHECKING:
    from mirclr.data.scan import Found, PassedOver
    from mirclr.ingest.embedding import Outcome
    from mirclr.library import LibraryStore
    from mirclr.models.embedder import Embedder
    from mirclr.tags import Tags


@click.command(epilog="Example: mirclr embed ~/Music")
@click.argument(
    "paths", metavar="PATH…", nargs=-1, required=True, type=options.HomePath(path_type=Path, or_address=True)
)
@options.library
@options.checkpoint("The encoder; by default the one that made the library, or for a new library the built-in one.")
@options.path_option("--manifest", help="Take artist, album, title and genre from this manifest and not from tags.")
@options.exclude
@options.workers
@click.option("--retry", is_flag=True, help="Try again files that failed before and have not changed.")
@click.option("--fingerprints", is_flag=True, help="Make what mirclr identify finds songs by, too.")
@options.device
@options.on_ray
@options.output_on_ray
@options.as_json
def command(
    paths: tuple[Path | str, ...],
    library_path: Path,
    checkpoint: Path | None,
    manifest: Path | None,
    globs: tuple[str, ...],
    workers: int,
    retry: bool,
    fingerprints: bool,
    device: str,
    on: str | None,
    address: str | None,
    output: Path | str | None,
    as_json: bool,
) -> int:
    """Listen to your music, once, and keep what it sounds like.

    What each song sounds like is kept in your library, as numbers that can be compared. Your files are only read. Run
    again, only what is new or changed is listened to; files that moved or got other tags are followed. With
    --fingerprints each new song is read as a whole; a library that has some gets those of what comes later too.

    A file that cannot be read is skipped and reported (`mirclr library info --failures`); one with a bad spot, or
    without its end, is taken if half of it can be read. A long file with a CUE sheet beside it becomes the songs that
    the sheet names. Hidden folders, and those in which systems keep what was thrown away, are left out.

    With --on ray many machines listen at once, and PATH may also be a manifest (.jsonl) or an address such as
    s3://bucket/music or https://…. What is kept then goes into a folder (-o), which `mirclr library import` takes in:
    `mirclr embed s3://bucket/music --on ray --address auto -o s3://bucket/listened`
    """
    if on:
        from mirclr.cli.on_ray import embed_on_ray

        if manifest or fingerprints:
            raise click.UsageError("--manifest and --fingerprints are not for --on ray; there a manifest is a PATH")
        return embed_on_ray(
            paths,
            output,
            checkpoint,
            globs,
            address=address,
            workers=workers,
            retry=retry,
            device=device,
            as_json=as_json,
        )
    paths = options.here_alone(paths, output, address)
    from mirclr.data.manifest import tags_by_file
    from mirclr.data.scan import PassedOver
    from mirclr.errors import NoMatch, PatternError
    from mirclr.index import open_index
    from mirclr.ingest.exclusions import keep_exclusions
    from mirclr.ingest.finding import find_audio, roots_of
    from mirclr.ingest.seen import superseded
    from mirclr.library import LibraryStore
    from mirclr.models.embedder import Embedder

    if checkpoint is None:
        checkpoint = checkpoint_of(library_path)
    embedder = Embedder.load(checkpoint, device=device)
    known = tags_by_file(manifest) if manifest else {}
    with LibraryStore.open(library_path, create=True) as library:
        kept = {}
        if globs:
            with options.wrong_usage(PatternError):
                kept = keep_exclusions(library, globs, given_roots(paths, roots_of(paths, library)))
        passed = PassedOver()
        files, problems = find_audio(paths, library, passed)
        counts, failures = bring_up_to_date(library, files, embedder, known, workers=workers, retry=retry)
        library.write(failures=problems)
        library.remove([track.track_id for track in superseded(library, files)])
        with suppress(NoMatch):  # of a library without tracks
            open_index(library)  # made now, the first question need not wait for it
        made = bring_fingerprints_up_to_date(library, wanted=fingerprints, workers=workers)
    failures = [(str(p.file), p.reason) for p in problems] + failures
    counts["failed"] = len(failures)
    if as_json:
        more = {"fingerprints": made[0]} if made else {}
        lists = {"failures": failures_as_json(failures), **passed.as_json()}
        print_json({"library": str(library_path), **counts, **more, **lists})
    else:
        remark_failures(failures, library_path)
        remark_passed_over(passed, kept)
        if not any(counts.values()):
            closing(f"no music found in {', '.join(map(str, paths))}")
        else:
            with LibraryStore.open(library_path) as library:
                close_with_songs(library, counts)
                if made and fingerprints:
                    print_fingerprints(library, *made)
    return 0 if any(n for did, n in counts.items() if did != "failed") or not failures else 1


def bring_fingerprints_up_to_date(library: LibraryStore, *, wanted: bool, workers: int) -> tuple[int, list[str]] | None:
    """Make the fingerprints that are missing, where they are wanted, or other songs of the library have some."""
    return make_fingerprints(library, workers) if wanted or library.has_fingerprints else None


def given_roots(paths: Sequence[Path], roots: Mapping[Path, str]) -> dict[Path, str]:
    """The folders as a person names them, each with the root that it belongs to."""
    return {path: roots[path.expanduser().resolve()] for path in paths}


def remark_passed_over(passed: PassedOver, kept: Mapping[str, Sequence[str]] | None = None) -> None:
    """Remark what a scan did not take, and which patterns of `--exclude` it did not meet: they may be misspelt."""
    for line in passed.lines():
        remark(line)
    for pattern in dict.fromkeys(p for patterns in (kept or {}).values() for p in patterns):
        if pattern not in passed.patterns:
            remark(f"--exclude {pattern}: nothing of this name was met, for now")


def bring_up_to_date(
    library: LibraryStore,
    files: Sequence[tuple[str, Found]],
    embedder: Embedder,
    known_tags: Mapping[Path, Tags],
    *,
    workers: int = 0,
    retry: bool = False,
) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Embed with a progress display; returns how many of each outcome, and (file, reason) of the failures."""
    from mirclr.ingest.embedding import count_outcomes

    failures: list[tuple[str, str]] = []

    def note(outcome: Outcome) -> None:
        if outcome.did == "failed":
            failures.append((str(outcome.file), outcome.reason or ""))

    counts = count_outcomes(embed_showing(library, files, embedder, known_tags, workers=workers, retry=retry), note)
    return counts, failures


def embed_showing(
    library: LibraryStore,
    files: Sequence[tuple[str, Found]],
    embedder: Embedder,
    known_tags: Mapping[Path, Tags] | None = None,
    *,
    workers: int = 0,
    retry: bool = False,
) -> Iterator[Outcome]:
    """`mirclr.ingest.embedding.embed_files` with a progress display; print nothing between its outcomes."""
    from mirclr.ingest.embedding import embed_files

    failed = 0
    with progress("Listening to songs", len(files)) as advance:
        for outcome in embed_files(library, files, embedder, workers=workers, retry=retry, known_tags=known_tags):
            failed += outcome.did == "failed"
            advance(note=f"{failed} could not be read" if failed else "")
            yield outcome


def checkpoint_of(library_path: Path) -> Path:
    """The checkpoint that a library was made with, where it still is; the built-in one for a new library."""
    from mirclr.library import LibraryStore

    if not library_path.exists():
        return builtin_checkpoint()
    with LibraryStore.open(library_path) as library:
        if library.stamp is None:
            return builtin_checkpoint()
        made_with = checkpoint_named(library.stamp.name)
    if not is_there(made_with) and is_class_name(str(made_with)):
        raise click.UsageError(
            f"{library_path} was made with {made_with}, a class that is not imported because a library names it; if "
            f"you trust that code, say so: --checkpoint {made_with}"
        )
    if not is_there(made_with):
        raise click.UsageError(
            f"{library_path} was made with {made_with}, which is gone; name that encoder with --checkpoint, or a new "
            "library with --library"
        )
    return made_with
