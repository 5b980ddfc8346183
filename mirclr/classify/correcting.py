"""`correct_library`: what a person says of songs is kept, and all guesses are made anew by it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mirclr.classify.corrections import shares_of_tags
from mirclr.classify.heads import TASKS, Heads
from mirclr.classify.labels import labelled_by_file, read_labels
from mirclr.classify.predict import heads_for, predict_library
from mirclr.errors import LabelsError
from mirclr.library import LibraryStore
from mirclr.names import close_names, genre_key
from mirclr.recommend import MetadataFilters, select_tracks
from mirclr.terminal import counted, did_you_mean, percent, shown

_YES = {"yes": True, "no": False, "true": True, "false": False, "1": True, "0": False}
_LIKELY = 0.5
_CALLED = {"genre": "genre", "mood": "moods", "voice": "voice", "sound": "sound", "instrument": "instruments"}


@dataclass(frozen=True)
class GivenLabels:
    """What a person gives: of which tracks, and by task for each of them the labels that are right or wrong."""

    ids: tuple[int, ...]
    rows: Mapping[str, Mapping[int, Mapping[str, bool]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Corrected:
    """What came of it: songs that were labelled, songs of the library, and by task how many are guessed otherwise."""

    labelled: int
    forgotten: int
    songs: int
    changed: dict[str, int]
    shares: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """As JSON values; ``said`` is what ``labelled`` was called before."""
        return vars(self) | {"said": self.labelled}

    def in_words(self) -> list[str]:
        """For people, a line each."""
        lines = [f"Kept what you say of {counted(self.labelled, 'song')}."] if self.labelled else []
        lines += [f"Forgot what you said of {counted(self.forgotten, 'song')}."] if self.forgotten else []
        if self.shares:
            most = sorted(self.shares.items(), key=lambda pair: -pair[1])[:4]
            lines.append(f"Shares of genres: {', '.join(f'{shown(name)} {percent(p)}' for name, p in most)}.")
        of = [f"{_CALLED[task]} of {n:,}" for task, n in self.changed.items() if n and task in _CALLED]
        what = f"guessed otherwise now: {', '.join(of)}" if of else "all others are guessed as before"
        return [*lines, f"Of {counted(self.songs, 'song')} {what}."]


def parse_labels(library: LibraryStore, words: Sequence[str], *, forget: bool = False) -> GivenLabels:
    """Read what a person typed: songs, and what is right of them as ``genre=funk``, ``mood=calm``, ``vocal=no``.

    Raises
    ------
    LabelsError
        A label that nothing guesses, a value that is none, or songs without a label.
    NoMatch
        A text matches no song.
    """
    heads = {task: one.heads for one in heads_for(library) for task in one.tasks}
    claims = [word for word in words if re.fullmatch(r"[A-Za-z][\w &'-]*=.*", word)]
    texts = [word for word in words if word not in claims]
    if not words:
        return GivenLabels(())
    tracks = select_tracks(library, MetadataFilters(library), None, texts) if texts else []
    if not claims and not forget:
        raise LabelsError("nothing is said of these songs; expected such as genre=funk, mood=calm or vocal=no")
    if claims and not tracks:
        raise LabelsError(f"{claims[0]}: of which songs? name an artist, a title, an album, a file or a folder first")
    given: dict[str, dict[str, bool]] = {}
    for claim in claims:
        task, label, yes = _claim(heads, claim)
        given.setdefault(task, {})[label] = yes
    ids = tuple(track.id for track in tracks)
    return GivenLabels(ids, {task: dict.fromkeys(ids, of) for task, of in given.items()})


def labels_of_file(library: LibraryStore, path: Path) -> GivenLabels:
    """What a labels file says: its genres, and moods, instruments and voices where they are at least or under a half.

    Raises
    ------
    LabelsError
        The file cannot be read, or nothing guesses one of its columns; see `mirclr.classify.read_labels`.
    """
    heads = {task: one.heads for one in heads_for(library) for task in one.tasks}
    found = labelled_by_file(library, read_labels(path))
    rows: dict[str, dict[int, dict[str, bool]]] = {}
    for track, genre in zip(found.tracks, found.labels.genre, strict=True):
        if genre_key(genre):
            rows.setdefault("genre", {})[track.id] = {_claim(heads, f"genre={genre}")[1]: True}
    for name, column in zip(found.labels.moods, found.labels.fractions.T, strict=True):
        task, label, _ = _claim(heads, f"{name}=yes")
        for track, fraction in zip(found.tracks, column.tolist(), strict=True):
            if fraction == fraction:
                rows.setdefault(task, {}).setdefault(track.id, {})[label] = fraction >= _LIKELY
    return GivenLabels(tuple(sorted({i for of in rows.values() for i in of})), rows)


def _claim(heads: Mapping[str, Heads], claim: str) -> tuple[str, str, bool]:
    """``genre=funk`` as the task, the label as heads spell it, and whether it is right."""
    name, _, value = (part.strip() for part in claim.partition("="))
    if name == "genre":
        if not genre_key(value):
            raise LabelsError(f"{claim}: expected a genre, such as genre=funk")
        known = heads["genre"].tasks["genre"].labels if "genre" in heads else ()
        return "genre", next((k for k in known if genre_key(k) == genre_key(value)), " ".join(value.split())), True
    label, yes = (value, True) if name in _CALLED else (name, _YES.get(value.lower()))
    if yes is None:
        raise LabelsError(f"{claim}: expected yes or no, such as {name}=no")
    places = {k: task for task in heads if task not in ("genre", "affect") for k in heads[task].tasks[task].labels}
    for called, task in places.items():
        if genre_key(called) == genre_key(label) and name in (task, label):
            return task, called, yes
    near = did_you_mean(close_names(label, list(places))) or f"; there are: genre, {', '.join(places)}"
    raise LabelsError(f"{claim}: nothing of that name is guessed{near}")


def correct_library(
    library: LibraryStore, given: GivenLabels, *, shares: str | None = None, forget: bool = False
) -> Corrected:
    """Keep what a person says, and guess all songs anew by it.

    Parameters
    ----------
    library : LibraryStore
        Open for writing; holds vectors that some heads are of.
    given : GivenLabels
        Of `parse_labels` or `labels_of_file`.
    shares : str, optional
        How common genres are: as ``"rock=40%, jazz=.1"``, or ``"tags"``; ``"none"`` forgets it.
    forget : bool
        Forget the corrections of these songs, or of all where none is named.

    Raises
    ------
    ValueError
        `shares` cannot be read, or there is nothing to do.
    LibraryError, EncoderMismatch
        As of `Heads.check_encoder`.
    """
    predicting = heads_for(library)
    for one in predicting:
        one.fitted.check_encoder(library)
    if not (given.rows or shares or forget):
        raise ValueError("nothing is said; name a song and what is right of it, such as genre=funk, or give --shares")
    if shares:
        library.store_genre_shares(_parsed_shares(library, shares))
    forgotten = 0
    if forget:
        everyone = given.ids or tuple(library.ids().tolist())
        forgotten = library.forget_answers(everyone)
    for task, rows in given.rows.items():
        library.store_answers(task, rows, alone=task == "genre")
    before = {task: _tops(library, task) for one in predicting for task in one.tasks}
    songs = 0
    for one in predicting:  # moved by now by what is kept above
        songs = len(predict_library(library, one.heads, one.tasks, source=one.source)[0])
    after = {task: _tops(library, task) for task in before}
    changed = {task: sum(after[task].get(i) != of for i, of in was.items()) for task, was in before.items()}
    return Corrected(
        len(given.ids) if given.rows else 0,
        forgotten,
        songs,
        {task: changed[task] for task in TASKS if changed.get(task)},
        library.genre_shares(),
    )


def _tops(library: LibraryStore, task: str) -> dict[int, Any]:
    """What is guessed of each track: the likeliest genre, or all that is more likely than not."""
    rows = library.probabilities(task)
    if task == "genre":
        return {i: max(of, key=lambda name: of[name]) for i, of in rows.items()}
    return {i: frozenset(name for name, p in of.items() if p >= _LIKELY) for i, of in rows.items()}


def _parsed_shares(library: LibraryStore, text: str) -> dict[str, float]:
    heads = next((one.heads for one in heads_for(library) if "genre" in one.tasks), None)
    known = heads.tasks["genre"].labels if heads else ()
    if text.strip().lower() == "none":
        return {}
    if text.strip().lower() == "tags":
        return shares_of_tags(library, known)
    found: dict[str, float] = {}
    for part in filter(str.strip, text.split(",")):
        name, sign, number = (piece.strip() for piece in part.partition("="))
        label = next((k for k in known if genre_key(k) == genre_key(name)), None)
        if label is None:
            raise ValueError(f"--shares: no genre is called {name!r}{did_you_mean(close_names(name, list(known)))}")
        try:
            share = float(number.rstrip("% ")) / (100 if number.endswith("%") else 1)
        except ValueError:
            share = np.nan
        if not (sign and 0 <= share <= 1):
            raise ValueError(f"--shares: found {part.strip()!r}; expected such as {name}=40% or {name}=0.4")
        found[label] = share
    if sum(found.values()) > 1 + 1e-9:
        raise ValueError(f"--shares: they add up to {percent(sum(found.values()))}; expected 100 % at most")
    return found
