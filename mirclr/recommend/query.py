"""`Query`: what is asked, as plain values that the command line, Python and saved playlists share."""

import math
import os
import reprlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from os import PathLike
from typing import Any, TypeVar

from mirclr.errors import QueryError
from mirclr.recommend.aspects import SOUND, parse_like
from mirclr.recommend.keys import keys_of
from mirclr.recommend.ranges import LEAST_LENGTH_S, Range, parse_bpm, parse_duration, parse_length, parse_years
from mirclr.recommend.rules import absolute_texts, parse_rule
from mirclr.words import LONGEST

_T = TypeVar("_T")
LONGEST_PATH = 500
COUNT = 20

_TEXTS = ("seeds", "avoid", "exclude", "genre", "mood", "like")
_RANGES = {"bpm": parse_bpm, "year": parse_years, "duration_s": parse_duration}
_KINDS: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(("to", "key", "profile", "text"), (str | None, "a text")),
    **dict.fromkeys(("n", "artist_cap", "artist_gap"), (int, "a number")),
    "seed": (int | None, "a number"),
    "diversity": (int | float, "a number"),
    "length_s": (int | float | None, "a number of seconds, or a text such as 45m"),
}


@dataclass(frozen=True)
class Query:
    """What is asked.

    Attributes
    ----------
    seeds : tuple of str
        What to start from: paths of audio files, folders or playlists, or words of an artist, a title or an album.
        Without any, and without a profile, all that passes the filters may come.
    avoid : tuple of str
        What to stay away from, named as seeds are.
    to : str or None
        Where a path from the one seed ends, named as seeds are. It has an order of its own: no diversity, no seed.
    n : int
        How many tracks are wanted, at least 1; with `to`, from 2 to 500, both ends among them.
    length_s : float or None
        How long the list is to play, in seconds, in place of `n`: as near below it as can be.
    fill : bool
        Whether tracks may come that are not alike, where too few are: see `recommend`.
    diversity : float in [0, 1]
        Weight of the distance to the tracks chosen before, against the similarity to the seeds.
    artist_cap : int
        At most this many tracks of one artist; 0: no limit.
    artist_gap : int
        How many tracks by others come between two of one artist, at least.
    same_album : bool
        Whether tracks of a seed's own album may come.
    versions : bool
        Whether several versions of one song may come: live, remixed, karaoke. Copies of one recording never do.
    exclude : tuple of str
        Rules such as ``artist:X``; see `mirclr.recommend.rules`.
    genre, mood : tuple of str
        One of these is wanted: of the tags, or likely by `mirclr classify predict`.
    vocal : bool or None
        Whether a voice is to be heard, or none is, as `mirclr classify predict` finds.
    bpm, year, duration_s : (float, float) or None
        Least and most; a text such as ``"~120"``, ``"1990s"`` or ``"under 5m"`` is read as on the command line.
    octaves : bool
        Whether a tempo at half or twice of `bpm` passes too, as tempo is often found so.
    key : str or None
        A key such as ``Am``, or with ``,compatible`` those that mix well with it too.
    text : str or None
        Words of what songs should be, such as ``"calm piano, no vocals, before 1990"``; see `recommend.described`.
    like : tuple of str
        In what songs are to be alike to the seeds: ``timbre`` unless given, ``harmony`` and ``rhythm``, each with a
        weight from 0 to 1 or none, as ``harmony=0.7``; see `mirclr.recommend.likeness`.
    profile : str or None
        The listener to recommend for.
    seed : int or None
        Shuffles what is about as good; the same seed gives the same list.

    Raises
    ------
    QueryError
        A value that cannot be, or is of the wrong kind; the text names it.
    """

    seeds: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    to: str | None = None
    n: int = COUNT
    length_s: float | None = None
    fill: bool = False
    diversity: float = 0.0
    artist_cap: int = 2
    artist_gap: int = 3
    same_album: bool = False
    versions: bool = False
    exclude: tuple[str, ...] = ()
    genre: tuple[str, ...] = ()
    mood: tuple[str, ...] = ()
    vocal: bool | None = None
    bpm: Range | None = None
    octaves: bool = False
    year: Range | None = None
    duration_s: Range | None = None
    key: str | None = None
    profile: str | None = None
    seed: int | None = None
    text: str | None = None
    like: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._read_texts()
        self._check_kinds()
        if not (
            self.seeds or self.profile is not None or self.length_s or self.seed is not None or self.asks_of_tracks
        ):
            raise QueryError("nothing to start from; name a song, an artist, or what songs should be, such as a genre")
        if self.text is not None and not 0 < len(self.text.strip()) <= LONGEST:
            raise QueryError(f"text: found {len(self.text):,} characters; expected some words, {LONGEST:,} at most")
        if self.to is not None and self.text is not None:
            raise QueryError("a path leads from one song to another; found words of what songs should be with it")
        if self.length_s is not None and self.n != COUNT:
            raise QueryError(f"found {self.n} songs and a length; expected one of them: how many, or how long")
        if self.length_s is not None and not LEAST_LENGTH_S <= self.length_s < math.inf:
            raise QueryError(f"length: found {self.length_s} seconds; expected at least {LEAST_LENGTH_S:.0f}")
        if self.n < 1:
            raise QueryError(f"n: found {self.n}; expected at least 1")
        if not 0 <= self.diversity <= 1:
            raise QueryError(f"diversity: found {self.diversity}; expected 0 to 1")
        if self.artist_cap < 0 or self.artist_gap < 0:
            raise QueryError(f"artist cap {self.artist_cap}, gap {self.artist_gap}; expected 0 or more of each")
        if self.to is not None:
            if len(self.seeds) != 1 or not 2 <= self.n <= LONGEST_PATH:
                found = f"found {len(self.seeds)} seeds and n of {self.n}"
                raise QueryError(f"a path leads from one seed to another in 2 to {LONGEST_PATH} tracks; {found}")
            if self.diversity or self.seed is not None:
                raise QueryError("a path has an order of its own; found diversity or a seed for shuffling with it")
        if not self.like_by_sound and (self.to is not None or not self.seeds):
            found = "a path to another" if self.seeds else "none"
            raise QueryError(f"like: says in what songs are to be alike to those that you name; found {found}")
        for name in _RANGES:
            span = getattr(self, name)
            if span is not None and not span[0] <= span[1]:
                raise QueryError(f"{name}: found {span[0]} to {span[1]}; expected the smaller number first")
        for rule in self.exclude:
            parse_rule(rule)
        if self.key is not None:
            keys_of(self.key)

    @property
    def like_by_sound(self) -> bool:
        """Whether songs are to be alike by timbre alone."""
        return parse_like(self.like).keys() == {SOUND}

    @property
    def asks_of_tracks(self) -> bool:
        """Whether a filter or a rule says which tracks are wanted."""
        named = any(getattr(self, name) for name in ("genre", "mood", "key", "exclude", "text", *_RANGES))
        return named or self.vocal is not None

    def _read_texts(self) -> None:
        """Make bounds of those that are texts."""
        for name, parse in _RANGES.items():
            if isinstance(text := getattr(self, name), str):
                least, most, about = _named(name, parse, text)
                object.__setattr__(self, name, (least, most))
                if name == "bpm":
                    object.__setattr__(self, "octaves", about)
        if isinstance(self.length_s, str):
            object.__setattr__(self, "length_s", _named("length", parse_length, self.length_s))

    def _check_kinds(self) -> None:
        for name in _TEXTS:
            value = getattr(self, name)
            if isinstance(value, str):  # one, and not its letters
                object.__setattr__(self, name, (value,))
            elif not isinstance(value, tuple) or not all(isinstance(text, str) for text in value):
                raise QueryError(f"{name}: found {reprlib.repr(value)}; expected texts")
        for name, (kinds, expected) in _KINDS.items():
            value = getattr(self, name)
            if not isinstance(value, kinds) or isinstance(value, bool):
                raise QueryError(f"{name}: found {reprlib.repr(value)}; expected {expected}")
        if self.vocal is not None and not isinstance(self.vocal, bool):
            raise QueryError(f"vocal: found {reprlib.repr(self.vocal)}; expected true or false")
        for name in _RANGES:
            span = getattr(self, name)
            pair = isinstance(span, tuple) and len(span) == 2 and all(isinstance(end, int | float) for end in span)
            if span is not None and not pair:
                raise QueryError(f"{name}: found {reprlib.repr(span)}; expected the least and the most")

    def to_json(self) -> dict[str, Any]:
        """What is not at its default, as JSON values; the open end of a range is None."""
        plain = asdict(self)
        for name in _RANGES:
            if plain[name] is not None:
                plain[name] = tuple(end if math.isfinite(end) else None for end in plain[name])
        return {f.name: plain[f.name] for f in fields(self) if plain[f.name] != f.default}

    @classmethod
    def of(cls, **values: Any) -> "Query":
        """Make a query of values as Python has them: paths, lists, numbers of numpy, one number for bounds.

        Rules that name a path from the folder one is in, such as ``path:./Live``, are made absolute here, and nowhere
        later: what comes from elsewhere looks at no file of this machine.

        Raises
        ------
        QueryError
            A value that cannot be, or is of the wrong kind.
        """
        given = {name: _plain(value) for name, value in values.items()}
        given |= {name: _texts(given[name]) for name in _TEXTS if name in given}
        given |= {name: _bounds(given[name]) for name in _RANGES if name in given}
        if "exclude" in given:
            given["exclude"] = absolute_texts(given["exclude"])
        if isinstance(to := given.get("to"), PathLike):
            given["to"] = os.fspath(to)
        return cls(**given)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Query":
        """Read what `to_json` made.

        Raises
        ------
        QueryError
            A value that cannot be, or a name that is none of a query's.
        """
        unknown = set(values) - {f.name for f in fields(cls)}
        if unknown:
            raise QueryError(
                f"found {', '.join(sorted(unknown))}; a query has {', '.join(f.name for f in fields(cls))}"
            )
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list | tuple) else v for k, v in values.items()}
        for name in _RANGES:
            if isinstance(span := plain.get(name), tuple) and len(span) == 2:
                ends = zip(span, (-math.inf, math.inf), strict=True)
                plain[name] = tuple(open_ if end is None else end for end, open_ in ends)
        return cls(**plain)


def _named(name: str, parse: Callable[[str], _T], text: str) -> _T:
    try:
        return parse(text)
    except QueryError as error:
        raise QueryError(f"{name}: {error}") from None


def _plain(value: Any) -> Any:
    """A number of numpy as one of Python; all else as it is."""
    return value.item() if getattr(value, "shape", None) == () else value


def _texts(names: Any) -> Any:
    if isinstance(names, str | PathLike):
        return (str(names),)
    return tuple(str(n) if isinstance(n, PathLike) else n for n in names) if isinstance(names, Iterable) else names


def _bounds(value: Any) -> Any:
    value = _plain(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{value:.12g}" if math.isfinite(value) else value  # read as what is typed
    if isinstance(value, list | tuple) and len(value) == 2:
        low, high = map(_plain, value)
        return -math.inf if low is None else low, math.inf if high is None else high
    return value
