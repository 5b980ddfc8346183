"""`understand`: a text to tags with weights, filters, what it leads away from, and what is not understood."""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mirclr.words.bounds import read_bounds
from mirclr.words.lexicon import folded_phrase, lexicon
from mirclr.words.small import EMPTY, FORMS, MOODS, NEGATORS, SOUNDS, STRONGER, UNKNOWN, WEAKER
from mirclr.words.tags import Vocabulary
from mirclr.words.vectors import WordVectors

LONGEST = 1000
"""Characters of a text."""
BY_NEIGHBOURS = 0.7
"""How much a word counts whose meaning is that of its neighbours, beside one of the lexicon."""
_PHRASE = 4  # words
_CLOSE = 0.86
_SHORT = 4

_LIKE_WITHOUT = re.compile(
    r"\b(?:anything|everything|all) but\b|\bother than\b|\bfree (?:of|from)\b|\binstead of\b|\brather than\b"
    r"|\bapart from\b|\bw/o\b|\bdevoid of\b|\black of\b|\bstay away from\b"
    r"|\b(?:little|next) to no\b|\balmost no\b"
    r"|(?<!\ba )\b(?:very |too )?(?:few|little|minimal|not (?:much|many))"
    r"(?= (?:vocals?|voices?|singing|lyrics|words|drums?|drumming|percussion|beats?|bass|guitars?|piano|synths?"
    r"|strings)\b)"
)
_SPELLED = (
    (_LIKE_WITHOUT, " without "),
    (re.compile(r"(?:^|(?<=\s))-(?=[^\W\d_])"), ", without "),  # as search engines have it: "rock -jazz"
    (re.compile(r"\bw/"), "with "),
    (re.compile(r"(?<=[^\W\d_])\s*[/|]+\s*(?=[^\W\d_])"), " or "),
)
_NO_NEGATION = re.compile(r"\bnot (?:only|just|necessarily)\b|\bmore or less\b")
_FREE = re.compile(r"\b(?:([a-z]+)-free|(drum|beat|voice|vocal|guitar|percussion)less)\b")
_ENDS = re.compile(r"([,;:.!?()\[\]\"/+|\n]+|\bbut\b|\byet\b|\bthough\b|\bplus\b)")
_VOICES = frozenset(("vocals", "instrumental", "female vocals", "male vocals"))


@dataclass(frozen=True)
class Concept:
    """One thing that a text asks for.

    Attributes
    ----------
    text : str
        The words, as they were understood.
    weights : dict of str to float
        Over tags; absolute weights add up to 1.
    factor : float
        How much it counts.
    negated : bool
        Whether it is what songs should not be.
    relative : bool
        Whether it is meant beside a song that is named: "calmer", "less loud".
    near : bool
        Whether its meaning is that of the nearest words of the lexicon.
    """

    text: str
    weights: dict[str, float]
    factor: float = 1.0
    negated: bool = False
    relative: bool = False
    near: bool = False


