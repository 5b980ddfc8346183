"""``mirclr recommend``: seeds to a table, JSON or a playlist. Imports torch only to embed a file."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.filters import LENGTH, filters, make_ready, query_of
from mirclr.cli.mpd import mpd_option, queue_answer
from mirclr.cli.show import ListedSong, print_json, print_songs, remark
from mirclr.terminal import clock, counted

if TYPE_CHECKING:
    from mirclr.library import LibraryTrack
    from mirclr.recommend import Answer, Query, Recommendation, Seed
    from mirclr.recommend.mpd import MpdAddress

_MANY = 10_000  # songs that an index is behind, from where a query takes notably longer
_NAMED = 3  # artists or songs in the title of a list

HOW_MANY = ("n", "length_s", "artist_cap", "artist_gap", "same_album", "versions", "fill")
WHAT_BECOMES = ("output", "save", "replace", "mpd", "explain", "as_json")
"""Options of commands that make lists, by the sections of their helps."""

_HOW_MANY = (
    options.count(20, "How many songs."),
    click.option("--length", "length_s", type=LENGTH, metavar="LENGTH", help="Fill this time instead: 45m, 1h30m."),
    click.option(
        "--artist-cap",
        type=click.IntRange(min=0),
        default=2,
        show_default=True,
        help="At most this many songs of one artist (0: any number).",
    ),
    click.option(
        "--artist-gap",
        type=click.IntRange(min=0),
        default=3,
        show_default=True,
        help="At least this many songs of others between two of one artist.",
    ),
)
_IN_WHICH_ORDER = (
    click.option(
        "--diversity",
        type=options.Number(0, 1),
        default=0.0,
        show_default=True,
        help="How different the songs of the list are, 0 to 1.",
    ),
    click.option(
        "--shuffle",
        "seed",
        type=click.INT,
        metavar="NUMBER",
        help="Another list that is about as good; the same number gives the same list.",
    ),
)
_WHAT_BECOMES = (
    click.option(
        "--explain", is_flag=True, help="Give details of each: labels, tempo, key, the most similar excerpts."
    ),
    options.as_json,
    options.path_option("-o", "--output", help="Write a playlist too: .m3u8, .xspf or .jspf"),
    click.option("--save", metavar="NAME", help="Keep what you asked for; to list anew: mirclr playlist refresh NAME"),
    click.option("--replace", is_flag=True, help="With --save: also where something else is saved as NAME."),
    mpd_option,
    options.checkpoint("The library's encoder, where its file has moved."),
)


def _adding(several: tuple[Callable[..., Any], ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(several):
            command = option(command)
        return command

    return add


how_many, in_which_order, what_becomes = map(_adding, (_HOW_MANY, _IN_WHICH_ORDER, _WHAT_BECOMES))


@options.formerly({"--seed": "--shuffle"})
@click.command(
    cls=options.InSections,
    sections={
        "Which songs may come": (
            "like",
            "text",
            "genre",
            "mood",
            "vocal",
            "bpm",
            "key",
            "year",
            "duration_s",
            "exclude",
            "avoid",
            "profile",
        ),
        "How many, and which of one artist": HOW_MANY,
        "In which order": ("to", "diversity", "seed"),
        "What becomes of the list": WHAT_BECOMES,
    },
    epilog='Example: mirclr recommend "Nils Frahm Says" ~/Music/Jazz --exclude path:Christmas -o list.m3u8; '
    "covers of a song: mirclr recommend Hallelujah --like harmony",
)
@click.argument("seeds", nargs=-1, metavar="[SONG]…")
@options.library
@filters
@click.option("--text", metavar="WORDS", help="What songs should be, in words: 'but calmer', 'no vocals'.")
@click.option("--not", "avoid", multiple=True, metavar="SONG", help="Stay away from this song. May be given again.")
@click.option("--to", metavar="SONG", help="Go from the one song to this one, step by step.")
@click.option(
    "--like",
    multiple=True,
    metavar="ASPECT[=WEIGHT]",
    help="In what songs are alike: timbre (unless given), harmony (in any key and tempo), rhythm; weighed: "
    "harmony=0.7.",
)
@how_many
@click.option(
    "--same-album",
    type=click.Choice(["yes", "no"]),
    default="no",
    show_default=True,
    help="Whether songs of the album of a song that you name may come.",
)
@click.option(
    "--versions",
    type=click.Choice(["yes", "no"]),
    default="no",
    show_default=True,
    help="Whether several versions of one song may come (live, remix, karaoke).",
)
@click.option(
    "--fill",
    type=click.Choice(["yes", "no"]),
    default="no",
    show_default=True,
    help="Whether to fill the list with what is not alike, where too little is.",
)
@in_which_order
@click.option("--for", "profile", metavar="PROFILE", help="For this listener: near what is liked, and not played yet.")
@what_becomes
@options.index(None, "Find neighbours by this index (mirclr index), not by the file beside the library.")
def command(
    library_path: Path,
    same_album: str,
    versions: str,
    fill: str,
    explain: bool,
    as_json: bool,
    output: Path | None,
    save: str | None,
    replace: bool,
    mpd: "MpdAddress | None",
    checkpoint: Path | None,
    index: str | None,
    **asked: Any,
) -> int:
    """List songs that sound like the ones you name.

    A SONG is a file, a folder or a playlist, of your library or not, or words of an artist, a title or an album. The
    name of an artist or an album means all its songs. Without any, all that your options ask for may come: --mood party
    alone makes a list. Genre and mood, tempo and key are found out first, where they are needed and not known.

    Never listed are copies and versions of a song that you name or of each other, what `mirclr block` keeps out, and
    what is not alike. The best match comes first, unless artists have to be kept apart (--artist-gap), songs that sound
    different take turns, or --diversity or --to asks for another order.
    """
    query = query_of(same_album=same_album == "yes", versions=versions == "yes", fill=fill == "yes", **asked)
    return make_list(library_path, query, explain, as_json, output, save, replace, mpd, checkpoint, index)


def make_list(
    library_path: Path,
    query: "Query",
    explain: bool,
    as_json: bool,
    output: Path | None,
    save: str | None,
    replace: bool,
    mpd: "MpdAddress | None",
    checkpoint: Path | None,
    index: str | None = None,
) -> int:
    """Answer a query of a library, and show, write, keep and play the list as was asked."""
    from mirclr.api import Library
    from mirclr.recommend.saved import check_unsaved, save_query

    if output:
        check_output(output, library_path)
    if save is not None:
        check_name(save)
    elif replace:
        raise click.UsageError("--replace: expected --save NAME with it")
    with Library.open(library_path) as library:
        if save and not replace:
            check_unsaved(library, save, query)
        if index:
            library.use_index(index)
            if (behind := library.index.behind) > _MANY:
                push = options.command_line("index", "push", "--index", "URI", library_path=library_path)
                remark(f"the index is {counted(behind, 'song')} behind, which takes time; bring it up to date: {push}")
        make_ready(library, query)
        answer = library.answer(query, checkpoint=checkpoint, excerpts=explain)
        if save:
            save_query(library, save, query, output)
    show_answer(answer, as_json=as_json, explain=explain)
    if output:
        write_answer(answer, output, save or title_of(answer))
    if save:
        remark(f"saved as {save!r}; run it again with: mirclr playlist refresh {shlex.quote(save)}")
    if mpd:
        queue_answer(answer, mpd)
    return 0 if answer.recommendations else 1


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
        read = {"understood": answer.described.to_json()} if answer.described else {}
        print_json({"seeds": [seed.label for seed in answer.seeds], **read, "recommendations": found})
    elif answer.recommendations:
        _print(answer, explain)


def title_of(answer: "Answer") -> str:
    """What a list is called, for people."""
    from mirclr.names import first_artist
    from mirclr.recommend.aspects import parse_like
    from mirclr.recommend.words import in_words

    found, query = answer.recommendations, answer.query
    if not answer.seeds:
        words = in_words(query)
        return words[:1].upper() + words[1:]
    if query.to is not None and found:
        ends = [r.track.title or r.track.label for r in (found[0], found[-1])]
        return f"From {ends[0]} to {ends[1]} in {counted(len(found), 'song')}"
    if query.profile is not None and not query.seeds:
        return f"For {query.profile}"
    by: dict[str, list[Seed]] = {}
    for seed in answer.seeds:
        artist = seed.track.artist if seed.track else None
        by.setdefault(first_artist(artist) if artist else seed.label, []).append(seed)
    names = [_name_of(seeds) for seeds in by.values()]
    more = sum(len(seeds) for seeds in list(by.values())[_NAMED:])
    *others, last = [*names[:_NAMED], *([f"{more} more"] if more else [])]
    alike = "" if query.like_by_sound else f", in {' and '.join(parse_like(query.like))}"
    return f"Like {', '.join(others)}{' and ' if others else ''}{last}{alike}"


def _name_of(seeds: "Sequence[Seed]") -> str:
    """What songs of one artist are called; or one song, as in a list."""
    (seed, *others), track = seeds, seeds[0].track
    if others and track:
        return f"{counted(len(seeds), 'song')} by {track.artist}"
    return track.place.name if track and not track.title else seed.label


def write_answer(answer: "Answer", output: Path, title: str) -> None:
    """Write recommendations as a playlist."""
    from mirclr.recommend.playlist import write_playlist

    if not answer.recommendations:
        remark(f"{output} is not written, as nothing was found")
        return
    write_playlist(output, [r.track for r in answer.recommendations], title=title)
    remark(f"wrote {output} ({counted(len(answer.recommendations), 'song')})")


def _print(answer: "Answer", explain: bool) -> None:
    sure = not all(r.alike == 1 for r in answer.recommendations)  # what tags say of all of them need not be said
    songs = [
        listed_song(r.track, match=r.alike if sure else None, why=r.reason, more=_explained(r) if explain else ())
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
    near = [] if r.similarity is None else [f"near {why.seed}, cosine {r.similarity:.3f}"]
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
    if why.aspects:
        alike = (f"{name} as of {100 * fraction:.1f} %" for name, fraction in why.aspects.items())
        near.append(f"more alike than pairs of your songs are: {', '.join(alike)}")
    if why.chords:
        shared.append("chords {} and {}".format(*why.chords))
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
        "seed": why.seed or None,
        "reason": r.reason,
        **({} if r.part_s is None else {"part_s": round(r.part_s, 1)}),
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
            **({"aspects": why.aspects, "chords": why.chords and list(why.chords)} if why.aspects else {}),
        }
    return plain
