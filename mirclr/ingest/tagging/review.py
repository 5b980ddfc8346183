"""Guessed genres and moods one by one: what is asked of a person, and what an answer does.

An answer is kept in the library, so that no label is asked about or written again that a person said is wrong, and so
that what a person said is right counts as the person's own.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from mirclr.ingest.tagging.guesses import MOOD, UNMEASURED, GenreRule, guessed_genres, open_guesses, ranked
from mirclr.ingest.tagging.session import TagSession
from mirclr.ingest.tagging.writing import TagChange
from mirclr.library import LibraryStore, LibraryTrack
from mirclr.tags import read_values

MOST = 3
"""Guesses that are offered for a song."""
_HARDLY = 0.05  # less probable ones are not, but the first

Outcome = Literal["written", "refused", "later"]


@dataclass(frozen=True)
class Guess:
    """A label that a track may have.

    Attributes
    ----------
    label, name : str
        As heads know it, and as it is written.
    probability : float in [0, 1]
    """

    label: str
    name: str
    probability: float


@dataclass(frozen=True)
class Question:
    """A song of which a genre or moods are guessed.

    Attributes
    ----------
    track : LibraryTrack
    field : {"genre", "mood"}
    guesses : tuple of Guess
        The likeliest first; one at least.
    written : bool
        Whether mirclr wrote the first into the file already.
    """

    track: LibraryTrack
    field: str
    guesses: tuple[Guess, ...]
    written: bool = False


def questions(
    library: LibraryStore,
    field: str,
    *,
    threshold: float = 0.0,
    rule: GenreRule = UNMEASURED,
    changes: Iterable[TagChange] = (),
) -> list[Question]:
    """What to ask of the songs of a library that have no genre or mood of their own, the surest guess first.

    Parameters
    ----------
    library : LibraryStore
        Holds probabilities.
    field : {"genre", "mood"}
        What to ask about.
    threshold : float in [0, 1]
        Ask where the first guess is at least so probable.
    rule : GenreRule
        What genres are called; those of an empty name are not asked about.
    changes : iterable of TagChange
        Of the library's journal: genres that mirclr wrote are asked about too.
    """
    rows, answers = open_guesses(library, field), library.answers(field)
    guessed = guessed_genres(library, changes) if field == "genre" else set()
    found = []
    for track in library.tracks():
        decided = answers.get(track.id) or (field == "genre" and track.genre)
        if track.audio_path is not None or (decided and track.id not in guessed):
            continue
        name_of = rule.name_of if field == "genre" else str
        guesses = [Guess(label, name_of(label), p) for label, p in ranked(rows.get(track.id, {}))]
        guesses = [g for g in guesses if g.name]
        if field == "mood":
            guesses = [g for g in guesses if g.probability >= max(MOOD, threshold)]
        if guesses and guesses[0].probability >= threshold:
            offered = [g for n, g in enumerate(guesses[:MOST]) if not n or g.probability >= _HARDLY]
            found.append(Question(track, field, tuple(offered), track.id in guessed))
    return sorted(found, key=lambda q: (-q.guesses[0].probability, q.track.id))


def answer(library: LibraryStore, session: TagSession, question: Question, reply: str) -> Outcome:
    """Do what a person replied: write it into the file, or never.

    Parameters
    ----------
    library, session : LibraryStore, TagSession
        The session is of that library; what could not be written is among its problems.
    question : Question
        What was asked.
    reply : str
        ``y`` for the first guess (of moods: all that are offered), a number for that guess, ``n`` for none of them, any
        other name for that; empty for another time.
    """
    labels = _labels_meant(question, " ".join(reply.split()))
    if labels is None:
        return "later"
    with library.together():
        for guess in question.guesses:
            if guess.label in labels and question.field == "genre":
                break  # what comes after the right one is no answer
            if guess.label not in labels:
                library.store_answer(question.field, question.track.id, guess.label, False)
        for label in labels:
            library.store_answer(question.field, question.track.id, label, True)
    session.set_values(question.track, {question.field: tuple(dict.fromkeys(labels.values()))})
    return "written" if labels else "refused"


def _labels_meant(question: Question, reply: str) -> dict[str, str] | None:
    """The labels that are right by a reply, each with its name; None where there was no reply."""
    if not reply:
        return None
    offered = {str(n): guess for n, guess in enumerate(question.guesses, 1)}
    if reply.casefold() in ("n", "no"):
        return {}
    if reply.casefold() in ("y", "yes"):
        right = question.guesses if question.field == "mood" else question.guesses[:1]
        return {guess.label: guess.name for guess in right}
    several = reply.split(",") if question.field == "mood" else [reply]
    by_name = {guess.name.casefold(): guess for guess in question.guesses} | offered
    found = {}
    for name in filter(None, (part.strip() for part in several)):
        guess = by_name.get(name.casefold())
        found[guess.label if guess else name] = guess.name if guess else name
    return found


def is_open(question: Question) -> bool:
    """Whether the file still has no value of its own there, as another program may have written one since.

    Raises
    ------
    TagsError, OSError
        Its tags cannot be read.
    """
    return question.written or not read_values(question.track.file, question.field)
