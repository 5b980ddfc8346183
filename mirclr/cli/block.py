"""``mirclr block``: what is never to be recommended, kept in the library."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.show import print_json, print_line, remark
from mirclr.terminal import counted, did_you_mean, shown

if TYPE_CHECKING:
    from mirclr.recommend import Rule


@click.group(epilog='Example: mirclr block add "artist:Some One" path:Christmas')
def command() -> None:
    """Keep artists, albums, genres, folders or songs out of all lists."""


@command.command(epilog='Example: mirclr block add "artist:Some One" path:Christmas')
@click.argument("rules", nargs=-1, required=True, metavar="RULE…")
@options.library
def add(rules: tuple[str, ...], library_path: Path) -> None:
    """Add rules: artist:…, album:…, genre:…, path:… or track:…, each with a name.

    A path is any part of the path of a song, such as path:Christmas; path:Live/ is the folder of just that name, and *
    and ? are wildcards for the whole of a name. A genre is of the tags, or a guess where genres were guessed.
    """
    from mirclr.library import LibraryStore
    from mirclr.recommend import rule_effects

    kept = _parsed(rules)
    with LibraryStore.open(library_path) as library:
        library.add_blocks([str(rule) for rule in kept])
        for line in rule_effects(library, kept):
            remark(line)
        show = options.command_line("block", "list", library_path=library_path)
        remark(f"{counted(len(library.blocks()), 'rule')} now: {show}")


@command.command(epilog='Example: mirclr block remove "artist:Some One"')
@click.argument("rules", nargs=-1, required=True, metavar="RULE…")
@options.library
def remove(rules: tuple[str, ...], library_path: Path) -> None:
    """Remove rules, named as `mirclr block list` shows them."""
    from mirclr.errors import NoMatch
    from mirclr.library import LibraryStore
    from mirclr.names import close_names

    with LibraryStore.open(library_path) as library:
        kept = set(library.blocks())
        named = [rule if rule in kept else str(parsed) for rule, parsed in zip(rules, _parsed(rules), strict=True)]
        if unknown := [rule for rule in named if rule not in kept]:
            raise NoMatch(
                f"no rule {shown(unknown[0])!r} is kept"
                + (did_you_mean(close_names(unknown[0], kept)) or f"; it holds: {', '.join(sorted(kept)) or 'none'}")
            )
        library.remove_blocks(named)
        remark(f"{counted(len(library.blocks()), 'rule')} left")


@command.command("list", epilog="Example: mirclr block list --json")
@options.library
@options.as_json
def list_(library_path: Path, as_json: bool) -> None:
    """List the rules."""
    from mirclr.library import LibraryStore

    with LibraryStore.open(library_path) as library:
        rules = library.blocks()
    if as_json:
        print_json(rules)
    elif not rules:
        remark("nothing is blocked")
    else:
        for rule in rules:
            print_line(rule)


def _parsed(rules: Sequence[str]) -> "list[Rule]":
    """Rules as they hold from any folder; a rule of another form is wrong usage."""
    from mirclr.errors import QueryError
    from mirclr.recommend import absolute_rule, parse_rule

    try:
        return [absolute_rule(parse_rule(rule)) for rule in rules]
    except QueryError as error:
        raise click.UsageError(str(error)) from None
