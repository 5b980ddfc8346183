"""``mirclr demo``: the main job end to end, on a freely licensed corpus or on a folder of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.endings import remark_failures
from mirclr.cli.show import closing, print_line, progress, remark
from mirclr.models.pretrained import builtin_checkpoint, builtin_heads
from mirclr.provenance import data_dir, digest_bytes
from mirclr.terminal import counted

if TYPE_CHECKING:
    from mirclr.api import Library
    from mirclr.data.scan import Found
    from mirclr.library import LibraryTrack
    from mirclr.tags import Tags

CORPUS = "debian-games/demo"


@click.command(epilog="Example: mirclr demo --music ~/Music")
@options.path_option("--music", folder=True, exists=True, help="Your own music, which then is in your library.")
@click.option(
    "--library",
    "library_path",
    type=options.HomePath(path_type=Path, dir_okay=False),
    help="The library file; by default your library for your own music, and one apart for the music for trying.",
)
@options.path_option("-o", "--output", help="The playlist to write; by default demo-playlist.m3u8 here.")
@options.index(None, "Find neighbours by this index (mirclr index), not by the file beside the library.")
def command(music: Path | None, library_path: Path | None, output: Path | None, index: str | None) -> None:
    """Try it at once: listen to music, and list what sounds alike.

    With --music it is your own, and you go on with your library from there; without, some freely licensed music is
    fetched. What is done already is not done again.
    """
    from mirclr.api import Library
    from mirclr.cli.embed import bring_up_to_date, checkpoint_of
    from mirclr.data.manifest import tags_by_file
    from mirclr.ingest.finding import find_audio
    from mirclr.ingest.removal import tracks_at
    from mirclr.models.embedder import Embedder

    remark("1/3  music")
    known: dict[Path, Tags] = {}
    if music is None:
        manifest, root = _obtain()
        known = tags_by_file(manifest)
        library_path = library_path or _library_for_trying()
    else:
        root = music.resolve()
        library_path = library_path or options.default_library()
        print_line(f"your own: {root}")
        _remark_on_earlier_demo(root)
    remark("2/3  library")
    with Library.open(library_path, create=True) as library:
        files: Sequence[tuple[str, Found]] = [(str(root), f) for f in sorted(known) if f.is_file()]
        files = files or find_audio([root], library)[0]
        _, failures = bring_up_to_date(library, files, Embedder.load(checkpoint_of(library_path)), known)
        remark_failures(failures, library_path)
        closing(f"{counted(len(library.tracks()), 'song')} ready")
        _predict(library)
        if index:
            library.use_index(index)
        remark("3/3  recommendations")
        seed = _recommend(library, tracks_at(library, str(root)), output or Path("demo-playlist.m3u8"))
    name = next((n for n in (seed.artist, seed.title) if n and not n.startswith("-")), str(seed.place))
    print_line(f"go on with: {options.command_line('recommend', name, library_path=library_path)}")
    if music is None:
        print_line("and with your own music: mirclr embed FOLDER")


def _library_for_trying() -> Path:
    """That of the freely licensed music: one for each version of the built-in encoder."""
    from mirclr.models.embedder import Embedder

    return data_dir() / "demo" / f"{Embedder.load(builtin_checkpoint()).stamp.digest[:8]}.db"


def _remark_on_earlier_demo(root: Path) -> None:
    """An earlier mirclr made a library of its own of each folder that the demo was tried on."""
    for old in sorted((data_dir() / f"demo-{digest_bytes(str(root).encode())[:8]}").glob("*.db")):
        delete = options.command_line("library", "delete", library_path=old)
        remark(f"an earlier demo kept a library apart, which is not used any more; to delete it: {delete}")


def _predict(library: Library) -> None:
    """Guess genres and moods, where the built-in guesses are for the library's encoder."""
    from mirclr.classify import Heads
    from mirclr.classify.predict import predict_library
    from mirclr.errors import EncoderMismatch

    with suppress(EncoderMismatch):
        predict_library(library, Heads.load(builtin_heads()))


def _obtain() -> tuple[Path, Path]:
    """Fetch the demo corpus; returns its manifest and folder."""
    from mirclr.data.corpora import fetch_corpus, package_count

    with progress(f"Fetching {CORPUS}", package_count(CORPUS)) as advance:
        fetched = fetch_corpus(CORPUS, None, advance)
    for line in (*fetched.problems, *fetched.remarks):
        remark(line)
    return fetched.manifest, fetched.audio_root


def _recommend(library: Library, tracks: list[LibraryTrack], playlist: Path) -> LibraryTrack:
    """Print a list for each of two songs, and write the last one as a playlist; returns the last song."""
    from mirclr.cli.recommend import show_answer, title_of
    from mirclr.errors import NoMatch
    from mirclr.recommend import Query
    from mirclr.recommend.playlist import write_playlist

    if len(tracks) < 2:
        raise NoMatch(f"found {counted(len(tracks), 'song')}; the demo needs two at least")
    for seed in _two_seeds(tracks):
        answer = library.answer(Query(seeds=(str(seed.place),), n=10))
        show_answer(answer, as_json=False, explain=False)
        found = answer.recommendations
    listed = [seed, *(r.track for r in found)]
    write_playlist(playlist, listed, title=title_of(answer))
    print_line(f"wrote {playlist} ({counted(len(listed), 'song')})")
    return seed


def _two_seeds(tracks: list[LibraryTrack]) -> list[LibraryTrack]:
    """Two tracks of different albums or artists, with titles where there are some; the same ones each time."""
    from mirclr.library.names import album_keys

    named = [t for t in tracks if t.title and t.artist]
    pool = named if len(named) > 1 else tracks
    first = pool[len(pool) // 3]
    others = [t for t in pool if t.id != first.id]
    apart = [t for t in others if album_keys(t).isdisjoint(album_keys(first))]
    return [first, (apart or others)[2 * len(apart or others) // 3]]
