"""What a library knows of its tracks as it is written into tags, and what would be written at a glance.

A genre or mood is a guess. A genre is written only where it is probable enough to be right nine times in ten, as was
measured of the heads that guess (`GenreRule`); what a person said is wrong of a track is never written there.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mirclr.errors import NoMatch
from mirclr.ingest.tagging.writing import TagChange
from mirclr.library import LibraryStore, LibraryTrack
from mirclr.names import renamed, share_a_genre
from mirclr.tags import SEPARATOR

SOURCES = {"genre": "classify predict", "mood": "classify predict", "bpm": "describe", "key": "describe"}
"""The fields that can be written, each with the command that finds its values."""
GUESSED = ("genre", "mood")
MOOD = 0.5
"""The least probability of a mood that is written, where none is asked for; then two of a song at most."""
_MOODS = 2
_ENOUGH = 20  # tracks with a genre of their own that say how good guesses are on a library

Values = dict[str, dict[int, tuple[str, ...]]]
"""For each field its values by track id; empty where a track was analysed and has none."""


@dataclass(frozen=True)
class GenreRule:
    """When a guessed genre is written, and what it is called.

    Attributes
    ----------
    threshold : float in [0, 1]
        The least probability of the likeliest genre.
    measured : str
        How it was measured that those are right nine times in ten, for people; empty where it was not.
    names : mapping of str to str
        What genres are called in tags, where that is not their name; empty for those that are never written.
    genres : tuple of str
        Which are written where no other threshold is asked for; all where it is empty.
    """

    threshold: float = 0.9
    measured: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    genres: tuple[str, ...] = ()

    def renamed(self, renames: Mapping[str, str]) -> "GenreRule":
        """The same with a person's own names, of `mirclr.names.parse_renames`, before its own."""
        own = {genre: name for genre, name in self.names.items() if renamed(genre, renames) == genre}
        return GenreRule(self.threshold, self.measured, {**own, **renames}, self.genres)

    def name_of(self, genre: str) -> str:
        """What a genre is called in tags; empty where it is not written."""
        return self.names[genre] if genre in self.names else renamed(genre, self.names)


UNMEASURED = GenreRule()
"""Where nothing was measured of the heads: as probable as it is to be right."""


def fields_by_source(fields: Iterable[str]) -> dict[str, list[str]]:
    """Fields of `SOURCES` by the command that finds their values."""
    found: dict[str, list[str]] = {}
    for one in fields:
        found.setdefault(SOURCES[one], []).append(one)
    return found


def known_values(
    library: LibraryStore, fields: Sequence[str], threshold: float | None = None, rule: GenreRule = UNMEASURED
) -> Values:
    """What a library knows of its tracks, as it is written into tags; what a person said is right in any case.

    Parameters
    ----------
    library : LibraryStore
        Holds probabilities and descriptions.
    fields : sequence of str
        Of `SOURCES`.
    threshold : float in [0, 1], optional
        The least probability of a label, in place of the rule's and of `MOOD`.
    rule : GenreRule
        When a genre is written, the likeliest alone, and what it is called.

    Raises
    ------
    NoMatch
        Nothing is known of any track; the text names the commands that find it.
    """
    described = library.descriptions()
    values: Values = {}
    for one in fields:
        if one == "bpm":
            values[one] = {i: (str(round(d.tempo_bpm)),) if d.tempo_bpm else () for i, d in described.items()}
        elif one == "key":
            values[one] = {i: (d.key,) if d.key else () for i, d in described.items()}
        else:
            rows = open_guesses(library, one)
            values[one] = {i: _labels(one, row, threshold, rule) for i, row in rows.items()}
            values[one] |= _confirmed(library, one, rule)
    if not any(values.values()):
        first = " and ".join(f"mirclr {command} --library {library.path}" for command in fields_by_source(fields))
        raise NoMatch(f"{library.path}: {', '.join(fields)}: not known of its songs; first: {first}")
    return values


def _confirmed(library: LibraryStore, task: str, rule: GenreRule) -> dict[int, tuple[str, ...]]:
    """What a person said is right, as it is called in tags; of genres the last that they said."""
    right = {i: [label for label, yes in of.items() if yes] for i, of in library.answers(task).items()}
    if task == "genre":
        right = {i: [rule.name_of(labels[-1])] for i, labels in right.items() if labels}
    return {i: names for i, labels in right.items() if (names := tuple(filter(None, labels)))}


def open_guesses(library: LibraryStore, task: str) -> dict[int, dict[str, float]]:
    """The probabilities that a library holds of a task, without the labels that a person said are wrong."""
    answers = library.answers(task)
    return {
        i: {label: p for label, p in row.items() if answers.get(i, {}).get(label, True)}
        for i, row in library.probabilities(task).items()
    }


