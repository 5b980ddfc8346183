"""`Query`: what is asked, as plain values that the command line, Python and saved playlists share."""

import math
import reprlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mirclr.errors import QueryError
from mirclr.recommend.keys import keys_of
from mirclr.recommend.rules import parse_rule

Range = tuple[float, float]
LONGEST_PATH = 500

_TEXTS = ("seeds", "avoid", "exclude", "genre", "mood")
_RANGES = ("bpm", "year", "duration_s")
_KINDS: dict[str, tuple[Any, str]] = {
    **dict.fromkeys(("to", "key", "profile"), (str | None, "a text")),
    **dict.fromkeys(("n", "artist_cap", "artist_gap"), (int, "a number")),
    "seed": (int | None, "a number"),
    "diversity": (int | float, "a number"),
}


@dataclass(frozen=True)
class Query:
    """What is asked.

    Attributes
    ----------
    seeds : tuple of str
        What to start from: paths of audio files or playlists, or words of an artist, a title or an album.
    avoid : tuple of str
        What to stay away from, named as seeds are.
    to : str or None
        Where a path from the one seed ends, named as seeds are. It has an order of its own: no diversity, no seed.
    n : int
        How many tracks are wanted, at least 1; with `to`, from 2 to 500, both ends among them.
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
    bpm, year, duration_s : (float, float) or None
        Least and most.
    key : str or None
        A key such as ``Am``, or with ``,compatible`` those that mix well with it too.
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
    n: int = 20
    diversity: float = 0.0
    artist_cap: int = 2
    artist_gap: int = 3
    same_album: bool = False
    versions: bool = False
    exclude: tuple[str, ...] = ()
    genre: tuple[str, ...] = ()
    mood: tuple[str, ...] = ()
    bpm: Range | None = None
    year: Range | None = None
    duration_s: Range | None = None
    key: str | None = None
    profile: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        self._check_kinds()
        if not self.seeds and self.profile is None:
            raise QueryError("nothing to start from; name a seed or a profile")
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
        for name in _RANGES:
            span = getattr(self, name)
            if span is not None and not span[0] <= span[1]:
                raise QueryError(f"{name}: found {span[0]} to {span[1]}; expected the smaller number first")
        for rule in self.exclude:
            parse_rule(rule)
        if self.key is not None:
            keys_of(self.key)

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
