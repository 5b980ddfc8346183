"""What is played and liked here, kept in a listener's profile as histories are.

Contents: `listen_of` (a track as a piece of music), `record_play`, `is_a_play`, `record_submission` (of other players,
in the form of ListenBrainz), `set_taste`, `tastes_of`; `PROFILE`, the listener where none is named.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mirclr.errors import QueryError
from mirclr.library import LibraryStore, LibraryTrack, Listen, shown
from mirclr.names import search_words
from mirclr.recommend.history.services import listens_of as listens_in
from mirclr.recommend.history.sources import Problems
from mirclr.recommend.taste import match_listens

PROFILE = "me"
ENOUGH_S = 240.0
"""So many seconds, or half of a song, are a play: https://listenbrainz.readthedocs.io/en/latest/users/api/core.html."""
MOST_LISTENS = 1000
"""Of one submission, as ListenBrainz has it."""
_LONGEST = 200
_SUBMISSIONS = ("single", "import", "playing_now")


@dataclass(frozen=True)
class Submission:
    """What came of listens that a player sent.

    Attributes
    ----------
    listens : int
        How many were kept.
    problems : list of str
        What could not be read.
    """

    listens: int
    problems: list[str]


def check_name(name: str) -> str:
    """Refuse a name, of a profile or a list, that people could not read or a web address cannot carry.

    Raises
    ------
    QueryError
        Saying what is expected.
    """
    if not name.strip() or name != name.strip() or len(name) > _LONGEST or shown(name) != name or name in (".", ".."):
        raise QueryError(f"name {shown(name[:40])!r}: expected 1 to {_LONGEST} letters that can be printed")
    return name


def listen_of(track: LibraryTrack) -> Listen:
    """A track as a piece of music, known by its file before its names."""
    return Listen(track.artist or "", track.title or "", track.album or "", file=str(track.place))


def is_a_play(track: LibraryTrack, played_s: float) -> bool:
    """Whether so many seconds of a track count as a play of it."""
    return played_s >= min(ENOUGH_S, track.duration_s / 2)


def record_play(library: LibraryStore, profile: str, track: LibraryTrack, played_s: float, *, now_s: float) -> bool:
    """Add a play to a profile, which is made where there is none; returns whether it counts as one."""
    counts = is_a_play(track, played_s)
    if counts:
        library.add_plays(profile, [replace(listen_of(track), plays=1, last_s=now_s)])
    return counts


def record_submission(library: LibraryStore, profile: str, submitted: Mapping[str, Any]) -> Submission:
    """Add what a player submits in the form of ListenBrainz, ``submit-listens``; what plays just now is no listen yet.

    Raises
    ------
    QueryError
        It is of another form.
    """
    kind, payload = submitted.get("listen_type"), submitted.get("payload")
    if kind not in _SUBMISSIONS or not isinstance(payload, list) or not payload:
        raise QueryError(f"expected a listen_type of {', '.join(_SUBMISSIONS)}, and a payload of listens")
    if len(payload) > MOST_LISTENS or (kind != "import" and len(payload) > 1):
        raise QueryError(
            f"found {len(payload)} listens; expected {MOST_LISTENS if kind == 'import' else 'one'} at most"
        )
    problems = Problems()
    records = ((f"listen {at}", record) for at, record in enumerate(payload, 1))
    listens = [listen for listen in listens_in(records, problems) if listen.plays]
    listens.sort(key=lambda listen: listen.last_s or 0.0)
    if kind == "playing_now":
        listens = []
    elif not listens:
        raise QueryError("; ".join(problems.lines()) or "no listen names an artist and a title")
    library.add_plays(profile, listens)
    return Submission(len(listens), problems.lines())


def set_taste(library: LibraryStore, profile: str, track: LibraryTrack, taste: int) -> None:
    """Keep that a listener likes a track (1), dislikes it (-1), or neither (0), whatever the profile held of it."""
    if taste not in (-1, 0, 1):
        raise QueryError(f"taste: found {taste}; expected -1, 0 or 1")
    own = listen_of(track)
    same = [held for held in library.listens(profile) if held.taste and _may_be(held, own)]
    matched = match_listens(library, same)
    others = [same[row] for row, i in zip(matched.rows.tolist(), matched.ids.tolist(), strict=True) if i == track.id]
    library.store_tastes(profile, [replace(listen, taste=taste) for listen in (*others, own)])


def tastes_of(library: LibraryStore, profile: str) -> dict[int, int]:
    """The tracks that a listener likes (1) or dislikes (-1), by id; empty where there is no such profile."""
    held = [listen for listen in library.listens(profile) if listen.taste]
    matched = match_listens(library, held)
    tastes: dict[int, int] = {}
    for row, i in zip(matched.rows.tolist(), matched.ids.tolist(), strict=True):
        tastes[i] = min(tastes.get(i, 1), held[row].taste)  # what is disliked anywhere is
    return tastes


def _may_be(held: Listen, own: Listen) -> bool:
    """Whether a listen may be of a track, before the library is asked."""
    return held.file == own.file or search_words(own.title) in search_words(f"{held.title} {held.file}")
