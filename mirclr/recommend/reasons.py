"""Why a track is recommended: the seed it is near, what they share, and which excerpts of both are most similar.

`distinguishing` puts the reasons of a list into words: what sets each of its tracks apart from the others.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from mirclr.library import ExcerptEmbeddings, LibraryStore, LibraryTrack, Outline, shown
from mirclr.library.outlines import PITCH_NAMES
from mirclr.names import album_name, first_artist
from mirclr.recommend.filters import likely_labels
from mirclr.recommend.keys import parse_key, relation
from mirclr.recommend.likeness import Likeness
from mirclr.recommend.rules import genre_name, genres_of
from mirclr.recommend.seeds import Seed

MOST_WORDS = 3
"""Of a reason."""
_SAME_TEMPO = 0.04
_ALIKE = 0.95


@dataclass(frozen=True)
class Explanation:
    """What a track and its nearest seed have in common.

    Attributes
    ----------
    seed : str
        Label of the seed.
    same : tuple of str
        Of artist, album and genre, those that their tags share.
    tagged : tuple of str
        The genres that the tags of both name, as the track's are written.
    labels : dict
        By task, such as ``genre``, the labels that both likely have: probability for the seed and for the track.
    tempo : (float, float) or None
        Of seed and track, beats a minute.
    key : (str, str) or None
        Of seed and track.
    relations : tuple of str
        How tempos and keys are related, for people.
    excerpts : (float, float) or None
        Where in seed and track the most similar excerpts begin, in seconds.
    aspects : dict
        By aspect that the query weighs, where it is known: which fraction of the library's pairs of songs are less
        alike in it.
    chords : (str, str) or None
        Four chords that come again in both, as each has them, where harmony counts: ``C G Am F``, ``Eb Bb Cm Ab``.
    """

    seed: str
    same: tuple[str, ...] = ()
    labels: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    tempo: tuple[float, float] | None = None
    key: tuple[str, str] | None = None
    relations: tuple[str, ...] = ()
    excerpts: tuple[float, float] | None = None
    tagged: tuple[str, ...] = ()
    aspects: dict[str, float] = field(default_factory=dict)
    chords: tuple[str, str] | None = None

    def words(self) -> list[str]:
        """What both sound like ("sad", "rock") and what the tags of both say ("tagged rock"), the surest first."""
        tag_genres = set(map(genre_name, self.tagged))
        guessed = ((min(p), label) for both in self.labels.values() for label, p in both.items())
        words = [label.replace("_", " ") for _, label in sorted(guessed, key=lambda item: (-item[0], item[1]))]
        words = [word for word in words if genre_name(word) not in tag_genres]
        words += [f"tagged {text}" for text in self.tagged]
        alike = sorted((-fraction, name) for name, fraction in self.aspects.items() if fraction >= _ALIKE)
        words = [*(f"like {name}" for _, name in alike), *words]
        return [shown(word) for word in (*words, *(text for text in self.relations if text.startswith("same")))]


def distinguishing(explanations: Sequence[Explanation]) -> list[str]:
    """Why each track of a list is in it, in three words at most: those that hold for few of the others come first.

    What holds for most of a list sets none of its tracks apart, and is left out; what is left may be nothing.
    """
    words = [one.words() for one in explanations]
    counts = Counter(word for some in words for word in set(some))
    usual = max(1, len(words) // 2)
    reasons = []
    for some in words:
        chosen: list[str] = []
        for word in sorted(some, key=lambda word: counts[word]):  # stable: of equal ones the surest
            if counts[word] <= usual and len(" ".join((*chosen, word)).split()) <= MOST_WORDS:
                chosen.append(word)
        reasons.append(", ".join(chosen))
    return reasons


class Explainer:
    """Explains tracks by seeds; asks the library once for all.

    Parameters
    ----------
    library : LibraryStore
        What it knows of them.
    pairs : sequence of (Seed, LibraryTrack)
        What is to be explained.
    excerpts : bool
        Look for the most similar excerpts too.
    likeness : Likeness, optional
        Of a query that weighs aspects.
    """

    def __init__(
        self,
        library: LibraryStore,
        pairs: Sequence[tuple[Seed, LibraryTrack]],
        *,
        excerpts: bool,
        likeness: Likeness | None = None,
    ) -> None:
        self._likeness = likeness
        by_harmony = likeness is not None and "harmony" in likeness.weights
        ids = [i for seed, track in pairs for i in (seed.track_id, track.id) if i is not None]
        ids = list(dict.fromkeys(ids))
        self._labels = {
            task: likely_labels(library, task, ids) for task in ("genre", "mood") if task in library.tasks()
        }
        self._described = library.descriptions(ids)
        self._outlines = library.outlines(ids) if by_harmony else {}
        self._moments = library.excerpt_embeddings(ids) if excerpts else {}

    def explain(self, seed: Seed, track: LibraryTrack) -> Explanation:
        """What one track has in common with a seed."""
        mine, its = self._described.get(seed.track_id or 0), self._described.get(track.id)
        tempo = (mine.tempo_bpm, its.tempo_bpm) if mine and its and mine.tempo_bpm and its.tempo_bpm else None
        key = (mine.key, its.key) if mine and its and mine.key and its.key else None
        a, b = seed.excerpts or self._moments.get(seed.track_id or 0), self._moments.get(track.id)
        return Explanation(
            seed.label,
            _same(seed.track, track),
            {
                task: {
                    label: (rows[seed.track_id][label], p)
                    for label, p in rows.get(track.id, {}).items()
                    if seed.track_id in rows and label in rows[seed.track_id]
                }
                for task, rows in self._labels.items()
            },
            tempo,
            key,
            tuple(_relations(tempo, key)),
            most_similar_excerpts(a, b) if a is not None and b is not None else None,
            _tagged(seed.track, track),
            self._likeness.fractions(seed, track.id) if self._likeness else {},
            shared_chords(self._outlines.get(seed.track_id or 0), self._outlines.get(track.id)),
        )


def shared_chords(a: Outline | None, b: Outline | None) -> tuple[str, str] | None:
    """The four chords that come most often in both of two outlines, in whatever key, as each has them; None where no
    four come twice in both.
    """
    if a is None or b is None:
        return None
    mine, its = _fours(a), _fours(b)
    often = {steps: min(len(mine[steps]), len(its[steps])) for steps in mine.keys() & its.keys()}
    best = max(often, key=lambda steps: (often[steps], steps), default=None)
    if best is None or often[best] < 2:
        return None
    first, second = (Counter(places[best]).most_common(1)[0][0] for places in (mine, its))
    return first, second


def _fours(outline: Outline) -> dict[tuple[int, ...], list[str]]:
    """Each four chords of an outline in a row, by how far their roots go: as often as they come, by their names."""
    named = [chord.name for chord in outline.named_chords if chord.name != "N"]
    roots = [(name[:2] if name[1:2] in ("#", "b") else name[:1], name) for name in named]
    chords = [(root, root + ("m" if name[len(root) :] in ("m", "m7") else "")) for root, name in roots]
    chords = [chord for i, chord in enumerate(chords) if not i or chord[0] != chords[i - 1][0]]
    found: dict[tuple[int, ...], list[str]] = {}
    for at in range(len(chords) - 3):
        four = chords[at : at + 4]
        numbers = [PITCH_NAMES.index(root) for root, _ in four]
        steps = tuple((number - numbers[0]) % 12 for number in numbers)
        found.setdefault(steps, []).append(" ".join(name for _, name in four))
    return found


def most_similar_excerpts(a: ExcerptEmbeddings, b: ExcerptEmbeddings) -> tuple[float, float] | None:
    """Where the two most similar excerpts of two tracks begin, in seconds; None where either has none."""
    if not len(a.starts) or not len(b.starts):
        return None
    i, j = divmod(int((a.units() @ b.units().T).argmax()), len(b.starts))
    return round(float(a.starts[i]), 1), round(float(b.starts[j]), 1)


def _tagged(seed: LibraryTrack | None, track: LibraryTrack) -> tuple[str, ...]:
    """The genres that the tags of both name."""
    if seed is None or not track.genre or not seed.genre:
        return ()
    shared = genres_of(track.genre) & genres_of(seed.genre)
    parts = [part.strip() for part in re.split(r"[/,;\0]", track.genre)]
    named = {genre_name(part): part for part in reversed(parts) if genre_name(part) in shared}
    return tuple(reversed(named.values())) or (track.genre.strip(),) * bool(shared)


def _same(seed: LibraryTrack | None, track: LibraryTrack) -> tuple[str, ...]:
    if seed is None:
        return ()
    same = {
        "artist": track.artist and seed.artist and first_artist(track.artist) == first_artist(seed.artist),
        "album": track.album and seed.album and album_name(track.album) == album_name(seed.album),
        "genre": track.genre and seed.genre and genres_of(track.genre) & genres_of(seed.genre),
    }
    return tuple(name for name, is_same in same.items() if is_same)


def _relations(tempo: tuple[float, float] | None, key: tuple[str, str] | None) -> list[str]:
    found = []
    if tempo:
        for factor, text in ((1.0, "same tempo"), (2.0, "twice the tempo"), (0.5, "half the tempo")):
            if abs(tempo[1] / tempo[0] / factor - 1) <= _SAME_TEMPO:
                found.append(text)
    if key:
        a, b = parse_key(key[0]), parse_key(key[1])
        if a and b and (related := relation(a, b)):
            found.append(related)
    return found
