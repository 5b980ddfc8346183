"""Lists of songs: those that the page shows too; saved queries are lists that are made anew and cannot be changed."""

import re
import time
from itertools import chain, count

from mirclr.errors import QueryError
from mirclr.library import SongList
from mirclr.library.discography import digest_of_key
from mirclr.recommend.listening import check_name
from mirclr.recommend.saved import saved_queries
from mirclr.serve.subsonic import items
from mirclr.serve.subsonic.asked import Asked, MadeList
from mirclr.serve.subsonic.protocol import GENERIC, MISSING, NOT_ALLOWED, NOT_FOUND, Failure, Values, moment
from mirclr.terminal import shown

_ID = re.compile(r"(?:pl-)?([1-9]\d{0,17})", re.ASCII)
_LONGEST = 10_000  # songs of a list
SAVED = "sq-"
"""What the ids of saved queries begin with."""


def get_playlists(asked: Asked) -> Values:
    """All lists, without their songs."""
    own = [_values(asked, one) for one in asked.library.song_lists()]
    made = [_made_values(asked, name, asked.made(name)) for name in saved_queries(asked.library)]
    return {"playlists": {"playlist": own + made}}


def get_playlist(asked: Asked) -> Values:
    """A list with its songs."""
    text = asked.given.needed("id")
    if not text.startswith(SAVED):
        return {"playlist": _with_songs(asked, the_list(asked, text))}
    name = the_query(asked, text)
    made = asked.made(name)
    songs = items.songs(asked, asked.library.tracks(made.ids))
    return {"playlist": _made_values(asked, name, made) | {"entry": songs}}


def create_playlist(asked: Asked) -> Values:
    """Make a list, or give one that is there other songs."""
    given, now = asked.given, time.time()
    ids = [track.id for track in asked.tracks(given.all("songId")[:_LONGEST])]
    if given.text("playlistId"):
        list_id = the_list(asked, given.text("playlistId")).id
        asked.library.change_song_list(list_id, now_s=now, ids=ids, name=_name(asked, list_id))
    elif given.text("name"):
        list_id = asked.library.add_song_list(_name(asked, 0) or "", ids, now_s=now)
    else:
        raise Failure(MISSING, "Required parameter is missing: name or playlistId")
    return {"playlist": _with_songs(asked, the_list(asked, str(list_id)))}


def update_playlist(asked: Asked) -> Values:
    """Change the name or the comment of a list, take songs out by their places, and add others."""
    given = asked.given
    list_id = the_list(asked, given.needed("playlistId")).id
    ids = None
    if "songIndexToRemove" in given or "songIdToAdd" in given:
        gone = set(given.numbers("songIndexToRemove"))
        kept = [i for at, i in enumerate(asked.library.song_list_ids(list_id)) if at not in gone]
        ids = [*kept, *(track.id for track in asked.tracks(given.all("songIdToAdd")[:_LONGEST]))]
        if len(ids) > _LONGEST:
            raise Failure(GENERIC, f"a list has {_LONGEST:,} songs at most")
    comment = given.text("comment")[:1000] if "comment" in given else None
    asked.library.change_song_list(list_id, now_s=time.time(), ids=ids, name=_name(asked, list_id), comment=comment)
    return {}


def delete_playlist(asked: Asked) -> Values:
    """Delete a list; its songs stay."""
    asked.library.delete_song_list(the_list(asked, asked.given.needed("id")).id)
    return {}


def the_query(asked: Asked, text: str) -> str:
    """The name of the saved query of an id."""
    for name in saved_queries(asked.library):
        if text == f"{SAVED}{digest_of_key(name)}":
            return name
    raise Failure(NOT_FOUND, "no playlist has this id")


def the_list(asked: Asked, text: str) -> SongList:
    """The list of an id, which may be changed."""
    if text.startswith(SAVED):
        raise Failure(NOT_ALLOWED, f"{shown(the_query(asked, text))} is made anew by mirclr whenever it is asked for")
    found = _ID.fullmatch(text)
    one = asked.library.song_list(int(found[1])) if found else None
    if one is None:
        raise Failure(NOT_FOUND, "no playlist has this id")
    return one


def _name(asked: Asked, list_id: int) -> str | None:
    """The name that is asked for, with a number where another list has it: players take names for free."""
    wanted = asked.given.text("name").strip()
    if not wanted:
        return None
    try:
        check_name(wanted)
    except QueryError as error:
        raise Failure(GENERIC, str(error)) from None
    saved = asked.library.playlists()
    for name in chain([wanted], (f"{wanted} ({number})" for number in count(2))):
        held = asked.library.find_song_list(name)
        if name not in saved and (held is None or held.id == list_id):
            return name
    return None


def _values(asked: Asked, one: SongList) -> Values:
    return {
        "id": f"pl-{one.id}",
        "name": shown(one.name),
        "comment": shown(one.comment),
        "owner": shown(asked.listener),
        "public": True,
        "songCount": one.songs,
        "duration": round(one.duration_s),
        "created": moment(one.made_s),
        "changed": moment(one.changed_s),
        "coverArt": f"pl-{one.id}",
    }


def _made_values(asked: Asked, name: str, made: MadeList) -> Values:
    return {
        "id": f"{SAVED}{digest_of_key(name)}",
        "name": shown(name),
        "comment": shown(made.words),
        "owner": shown(asked.listener),
        "public": True,
        "readonly": True,
        "songCount": len(made.ids),
        "duration": round(made.duration_s),
        "created": moment(made.at_s),
        "changed": moment(made.at_s),
        "coverArt": f"{SAVED}{digest_of_key(name)}",
    }


def _with_songs(asked: Asked, one: SongList) -> Values:
    tracks = asked.library.tracks(asked.library.song_list_ids(one.id))
    return _values(asked, one) | {"entry": items.songs(asked, tracks)}
