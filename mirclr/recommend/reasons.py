"""Why a track is recommended: the seed it is near, what they share, and which excerpts of both are most similar."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mirclr.library import ExcerptEmbeddings, LibraryStore, LibraryTrack, shown
from mirclr.names import album_name, first_artist
from mirclr.recommend.filters import likely_labels
from mirclr.recommend.keys import parse_key, relation
from mirclr.recommend.rules import genres_of
from mirclr.recommend.seeds import Seed

_SAME_TEMPO = 0.04


@dataclass(frozen=True)
class Explanation:
    """What a track and its nearest seed have in common.

    Attributes
    ----------
    seed : str
        Label of the seed.
    same : tuple of str
        Of artist, album and genre, those that their tags share.
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
    """

    seed: str
    same: tuple[str, ...] = ()
    labels: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    tempo: tuple[float, float] | None = None
    key: tuple[str, str] | None = None
    relations: tuple[str, ...] = ()
    excerpts: tuple[float, float] | None = None

    def text(self, *, name_seed: bool) -> str:
        """In a line, for people; the seed is named where there are several."""
        parts = [f"near {self.seed}"] if name_seed else []
        parts += [f"same {name}" for name in self.same]
        parts += [f"{task}: {', '.join(both)}" for task, both in self.labels.items() if both]
        parts += self.relations
        return shown("; ".join(parts) or "sounds similar")


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
    """

    def __init__(self, library: LibraryStore, pairs: Sequence[tuple[Seed, LibraryTrack]], *, excerpts: bool) -> None:
        ids = [i for seed, track in pairs for i in (seed.track_id, track.id) if i is not None]
        ids = list(dict.fromkeys(ids))
        tasks = (task for task in library.tasks() if task != "affect")  # valence and arousal are no labels
        self._labels = {task: likely_labels(library, task, ids) for task in tasks}
        self._described = library.descriptions(ids)
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
        )


def most_similar_excerpts(a: ExcerptEmbeddings, b: ExcerptEmbeddings) -> tuple[float, float] | None:
    """Where the two most similar excerpts of two tracks begin, in seconds; None where either has none."""
    if not len(a.starts) or not len(b.starts):
        return None
    i, j = divmod(int((a.units() @ b.units().T).argmax()), len(b.starts))
    return round(float(a.starts[i]), 1), round(float(b.starts[j]), 1)


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
