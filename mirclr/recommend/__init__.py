"""From a query to recommendations; never touches audio or torch.

Conventions: a similarity is a cosine, rounded to six decimals; tracks that are equal so far come in order of id, so the
same query on the same library gives the same list.

In: a library, its index and a `Query`, or a listener's history. Out: an `Answer`, each track with the reason, and
playlists.

Contents: `Query` (query.py; ranges.py, bounds as people write them; words.py, a query in words), `recommend` and what
it answers (answer.py; `make_ready`, what it needs of an index); `Seed`, `find_seeds` and `match_tracks`, a text to the
tracks that it means (seeds.py);
rules.py, what is excluded, and effects.py, how much that is; filters.py, what metadata let pass; ranking.py and
path.py, what comes in which order; aspects.py and likeness.py, harmony and rhythm beside how songs sound; segments.py,
long tracks as their parts; recordings.py, that no recording comes twice; reasons.py, why; shortfall.py, why no more;
described.py, what a text asks, by log-odds of tags (lifts.py); unseeded.py, a list without seeds;
`select_tracks`, what filters alone let pass (selection.py); `Catalogue`, songs in the order of their tags and found as
one types (catalogue.py, vocabulary.py). Beside these: matching.py (tracks by path or by name), history/ (listening
histories of services and players), taste.py (directions that a listener likes), playlist/ (playlist files).
"""

from mirclr.recommend.answer import Answer, make_ready, recommend
from mirclr.recommend.catalogue import SORTS, Catalogue
from mirclr.recommend.described import Described
from mirclr.recommend.effects import rule_effects
from mirclr.recommend.filters import MetadataArrays, MetadataFilters, asks_for_guesses
from mirclr.recommend.lifts import TagLifts
from mirclr.recommend.pair import Comparison, compare
from mirclr.recommend.query import Query
from mirclr.recommend.reasons import Explanation
from mirclr.recommend.recommendation import Recommendation
from mirclr.recommend.rules import Rule, Rules, absolute_rule, parse_rule
from mirclr.recommend.seeds import Seed, find_seeds, match_tracks, with_absolute_paths, without_files
from mirclr.recommend.selection import select_tracks

__all__ = [
    "SORTS",
    "Answer",
    "Catalogue",
    "Comparison",
    "Described",
    "Explanation",
    "MetadataArrays",
    "MetadataFilters",
    "Query",
    "Recommendation",
    "Rule",
    "Rules",
    "Seed",
    "TagLifts",
    "absolute_rule",
    "asks_for_guesses",
    "compare",
    "find_seeds",
    "make_ready",
    "match_tracks",
    "parse_rule",
    "recommend",
    "rule_effects",
    "select_tracks",
    "with_absolute_paths",
    "without_files",
]
