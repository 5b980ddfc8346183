"""What a library keeps by name: queries to be run again, with the file that a list was last written to; own lists."""

import json
from pathlib import Path
from typing import Any, cast

from mirclr.errors import LibraryError, NoMatch
from mirclr.library import LibraryStore, LibraryTrack, shown
from mirclr.names import close_names
from mirclr.recommend.query import Query
from mirclr.recommend.seeds import with_absolute_paths
from mirclr.terminal import did_you_mean


def saved_queries(library: LibraryStore) -> dict[str, dict[str, Any]]:
    """The saved queries by name: each has ``query``, as of `Query.to_json`, and ``output``, a path or None.

    Raises
    ------
    LibraryError
        One of them is of another form, as in a library from elsewhere.
    """
    saved = library.playlists()
    for name, kept in saved.items():
        if not isinstance(kept.get("query"), dict) or not isinstance(kept.get("output", ""), str | None):
            raise LibraryError(
                f"{library.path}: the saved playlist {name!r} cannot be read; delete it with: mirclr playlist delete"
            )
    return saved


def own_songs(library: LibraryStore, name: str) -> list[LibraryTrack] | None:
    """The songs of a list that a person put together; None where there is none of this name."""
    with library.snapshot():
        held = library.find_song_list(name)
        return None if held is None else library.tracks(library.song_list_ids(held.id))


def check_unsaved(library: LibraryStore, name: str, query: Query) -> None:
    """Raise LibraryError where another query than this one is saved under a name."""
    if (held := library.playlists().get(name)) is not None and held.get("query") != _plain(query):
        raise LibraryError(f"{shown(name)!r} is saved already, and asks for something else; --replace replaces it")


def save_query(library: LibraryStore, name: str, query: Query, output: Path | None = None) -> None:
    """Keep a query under a name, and the file that its list is written to; of one of that name the file stays unless
    another is given.

    Raises
    ------
    LibraryError
        A list of songs has this name.
    """
    if library.find_song_list(name):
        raise LibraryError(f"there is a list of your own called {shown(name)} already; choose another name")
    before = library.playlists().get(name, {}).get("output")
    library.save_playlist(name, {"query": _plain(query), "output": str(output.absolute()) if output else before})


def _plain(query: Query) -> dict[str, Any]:
    """A query as it is stored, from any folder the same."""
    return cast(dict[str, Any], json.loads(json.dumps(with_absolute_paths(query).to_json())))


def saved_query(library: LibraryStore, name: str) -> dict[str, Any]:
    """One of `saved_queries`.

    Raises
    ------
    NoMatch
        There is none of this name; the text names those that there are.
    """
    saved = saved_queries(library)
    if name not in saved and library.find_song_list(name):
        raise NoMatch(f"{shown(name)} is a list of your own songs, and is not made anew; see: mirclr playlist show")
    if name not in saved:
        close = did_you_mean(close_names(name, saved))
        known = (
            f"; there are: {', '.join(map(shown, saved))}" if saved else "; save one: mirclr recommend SONG --save NAME"
        )
        raise NoMatch(f"no playlist {shown(name)!r} is saved in your library{close or known}")
    return saved[name]
