"""``mirclr demo``: the main job end to end, on a freely licensed corpus or on a folder of one's own."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli.options import path_option
from mirclr.cli.show import print_table, progress, remark

if TYPE_CHECKING:
    from mirclr.library import Library, LibraryTrack

CORPUS = "debian-games/demo"
LEARN_FROM = 500  # tracks of one's own folder that the demo learns from; all of them are embedded


@click.command(epilog="Example: mirclr demo --music ~/Music")
@path_option("--music", folder=True, exists=True, help="Your own music, instead of the demo corpus.")
@path_option("-o", "--output", help="The playlist to write; by default demo-playlist.m3u8 here.")
def command(music: Path | None, output: Path | None) -> None:
    """Do the main job end to end on real music.

    Obtains music, trains a small encoder on it, embeds it and recommends from it. What is done already is
    not done again.
    """
    from mirclr.cli.embed import bring_up_to_date, manifest_tags
    from mirclr.embed import Embedder, find_audio
    from mirclr.library import Library
    from mirclr.provenance import data_dir, digest_bytes

    remark("1/4  music")
    if music is None:
        home, (manifest, root) = data_dir() / "demo", _obtain()
    else:
        root = music.resolve()
        home = data_dir() / f"demo-{digest_bytes(str(root).encode())[:8]}"
        manifest = _scan(root, home / "tracks.jsonl")
    remark("2/4  encoder")
    encoder = _train(manifest, root, home / "run")
    remark("3/4  library")
    known = manifest_tags(manifest) if music is None else {}
    with Library.open(home / "library.db", create=True) as library:
        files = [(str(root), f) for f in sorted(known) if f.is_file()] or find_audio([root], library)[0]
        counts, failures = bring_up_to_date(library, files, Embedder.load(encoder), known)
        for _, reason in failures:
            remark(f"skipped {reason}")
        click.echo(", ".join(f"{n} {did}" for did, n in counts.items() if n))
        remark("4/4  recommendations")
        _recommend(library, output or Path("demo-playlist.m3u8"))
    again = shlex.join(["mirclr", "recommend", "SEED", "--library", str(home / "library.db")])
    click.echo(f"ask for more with: {again}   (SEED: a file, or words of an artist or a title)")


def _obtain() -> tuple[Path, Path]:
    """Fetch the demo corpus; returns its manifest and folder."""
    from mirclr.corpus import fetch_corpus, package_count

    with progress(f"Fetching {CORPUS}", package_count(CORPUS)) as advance:
        fetched = fetch_corpus(CORPUS, None, advance)
    for line in (*fetched.problems, *fetched.remarks):
        remark(line)
    return fetched.manifest, fetched.audio_root


def _scan(folder: Path, manifest: Path) -> Path:
    """Write a manifest of a folder, for training: a sample of it where it is large."""
    import random

    from mirclr.cli.manifest import scanned
    from mirclr.errors import ManifestError
    from mirclr.manifest import write_manifest

    tracks, _ = scanned(folder)  # what failed, embedding will tell
    if len(tracks) < 2:
        raise ManifestError(f"{folder}: found {len(tracks)} audio file(s); the demo needs two at least")
    sample = random.Random(1).sample(tracks, min(LEARN_FROM, len(tracks)))  # noqa: S311  (no secret)
    write_manifest(manifest, sorted(sample, key=lambda t: t.path))
    return manifest


def _train(manifest: Path, root: Path, run_folder: Path) -> Path:
    """Train the recipe of the demo, or go on with it; returns the encoder."""
    from mirclr.cli.train import prepare, run
    from mirclr.config import read_recipe
    from mirclr.provenance import shipped_dir

    encoder = run_folder / "encoder.safetensors"
    if encoder.is_file():
        click.echo(f"trained already: {encoder}")
        return encoder
    recipe = read_recipe(
        shipped_dir("recipes") / "demo" / "recipe.yaml",
        overrides=[f"data.train={json.dumps(str(manifest))}", f"data.audio_root={json.dumps(str(root))}"],
    )
    run(prepare(recipe, manifest.parent, run_folder, resume=True))
    click.echo(f"trained: {encoder}")
    return encoder


def _recommend(library: Library, playlist: Path) -> None:
    """Print a table for each of two seeds, with genres where known, and write the last list as a playlist."""
    from mirclr.errors import NoMatch
    from mirclr.index import open_index
    from mirclr.playlist import write_m3u8
    from mirclr.recommend import Query, Seed, recommend_tracks

    index, tracks = open_index(library), library.tracks()
    if len(tracks) < 2:
        raise NoMatch(f"{library.path}: holds {len(tracks)} track(s); the demo needs two at least")
    for seed in _two_seeds(tracks):
        found = recommend_tracks(library, index, Query((Seed.of_track(library, seed),), 10))
        columns = ["rank", "similarity", "artist", "title", "album", "why"]
        rows = [
            [r.rank, r.similarity, r.track.artist, r.track.title or r.track.file.stem, r.track.album, r.why]
            for r in found
        ]
        if any(r.track.genre for r in found):
            columns.insert(5, "genre")
            for row, r in zip(rows, found, strict=True):
                row.insert(5, r.track.genre)
        print_table(columns, rows, title=f"near {seed.label}")
    listed = [seed, *(r.track for r in found)]
    write_m3u8(playlist, listed, title=f"near {seed.label}")
    click.echo(f"wrote {playlist} ({len(listed)} tracks)")


def _two_seeds(tracks: list[LibraryTrack]) -> list[LibraryTrack]:
    """Two tracks of different albums or artists, with titles where there are some; the same ones each time."""
    named = [t for t in tracks if t.title and t.artist]
    pool = named if len(named) > 1 else tracks
    first = pool[len(pool) // 3]
    others = [t for t in pool if t.id != first.id]
    apart = [t for t in others if (t.album, t.artist) != (first.album, first.artist)]
    return [first, (apart or others)[2 * len(apart or others) // 3]]
