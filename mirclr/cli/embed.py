"""``mirclr embed``: audio files to vectors in a library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_line, progress, remark
from mirclr.models.pretrained import builtin_checkpoint, checkpoint_named

if TYPE_CHECKING:
    from mirclr.data.scan import Found, PassedOver
    from mirclr.ingest.embedding import Outcome
    from mirclr.library import LibraryStore
    from mirclr.models.embedder import Embedder
    from mirclr.tags import Tags


@click.command(epilog="Example: mirclr embed ~/Music")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=options.HomePath(path_type=Path))
@options.library
@click.option(
    "--checkpoint",
    type=options.CHECKPOINT,
    help="The encoder; by default the one that the library was made with, or for a new library the built-in one.",
)
@options.path_option("--manifest", help="Take artist, album, title and genre from this manifest and not from tags.")
@options.exclude
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes that decode; 0: one a core.")
@click.option("--retry", is_flag=True, help="Try again files that failed before and have not changed.")
@click.option("--device", default="auto", help="auto, cpu, cuda, mps …")
@options.as_json
def command(
    paths: tuple[Path, ...],
    library_path: Path,
    checkpoint: Path | None,
    manifest: Path | None,
    globs: tuple[str, ...],
    workers: int,
    retry: bool,
    device: str,
    as_json: bool,
) -> int:
    """Turn audio files into vectors in a library.

    A long file with a CUE sheet beside it becomes the tracks that the sheet names. Hidden folders, and those in which
    systems keep what was thrown away, are left out.
    """
    from mirclr.data.scan import PassedOver
    from mirclr.errors import NoMatch
    from mirclr.index import open_index
    from mirclr.ingest.embedding import find_audio, homes, superseded
    from mirclr.library import LibraryStore
    from mirclr.models.embedder import Embedder

    if checkpoint is None:
        checkpoint = checkpoint_of(library_path)
    embedder = Embedder.load(checkpoint, device=device)
    known = manifest_tags(manifest) if manifest else {}
    with LibraryStore.open(library_path, create=True) as library:
        kept = {}
        if globs:
            kept = options.keep_exclusions(library, globs, given_roots(paths, homes(paths, library)))
        passed = PassedOver()
        files, problems = find_audio(paths, library, passed)
        counts, failures = bring_up_to_date(library, files, embedder, known, workers=workers, retry=retry)
        library.write(failures=problems)
        library.remove([track.track_id for track in superseded(library, files)])
        with suppress(NoMatch):  # of a library without tracks
            open_index(library)  # made now, the first question need not wait for it
    failures = [(str(p.file), p.reason) for p in problems] + failures
    counts["failed"] = len(failures)
    if as_json:
        print_json({"library": str(library_path), **counts, "failures": named(failures), **passed.as_json()})
    else:
        for file, reason in failures:
            remark(f"skipped {naming(file, reason)}")
        say_passed_over(passed, kept)
        print_line(", ".join(f"{n} {did}" for did, n in counts.items() if n) or "no audio files found")
    return 0 if any(n for did, n in counts.items() if did != "failed") or not failures else 1


def given_roots(paths: Sequence[Path], roots: Mapping[Path, str]) -> dict[Path, str]:
    """The folders as a person names them, each with the root that it belongs to."""
    return {path: roots[path.expanduser().resolve()] for path in paths}


def say_passed_over(passed: PassedOver, kept: Mapping[str, Sequence[str]] | None = None) -> None:
    """Say what a scan did not take, and which patterns of `--exclude` it did not meet: they may be misspelt."""
    for line in passed.lines():
        remark(line)
    for pattern in dict.fromkeys(p for patterns in (kept or {}).values() for p in patterns):
        if pattern not in passed.patterns:
            remark(f"--exclude {pattern}: nothing of this name was met, for now")


def named(failures: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """Files and what is wrong with them, as a JSON value."""
    return [{"file": file, "reason": reason} for file, reason in failures]


def naming(file: str, reason: str) -> str:
    """What is wrong with a file, with its name."""
    return reason if reason.startswith(file) else f"{file}: {reason}"


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
    with progress("Embedding", len(files)) as advance:
        for outcome in embed_files(library, files, embedder, workers=workers, retry=retry, known_tags=known_tags):
            failed += outcome.did == "failed"
            advance(note=f"{failed} failed" if failed else "")
            yield outcome


def manifest_tags(manifest: Path) -> dict[Path, Tags]:
    """What a manifest knows of its files; their paths are relative to the manifest's folder.

    Of a file that several of its tracks are parts of, it says nothing.
    """
    from mirclr.data.manifest import inside, read_manifest
    from mirclr.tags import Tags

    tracks = read_manifest(manifest)
    of_file = Counter(t.path for t in tracks)
    return {
        inside(manifest.parent, t.path).resolve(): Tags(title=t.title, artist=t.artist, album=t.album, genre=t.genre)
        for t in tracks
        if of_file[t.path] == 1
    }


def checkpoint_of(library_path: Path) -> Path:
    """The checkpoint that a library was made with, where it still is; the built-in one for a new library."""
    from mirclr.library import LibraryStore

    if not library_path.exists():
        return builtin_checkpoint()
    with LibraryStore.open(library_path) as library:
        if library.stamp is None:
            return builtin_checkpoint()
        made_with = checkpoint_named(library.stamp.name)
    if not made_with.is_file():
        raise click.UsageError(
            f"{library_path} was made with {made_with}, which is gone; name that encoder with --checkpoint, or a new "
            "library with --library"
        )
    return made_with
