"""``mirclr search``: words of what music is like to songs of the library. Imports no torch."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli import options
from mirclr.cli.filters import filters, query_of
from mirclr.cli.recommend import WHAT_BECOMES, how_many, in_which_order, make_list, what_becomes

if TYPE_CHECKING:
    from mirclr.recommend.mpd import MpdAddress


@click.command(
    cls=options.InSections,
    sections={
        "Which songs may come": ("genre", "mood", "bpm", "key", "year", "duration_s", "exclude"),
        "How many, and which of one artist": ("n", "length_s", "artist_cap", "artist_gap"),
        "In which order": ("diversity", "seed"),
        "What becomes of the list": WHAT_BECOMES,
    },
    epilog='Example: mirclr search "calm piano, no vocals, around 90 bpm, before 1990" -n 10 -o calm.m3u8',
)
@click.argument("words", nargs=-1, required=True)
@options.library
@filters
@how_many
@in_which_order
@what_becomes
def command(
    library_path: Path,
    words: tuple[str, ...],
    explain: bool,
    as_json: bool,
    output: Path | None,
    save: str | None,
    replace: bool,
    mpd: "MpdAddress | None",
    checkpoint: Path | None,
    **asked: Any,
) -> int:
    """List songs that are as you say: calm piano, no vocals, 1990s.

    WORDS are English: moods, genres, instruments, voices, what one does to the music (studying, a workout, a rainy
    Sunday), tempo and key, years, how long a song is, and what it should not be (no vocals, not sad, without drums).
    Names of artists and songs are not looked for: mirclr library list NAME, mirclr recommend NAME.

    What was understood is shown first, each tag with its weight, and so is what was not. How songs sound is a guess by
    the tags of their sound. Where no song is likely as you say, none is listed.
    """
    query = query_of(text=" ".join(words), **asked)
    return make_list(library_path, query, explain, as_json, output, save, replace, mpd, checkpoint)
