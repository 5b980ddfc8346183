"""Names of genres: which are one, which are none, and what a person calls them."""

import difflib
from collections.abc import Collection, Iterable, Mapping

from mirclr.names.texts import loose, words

_NONE = frozenset(
    (
        *("", "other", "others", "unknown", "unknown genre", "none", "no genre", "genre", "misc", "miscellaneous"),
        *("various", "undefined", "default", "music", "audio", "unclassifiable", "general", "n a", "na", "unbekannt"),
    )
)

_LITTLE = frozenset(("and", "music", "the", "of", "new"))


def genre_key(text: str) -> str:
    """A genre folded: "Hip-Hop" and "hip hop" are one, "Rock and Roll" and "Rock & Roll" too; empty for none."""
    key = _folded(text)
    return "" if key in _NONE or not any(c.isalpha() for c in key) else key


def _folded(text: str) -> str:
    return loose(words(text)).replace(" & ", "&")


def parse_renames(texts: Iterable[str], known: Collection[str] | None = None) -> dict[str, str]:
    """Read names of genres such as ``dance & house=House``: by `genre_key` of the old name the new one.

    Parameters
    ----------
    texts : iterable of str
        Each ``OLD=NEW``; nothing after the sign leaves a genre out.
    known : collection of str, optional
        The old names that there are; others are refused.

    Raises
    ------
    ValueError
        There is no ``=``, nothing before it, one name twice, or an old name is not known; of the last it names the
        nearest.
    """
    renames: dict[str, str] = {}
    keys = None if known is None else {_folded(name): name for name in known}
    for text in texts:
        old, sign, new = text.partition("=")
        key = _folded(old)
        if not (sign and key):
            raise ValueError(f"{text!r}: expected OLD=NEW, such as 'dance & house=House'")
        if key in renames:
            raise ValueError(f"{text!r}: {old.strip()} is renamed twice; once is enough")
        if keys is not None and key not in keys:
            near = difflib.get_close_matches(key, keys, 1)
            hint = f"did you mean {keys[near[0]]!r}?" if near else f"the genres are: {', '.join(sorted(known or ()))}"
            raise ValueError(f"{text!r}: no genre is called {old.strip()!r}; {hint}")
        renames[key] = " ".join(new.split())
    return renames


def renamed(genre: str, renames: Mapping[str, str]) -> str:
    """What a genre is called by `parse_renames`; as it is where nothing is said of it, empty where it is left out."""
    return renames.get(_folded(genre), genre)


def share_a_genre(one: str, other: str) -> bool:
    """Whether two names of genres mean the same, or one a kind of the other, by their words.

    "Hard Rock" is a kind of "rock", "Electronica" is as good as "electronic".
    """
    return not _words_of(one).isdisjoint(_words_of(other))


def _words_of(name: str) -> set[str]:
    plain = _folded(name).replace("r&b", "rnb").replace("hip hop", "hiphop")
    found = "".join(c if c.isalnum() else " " for c in plain).split()
    return {"electronic" if word.startswith("electro") else word for word in found} - _LITTLE
