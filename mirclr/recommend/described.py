"""`Described`: what a query's text asks, held against the tracks of a library.

A text becomes bounds, which are a query's as if they had been given as such, and concepts: weights over tags. How much
more a track is of a tag than music at large is the log-odds above its base rate (`TagLifts`), so that a rare tag that
is likelier than usual counts as much as a common one. Of a concept any of its tags will do: its score is the logarithm
of the mean odds. Of several concepts all are wanted: what is least fulfilled counts most. Genres that a file's tag
names count as sure. Songs pass that on average are likelier to be so described than music at large, all in all at least
half as likely (`LEAST`), and are no concept's opposite; where there are none, there is no answer rather than noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from mirclr.errors import NoMatch, QueryError
from mirclr.library import LibraryStore, shown
from mirclr.recommend.filters import LIKELY, MetadataFilters, genres_here, named_genres
from mirclr.recommend.lifts import TagLifts, logit, probability
from mirclr.recommend.query import COUNT, Query
from mirclr.recommend.ranges import parse_bpm, parse_duration, parse_length, parse_years
from mirclr.recommend.words import filters_in_words
from mirclr.terminal import counted, span
from mirclr.words import BASE_RATE, Concept, Understood, Vocabulary, understand
from mirclr.words.tags import tags_of

TAGGED = float(logit(0.9) - logit(BASE_RATE))
"""The lift of a genre that a file's own tag names."""
UNTAGGED = -1.0
"""That of a genre that other files name, and no head knows."""
OPPOSITE = -3.0
"""Of the score of a concept: from there on down a track is the opposite of what is asked."""
LEAST = BASE_RATE / 2
"""How likely a track must be as described."""
_MOST = 7.0  # of a lift
_ALL = 2.0  # the lower, the more the least fulfilled concept counts; at infinity they are averaged
_PARSERS: dict[str, Any] = {"bpm": parse_bpm, "year": parse_years, "duration_s": parse_duration}
_NAMES = {"bpm": "tempo", "year": "year", "duration_s": "length"}
_FILTERS = frozenset((*_PARSERS, "key", "vocal"))
NAMED = 3  # tags of a reason


@dataclass(frozen=True, eq=False)
class Described:
    """A query with what its text asks.

    Attributes
    ----------
    query : Query
        With the bounds of the text.
    understood : Understood
    vocabulary : Vocabulary
    lifts : TagLifts
    filters : MetadataFilters
        Of the library.
    size : int
        One more than the highest id of a track.
    """

    query: Query
    understood: Understood
    vocabulary: Vocabulary
    lifts: TagLifts
    filters: MetadataFilters
    size: int

    @cached_property
    def lift(self) -> np.ndarray:
        """(m,) float64 by track id: log-odds above the base rate of being as described; 0 where there are no tags."""
        if not self._factors.size:
            return np.zeros(self.size)
        return -_ALL * np.log(self._factors @ np.exp(-self._scores / _ALL))

    @cached_property
    def fit(self) -> np.ndarray | None:
        """(m,) float64 by track id: how likely it is that a track is as described; None where the text has no tags.

        On the scale of a single tag: how likely it is among the strongest tenth of music at large.
        """
        return np.nan_to_num(probability(self.lift)) if self._factors.size else None

    @cached_property
    def passing(self) -> np.ndarray | None:
        """(m,) bool by track id: what is described so rather than not; None where the text has no tags."""
        if not self.understood.concepts:
            return None
        passes = np.ones(self.size, bool)
        if self.fit is not None:
            passes = (self._factors @ self._scores > 0) & (self._scores > OPPOSITE).all(axis=0) & (self.fit >= LEAST)
        for one in self.understood.unwanted:
            passes &= ~(probability(self.of(one)) >= LIKELY)
        return passes

    @cached_property
    def _factors(self) -> np.ndarray:
        """(c,) float64: how much each concept that is wanted counts; they add up to 1."""
        factors = np.array([one.factor for one in self.understood.wanted])
        return factors / factors.sum() if len(factors) else factors

    @cached_property
    def _scores(self) -> np.ndarray:
        """(c, m) float64: of each concept that is wanted, by track id."""
        return np.stack([self.of(one) for one in self.understood.wanted])

    def passing_beside(self, seeds: Sequence[int]) -> np.ndarray | None:
        """The same for a list that starts from some tracks: "calmer" is calmer than they are on average."""
        passes = self.passing
        known = [i for i in seeds if i < self.size]
        for one in self.understood.concepts:
            if one.relative and known and passes is not None:
                lift = self.of(one)
                usual = float(np.nanmean(lift[known])) if np.isfinite(lift[known]).any() else -np.inf
                passes = passes & (lift < usual if one.negated else lift > usual)
        return passes

    def of(self, concept: Concept) -> np.ndarray:
        """(m,) float64 by track id: the logarithm of the mean odds of a concept's tags; NaN where none is known.

        What it leads away from is taken off, by its mean log-odds.
        """
        towards = {tag: weight for tag, weight in concept.weights.items() if weight > 0}
        share, found = sum(towards.values()), np.zeros(self.size)
        if towards:
            found = share * np.log(sum(w / share * np.exp(self._tag(tag)) for tag, w in towards.items()))
        for tag, weight in concept.weights.items():
            if weight < 0:
                found = found + weight * self._tag(tag)
        return found

    def reasons(self, ids: Sequence[int]) -> list[list[str]]:
        """Of some tracks the tags that were asked for and that they likely have, the strongest first."""
        tags = [tag for tag, weight in self.understood.weights.items() if weight > 0]
        table = {tag: probability(self._tag(tag)[list(ids)]) for tag in tags} if len(ids) else {}
        found = []
        for row in range(len(ids)):
            likely = [(float(p[row]), tag) for tag, p in table.items() if p[row] >= LIKELY]
            found.append([f"{tag} {p:.2f}" for p, tag in sorted(likely, key=lambda pair: (-pair[0], pair[1]))])
        return found

    def in_words(self) -> str:
        """What was understood: "calm .48, piano .52; no vocals; 81 to 99 bpm; not understood: xylophobia"."""
        read = self.understood
        parts = [", ".join(f"{'-' if w < 0 else ''}{tag} {_weight(w)}" for tag, w in read.weights.items())]
        parts += [f"not {one.text}" for one in read.unwanted]
        parts += self._bounds_in_words().values()
        parts += [f"{shown(word)} taken as {other}" for word, other in read.changed.items()]
        parts += [f"not understood: {', '.join(map(shown, read.unknown))}"] if read.unknown else []
        return "; ".join(filter(None, parts))

    def to_json(self) -> dict[str, Any]:
        """What was understood, as JSON values."""
        read = self.understood
        return {
            "tags": {tag: round(weight, 3) for tag, weight in read.weights.items()},
            "without": [one.text for one in read.unwanted],
            "filters": self._bounds_in_words(),
            "taken_as": read.changed,
            "not_understood": list(read.unknown),
        }

    def _bounds_in_words(self) -> dict[str, str]:
        """What the text's bounds ask, by the names of a query's fields."""
        fields = {field for field, _ in self.understood.bounds} | (
            {"vocal"} if self.understood.vocal is not None else set()
        )
        found = filters_in_words(
            replace(Query(seed=0), **{name: getattr(self.query, name) for name in fields & _FILTERS})
        )
        if "n" in fields:
            found["n"] = counted(self.query.n, "song")
        if "length_s" in fields and self.query.length_s:
            found["length_s"] = span(self.query.length_s)
        return found

    def _tag(self, tag: str) -> np.ndarray:
        """(m,) float64 by track id: the lift of a tag."""
        if tag not in self._tags:
            pairs = self.vocabulary.labels[tag]
            lift = self.lifts.of(pairs, self.size) if pairs else np.full(self.size, UNTAGGED)
            codes, texts = self.filters.texts("genre")
            named = np.array([*(tag in _genre_tags(text) for text in texts), False], bool)
            lift[named[codes]] = np.fmax(lift[named[codes]], TAGGED)
            self._tags[tag] = np.clip(lift, -_MOST, _MOST)
        return self._tags[tag]

    @cached_property
    def _tags(self) -> dict[str, np.ndarray]:
        return {}


