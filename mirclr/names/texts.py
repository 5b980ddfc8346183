"""Texts of tags as names and search compare them: folded, in plain punctuation, without what people leave out."""

import re
import unicodedata
from functools import lru_cache

_LONGEST = 1000
_PLAIN = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th"})
_TYPED = str.maketrans(
    dict.fromkeys("’‘‚‛ʼʻʹʽˈ′‵`´՚＇", "'")
    | dict.fromkeys("“”„‟«»″‶〃〝〞＂", '"')
    | dict.fromkeys("‐‑‒–—―−⁃﹘﹣－", "-")
    | dict.fromkeys("〜～∼˜", "~")
    | dict.fromkeys("·‧∙⋅•・･․", ".")
    | {"…": "...", "⁄": "/", "∕": "/", "＆": "&", "\u00ad": None, "\u200b": None, "\u200e": None, "\u200f": None}
    | {"\ufeff": None, "\u2060": None}
)
_SEARCHED = str.maketrans({"'": None, '"': None, "-": " ", "_": " "})
_UNSAID = frozenset(("&", "+", "and"))  # in a search they need not be there
# "and" in the languages of tags; "Guns N' Roses", "Rock'n'Roll", "Salt-N-Pepa"
_AND = re.compile(r"(?<=\S) (?:and|und|et|y|e|og|och|en|и|\+|n|'n'|n'|'n) (?=\S)|(?<=\w)(?:'n'|-n-)(?=\w)")
_INITIALS = re.compile(r"\b(?:\w\. ?){2,}(?:\w\b(?![.\w]))?")
_LETTERS = re.compile("[a-z0-9]+(?: [a-z0-9]+)*")
_QUOTES = str.maketrans({"'": None, '"': None})
_DROPPED = re.compile(r"(?<=\d),(?=\d)|(?<=\w)[.!?,:]+(?=\s|[)\]]|$)|(?<!\S)[.!?¡¿]+(?=\w)|,(?=\s|$)")
_SPACED = re.compile(
    r"(?<=[^\s.:_/-])[-.:_,/](?=[^\s.:_/-])|(?<=\s)[-/](?=\s)|(?<=\w)[-/](?=\s)|(?<=\s)[-/](?=\w)|(?<=\w)-$"
)
_WRITTEN_WITHOUT = "[\u3040-\u30ff\u3400-\u9fff]"  # spaces, and at times with: Japanese and Chinese
_NO_SPACE = re.compile(rf"(?<={_WRITTEN_WITHOUT}) (?={_WRITTEN_WITHOUT})")
_NUMBERED = re.compile(r"\b(?:n[°o]|nr)\.? ?(?=\d)")
# letters in disguise: "Ke$ha", "A$AP", "P!nk"; but "$100" and "Wham!"
_DISGUISED = ((re.compile(r"\$(?=[a-z$])|(?<=[a-z])\$|(?<=\$)\$"), "s"), (re.compile(r"(?<=\b[a-z])!(?=[a-z])"), "i"))


def fold(text: str) -> str:
    """A text as names and search compare it: lower case, no accents, ligatures taken apart, typewriter's punctuation.

    Apostrophes, quotes, hyphens and dots of print become those of a keyboard.
    """
    if text.isascii():
        return text.lower().replace("`", "'")
    folded = unicodedata.normalize("NFKD", text.translate(_TYPED))
    folded = unicodedata.normalize("NFKD", folded.casefold()).translate(_TYPED)
    # Latin, Greek and Cyrillic accents alone: in other scripts a mark makes another letter
    return "".join(c for c in folded if not "\u0300" <= c <= "\u036f").translate(_PLAIN)


@lru_cache(maxsize=1 << 15)
def words(text: str) -> str:
    """A text folded, its spaces made one each; of what is longer than any name the beginning."""
    return " ".join(fold(text[:_LONGEST]).split())


@lru_cache(maxsize=1 << 15)
def search_words(text: str) -> str:
    """The words of a text as search compares them: without apostrophes, quotes, hyphens, and what joins names."""
    spaced = fold(text).translate(_SEARCHED).split()
    return " ".join(word for word in spaced if word not in _UNSAID) or " ".join(spaced)


@lru_cache(maxsize=1 << 15)
def loose(text: str) -> str:
    """A folded name without what people write or leave out: apostrophes, hyphens, dots of initials, "and" for "&"."""
    plain = " ".join(text.split())
    if _LETTERS.fullmatch(plain) and not (_AND.search(plain) or _NUMBERED.search(plain)):
        return plain  # as most are: none of the rest finds anything in letters and digits
    found = _INITIALS.sub(_without_dots, _AND.sub(" & ", plain)).translate(_QUOTES)
    for letter, meant in _DISGUISED:
        found = letter.sub(meant, found)
    found = _SPACED.sub(" ", _DROPPED.sub("", _NUMBERED.sub("no ", found)))
    found = _NO_SPACE.sub("", " ".join(found.split()))
    return found if any(c.isalnum() for c in found) else plain


def _without_dots(initials: re.Match[str]) -> str:
    return re.sub(r"[. ]", "", initials[0]) + (" " if initials[0][-1] == " " else "")
