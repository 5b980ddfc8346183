"""What is listed without seeds: each track with what was asked for as the reason."""

from collections.abc import Sequence

from mirclr.library import LibraryStore
from mirclr.recommend.described import NAMED, Described
from mirclr.recommend.filters import likely_labels
from mirclr.recommend.query import Query
from mirclr.recommend.ranking import Candidate
from mirclr.recommend.reasons import Explanation
from mirclr.recommend.recommendation import Recommendation
from mirclr.recommend.rules import genre_name


def without_seeds(
    library: LibraryStore, query: Query, picked: Sequence[Candidate], described: Described | None
) -> list[Recommendation]:
    """Tracks that pass the filters, or are as described, each with what was asked for as the reason."""
    ids = [c.track.id for c in picked]
    measured = library.descriptions(ids) if query.bpm is not None or query.key is not None else {}
    found = []
    likely = _asked_labels(library, query, ids)
    reasons = described.reasons(ids) if described else []
    sure = 1.0
    for rank, one in enumerate(picked, 1):
        tempo, key = (measured[one.track.id].tempo_bpm, measured[one.track.id].key) if measured else (None, None)
        facts = [f"{tempo:.0f} bpm"] if query.bpm is not None and tempo else []
        facts += [key] if query.key is not None and key else []
        facts += [str(one.track.year)] if query.year is not None and one.track.year else []
        sure = min(sure, max(0.0, one.score))  # one that had to wait is given no more than the one before
        asked = bool(query.genre or query.mood or (described and described.fit is not None))
        tags = reasons[rank - 1] if reasons else ()
        why = Explanation("", relations=(*facts, *likely.get(one.track.id, ()), *tags))
        found.append(
            Recommendation(
                rank,
                one.track,
                None,
                round(100 * sure) if asked else None,
                ", ".join((*facts, *(tag.rpartition(" ")[0] for tag in tags[:NAMED]))),
                why,
                sure if asked else None,
            )
        )
    return found


def _asked_labels(library: LibraryStore, query: Query, ids: Sequence[int]) -> dict[int, list[str]]:
    """The labels asked for that tracks likely have, with their probabilities, by track id."""
    found: dict[int, list[str]] = {}
    for task in ("genre", "mood"):
        asked = set(map(genre_name, getattr(query, task)))
        for i, labels in likely_labels(library, task, ids).items() if asked else ():
            found.setdefault(i, []).extend(f"{name} {p:.2f}" for name, p in labels.items() if genre_name(name) in asked)
    return found