def describe(library: LibraryStore, query: Query, lifts: TagLifts, filters: MetadataFilters) -> Described:
    """Read a query's text for a library.

    Parameters
    ----------
    library : LibraryStore
        Whose tracks.
    query : Query
        With a text.
    lifts : TagLifts
        Of the library.
    filters : MetadataFilters
        Of the library.

    Raises
    ------
    NoMatch
        Nothing of the text is understood.
    QueryError
        Its bounds cannot hold together.
    """
    assert query.text is not None
    vocabulary = Vocabulary(lifts.by_task, genres_here(library))
    understood = understand(query.text, vocabulary)
    if not understood:
        none = "" if lifts.labels else "; nothing is known of how your songs sound: mirclr classify predict"
        raise NoMatch(
            f"nothing of {shown(query.text)!r} is understood; say what music is like: calm piano, 1990s{none}"
        )
    return Described(_bounded(query, understood), understood, vocabulary, lifts, filters, library.id_end())


def _weight(weight: float) -> str:
    return "1" if abs(weight) > 0.995 else f"{abs(weight):.2f}".lstrip("0")


def _genre_tags(text: str) -> set[str]:
    """The tags that a file's genre names."""
    return {tag for name in named_genres(text) for tag in tags_of(name)}


def _bounded(query: Query, understood: Understood) -> Query:
    """The query with the bounds of its text; those that it has already hold too."""
    given: dict[str, Any] = {} if query.vocal is not None else {"vocal": understood.vocal}
    for field, text in understood.bounds:
        if field == "n" and query.n == COUNT and query.length_s is None:
            given["n"] = max(1, int(text))
        elif field == "length_s" and query.length_s is None and query.n == COUNT:
            given["length_s"] = parse_length(text)
        elif field == "key" and query.key is None:
            given["key"] = text
        elif field in _PARSERS:
            least, most, _ = _PARSERS[field](text)
            held = given.get(field) or getattr(query, field)
            both = (max(least, held[0]), min(most, held[1])) if held else (least, most)
            if both[0] > both[1]:
                raise QueryError(f"{_NAMES[field]}: no song can be both {text} and what else is asked")
            given[field] = both
    return replace(query, **given)
