"""``mirclr manifest``: make manifests of folders, check them, and mark versions of one recording."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.options import as_json, path_option
from mirclr.cli.show import closing, failures_as_json, print_json, print_line, progress, remark
from mirclr.terminal import counted

if TYPE_CHECKING:
    from mirclr.data.manifest import Track
    from mirclr.data.scan import Exclusions, PassedOver, ScanFailure

_SOME = 50
"""How many problems are listed for people: a file that is no manifest has one in each line."""


@options.formerly({"twins": "duplicates"})
@click.group(epilog="Example: mirclr manifest scan ~/Music -o tracks.jsonl")
def command() -> None:
    """List the music of a folder in a manifest; check manifests."""


@command.command(epilog="Example: mirclr manifest scan ~/Music -o tracks.jsonl")
@click.argument("folder", type=options.HomePath(path_type=Path, exists=True, file_okay=False))
@path_option("-o", "--output", required=True, help="The manifest to write.")
@click.option(
    "--exclude",
    "globs",
    metavar="GLOB",
    multiple=True,
    help="Leave out folders and files of this name, or path below FOLDER; may be given again.",
)
@as_json
def scan(folder: Path, output: Path, globs: tuple[str, ...], as_json: bool) -> None:
    """List the audio files below FOLDER in a manifest: artist, album, title, genre, duration by tags.

    A long file with a CUE sheet beside it becomes the tracks that the sheet names.
    """
    from mirclr.cli.embed import remark_passed_over
    from mirclr.data.manifest import write_manifest
    from mirclr.data.scan import Exclusions, PassedOver
    from mirclr.errors import PatternError
    from mirclr.ingest.exclusions import pattern_of

    root, passed = str(folder.resolve()), PassedOver()
    with options.wrong_usage(PatternError):
        patterns = [p for p in (pattern_of(glob, root, [folder]) for glob in globs) if p]
    exclusions = Exclusions({root: patterns})
    tracks, failures = scanned(folder, exclusions, passed)
    passed.patterns = exclusions.used
    write_manifest(output, tracks)
    if as_json:
        listed = failures_as_json((failure.path, failure.reason) for failure in failures)
        print_json({"manifest": str(output), "tracks": len(tracks), "failures": listed, **passed.as_json()})
        return
    remark_passed_over(passed, {root: patterns})
    for failure in failures:
        remark(f"{_escaped(failure.path)}: {failure.reason}")
    closing(f"{counted(len(tracks), 'track')} listed in {output}{_and(len(failures), 'file', 'not read')}")


def scanned(folder: Path, exclusions: Exclusions, passed: PassedOver) -> tuple[list[Track], list[ScanFailure]]:
    """Scan a folder with a progress display."""
    from mirclr.data.manifest import Track, scan_folder

    tracks: list[Track] = []
    failures: list[ScanFailure] = []
    with progress("Scanning files", None) as advance:
        for found in scan_folder(folder, exclusions=exclusions, passed=passed):
            if isinstance(found, Track):
                tracks.append(found)
            else:
                failures.append(found)
            advance(1, found.path)
    return tracks, failures


@command.command(epilog="Example: mirclr manifest check tracks.jsonl --audio-root ~/Music")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    metavar="FILE…",
    type=options.HomePath(path_type=Path, exists=True, dir_okay=False),
)
@options.audio_root("Check also that the files are below it, and their digests.")
@as_json
def check(files: tuple[Path, ...], audio_root: Path | None, as_json: bool) -> int:
    """Check manifests used together: schema, unique ids, no artist or recording in two splits, files."""
    from mirclr.data.manifest import check_tracks, examine_manifest

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
        for problem in problems[:_SOME]:
            print_line(problem)
        if len(problems) > _SOME:
            print_line(f"… and {counted(len(problems) - _SOME, 'more problem')}; --json has all")
        closing(f"{counted(len(tracks), 'track')}, {counted(len(problems), 'problem')}")
    return 1 if problems else 0


@command.command(epilog="Example: mirclr manifest duplicates tracks.jsonl -o marked.jsonl --audio-root ~/Music")
@click.argument("manifest", type=options.HomePath(path_type=Path, exists=True, dir_okay=False))
@path_option("-o", "--output", required=True, help="The manifest to write.")
@options.audio_root()
@options.workers
@as_json
def duplicates(manifest: Path, output: Path, audio_root: Path | None, workers: int, as_json: bool) -> None:
    """Find near-duplicates among the tracks of MANIFEST (other formats, louder, cut), and mark them as one recording.

    Tracks of one recording are never negatives of each other in training, and must stand in one split.
    """
    from mirclr.config import Data, Recipe
    from mirclr.data.clips import Cached, ClipCache
    from mirclr.data.manifest import read_manifest, write_manifest
    from mirclr.data.near_duplicates import find_near_duplicates, mark_recordings

    tracks = read_manifest(manifest)
    root = audio_root or manifest.parent
    cache = ClipCache(Recipe(name="twins", data=Data(train=str(manifest))), "mel")
    cached: list[Cached] = []
    skipped: list[str] = []
    with progress("Decoding songs", len(tracks)) as advance:
        for found in cache.fill(tracks, root, workers=workers or None):
            if isinstance(found, Cached):
                cached.append(found)
            else:
                skipped.append(found.reason)
            advance(note=f"{len(skipped)} skipped" if skipped else "")
    with progress("Comparing songs", len(cached)) as advance:
        pairs = find_near_duplicates(cache, cached, advance=lambda steps: advance(steps))
    write_manifest(output, mark_recordings(tracks, pairs))
    for reason in skipped:
        remark(f"skipped {reason}")
    if as_json:
        named = [{"tracks": [p.first.id, p.second.id], "similarity": p.similarity, "shift_s": p.shift_s} for p in pairs]
        print_json({"tracks": len(tracks), "twins": named, "skipped": skipped, "manifest": str(output)})
        return
    for p in pairs:
        print_line(f"{p.similarity:.3f}  {_escaped(p.first.path)}  =  {_escaped(p.second.path)} ({p.shift_s:+.1f} s)")
    closing(
        f"{counted(len(tracks), 'track')} listed in {output}, {counted(len(pairs), 'pair')} of near-duplicates marked"
        + _and(len(skipped), "file", "not compared")
    )


def _and(n: int, what: str, did: str) -> str:
    """How many more there are that something did not happen to; nothing of none."""
    return f"; {counted(n, what)} {did} (named above)" if n else ""


def _escaped(path: str) -> str:
    """A path on one line, whatever bytes are in it."""
    plain = path.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in plain)
