"""``mirclr embed``: audio files to vectors in a library."""

from pathlib import Path

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, progress, remark


@click.command(epilog="Example: mirclr embed ~/Music --checkpoint runs/a/encoder.safetensors")
@click.argument("paths", metavar="PATH…", nargs=-1, required=True, type=click.Path(path_type=Path))
@options.library
@options.path_option("--checkpoint", help="The encoder; by default the one that the library was made with.")
@click.option("--workers", type=click.IntRange(min=0), default=0, help="Processes that decode; 0: one a core.")
@click.option("--retry", is_flag=True, help="Try again files that failed before and have not changed.")
@click.option("--device", default="auto", help="auto, cpu, cuda, mps …")
@options.as_json
def command(
    paths: tuple[Path, ...],
    library_path: Path,
    checkpoint: Path | None,
    workers: int,
    retry: bool,
    device: str,
    as_json: bool,
) -> int:
    """Turn audio files into vectors in a library."""
    from mirclr.embed import Embedder, Outcome, count_outcomes, embed_files, find_audio
    from mirclr.library import Library

    if checkpoint is None:
        checkpoint = _checkpoint_of(library_path)
    embedder = Embedder.load(checkpoint, device=device)
    with Library.open(library_path, create=True) as library:
        files, problems = find_audio(paths, library)
        failures = [(str(p.file), p.reason or "") for p in problems]
        with progress("Embedding", len(files)) as advance:

            def note(outcome: Outcome) -> None:
                if outcome.did == "failed":
                    failures.append((str(outcome.file), outcome.reason or ""))
                advance(note=f"{len(failures)} failed" if failures else "")

            counts = count_outcomes(embed_files(library, files, embedder, workers=workers, retry=retry), note)
    counts["failed"] = len(failures)
    if as_json:
        named = [{"file": file, "reason": reason} for file, reason in failures]
        print_json({"library": str(library_path), **counts, "failures": named})
    else:
        for file, reason in failures:
            remark(f"skipped {reason if reason.startswith(file) else f'{file}: {reason}'}")
        click.echo(", ".join(f"{n} {did}" for did, n in counts.items() if n) or "no audio files found")
    return 0 if any(n for did, n in counts.items() if did != "failed") or not failures else 1


def _checkpoint_of(library_path: Path) -> Path:
    """The checkpoint that a library was made with, where it still is."""
    from mirclr.library import Library

    if library_path.exists():
        with Library.open(library_path) as library:
            if library.stamp and Path(library.stamp.name).is_file():
                return Path(library.stamp.name)
    raise click.UsageError("which encoder? name one with --checkpoint (mirclr train makes one)")
