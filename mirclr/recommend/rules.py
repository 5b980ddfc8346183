"""Rules that exclude tracks: ``artist:``, ``album:``, ``genre:``, ``path:``, ``track:`` and a text.

An artist is any that a track's artist or album artist names, also as a guest, and in its title. A path is an absolute
folder or file, or any part of a path below the embedded folder: ``path:Christmas`` is all folders and files with that
in their names, ``path:Live/`` those in a folder of just that name; * and ? are wildcards, for the whole of a name. A
track is its file, its title, or artist and title. Case, accents and the print of apostrophes and hyphens count in none;
in names neither do articles, nor "and" for "&", as `mirclr.names` has it. An album without the number of a disc, or
words of an edition, is all of these.
"""

import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from mirclr.errors import QueryError
from mirclr.library import LibraryTrack
from mirclr.names import album_name, artist_name, artists, fold, guests, loose, search_words, words

KINDS = ("artist", "album", "genre", "path", "track")
_ALSO = {"folder": "path", "file": "path", "dir": "path", "song": "track", "title": "track"}


@dataclass(frozen=True)
class Rule:
    """One rule: its kind, of `KINDS`, and its text as written."""

    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.text}"


def parse_rule(text: str) -> Rule:
    """Read a rule.

    Raises
    ------
    QueryError
        It has another form.
    """
    kind, colon, rest = text.partition(":")
    kind, rest = kind.strip().lower(), rest.strip()
    kind = _ALSO.get(kind, kind)
    if not colon:
        others = ", ".join(f"{k}:" for k in KINDS if k != "path")
        raise QueryError(f"found {text!r}; did you mean path:{text.strip()}? there are also {others}")
    if kind not in KINDS:
        raise QueryError(f"found {text!r}; {_meant(kind, rest)}")
    if not rest:
        raise QueryError(f"found {text!r}; expected a name behind the colon, as in {kind}:NAME")
    if kind in ("path", "track") and rest.startswith("~"):
        rest = os.path.expanduser(rest)
    return Rule(kind, rest)


def _meant(kind: str, text: str) -> str:
    from difflib import get_close_matches

    if close := get_close_matches(kind, (*KINDS, *_ALSO), n=1):
        return f"did you mean {_ALSO.get(close[0], close[0])}:{text}?"
    return f"expected one of: {', '.join(f'{k}:' for k in KINDS)}"


def absolute_rule(rule: Rule) -> Rule:
    """The same rule with a path of something that is there, as a shell completes it, made absolute.

    A bare name is left as it is: of a path it means any folder of that name, of a track its title; a file is one.
    """
    if rule.kind in ("path", "track") and not os.path.isabs(rule.text):
        is_path = any(sign in rule.text for sign in {"/", os.sep}) or rule.text in (".", "..")
        if (is_path and os.path.exists(rule.text)) or (rule.kind == "track" and os.path.isfile(rule.text)):
            return Rule(rule.kind, os.path.abspath(rule.text))
    return rule


def absolute_texts(texts: Iterable[str]) -> tuple[str, ...]:
    """Rules as texts, with paths of what is there made absolute; for texts that were written on this machine alone."""
    read = [(text, parse_rule(text)) for text in texts]
    return tuple(text if (held := absolute_rule(rule)) == rule else str(held) for text, rule in read)


class Rules:
    """Several rules as one question about a track.

    Parameters
    ----------
    rules : iterable of Rule
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        by_kind: dict[str, set[str]] = {kind: set() for kind in KINDS}
        for rule in rules:
            by_kind[rule.kind].add(rule.text)
        self._artists = {name for t in by_kind["artist"] for name in (words(t), artist_name(t))}
        self._albums = {loose(words(t)) for t in by_kind["album"]}
        self._tracks = {search_words(t) for t in by_kind["track"]}
        self._files = {os.path.normpath(t) for t in by_kind["track"] if os.path.isabs(t)}
        self._paths = [_path_test(t) for t in by_kind["path"]]
        self.genres = frozenset(genre_name(t) for t in by_kind["genre"])
        """Folded; what a track's likely genres are is asked of the caller."""

    def __bool__(self) -> bool:
        return bool(self._artists or self._albums or self._tracks or self._paths or self.genres)

    def exclude(self, track: LibraryTrack, likely_genres: Collection[str] = ()) -> bool:
        """Whether a track, with the folded genres that it likely has, is excluded."""
        if self._artists and not self._artists.isdisjoint(_people(track)):
            return True
        if (
            self._albums
            and track.album
            and not self._albums.isdisjoint((loose(words(track.album)), album_name(track.album)))
        ):
            return True
        if self._tracks and (_names(track) & self._tracks or (self._files and str(track.file) in self._files)):
            return True
        if self.genres and (self.genres.intersection(likely_genres) or self.genres & genres_of(track.genre or "")):
            return True
        return any(test(track) for test in self._paths)


@lru_cache(maxsize=1 << 12)
def genres_of(text: str) -> frozenset[str]:
    """The genres that a tag names, folded: all of it, and each where several stand in it."""
    parts = text.replace("/", ";").replace(",", ";").replace("\0", ";").split(";")
    return frozenset(found for found in map(genre_name, (text, *parts)) if found)


def genre_name(text: str) -> str:
    """A genre folded: "Hip-Hop" and "hip hop" are one, "Rock and Roll" and "Rock & Roll" are."""
    return loose(words(text))


def _people(track: LibraryTrack) -> set[str]:
    of_tags = {name for text in (track.artist, track.album_artist) if text for name in artists(text)}
    return of_tags | set(guests(track.title or ""))


def _names(track: LibraryTrack) -> set[str]:
    title = track.title or ""
    return {search_words(name) for name in (title, f"{track.artist or ''} {title}", track.path) if name.strip()}


def _path_test(text: str) -> Callable[[LibraryTrack], bool]:
    is_folder = text.endswith(("/", os.sep))
    plain = os.path.normpath(text).replace(os.sep, "/")
    wanted = fold(f"/{plain.lstrip('/')}" if text.startswith("/") else plain).rstrip("/") or "/"
    if any(c in wanted for c in "*?"):
        wanted = wanted.replace("[", "[[]")  # as it stands
        inside = wanted if os.path.isabs(text) else f"*/{wanted}"
        return lambda track: any(fnmatchcase(_place(track), pattern) for pattern in (inside, f"{inside}/*"))
    if os.path.isabs(text):
        return lambda track: f"{_place(track)}/".startswith(f"{wanted.rstrip('/')}/")
    if is_folder:
        return lambda track: f"/{wanted}/" in f"/{fold(track.path)}"
    return lambda track: wanted in fold(track.path)


def _place(track: LibraryTrack) -> str:
    return fold(f"{track.root.replace(os.sep, '/').rstrip('/')}/{track.path}")
