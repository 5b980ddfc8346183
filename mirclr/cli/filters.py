"""What songs should be, as options that several commands share; and what is found out first where these need it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from mirclr.cli.show import progress, remark

if TYPE_CHECKING:
    from mirclr.api import Library
    from mirclr.recommend import Query


class Wish(click.ParamType):
    """A text that means bounds; the command gets the text, which is read by its `Query`.

    Parameters
    ----------
    name : str
        What it is, for people.
    parser : str
        Of `mirclr.recommend.ranges`, imported when there is something to read.
    """

    def __init__(self, name: str, parser: str) -> None:
        self.name, self._parser = name, parser

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The text itself, if it can be read."""
        from mirclr.errors import QueryError
        from mirclr.recommend import ranges

        try:
            getattr(ranges, self._parser)(str(value))
        except QueryError as error:
            self.fail(str(error), param, ctx)
        return str(value)


LENGTH = Wish("length", "parse_length")

_FILTERS = (
    click.option("--genre", multiple=True, help="Only this genre, or one of several. Without a tag it is a guess."),
    click.option("--mood", multiple=True, help="Only this mood, such as party, or one of several. It is a guess."),
    click.option(
        "--vocal",
        type=click.Choice(["yes", "no"]),
        callback=lambda ctx, param, value: None if value is None else value == "yes",
        help="Only songs with a voice, or only without. It is a guess.",
    ),
    click.option(
        "--bpm",
        type=Wish("tempo", "parse_bpm"),
        metavar="TEMPO",
        help="Tempo: 120 or ~90..110 (about that, or half or twice it), 115..125, 'over 120'.",
    ),
    click.option(
        "--key", metavar="KEY[,compatible]", help="Key, such as Am or 8A; with ,compatible also keys that mix."
    ),
    click.option(
        "--year",
        type=Wish("years", "parse_years"),
        metavar="YEARS",
        help="Year: 1994, 1990s, 1990..1999, 'before 1990', 'since 2000'.",
    ),
    click.option(
        "--duration",
        "duration_s",
        type=Wish("duration", "parse_duration"),
        metavar="LENGTH",
        help="How long a song is: 3m (about that), 2m..8m, 'under 5m'.",
    ),
    click.option(
        "--exclude",
        multiple=True,
        metavar="RULE",
        help="Leave out artist:…, album:…, genre:…, path:… (any part of a path) or track:…",
    ),
)


def filters(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what songs should be."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def query_of(**asked: Any) -> "Query":
    """Make a query of what was typed; what cannot be is wrong usage."""
    from mirclr.errors import QueryError
    from mirclr.recommend import Query
    from mirclr.recommend.rules import absolute_texts

    try:
        return Query(**asked | {"exclude": absolute_texts(asked.get("exclude", ()))})
    except QueryError as error:
        raise click.UsageError(str(error)) from None


def make_ready(library: "Library", query: "Query") -> None:
    """Find out what a query asks of songs and is not known yet, and remark what each of its rules keeps out."""
    from mirclr.recommend import parse_rule, rule_effects

    for line in library.prepare(query, progress=progress):
        remark(line)
    for line in rule_effects(library, list(map(parse_rule, query.exclude))):
        remark(line)
