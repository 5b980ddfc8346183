"""``mirclr recommend``: seeds to a table, JSON or a playlist. Imports torch only to embed a file."""

import math
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.show import ListedSong, print_json, print_songs, remark
from mirclr.terminal import clock, counted

if TYPE_CHECKING:
    from mirclr.library import LibraryTrack
    from mirclr.recommend import Answer, Recommendation

_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600}


class _Range(click.ParamType):
    """``A..B``, ``A..``, ``..B`` or one number; the command gets (A, B)."""

    def __init__(self, name: str, number: Callable[[str], float]) -> None:
        self.name, self._number = name, number

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        low, dots, high = str(value).partition("..")
        try:
            least = self._number(low) if low or not dots else float("-inf")
            most = (self._number(high) if high else float("inf")) if dots else least
            if not all(math.isfinite(bound) for bound, text in ((least, low), (most, high)) if text):
                raise ValueError(value)
        except (ValueError, OverflowError):
            self.fail(f"found {value!r}; expected a number or two, as in 90..110, 90.. or ..110", param, ctx)
        return least, most


def _duration(text: str) -> float:
    """Seconds of ``90``, ``2m``, ``2m30s``, ``1h`` or ``2:30``."""
    if ":" in text:
        total = 0.0
        for part in text.split(":"):
            total = 60 * total + float(part)
        return total
    parts = re.findall(r"([\d.]+)\s*([a-z]*)", text.lower())
    if not parts or "".join(f"{n}{unit}" for n, unit in parts) != re.sub(r"\s", "", text.lower()):
        raise ValueError(text)
    try:
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    except KeyError as error:
        raise ValueError(text) from error


@click.command(epilog='Example: mirclr recommend "Nils Frahm Says" ~/Music/a.ogg --exclude path:Christmas -o list.m3u8')
@click.argument("seeds", nargs=-1, metavar="[SEED]…")
@options.library
@click.option("--not", "avoid", multiple=True, metavar="TRACK", help="Stay away from this track. May be given again.")
@click.option("--to", metavar="TRACK", help="A path from the one seed to this track, both among the -n tracks.")
@options.count(20, "How many tracks.")
@click.option(
    "--diversity", type=options.Number(0, 1), default=0.0, show_default=True, help="Diversity of the list, 0 to 1."
)
@click.option(
    "--artist-cap",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="At most this many tracks of one artist (0: no limit).",
)
@click.option(
    "--artist-gap",
    type=click.IntRange(min=0),
    default=3,
    show_default=True,
    help="At least this many other tracks between two of one artist.",
)
@click.option(
    "--same-album",
    type=click.Choice(["yes", "no"]),
    default="no",
    show_default=True,
    help="Whether tracks of a seed's own album may come.",
)
@click.option(
    "--versions",
    type=click.Choice(["yes", "no"]),
    default="no",
    show_default=True,
    help="Whether several versions of one song may come (live, remix, karaoke).",
)
@click.option(
    "--exclude", multiple=True, metavar="RULE", help="Leave out artist:…, album:…, genre:…, path:… or track:…"
)
@click.option("--genre", multiple=True, help="Only of this genre, or of one of several.")
@click.option("--mood", multiple=True, help="Only of this mood, or of one of several.")
@click.option("--bpm", type=_Range("range", float), metavar="A..B", help="Tempo, as mirclr describe found it.")
@click.option("--key", metavar="KEY[,compatible]", help="Key, such as Am or 8A; with ,compatible also keys that mix.")
@click.option("--year", type=_Range("range", float), metavar="A..B", help="Year of the tags.")
@click.option(
    "--duration", "duration_s", type=_Range("range", _duration), metavar="A..B", help="Length, such as 2m..8m."
)
@click.option("--for", "profile", metavar="PROFILE", help="For this listener: near what is liked, and not played yet.")
@options.seed("Shuffle what is about as good; the same number gives the same list.")
@click.option("--explain", is_flag=True, help="Give details of each: labels, tempo, key, the most similar excerpts.")
@options.as_json
@options.path_option("-o", "--output", help="Write a playlist too: .m3u8, .xspf or .jspf")
@click.option("--save", metavar="NAME", help="Keep the query, to be run again: mirclr playlist refresh NAME")
@options.checkpoint("The library's encoder, where its file has moved: embeds seeds that are files.")
def command(
    library_path: Path,
    same_album: str,
    versions: str,
    explain: bool,
    as_json: bool,
    output: Path | None,
    save: str | None,
    checkpoint: Path | None,
    **asked: Any,
) -> None:
    """Recommend tracks that belong with the given ones.

    A SEED is an audio file, in the library or not, a playlist, or words of an artist, a title or an album. Words that
    are a whole title mean that track; the name of an artist or an album means all its tracks. Never listed are copies
    and versions of a seed or of each other, and what `mirclr block` keeps out.

    The best match comes first, but where seeds that sound unlike take turns, tracks of one artist are kept apart
    (--artist-gap), or --diversity or --to asks for another order; with --to it is that with the track before.
    """
    from mirclr.api import Library
    from mirclr.errors import QueryError
    from mirclr.recommend import Query, with_absolute_paths

    if not asked["seeds"] and not asked["profile"]:
        raise click.UsageError("nothing to start from; name a SEED, or a listener with --for")
    if output:
        check_output(output, library_path)
    if save is not None:
        check_name(save)
    try:
        query = Query(same_album=same_album == "yes", versions=versions == "yes", **asked)
    except QueryError as error:
        raise click.UsageError(str(error)) from None
    with Library.open(library_path) as library:
        answer = library.answer(query, checkpoint=checkpoint, excerpts=explain)
        if save:
            kept = with_absolute_paths(query).to_json()
            library.save_playlist(save, {"query": kept, "output": str(output.absolute()) if output else None})
    show_answer(answer, as_json=as_json, explain=explain)
    if output:
        write_answer(answer, output, save or title_of(answer))
    if save:
        remark(f"saved as {save!r}; run it again with: mirclr playlist refresh {shlex.quote(save)}")