def guessed_genres(library: LibraryStore, changes: Iterable[TagChange]) -> set[int]:
    """The tracks whose genre is what mirclr wrote, by its journal, and which no person has said is right."""
    answers = library.answers("genre")
    written: dict[int, tuple[str, ...]] = {}
    for change in changes:
        uuid, _, number = (change.track or "").partition(":")
        if "genre" not in change.after:
            continue
        if uuid == library.uuid and number.isdecimal():
            written[int(number)] = change.after["genre"]
        elif change.track is None and (track := library.find_file(change.file)):  # an older journal
            written[track.id] = change.after["genre"]
    held = {t.id: t.genre for t in library.tracks(list(written))}
    return {i for i, v in written.items() if held.get(i) == SEPARATOR.join(v) and not any(answers.get(i, {}).values())}


def _labels(task: str, row: Mapping[str, float], threshold: float | None, rule: GenreRule) -> tuple[str, ...]:
    """What is probable enough, the likeliest first, as it is called in tags; one genre at most."""
    least = threshold if threshold is not None else rule.threshold if task == "genre" else MOOD
    labels = tuple(label for label, p in ranked(row) if p >= least)
    if task == "genre":
        known = threshold is not None or not rule.genres
        return tuple(filter(None, (rule.name_of(one) for one in labels[:1] if known or one in rule.genres)))
    return labels if threshold is not None else labels[:_MOODS]


def ranked(row: Mapping[str, float]) -> list[tuple[str, float]]:
    """Labels with their probabilities, the likeliest first."""
    return sorted(row.items(), key=lambda pair: (-pair[1], pair[0]))


@dataclass(frozen=True)
class PreviewRow:
    """What would be written into how many files.

    Attributes
    ----------
    field, value : str
        Of genre and mood each value; of tempo and key all together, with the range of values.
    tracks : int
    examples : tuple of str
        Some songs, of different artists where there are.
    """

    field: str
    value: str
    tracks: int
    examples: tuple[str, ...]


def preview(
    changes: Sequence[TagChange], tracks: Iterable[LibraryTrack], fields: Sequence[str], *, examples: int = 2
) -> list[PreviewRow]:
    """What changes write, field by field, the commonest value first."""
    labels = {track.file: track for track in tracks}
    rows = []
    for one in fields:
        files: dict[str, list[LibraryTrack]] = {}
        for change in changes:
            for value in change.after.get(one, ()) if one in GUESSED else change.after.get(one, ())[:1]:
                files.setdefault(value, []).append(labels[change.file])
        if one not in GUESSED and files:
            ordered = sorted(files, key=float) if one == "bpm" else [v for v, _ in _counted(files)]
            shown = f"{ordered[0]} to {ordered[-1]}" if one == "bpm" and len(ordered) > 1 else ", ".join(ordered[:4])
            more = ", …" if one == "key" and len(ordered) > 4 else ""
            files = {shown + more: [track for of in files.values() for track in of]}
        for value, count in _counted(files):
            rows.append(PreviewRow(one, value, count, _examples(files[value], examples)))
    return rows


def _counted(files: Mapping[str, Sequence[LibraryTrack]]) -> list[tuple[str, int]]:
    return Counter({value: len(of) for value, of in files.items()}).most_common()


def _examples(tracks: Sequence[LibraryTrack], most: int) -> tuple[str, ...]:
    by_artist: dict[str | None, LibraryTrack] = {}
    for track in tracks:
        by_artist.setdefault(track.artist, track)
    first = [*by_artist.values(), *(t for t in tracks if t not in by_artist.values())]
    return tuple(track.label for track in first[:most])


@dataclass(frozen=True)
class Agreement:
    """How guesses that are sure enough compare with the genres that songs of a library have already.

    Attributes
    ----------
    tracks : int
        Songs with a genre of their own, and a guess that is sure enough.
    agree : int
        Those where the two share a word, such as "Hard Rock" and "rock".
    """

    tracks: int
    agree: int

    @property
    def is_poor(self) -> bool:
        """Whether clearly fewer than nine in ten agree, of enough songs to tell."""
        return self.tracks >= _ENOUGH and self.agree < 0.8 * self.tracks


def agreement(tracks: Iterable[LibraryTrack], guesses: Mapping[int, tuple[str, ...]], written: set[int]) -> Agreement:
    """Compare guessed genres with those of the songs' own tags, except where mirclr wrote them (`guessed_genres`)."""
    both = [(t.genre, guesses[t.id][0]) for t in tracks if t.genre and guesses.get(t.id) and t.id not in written]
    agree = sum(any(share_a_genre(part, guess) for part in own.split(SEPARATOR)) for own, guess in both)
    return Agreement(len(both), agree)
