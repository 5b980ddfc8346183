"""What each rule of a query keeps out, in a line for people, and what may have been meant where that is nothing."""

import re
from collections.abc import Collection, Sequence

from mirclr.library import LibraryStore, LibraryTrack, shown
from mirclr.names import close_names, fold
from mirclr.recommend.filters import genres_here, likely_labels
from mirclr.recommend.rules import KINDS, Rule, Rules, genre_name
from mirclr.terminal import counted, did_you_mean

_NOTHING = {
    "artist": "no song is by an artist of this name",
    "album": "no album has this name",
    "genre": "no song has this genre",
    "path": "no path contains it",
    "track": "no song has this title, and no file this name",
}


def rule_effects(library: LibraryStore, rules: Sequence[Rule]) -> list[str]:
    """How many songs of a library each rule keeps out, whatever the others do; reads all of its tracks.

    Parameters
    ----------
    library : LibraryStore
        Whose tracks.
    rules : sequence of Rule
        Asked each by itself.

    Returns
    -------
    list of str
        A line each: "path:Christmas keeps out 24 songs", or "… keeps out nothing: …; did you mean …?"
    """
    if not rules:
        return []
    tracks = library.tracks()
    likely = likely_labels(library, "genre", [t.id for t in tracks]) if any(r.kind == "genre" for r in rules) else {}
    genres = {i: {genre_name(label) for label in labels} for i, labels in likely.items()}
    lines = []
    for rule in rules:
        n = _count(rule, tracks, genres)
        meant = "" if n else _meant(library, rule, tracks, genres)
        effect = counted(n, "song") if n else f"nothing: {_NOTHING[rule.kind]}{meant}"
        lines.append(f"{shown(str(rule))} keeps out {effect}")
    return lines


def _count(rule: Rule, tracks: Sequence[LibraryTrack], genres: dict[int, set[str]]) -> int:
    test = Rules([rule])
    return sum(test.exclude(track, genres.get(track.id, ())) for track in tracks)


def _meant(library: LibraryStore, rule: Rule, tracks: Sequence[LibraryTrack], genres: dict[int, set[str]]) -> str:
    """Rules that keep something out: the same text of another kind, else a name of this kind that is like it."""
    others = [Rule(kind, rule.text) for kind in KINDS if kind != rule.kind]
    likely = _with_its_word(rule.text, tracks, genres)
    kinds = [str(other) for other in others if _count(other, likely, genres)]
    names = [f"{rule.kind}:{name}" for name in close_names(rule.text, _names(library, rule.kind, tracks))]
    roots = [f"path:{root}" for root in library.roots() if rule.kind == "path" and fold(rule.text) in fold(root)]
    return did_you_mean([*kinds, *roots, *names][:3])


def _with_its_word(text: str, tracks: Sequence[LibraryTrack], genres: dict[int, set[str]]) -> Sequence[LibraryTrack]:
    """Tracks in whose tags, path or guessed genres the longest word of a text is: asking each of 100,000 takes long."""
    word = max(re.findall(r"\w+", fold(text)), key=len, default="")
    return [
        t
        for t in tracks
        if word in fold("\n".join(filter(None, (t.artist, t.album_artist, t.album, t.genre, t.title, t.path))))
        or any(word in genre for genre in genres.get(t.id, ()))
    ]


def _names(library: LibraryStore, kind: str, tracks: Sequence[LibraryTrack]) -> Collection[str]:
    if kind == "path":
        return {part for track in tracks for part in track.path.split("/")}
    if kind == "genre":
        return genres_here(library)
    fields = {"artist": ("artist", "album_artist"), "album": ("album",), "track": ("title",)}[kind]
    return {getattr(track, field) or "" for track in tracks for field in fields}