def check_name(name: str) -> None:
    """Refuse a name that one could not type again."""
    from mirclr.library import shown

    if not name.strip() or name.startswith("-") or shown(name) != name:
        raise click.UsageError(f"name {shown(name)!r}: expected one that can be printed, and begins with no dash")


def check_output(output: Path, library_path: Path) -> None:
    """Refuse a playlist of an unknown kind, or in the library's place, before anything is done."""
    from mirclr.recommend.playlist import SUFFIXES

    options.check_apart(output, library_path)
    if output.suffix.lower() not in SUFFIXES:
        raise click.BadParameter(f"{output}: a playlist ends in {', '.join(SUFFIXES)}", param_hint="-o")


def show_answer(answer: "Answer", *, as_json: bool, explain: bool) -> None:
    """Print recommendations as a table or as JSON, and remarks."""
    for line in answer.remarks:
        remark(line)
    if as_json:
        found = [recommendation_json(r, explain) for r in answer.recommendations]
        print_json({"seeds": [seed.label for seed in answer.seeds], "recommendations": found})
    else:
        _print(answer, explain)


def title_of(answer: "Answer") -> str:
    """What a list is called, for people."""
    from mirclr.names import first_artist

    found, query = answer.recommendations, answer.query
    if query.to is not None and found:
        ends = [r.track.title or r.track.label for r in (found[0], found[-1])]
        return f"From {ends[0]} to {ends[1]} in {counted(len(found), 'song')}"
    if query.profile is not None and not query.seeds:
        return f"For {query.profile}"
    by = [(seed.track.artist or "") if seed.track else "" for seed in answer.seeds]
    if len(by) > 1 and by[0] and len(set(map(first_artist, by))) == 1:
        return f"Like {counted(len(by), 'song')} by {by[0]}"
    names = [seed.label for seed in answer.seeds]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"Like {', '.join(names[:3])}{more}"


def write_answer(answer: "Answer", output: Path, title: str) -> None:
    """Write recommendations as a playlist."""
    from mirclr.recommend.playlist import write_playlist

    if not answer.recommendations:
        remark(f"{output} is not written, as nothing was found")
        return
    write_playlist(output, [r.track for r in answer.recommendations], title=title)
    remark(f"wrote {output} ({counted(len(answer.recommendations), 'song')})")


def _print(answer: "Answer", explain: bool) -> None:
    songs = [
        listed_song(r.track, match=r.alike, why=r.reason, more=_explained(r) if explain else ())
        for r in answer.recommendations
    ]
    print_songs(songs, heading=title_of(answer))


def listed_song(track: "LibraryTrack", **more: Any) -> ListedSong:
    """A track as a line of a list."""
    title = track.title or track.place.name
    return ListedSong(title, track.artist or "", track.album or "", track.duration_s, file=str(track.file), **more)


def _explained(r: "Recommendation") -> tuple[str, ...]:
    """A reason with numbers, for who knows what they mean."""
    why = r.explanation
    near = [f"near {why.seed}, cosine {r.similarity:.3f}"]
    if why.excerpts:
        near.append("most similar at {} and {}".format(*map(clock, why.excerpts)))
    shared = [f"same {name}" for name in why.same if name != "genre"]
    shared += [f"both tagged {genre}" for genre in why.tagged]
    if why.tempo:
        shared.append("{:.0f} and {:.0f} bpm".format(*why.tempo))
    if why.key:
        shared.append("{} and {}".format(*why.key))
    shared += why.relations
    guessed = [f"{label} {a:.2f} and {b:.2f}" for both in why.labels.values() for label, (a, b) in both.items()]
    if guessed:
        guessed = [f"both sound {', '.join(guessed)}"]
    return tuple(filter(None, map("; ".join, (near, shared, guessed))))


def recommendation_json(r: "Recommendation", explain: bool) -> dict[str, Any]:
    """One recommendation as JSON values."""
    track, why = r.track, r.explanation
    plain: dict[str, Any] = {
        "rank": r.rank,
        "match": r.match,
        "alike": None if r.alike is None else round(r.alike, 6),
        "similarity": r.similarity,
        "id": track.id,
        "file": str(track.file),
        **({"start_s": track.start_s} if track.span else {}),
        "artist": track.artist,
        "title": track.title,
        "album": track.album,
        "genre": track.genre,
        "year": track.year,
        "duration_s": track.duration_s,
        "seed": why.seed,
        "reason": r.reason,
    }
    if explain:
        plain["explanation"] = {
            "same": list(why.same),
            "tagged": list(why.tagged),
            "labels": {t: {k: list(v) for k, v in labels.items()} for t, labels in why.labels.items()},
            "tempo": list(why.tempo) if why.tempo else None,
            "key": list(why.key) if why.key else None,
            "relations": list(why.relations),
            "moments_s": list(why.excerpts) if why.excerpts else None,
        }
    return plain
