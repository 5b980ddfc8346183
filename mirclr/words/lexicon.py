"""The meaning of words by hand: `lexicon`, from lexicon.txt."""

import re
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("lexicon.txt")
_TAG = re.compile(r"(-?)(.+?)(?:\s+(\.\d+|1))?")


@cache
def lexicon() -> dict[str, dict[str, float]]:
    """Weights over tags, by word or phrase as `tags.folded` has it; absolute weights add up to 1."""
    found: dict[str, dict[str, float]] = {}
    for line in _FILE.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            words, tags = line.split(": ")
            weights = _weights(tags)
            found.update((folded_phrase(word), weights) for word in words.split(","))
    return found


def folded_phrase(text: str) -> str:
    """A phrase as the lexicon has it: words in lower case with one space between, hyphens as spaces, "and" as "&"."""
    words = re.findall(r"[^\W_]+(?:['&’][^\W_]+)*|&", text.lower().replace("’", "'"))
    return " ".join("&" if word == "and" else word for word in words)


def _weights(tags: str) -> dict[str, float]:
    weights: dict[str, float] = {}
    for text in tags.split(","):
        sign, tag, weight = _TAG.fullmatch(text.strip()).groups()  # type: ignore[union-attr]
        weights[tag] = (-1 if sign else 1) * float(weight or 1)
    total = sum(map(abs, weights.values()))
    return {tag: weight / total for tag, weight in weights.items()}
