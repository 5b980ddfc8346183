"""Which names a text may mean that is none of them."""

from collections.abc import Iterable

from mirclr.names.texts import fold

_LEAST_LETTERS = 3
_COMPARED = 20_000  # names that are compared letter by letter


def close_names(text: str, names: Iterable[str], n: int = 3) -> list[str]:
    """Names that a text may mean: those that it is a part of, or that are a part of it, then those spelt like it.

    Returns
    -------
    list of str
        At most n, as they were given, the likeliest first.
    """
    from difflib import get_close_matches

    wanted = fold(text)
    folded = {fold(name): name for name in names if name.strip()}
    some = list(folded)[:_COMPARED]
    spelt = get_close_matches(wanted, some, n=n, cutoff=0.75)
    inside = sorted((name for name in folded if _is_part(wanted, name)), key=lambda name: (len(name), name))
    found = [*spelt, *inside[:n]] or get_close_matches(wanted, some, n=n, cutoff=0.6)
    return [folded[name] for name in dict.fromkeys(found)][:n]


def _is_part(wanted: str, name: str) -> bool:
    return len(min(wanted, name, key=len)) >= _LEAST_LETTERS and (wanted in name or name in wanted)
