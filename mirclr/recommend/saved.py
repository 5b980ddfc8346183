"""Queries that a library keeps by name, to be run again; each with the file that its list was last written to."""

from typing import Any

from mirclr.errors import LibraryError, NoMatch
from mirclr.library import LibraryStore, shown
from mirclr.names import close_names
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


def saved_query(library: LibraryStore, name: str) -> dict[str, Any]:
    """One of `saved_queries`.

    Raises
    ------
    NoMatch
        There is none of this name; the text names those that there are.
    """
    saved = saved_queries(library)
    if name not in saved:
        close = did_you_mean(close_names(name, saved))
        known = (
            f"; there are: {', '.join(map(shown, saved))}" if saved else "; save one: mirclr recommend SONG --save NAME"
        )
        raise NoMatch(f"no playlist {shown(name)!r} is saved in your library{close or known}")
    return saved[name]
