"""The tags that words mean, and the labels of heads that stand for them."""

import re
from collections.abc import Iterable, Mapping

BASE_RATE = 0.1
"""The probability of a tag in music at large: heads of the task ``tag`` say how likely a song is among the strongest
tenth."""

TASKS = ("tag", "genre", "mood", "affect", "voice", "sound", "instrument")
"""Of heads, whose labels are tags."""

_NAMES = {
    "female vocals": "female voice, female vocalist, female vocalists, female",
    "male vocals": "male voice, male vocalist, male vocalists, male",
    "vocals": "vocal, voice, singing, with vocals",
    "instrumental": "no vocals, no vocal, no voice",
    "rnb": "r&b, r and b",
    "hip-hop": "hip hop, rap",
    "electronic": "electronica, electro",
    "progressive rock": "prog rock",
    "alternative": "alternative rock",
    "beat": "beats",
    "choral": "choir",
    "strings": "string",
    "drums": "drum",
    "chill": "chillout, chill out",
    "positive": "valence",
    "danceable": "danceability",
    "energetic": "arousal, energy",
}
"""Other names of labels, by tag."""

_TAG_OF = {name.strip(): tag for tag, names in _NAMES.items() for name in names.split(",")}

INSTEAD = {
    "calm": "quiet, soft, slow",
    "quiet": "soft, calm",
    "soft": "quiet, calm, mellow",
    "slow": "calm, quiet, mellow",
    "fast": "energetic, dance",
    "loud": "aggressive, energetic",
    "energetic": "fast, loud, dance",
    "aggressive": "loud, metal, hard rock, punk",
    "dreamy": "ambient, new age, chill",
    "positive": "happy",
    "chill": "mellow, ambient",
    "danceable": "dance, party, beat",
    "beat": "dance, drums",
    "hard rock": "metal, rock",
    "classic rock": "rock",
    "progressive rock": "rock",
    "alternative": "indie, rock",
    "indie": "alternative, rock",
    "rnb": "soul",
    "soul": "rnb",
    "funk": "soul",
    "house": "dance, electronic",
    "techno": "electronic, dance",
    "dance": "house, techno, electronic",
    "new age": "ambient",
    "opera": "choral, classical",
    "choral": "opera, classical",
    "synth": "electronic",
    "acoustic": "folk",
    "violin": "strings",
    "cello": "strings",
    "harpsichord": "classical",
    "easy listening": "mellow, pop",
    "oldies": "60s",
    "sitar": "indian",
    "female vocals": "vocals",
    "male vocals": "vocals",
    "weird": "experimental",
}
"""By which tags together a tag is predicted where no label stands for it."""


def folded(name: str) -> str:
    """A name as it is compared: lower case, "-", "_" and runs of spaces as one space, "and" as "&"."""
    return re.sub(r"\band\b", "&", re.sub(r"[\s_\-‐-―]+", " ", name.strip().lower()))


_FOLDED = {folded(name): tag for name, tag in _TAG_OF.items()} | {"hip hop": "hip-hop"}


def tags_of(label: str) -> list[str]:
    """The tags that a label of heads stands for: that of its own name, and of each part of "soul & R&B"."""
    whole = folded(label)
    parts = [whole, *(part for part in re.split(r"\s+&\s+|\s*/\s*", whole) if part != whole)]
    return list(dict.fromkeys(_FOLDED.get(part, part) for part in parts))


class Vocabulary:
    """The tags that something is known of.

    Parameters
    ----------
    labels : mapping of str to iterable of str
        The labels of heads, by task.
    own : iterable of str
        Genres that the tags of files name.

    Attributes
    ----------
    labels : dict of str to tuple of (task, label)
        Which labels stand for a tag, all of the first of `TASKS` that has one; none for a tag that files alone name.
    """

    def __init__(self, labels: Mapping[str, Iterable[str]], own: Iterable[str] = ()) -> None:
        found: dict[str, list[tuple[str, str]]] = {}
        for task in TASKS:
            known = frozenset(found)
            for label in labels.get(task, ()):
                for tag in tags_of(label):
                    if tag not in known:
                        found.setdefault(tag, []).append((task, label))
        for name in own:
            found.setdefault(_FOLDED.get(folded(name), folded(name)), [])
        self.labels = {tag: tuple(pairs) for tag, pairs in found.items()}

    def __contains__(self, tag: str) -> bool:
        return tag in self.labels

    def named(self, text: str) -> str | None:
        """The tag that a text names as it stands; None where it names none."""
        tag = _FOLDED.get(folded(text), folded(text))
        return tag if tag in self.labels else None

    def known(self, weights: Mapping[str, float]) -> dict[str, float]:
        """Weights over tags that are there, of weights over any: what is not known is predicted by others, or left out.

        Their absolute values add up to 1; empty where too little of the meaning is left.
        """
        left: dict[str, float] = {}
        for tag, weight in weights.items():
            others = [tag] if tag in self.labels else [t.strip() for t in INSTEAD.get(tag, "").split(",")]
            there = [t for t in others if t in self.labels]
            for one in there:
                left[one] = left.get(one, 0.0) + weight / len(there)
        kept = sum(abs(w) for tag, w in weights.items() if tag in self.labels or tag in INSTEAD)
        total = sum(map(abs, left.values()))
        if not total or kept < 0.5 * sum(map(abs, weights.values())):
            return {}
        return {tag: weight / total for tag, weight in left.items()}
