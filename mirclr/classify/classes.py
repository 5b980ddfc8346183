"""The genres that labels hold, looked at before anything is learned: which are enough, and what is wrong with others.

A genre of a handful of songs, or all by one artist, teaches heads those songs or that artist. What files' own tags say
is cleaned here: one spelling of a genre, one genre of several, and none where the tag only says "Other", or what
mirclr guessed and wrote.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from mirclr.classify.labels import Labelled, Labels, labelled_by_tags
from mirclr.errors import LabelsError, LibraryError
from mirclr.ingest.tagging.guesses import guessed_genres
from mirclr.ingest.tagging.journal import Journal
from mirclr.library import LibraryStore
from mirclr.names import genre_key, renamed
from mirclr.settings import command_line
from mirclr.tags import SEPARATOR

LEAST = 5
"""Songs that a genre of the files' tags needs by default."""


@dataclass(frozen=True)
class GenreClass:
    """A genre that labels hold.

    Attributes
    ----------
    genre : str
    tracks : int
    artists : int
        How many are known; 0 where none is.
    problem : str
        Why it is left out, or why its figures mean little; empty where it is sound.
    """

    genre: str
    tracks: int
    artists: int
    problem: str = ""


@dataclass(frozen=True)
class GenreReport:
    """All genres of some labels, the commonest first.

    Attributes
    ----------
    classes : tuple of GenreClass
    unlabelled : int
        Tracks without a genre.
    several : int
        Tracks whose tag names several, of which the first counts.
    unknown_artists : int
        Tracks with a genre whose artist is not known.
    """

    classes: tuple[GenreClass, ...]
    unlabelled: int
    several: int
    unknown_artists: int


def report_genres(labels: Labels, *, least: int = 1, several: int = 0) -> GenreReport:
    """Count the genres of labels, and name those of fewer than `least` tracks or of one artist alone."""
    artists, genre = labels.artist_keys, labels.genre.astype(str)
    classes = []
    for name, tracks in Counter(genre[genre != ""].tolist()).most_common():
        of = artists[genre == name]
        known = set(of.tolist()) - {""}
        problem = ""
        if tracks < least:
            problem = "1 song only" if tracks == 1 else f"{tracks} songs only"
        elif tracks == 1:
            problem = "1 song only"
        elif len(known) == 1 and (of != "").all():
            problem = "one artist only"
        classes.append(GenreClass(name, tracks, len(known), problem))
    unknown = int(((artists == "") & (genre != "")).sum())
    return GenreReport(tuple(classes), int((genre == "").sum()), several, unknown)


def labelled_by_own_genres(
    library: LibraryStore, *, least: int = LEAST, renames: Mapping[str, str] | None = None
) -> tuple[Labelled, GenreReport]:
    """A library's tracks with the genres of their own tags, cleaned, and what there is of each.

    Parameters
    ----------
    library : LibraryStore
        Holds vectors.
    least : int
        Genres of fewer tracks are left out, as are those of one artist alone.
    renames : mapping of str to str, optional
        Of `mirclr.names.parse_renames`: what genres are to be called; several may become one.

    Returns
    -------
    found : Labelled
        All tracks; the genre of those that are left out is empty.
    report : GenreReport
        Of all genres, those that are left out among them.

    Raises
    ------
    LibraryError
        The library holds no tracks.
    LabelsError
        There are not two genres to tell apart.
    """
    found = labelled_by_tags(library)
    if not found.tracks:
        embed = command_line("embed", "FOLDER", library_path=library.path)
        raise LibraryError(f"{library.path}: holds no songs yet; add some with: {embed}")
    guessed = guessed_genres(library, Journal(library.path).read()[0])
    texts = ["" if t.id in guessed else genre for t, genre in zip(found.tracks, found.labels.genre, strict=True)]
    genres, several = _own_genres(texts, renames or {})
    labels = replace(found.labels, genre=genres)
    report = report_genres(labels, least=least, several=several)
    sound = {one.genre for one in report.classes if not one.problem}
    if len(sound) < 2:
        held = ", ".join(f"{c.genre} ({c.problem or f'{c.tracks} songs'})" for c in report.classes[:6])
        raise LabelsError(
            f"{labels.source}: not two genres of {least} songs and two artists each; found: {held or 'no genre'}. "
            "Give your songs genres in a tagger or by mirclr tag review, join some by --map 'Hard Rock=Rock', or name "
            "a table by --labels"
        )
    kept = np.array([genre if genre in sound else "" for genre in genres], object)
    return replace(found, labels=replace(labels, genre=kept)), report


def _own_genres(texts: list[str], renames: Mapping[str, str]) -> tuple[np.ndarray, int]:
    """One genre of each tag, in one spelling, "" where it is none; and how many tags name several."""
    firsts, several = [], 0
    for text in texts:
        named = [part for part in text.split(SEPARATOR) if genre_key(part)]
        several += len(named) > 1
        firsts.append(renamed(named[0], renames) if named else "")
    spellings: dict[str, Counter[str]] = {}
    for name in firsts:
        spellings.setdefault(genre_key(name), Counter())[name] += 1
    usual = {key: max(names, key=lambda name: (names[name], name)) for key, names in spellings.items()}
    return np.array([usual[genre_key(name)] if genre_key(name) else "" for name in firsts], object), several
