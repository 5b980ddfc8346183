"""``mirclr manifest``: make manifests of folders, and check manifests."""

from pathlib import Path

import click

from mirclr.cli.options import as_json
from mirclr.cli.show import print_json, progress, remark


@click.group(epilog="Example: mirclr manifest scan ~/Music -o tracks.jsonl")
def command() -> None:
    """Scan a folder into a manifest; check manifests."""


@command.command(epilog="Example: mirclr manifest scan ~/Music -o tracks.jsonl")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    required=True,
    help="The manifest to write.",
)
def scan(folder: Path, output: Path) -> None:
    """List the audio files below FOLDER in a manifest: artist, album, title, genre, duration by tags."""
    from mirclr.manifest import ScanFailure, Track, scan_folder, write_manifest

    tracks: list[Track] = []
    failures: list[ScanFailure] = []
    with progress("Scanning", None) as advance:
        for found in scan_folder(folder):
            if isinstance(found, Track):
                tracks.append(found)
            else:
                failures.append(found)
            advance(1, found.path)
    write_manifest(output, tracks)
    for failure in failures:
        remark(f"{_shown(failure.path)}: {failure.reason}")
    click.echo(f"{len(tracks)} tracks; {len(failures)} failures; manifest: {output}")


@command.command(epilog="Example: mirclr manifest check tracks.jsonl --audio-root ~/Music")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE…",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
)
@click.option(
    "--audio-root",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Check that the files are below it, and their digests.",
)
@as_json
def check(files: tuple[Path, ...], audio_root: Path | None, as_json: bool) -> int:
    """Check manifests used together: schema, unique ids, no artist or recording in two splits, files."""
    from mirclr.manifest import Track, check_tracks, examine_manifest

    tracks: list[Track] = []
    problems: list[str] = []
    for file in files:
        good, wrong = examine_manifest(file)
        tracks += good
        problems += wrong
    problems += check_tracks(tracks, audio_root)
    if as_json:
        print_json({"tracks": len(tracks), "problems": problems})
    else:
        for problem in problems:
            click.echo(problem)
        click.echo(f"{len(tracks)} tracks; {len(problems)} problems")
    return 1 if problems else 0


def _shown(path: str) -> str:
    """A path on one line, whatever bytes are in it."""
    plain = path.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)
