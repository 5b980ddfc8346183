"""Lists of songs: those that the page shows too."""

import re
import time
from itertools import count

from mirclr.errors import QueryError
from mirclr.library import SongList
from mirclr.recommend.listening import check_name
from mirclr.serve.subsonic import items
from mirclr.serve.subsonic.asked import Asked
from mirclr.serve.subsonic.protocol import GENERIC, MISSING, NOT_FOUND, Failure, Values, moment
from mirclr.terminal import shown

_ID = re.compile(r"(?:pl-)?([1-9]\d{0,17})", re.ASCII)
_LONGEST = 10_000  # songs of a list


def get_playlists(asked: Asked) -> Values:
    """All lists, without their songs."""
    return {"playlists": {"playlist": [_values(asked, one) for one in asked.library.song_lists()]}}


def get_playlist(asked: Asked) -> Values:
    """A list with its songs."""
    return {"playlist": _with_songs(asked, the_list(asked, asked.given.needed("id")))}


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


def the_list(asked: Asked, text: str) -> SongList:
    """The list of an id."""
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
    for number in count(2):
        held = asked.library.find_song_list(name := wanted if number == 2 else f"{wanted} ({number - 1})")
        if held is None or held.id == list_id:
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


def _with_songs(asked: Asked, one: SongList) -> Values:
    tracks = asked.library.tracks(asked.library.song_list_ids(one.id))
    return _values(asked, one) | {"entry": items.songs(asked, tracks)}