@dataclass(frozen=True)
class Understood:
    """What a text asks.

    Attributes
    ----------
    concepts : tuple of Concept
    bounds : tuple of (str, str)
        Fields of `mirclr.recommend.Query` with texts as it reads them; a field may come twice.
    vocal : bool or None
        Whether there is to be singing.
    unknown : tuple of str
        What is not understood.
    changed : dict of str to str
        Words that were taken as others, as misspelt.
    """

    concepts: tuple[Concept, ...] = ()
    bounds: tuple[tuple[str, str], ...] = ()
    vocal: bool | None = None
    unknown: tuple[str, ...] = ()
    changed: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Whether enough is understood: a word that is only near to others does not make up for one that is not."""
        sure = self.bounds or self.vocal is not None or any(not one.near for one in self.concepts)
        return bool(sure or len(self.concepts) > len(self.unknown))

    @property
    def wanted(self) -> tuple[Concept, ...]:
        """The concepts that songs should have."""
        return tuple(one for one in self.concepts if not one.negated)

    @property
    def unwanted(self) -> tuple[Concept, ...]:
        """The concepts that songs should not have."""
        return tuple(one for one in self.concepts if one.negated)

    @property
    def weights(self) -> dict[str, float]:
        """Weights over tags of all that is wanted; absolute weights add up to 1."""
        total = sum(one.factor for one in self.wanted) or 1.0
        found: dict[str, float] = {}
        for one in self.wanted:
            for tag, weight in one.weights.items():
                found[tag] = found.get(tag, 0.0) + weight * one.factor / total
        return dict(sorted(found.items(), key=lambda item: -abs(item[1])))


def understand(text: str, vocabulary: Vocabulary) -> Understood:
    """Read what a text asks of songs.

    Parameters
    ----------
    text : str
        As a person types it, in English.
    vocabulary : Vocabulary
        The tags that something is known of.

    Returns
    -------
    Understood
        It is false where nothing is understood.
    """
    plain = unicodedata.normalize("NFKC", text[:LONGEST]).lower().replace("’", "'").replace("‘", "'")
    for pattern, written in _SPELLED:
        plain = pattern.sub(written, plain)
    bounds = read_bounds(plain)
    rest = _NO_NEGATION.sub(" ", _FREE.sub(r"without \1\2 , ", bounds.rest))
    reader, ending = _Reader(vocabulary), ","
    for at, part in enumerate(_ENDS.split(rest)):
        if at % 2:
            ending = part
        elif words := folded_phrase(part).split():
            reader.read(words, goes_on=ending == ",")
    unknown = (*bounds.unknown, *reader.unknown)
    return Understood(reader.joined(), tuple(bounds.found), reader.vocal, unknown, reader.changed)


class _Reader:
    """Reads clauses, word by word."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.concepts: list[Concept] = []
        self.unknown: list[str] = []
        self.changed: dict[str, str] = {}
        self.vocal: bool | None = None
        self._negated = False  # at the end of the last clause
        self._alone: list[int] = []  # the concepts of the clauses before, as far as each is of one
        self._either: list[list[int]] = []  # concepts of which one will do

    def read(self, words: list[str], goes_on: bool) -> None:
        """Read one clause, which may be the end of a list of others: "no piano, guitar or drums"."""
        first, strange = len(self.concepts), len(self.unknown)
        self._alone = self._alone if goes_on else []
        negated = self._negated and words[0] in ("or", "nor")
        either = [first - 1] if words[0] == "or" and goes_on and first else []
        pairs: list[int] = []  # concepts after which an "or" comes
        at, factor, relative, ended, denied = 0, 1.0, False, "", -1
        while at < len(words):
            word, before = words[at], len(self.concepts)
            phrase, meaning, compared = self._longest(words[at : at + _PHRASE])
            if phrase and not (word in NEGATORS and self._meaning(phrase.partition(" ")[2])):  # "no wave" is a genre
                negated = negated and not (ended and self._begins_anew(ended, words[at - 1], meaning))
                self._take(Concept(phrase, meaning, factor, negated, relative or compared))
                ended = phrase
                at, factor, relative = at + len(phrase.split()), 1.0, False
            else:
                at += 1
                if (
                    word in NEGATORS
                ):  # a second one takes back the first: "not without"; but not in "no piano no guitar"
                    again = len(self.concepts) + len(self.unknown) > denied >= 0
                    negated = word in ("nor", "neither") or again or not negated
                    denied = len(self.concepts) + len(self.unknown)
                elif word in ("more", "less", "fewer"):
                    relative, negated = True, negated != (word != "more")
                elif word in STRONGER:
                    factor = 1.5
                elif word in WEAKER:
                    factor = 0.6
                elif word in ("and", "&") and negated:
                    following, meaning, _ = self._longest(words[at : at + _PHRASE])
                    negated = bool(following) and _group(meaning) == _group(self.concepts[-1].weights)
                elif word in ("with", "only", "just"):
                    negated = False
                elif word == "or" and len(self.concepts) > first:
                    either = [len(self.concepts) - 1]
                elif word not in EMPTY:
                    self._read_alone(word, factor, negated, relative)
                    factor, relative = 1.0, False
            if either and len(self.concepts) > before:
                pairs, either = pairs + either, []
        self._negated = negated
        self._end_list(first, pairs)
        one = len(self.concepts) == first + 1 and len(self.unknown) == strange
        self._alone = [*self._alone, first] if one and not pairs else []

    def _begins_anew(self, ended: str, between: str, meaning: Mapping[str, float]) -> bool:
        """Whether what comes directly after a negated phrase is no more of it: "no drums calm piano"."""
        last, plural = self.concepts[-1], ended[-1:] == "s" and ended[-2:] != "ss"
        sung = last.weights.keys() <= _VOICES
        direct = between == ended.split()[-1]
        return direct and (sung or (plural and _group(last.weights) == "sound" != _group(meaning)))

    def _end_list(self, first: int, pairs: list[int]) -> None:
        """Note which concepts an "or" joins; a list goes back over those of their kind, and a "no" there is for all."""
        chains = [self._either.pop()] if self._either and pairs[:1] == self._either[-1][-1:] else []
        for left in pairs:
            if chains and left == chains[-1][-1]:
                chains[-1].append(left + 1)
                continue
            chain = [left, left + 1]
            for one in reversed(self._alone) if left <= first else ():
                if one < left and self._alike(one, left):
                    chain.insert(0, one)
            chains.append(chain)
        for chain in chains:
            denied = [at for at, one in enumerate(chain) if one < first and self.concepts[one].negated]
            for one in chain[denied[-1] + 1 :] if denied else []:
                self._deny(one)
        self._either += chains

    def _alike(self, one: int, other: int) -> bool:
        return _group(self.concepts[one].weights) == _group(self.concepts[other].weights)

    def _deny(self, at: int) -> None:
        """Take a concept for one that is not wanted after all."""
        after = self.concepts[at + 1 :]
        one = replace(self.concepts[at], negated=True)
        del self.concepts[at:]
        self._take(one)
        self.concepts += after

    def joined(self) -> tuple[Concept, ...]:
        """The concepts, those of which one will do as one."""
        found: dict[int, Concept] = dict(enumerate(self.concepts))
        for chain in self._either:
            some = [self.concepts[one] for one in chain]
            if any(one.negated or one.relative or one.weights.keys() <= _VOICES for one in some):
                continue
            weights: dict[str, float] = {}
            for one in some:
                for tag, weight in one.weights.items():
                    weights[tag] = weights.get(tag, 0.0) + weight / len(some)
            total = sum(map(abs, weights.values())) or 1.0
            found[chain[0]] = Concept(
                " or ".join(one.text for one in some),
                {tag: weight / total for tag, weight in weights.items() if weight},
                max(one.factor for one in some),
                near=all(one.near for one in some),
            )
            for at in chain[1:]:
                del found[at]
        return tuple(found.values())

    def _longest(self, words: list[str]) -> tuple[str, dict[str, float], bool]:
        """The longest phrase at the beginning that is a word of the lexicon, a tag, or a form of either."""
        for n in range(len(words), 0, -1):
            phrase = " ".join(words[:n])
            if meaning := self._meaning(phrase):
                return phrase, meaning, False
        if words and words[0] not in EMPTY | NEGATORS | STRONGER | WEAKER:
            for stem, compared in _stems(words[0]):
                if meaning := self._meaning(stem):
                    return words[0], meaning, compared
        return "", {}, False

    def _meaning(self, phrase: str) -> dict[str, float]:
        """Weights over known tags; a label of one's own goes before the lexicon."""
        written, tag = lexicon().get(phrase, {}), self._vocabulary.named(phrase)
        if tag and tag not in written:
            return {tag: 1.0}
        return self._vocabulary.known(written) if written else {}

    def _take(self, concept: Concept) -> None:
        tags = concept.weights.keys()
        if tags <= _VOICES:
            sung = "instrumental" not in tags
            if sung is not concept.negated or tags <= {"vocals", "instrumental"}:
                self.vocal = sung is not concept.negated
            if tags <= {"vocals", "instrumental"} and concept.negated:
                other = self._vocabulary.known({"vocals" if not sung else "instrumental": 1.0})
                concept = Concept(concept.text, other, concept.factor) if other else concept
        self.concepts.append(concept)

    def _read_alone(self, word: str, factor: float, negated: bool, relative: bool) -> None:
        """Read a word that neither lexicon nor tags have: by its neighbours, or as misspelt."""
        meaning = self._vocabulary.known(WordVectors.load().meaning(word)) if word not in UNKNOWN else {}
        if meaning:
            self.concepts.append(Concept(word, meaning, factor * BY_NEIGHBOURS, negated, relative, near=True))
        elif close := self._close(word):
            self.changed[word] = close
            self._take(Concept(close, self._meaning(close), factor, negated, relative))
        else:
            self.unknown.append(f"not {word}" if negated else word)

    def _close(self, word: str) -> str | None:
        """What a misspelt word may mean."""
        if len(word) <= _SHORT or not word.isalpha():
            return None
        from difflib import get_close_matches

        named = {name for name in (*lexicon(), *self._vocabulary.labels) if name[:1] == word[:1]}
        return next((name for name in get_close_matches(word, sorted(named), 3, _CLOSE) if self._meaning(name)), None)


def _group(meaning: Mapping[str, float]) -> str:
    """Of what kind the strongest tag is: a sound, a mood, or else a genre."""
    tag = max(meaning, key=lambda tag: abs(meaning[tag]), default="")
    return "sound" if tag in SOUNDS else "mood" if tag in MOODS else "genre"


def _stems(word: str) -> list[tuple[str, bool]]:
    """Words that a word may be a form of, each with whether it is compared: "calmer" is of calm."""
    found = []
    for ending, others in FORMS.items():
        stem = word.removesuffix(ending)
        if stem != word and len(stem) >= 3:
            compared = ending in ("er", "ier")
            found += [(stem + other, compared) for other in others]
            found += [(stem[:-1], compared)] if stem[-1] == stem[-2] else []
    return found
