"""`Query`: what is asked, as plain values that the command line, Python and saved playlists share."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from mirclr.errors import QueryError
from mirclr.recommend.keys import keys_of
from mirclr.recommend.rules import parse_rule

Range = tuple[float, float]


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
        Where a path from the one seed ends, named as seeds are.
    n : int
        How many tracks are wanted, at least 1; with `to`, both ends among them.
    diversity : float in [0, 1]
        How much a track unlike those chosen before it is preferred to one like the seeds.
    artist_cap : int
        Tracks of one artist at most; 0 for any number.
    artist_gap : int
        How many tracks by others come between two of one artist, at least.
    same_album : bool
        Whether tracks of a seed's own album may come.
    exclude : tuple of str
        Rules such as ``artist:X``; see `mirclr.recommend.rules`.
    genre, mood : tuple of str
        One of these is wanted: of the tags, or likely by `mirclr classify`.
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
        A value that cannot be; the text names it.
    """

    seeds: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    to: str | None = None
    n: int = 20
    diversity: float = 0.0
    artist_cap: int = 2
    artist_gap: int = 3
    same_album: bool = False
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
        if not self.seeds and self.profile is None:
            raise QueryError("nothing to start from; name a seed or a profile")
        if self.n < 1:
            raise QueryError(f"n: found {self.n}; expected at least 1")
        if not 0 <= self.diversity <= 1:
            raise QueryError(f"diversity: found {self.diversity}; expected 0 to 1")
        if self.artist_cap < 0 or self.artist_gap < 0:
            raise QueryError(f"artist cap {self.artist_cap}, gap {self.artist_gap}; expected 0 or more of each")
        if self.to is not None and (len(self.seeds) != 1 or self.n < 2):
            raise QueryError(f"a path leads from one seed to another; found {len(self.seeds)} seeds and n of {self.n}")
        for name in ("bpm", "year", "duration_s"):
            span = getattr(self, name)
            if span is not None and not span[0] <= span[1]:
                raise QueryError(f"{name}: found {span[0]} to {span[1]}; expected the smaller number first")
        for rule in self.exclude:
            parse_rule(rule)
        if self.key is not None:
            keys_of(self.key)

    def to_json(self) -> dict[str, Any]:
        """What is not as it would be anyway, as JSON values."""
        plain = asdict(self)
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
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        try:
            return cls(**plain)
        except TypeError as error:
            raise QueryError(f"a query of the wrong kind of values: {error}") from error
