"""Musical keys: names, and which mix well.

A key is (pitch class of its tonic, whether it is minor). Compatible with a key are its relative key and those a fifth
up or down in the same mode: the neighbours on the circle of fifths, as DJs mix. They are named as musicians do, by
Camelot's wheel (8A is A minor, B major) or in open key notation (1m is A minor, d major).
"""

import re
from functools import lru_cache

from mirclr.errors import QueryError

Key = tuple[int, bool]

_NAME = re.compile(r"([A-Ga-g])([#♯b♭]?)\s*(maj|major|min|minor|m|M)?")
_ON_WHEEL = re.compile(r"0?([1-9]|1[0-2])\s*([ABabDdMm])")
_PITCH = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


@lru_cache(maxsize=256)
def parse_key(name: str) -> Key | None:
    """Read a name such as ``Eb``, ``F#m``, ``A minor``, ``8A`` or ``1m``; None when it is none."""
    if on_wheel := _ON_WHEEL.fullmatch(name.strip()):
        hour, sign = int(on_wheel[1]), on_wheel[2].lower()
        fifths = hour - (8 if sign in "ab" else 1)  # from C major, or A minor, on
        minor = sign in "am"
        return ((9 if minor else 0) + 7 * fifths) % 12, minor
    found = _NAME.fullmatch(name.strip())
    if not found:
        return None
    letter, sign, mode = found.groups()
    pitch = (_PITCH[letter.upper()] + {"": 0, "#": 1, "♯": 1}.get(sign, -1)) % 12
    return pitch, mode in ("m", "min", "minor")


@lru_cache(maxsize=32)
def compatible(key: Key) -> frozenset[Key]:
    """The keys that mix well with one, itself among them."""
    pitch, minor = key
    relative = ((pitch + 3) % 12, False) if minor else ((pitch + 9) % 12, True)
    return frozenset((key, relative, ((pitch + 7) % 12, minor), ((pitch + 5) % 12, minor)))


def keys_of(text: str) -> frozenset[Key]:
    """The keys that a filter such as ``Am``, ``Am,compatible`` or ``minor`` lets pass.

    Raises
    ------
    QueryError
        It names no key.
    """
    name, *rest = (part.strip() for part in text.split(","))
    if name.lower() in ("minor", "major") and not rest:
        return frozenset((pitch, name.lower() == "minor") for pitch in range(12))
    key = parse_key(name)
    if key is None or rest not in ([], ["compatible"]):
        raise QueryError(
            f"key: found {text!r}; expected one such as Am, F#m, Eb, 8A, 1m or minor, perhaps with ,compatible after it"
        )
    return compatible(key) if rest else frozenset((key,))


def relation(a: Key, b: Key) -> str | None:
    """How two keys are related, for people; None when they are not."""
    if a == b:
        return "same key"
    if b not in compatible(a):
        return None
    return "relative key" if a[1] != b[1] else "a fifth apart"
