"""A query in words: what its filters ask, and what a list is called."""

import math
import shlex
from collections.abc import Sequence
from dataclasses import fields

from mirclr.library import LibraryStore
from mirclr.recommend.query import Query
from mirclr.recommend.ranges import Range
from mirclr.settings import default_library
from mirclr.terminal import clock, counted, shown, span

_FEW = 3


def command(library: LibraryStore, *words: str) -> str:
    """A command of mirclr's as a person can paste it; the library is named where it is not the default one."""
    of_another = library.path.absolute() != default_library().absolute()
    return shlex.join(["mirclr", *words, *(["--library", str(library.path)] if of_another else [])])


def filters_in_words(query: Query) -> dict[str, str]:
    """What each filter asks, by the name of its field: "rock", "from 1990 to 1999", "115 to 125 bpm"."""
    found = {"genre": _any_of(query.genre)} if query.genre else {}
    if query.mood:
        found["mood"] = f"{_any_of(query.mood)} (mood)"
    if query.vocal is not None:
        found["vocal"] = "with vocals" if query.vocal else "without vocals"
    if query.bpm is not None:
        least, most = query.bpm
        found["bpm"] = f"{_bounds((round(least, 1), round(most, 1)), '{:g}')} bpm" + (
            " (or half or twice that)" if query.octaves else ""
        )
    if query.year is not None:
        found["year"] = _years(query.year)
    if query.duration_s is not None:
        low, high = (clock(end) if math.isfinite(end) else "" for end in query.duration_s)
        found["duration_s"] = f"{_ends(low, high, *query.duration_s)} long"
    if query.key is not None:
        name, mixing, _ = query.key.partition(",")
        found["key"] = f"in {shown(name.strip())}" + (" (or a key that mixes with it)" if mixing else "")
    return found


def in_words(query: Query) -> str:
    """What a query asks, as the heading of its list: "rock, from 1990 to 1999; without path:Christmas"."""
    return "; ".join(_parts(query)) or "a mix of all your songs"


def wish_in_words(query: Query) -> str:
    """What a query asks and how much of it: "20 songs like Creep; rock", "45 minutes: rock, from 1990 to 1999"."""
    many = span(query.length_s) if query.length_s else counted(query.n, "song")
    between = " " if query.seeds or query.profile is not None else ": "
    return f"{many}{between}{in_words(query)}"


def settings_in_words(query: Query) -> dict[str, str]:
    """How the list is made, where that is not as usual: by the name of each setting what it is set to."""
    found = {
        "songs of one artist": (f"{query.artist_cap} at most" if query.artist_cap else "any number", "artist_cap"),
        "songs of others between": (f"{query.artist_gap}", "artist_gap"),
        "same album": ("may come", "same_album"),
        "versions of a song": ("may come", "versions"),
        "what is not alike": ("may fill the list", "fill"),
        "diversity": (f"{query.diversity:g}", "diversity"),
        "shuffle": (f"{query.seed}", "seed"),
        "alike in": (", ".join(query.like), "like"),
    }
    defaults = {field.name: field.default for field in fields(query)}
    return {name: text for name, (text, field) in found.items() if getattr(query, field) != defaults[field]}


def _parts(query: Query) -> list[str]:
    parts = [f"like {_listed(query.seeds)}"] if query.seeds else []
    if query.to is not None:
        parts = [f"from {shown(query.seeds[0])} to {shown(query.to)}"]
    parts += [f"for {shown(query.profile)}"] if query.profile is not None else []
    parts += [shown(query.text)] if query.text is not None else []
    parts += [filters] if (filters := ", ".join(filters_in_words(query).values())) else []
    parts += [f"without {_listed(query.exclude)}"] if query.exclude else []
    return [*parts, f"unlike {_listed(query.avoid)}"] if query.avoid else parts


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(map(shown, names))


def _listed(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _FEW} more" if len(texts) > _FEW else ""
    return ", ".join(map(shown, texts[:_FEW])) + more


def _years(span: Range) -> str:
    least, most = (f"{end:.0f}" if math.isfinite(end) else "" for end in span)
    if least and most:
        return f"from {least}" if least == most else f"from {least} to {most}"
    return f"since {least}" if least else f"before {float(most) + 1:.0f}" if most else "of any year"


def _bounds(span: Range, form: str) -> str:
    return _ends(form.format(span[0]), form.format(span[1]), *span)


def _ends(low: str, high: str, least: float, most: float) -> str:
    if math.isfinite(least) and math.isfinite(most):
        return low if low == high else f"{low} to {high}"
    return f"at least {low}" if math.isfinite(least) else f"at most {high}"
