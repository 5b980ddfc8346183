"""Many listens to one a piece of music, and two histories of one listener to one."""

from collections.abc import Iterable
from functools import lru_cache

from mirclr.errors import HistoryError
from mirclr.library import Listen
from mirclr.names import fold

_MAX_PLAYS = 10**9
_MAX_PIECES = 3_000_000  # of a listener; one each three minutes for 17 years are as many


def aggregate(listens: Iterable[Listen]) -> list[Listen]:
    """Make one listen of all those of the same piece: plays are added, the latest time and the last taste count.

    Names are compared in any case and accents. Of several spellings the first by alphabet is taken.

    Returns
    -------
    list of Listen
        By artist, title and file.

    Raises
    ------
    HistoryError
        There are more pieces than one listener can have played.
    """
    pieces: dict[tuple[str, str, str], Listen] = {}
    for listen in listens:
        key = _key(listen)
        held = pieces.get(key)
        pieces[key] = listen if held is None else _joined(held, listen, held.plays + listen.plays)
        if len(pieces) > _MAX_PIECES:
            raise HistoryError(f"more than {_MAX_PIECES:,} pieces of music; expected the history of one listener")
    return [pieces[key] for key in sorted(pieces)]


def merge(old: Iterable[Listen], new: Iterable[Listen]) -> list[Listen]:
    """Bring what is known of a listener up to date with a later export, which holds the earlier plays too.

    Of a piece in both, the larger number of plays, the later time, and the taste of the new one count.

    Returns
    -------
    list of Listen
        By artist, title and file.
    """
    pieces = {_key(listen): listen for listen in aggregate(old)}
    for listen in aggregate(new):
        held = pieces.get(key := _key(listen))
        pieces[key] = listen if held is None else _joined(held, listen, max(held.plays, listen.plays))
    return [pieces[key] for key in sorted(pieces)]


def _key(listen: Listen) -> tuple[str, str, str]:
    return (*_folded(listen.artist, listen.title), listen.file)


@lru_cache(maxsize=1 << 16)
def _folded(artist: str, title: str) -> tuple[str, str]:
    return fold(artist), fold(title)


def _joined(first: Listen, then: Listen, plays: int) -> Listen:
    artist, title = min((first.artist, first.title), (then.artist, then.title))
    album = min(filter(None, (first.album, then.album)), default="")
    last_s = max((s for s in (first.last_s, then.last_s) if s is not None), default=None)
    taste = then.taste or first.taste
    return Listen(artist, title, album, first.file, min(plays, _MAX_PLAYS), last_s, taste)
