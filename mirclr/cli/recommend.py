"""``mirclr recommend``: seeds to a table, JSON or a playlist. Imports torch only to hear a file."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_table, remark
from mirclr.pretrained import checkpoint_named

if TYPE_CHECKING:
    from mirclr.library import Library, LibraryTrack
    from mirclr.recommend import Recommendation, Seed


@click.command(epilog='Example: mirclr recommend "Nils Frahm Says" ~/Music/a.ogg -n 10 -o list.m3u8')
@click.argument("seeds", nargs=-1, required=True, metavar="SEED…")
@options.library
@click.option("-n", "n", type=click.IntRange(min=1), default=20, show_default=True, help="How many tracks.")
@options.as_json
@options.path_option("-o", "--output", help="Write a playlist too: .m3u8")
@click.option("--checkpoint", type=options.CHECKPOINT, help="The library's encoder, if it moved: hears other files.")
def command(
    seeds: tuple[str, ...],
    library_path: Path,
    n: int,
    as_json: bool,
    output: Path | None,
    checkpoint: Path | None,
) -> None:
    """Recommend tracks that belong with the given ones.

    A SEED is an audio file, in the library or not, or words of an artist, a title or an album. Words that
    are a whole title mean that track; the name of an artist or an album means all its tracks.
    """
    from mirclr.index import open_index
    from mirclr.library import Library
    from mirclr.recommend import Query, recommend_tracks

    if output and output.suffix.lower() not in (".m3u8", ".m3u"):
        raise click.BadParameter(f"{output}: a playlist ends in .m3u8", param_hint="-o")
    with Library.open(library_path) as library:
        index = open_index(library)
        query = Query(_seeds(library, seeds, checkpoint), n)
        found = recommend_tracks(library, index, query)
    names = [seed.label for seed in query.seeds]
    if not found:
        remark(f"{library_path} holds no other recording than the seeds")
    if as_json:
        print_json({"seeds": names, "recommendations": [_as_json(r) for r in found]})
    else:
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        _print(found, f"near {', '.join(names[:3])}{more}")
    if output:
        from mirclr.playlist import write_m3u8

        write_m3u8(output, [r.track for r in found], title=f"near {names[0]}")
        remark(f"wrote {output} ({len(found)} tracks)")


def _seeds(library: "Library", texts: Sequence[str], checkpoint: Path | None) -> tuple["Seed", ...]:
    """The seeds that the arguments mean, in their order, each once."""
    from mirclr.recommend import Seed

    found = [_resolve(library, text) for text in texts]
    outside = [item for item in found if isinstance(item, Path)]
    heard = dict(zip(outside, _hear(library, outside, checkpoint), strict=True)) if outside else {}
    seeds: dict[Any, Seed] = {}
    for item in found:
        if isinstance(item, Path):
            seeds[item] = heard[item]
        else:
            seeds.update((track.id, Seed.of_track(library, track)) for track in item)
    return tuple(seeds.values())


def _resolve(library: "Library", text: str) -> "list[LibraryTrack] | Path":
    """The tracks of the library that an argument means, or the file outside it."""
    from mirclr.provenance import file_digest
    from mirclr.recommend import match_tracks

    file = Path(text)
    if track := library.find_file(file):
        return [track]
    if os.path.isfile(file):
        copies = library.with_file_digest(file_digest(file))
        return library.tracks([copies[0].track_id]) if copies else file
    return match_tracks(library, text)


def _hear(library: "Library", files: Sequence[Path], checkpoint: Path | None) -> list["Seed"]:
    """Embed files that the library does not hold with its own encoder."""
    stamp = library.stamp
    if checkpoint is None and stamp is not None and checkpoint_named(stamp.name).is_file():
        checkpoint = checkpoint_named(stamp.name)
    if checkpoint is None or stamp is None:
        raise click.UsageError(
            f"{files[0]} is not in the library, and the library's encoder is not where it was; to hear the file, "
            f"name that encoder: --checkpoint {stamp.name if stamp else 'CHECKPOINT'}"
        )
    from mirclr.embed import Embedder, hear
    from mirclr.errors import UnreadableAudio
    from mirclr.recommend import Seed
    from mirclr.tags import read_tags

    embedder = Embedder.load(checkpoint, excerpts=stamp.excerpts)
    library.bind(embedder.stamp)  # refuses another encoder than the library's
    seeds = []
    for heard in hear(files, count=embedder.excerpts, seconds=embedder.seconds, rate=embedder.rate):
        if heard.excerpts is None:
            raise UnreadableAudio(heard.error or f"{heard.file}: cannot be heard")
        tags, excerpts = read_tags(heard.file), heard.excerpts
        label = " – ".join(part for part in (tags.artist, tags.title) if part) if tags.title else heard.file.name
        vector = embedder.embed_track(excerpts.waveforms)
        seeds.append(
            Seed(
                label,
                vector,
                audio_digest=excerpts.digest,
                duration_s=excerpts.duration_s,
                artist=tags.artist,
                album=tags.album,
                genre=tags.genre,
            )
        )
    return seeds


def _print(found: Sequence["Recommendation"], title: str) -> None:
    from mirclr.library import shown

    rows = [
        (
            r.rank,
            r.similarity,
            shown(r.track.artist or ""),
            shown(r.track.title or r.track.path),
            shown(r.track.album or ""),
            r.why,
        )
        for r in found
    ]
    print_table(("rank", "similarity", "artist", "title", "album", "why"), rows, title=shown(title))


def _as_json(r: "Recommendation") -> dict[str, Any]:
    from mirclr.library import shown

    track = r.track
    return {
        "rank": r.rank,
        "similarity": r.similarity,
        "id": track.id,
        "file": shown(str(track.file)),
        "artist": track.artist,
        "title": track.title,
        "album": track.album,
        "genre": track.genre,
        "year": track.year,
        "duration_s": track.duration_s,
        "seed": r.seed,
        "why": r.why,
    }
