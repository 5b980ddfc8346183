"""From a query to recommendations; never touches audio or torch.

Conventions: a similarity is a cosine, rounded to six decimals; tracks that are equal so far come in order of id, so the
same query on the same library gives the same list.

Contents: `Query` (query.py), `recommend` and what it answers (answer.py); `Seed`, `find_seeds` and `match_tracks`, a
text to the tracks that it means (seeds.py); rules.py and facts.py, what is kept out and what passes; ranking.py and
path.py, what comes in which order; reasons.py, why.
"""

from mirclr.recommend.answer import Answer, Recommendation, recommend
from mirclr.recommend.facts import Facts
from mirclr.recommend.query import Query
from mirclr.recommend.reasons import Explanation
from mirclr.recommend.rules import Rule, Rules, from_anywhere, parse_rule
from mirclr.recommend.seeds import Seed, find_seeds, match_tracks, named_from_anywhere

__all__ = [
    "Answer",
    "Explanation",
    "Facts",
    "Query",
    "Recommendation",
    "Rule",
    "Rules",
    "Seed",
    "find_seeds",
    "from_anywhere",
    "match_tracks",
    "named_from_anywhere",
    "parse_rule",
    "recommend",
]
