"""Numbers and bounds in a text: tempo, years, length, key, how many: `read_bounds`.

What is found is given as `mirclr.recommend.Query` reads it, and taken out of the text.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

_BELOW = (
    r"under|below|less than|shorter than|slower than|fewer than|no more than|up to|at most|max(?:imum)?(?: of)?|<=?"
)
_ABOVE = r"over|above|more than|longer than|faster than|no less than|at least|min(?:imum)?(?: of)?|>=?"
_ABOUT = r"around|about|approximately|approx\.?|roughly|circa|ca\.?|near(?:ly)?|some|~"
_SIDE = rf"(?:(?P<no>not |no )?(?:(?P<below>{_BELOW})|(?P<above>{_ABOVE})|(?P<about>{_ABOUT}))\s*)?"
_TO = r"\s*(?:-|–|—|\.\.+|to|and|till|until)\s*"
_NUMBER = r"\d+(?:\.\d+)?"
_UNIT = r"(?:hours?|hrs?|minutes?|mins?|seconds?|secs?|[hms])\b"
_TIME = rf"(?:\d+:\d\d(?::\d\d)?|{_NUMBER}\s*-?\s*{_UNIT}(?:\s*(?:and\s*)?\d+\s*{_UNIT})?)"
_BY = rf"(?:\s*±\s*(?P<by>{_NUMBER})(?:\s*bpm\b)?)?"
_SONGS = r"(?:songs?|tracks?|pieces?|tunes?)"
_DECADES = {"twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70}
_DECADES |= {"eighties": 80, "nineties": 90, "noughties": 0}
_DECADE = rf"(?:(?P<century>19|20)?(?P<tens>\d0)\s?'?s\b|(?P<word>{'|'.join(_DECADES)})\b)"
_PART = r"(?:(?P<part>early|mid|late)[\s-]+)?"
_LAST_DECADE = re.sub(r"<(part|century|tens|word)>", r"<\g<1>2>", _PART + _DECADE)
_LAST = r"(?!(?: to| than| the)?\s*'?\d)"  # no other number comes then: "over 100 bpm and under 120"
_AFTERWARDS = {
    "at least": rf"\s*\+|\s+(?:(?:and|or) (?:more|longer|faster|higher|above|over|up)|minimum|min|at least)\b{_LAST}",
    "at most": rf"\s+(?:(?:and|or) (?:less|fewer|shorter|slower|lower|below|under)|maximum|max|at most|tops)\b{_LAST}",
}
_COUNTS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_WORDS = {word: str(n) for n, word in enumerate(_COUNTS, 1)}
_WORDS |= {"fifteen": "15", "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60"}
_WORDS |= {"seventy": "70", "eighty": "80", "ninety": "90", "a hundred": "100"}
_MARKS = {"largo": "40..66", "lento": "45..66", "adagio": "55..76", "andante": "76..108", "moderato": "100..120"}
_MARKS |= {"allegretto": "105..125", "allegro": "120..160", "vivace": "140..176", "presto": "160..210"}
_ABOUT_BPM = 0.1
_NOT = (
    r"\b(?:not|no|non|never|nothing|none|without|except|exclude|excluding|avoid|skip|(?:do|does|is|are|wo)(?:n't|nt))\b\s*"
    r"(?:(?:too|very|so|that|which|really|all|any|anything|play|want|show|include|give|me|songs?|tracks?|pieces?|tunes?"
    r"|music|is|are|be|made|recorded|released|from|in|of|the)\s+)*$"
)
_OPPOSITES = {"over": "under", "before": "since", "after": "until"}
_ONE = ("key", "n", "length_s")  # fields that hold one value
_OPPOSITES |= {after: before for before, after in _OPPOSITES.items()}


_YEAR = r"(?:19|20)\d\d"
_SPELLED = [  # what is written otherwise, and how the rules below have it
    (re.compile(r"beats (?:per|a) minute"), "bpm"),
    (re.compile(r"\bhalf an hour\b"), "30 minutes"),
    (re.compile(r"\b(?:an|one) hour and a half\b"), "90 minutes"),
    (re.compile(r"\ban hour\b"), "60 minutes"),
    (re.compile(rf"\b(\d+),(?=\d+\s*-?\s*(?:bpm\b|{_UNIT}))"), r"\1."),
    (re.compile(r"\+\s*/?\s*-|\bplus or minus\b|\bgive or take\b"), "±"),
    (re.compile(rf"({_NUMBER})\s*±\s*({_NUMBER})\s*bpm\b"), r"\1 bpm ± \2"),
    (re.compile(rf">=\s*(?={_YEAR}\b)"), " since "),
    (re.compile(rf"<=\s*(?={_YEAR}\b)"), " until "),
    (re.compile(rf">\s*(?={_YEAR}\b)"), " after "),
    (re.compile(rf"<\s*(?={_YEAR}\b)"), " before "),
]


class Bounds(NamedTuple):
    """What was found.

    Attributes
    ----------
    found : list of (str, str)
        Fields of `Query` with texts as it reads them; a field may come twice.
    rest : str
        The text without it.
    unknown : list of str
        What cannot be asked, such as "not from the 80s".
    """

    found: list[tuple[str, str]]
    rest: str
    unknown: list[str]


def read_bounds(text: str) -> Bounds:
    """Find numbers and bounds in a text of lower case."""
    rest = text
    for pattern, written in _SPELLED:
        rest = pattern.sub(written, rest)
    for bound, words in _AFTERWARDS.items():  # as if it stood before the number
        rest = re.sub(rf"\b({_NUMBER}\s*-?\s*bpm\b|{_TIME})(?:{words})", rf"{bound} \1", rest)
    rest = re.sub(rf"\b({_NUMBER})\s*\+\s*(?=bpm|{_UNIT})", r"at least \1 ", rest)
    number = rf"\b({'|'.join(_WORDS)})(?=[\s-]+(?:{_SONGS}|{_UNIT}|bpm))"
    rest = re.sub(number, lambda m: _WORDS[m[1]], rest)
    found: list[tuple[str, str]] = []
    unknown: list[str] = []
    for pattern, field, read in _RULES:
        at = 0
        while match := pattern.search(rest, at):
            value = read(match)
            if value is None:
                at = match.end()
                continue
            before = re.search(_NOT, rest[: match.start()])
            side, _, bound = value.partition(" ")
            if before and side not in _OPPOSITES:  # the "no" stays, for what follows: "no 80s pop"
                unknown.append(" ".join(rest[before.start() : match.end()].split()))
                rest, at = f"{rest[: match.start()]} {rest[match.end() :]}", match.start()
                continue
            if field in _ONE and any(field == one for one, _ in found):
                unknown.append(match[0].strip())
            else:
                found.append((field, f"{_OPPOSITES[side]} {bound}" if before else value))
            start = before.start() if before else match.start()
            rest, at = f"{rest[:start]} , {rest[match.end() :]}", start
    return Bounds(found, rest, unknown)


def _side(match: re.Match[str]) -> str:
    """``under`` or ``over`` for a bound, ``~`` or nothing."""
    below, above = bool(match["below"]), bool(match["above"])
    if match["no"]:
        below, above = above, below
    return "under " if below else "over " if above else "~" if match["about"] else ""


def _bpm(match: re.Match[str]) -> str:
    low, high, side = float(match["low"]), match["high"], _side(match)
    if by := match["by"]:
        return f"{max(0.0, low - float(by)):g}..{low + float(by):g}"
    if high:
        return f"{min(low, float(high)):g}..{max(low, float(high)):g}"
    if side == "~":
        return f"{low * (1 - _ABOUT_BPM):g}..{low * (1 + _ABOUT_BPM):g}"
    return f"{side}{low:g}"


def _time(text: str) -> str:
    return re.sub(r"[\s-]+|and", "", text)


def _duration(match: re.Match[str]) -> str:
    if high := match["high"]:
        low = match["low"]
        low = low if re.search(r"[a-z:]", low) else low + re.sub(r"[\d.\s-]", "", high)[:1]
        return f"{_time(low)}..{_time(high)}"
    return f"{_side(match)}{_time(match['one'])}"


def _tens(match: re.Match[str], end: str = "") -> int | None:
    word, tens, century = (match[f"{name}{end}"] for name in ("word", "tens", "century"))
    if not (word or tens):
        return None
    year = _DECADES[word] if word else int(tens)
    return int(century) * 100 + year if century else year + (1900 if year >= 30 else 2000)


def _decades(match: re.Match[str]) -> str:
    first, last = _tens(match), _tens(match, "2")
    assert first is not None
    begin, end = _years_of(first, match["part"])
    if last is not None:
        begin, end = min(begin, _years_of(last, match["part2"])[0]), max(end, _years_of(last, match["part2"])[1])
    side = match["side"]
    if side:
        return f"before {begin}" if side in ("before", "pre") else f"after {end}"
    return f"since {begin}" if match["on"] else f"until {end}" if match["back"] else f"{begin}..{end}"


def _years_of(decade: int, part: str | None) -> tuple[int, int]:
    """First and last year of a decade, or of its ``early``, ``mid`` or ``late`` part."""
    first, last = {"early": (0, 3), "mid": (3, 6), "late": (6, 9)}.get(part or "", (0, 9))
    return decade + first, decade + last


def _years(match: re.Match[str]) -> str | None:
    side = match["side"]
    later = {"before": "before", "pre": "before", "older than": "before", "until": "until", "up to": "until"}
    later |= {"after": "after", "post": "after", "newer than": "after", "since": "since", "from": "since"}
    if match["no"] and not side:
        return None
    if match["high"]:
        return "{}..{}".format(*sorted((match["low"], match["high"])))
    if side and match["no"]:
        opposite = {"before": "since", "until": "after", "after": "until", "since": "before"}
        return f"{opposite[later[side]]} {match['low']}"
    if match["back"] or (match["on"] and (side or match["on"] != " on")):  # "jazz of 1990 on piano" says nothing of it
        return f"{'since' if match['on'] else 'until'} {match['low']}"
    if side == "from":
        return match["low"]
    return f"{later[side]} {match['low']}" if side else f"~{match['low']}" if match["about"] else match["low"]


def _key(match: re.Match[str]) -> str | None:
    note, sign, mode = match["note"], match["sign"] or "", match["mode"]
    if re.fullmatch(r"a ?(?:m|min)", match[0]) and _within_words(match):  # "i am tired", "3 am", "in under a min"
        return None
    sign = {"sharp": "#", "flat": "b", "♯": "#", "♭": "b"}.get(sign.strip(" -"), sign.strip())
    mixing = ",compatible" if match["mixing"] else ""
    return f"{note.upper()}{sign}{'m' if mode in ('minor', 'min', 'm') else ''}{mixing}"


def _within_words(match: re.Match[str]) -> bool:
    """Whether other words stand directly before or after it."""
    text, begin, end = match.string, match.start(), match.end()
    return bool(re.search(r"[^\W_]\s*$", text[:begin]) or re.match(r"\s*[^\W_]", text[end:]))


def _fixed(value: str) -> Callable[[re.Match[str]], str]:
    return lambda _: value


def _length(match: re.Match[str]) -> str:
    return _time(match["first"] or match["second"] or match["third"])


_ON = (
    rf"(?:(?P<on>\s*\+|\s+(?:on|onwards?|(?:and|or) (?:later|newer|after|up|above|younger))\b{_LAST})"
    rf"|(?P<back>\s+(?:and|or) (?:earlier|older|before|below)\b{_LAST}))?"
)
_RULES: list[tuple[re.Pattern[str], str, Callable[[re.Match[str]], str | None]]] = [
    (
        re.compile(rf"{_SIDE}(?:between |from )?(?P<low>{_NUMBER})(?:{_TO}(?P<high>{_NUMBER}))?\s*-?\s*bpm\b{_BY}"),
        "bpm",
        _bpm,
    ),
    (
        re.compile(
            rf"\b(?:tempo|bpm)(?: of|:| is)?\s*{_SIDE}(?:between |from )?"
            rf"(?P<low>{_NUMBER})(?:{_TO}(?P<high>{_NUMBER}))?{_BY}"
        ),
        "bpm",
        _bpm,
    ),
    (re.compile(r"\b(?:mid|medium|moderate|middling)[\s-]?(?:tempo|paced?|speed)\b"), "bpm", _fixed("90..120")),
    *((re.compile(rf"\b{word}\b"), "bpm", _fixed(span)) for word, span in _MARKS.items()),
    (
        re.compile(
            rf"\b(?:(?P<side>before|after|pre|post)[\s-]+)?(?:from |in |between )?(?:the )?"
            rf"{_PART}{_DECADE}(?:(?:{_TO}|\s+or\s+)(?:the )?{_LAST_DECADE})?{_ON}"
        ),
        "year",
        _decades,
    ),
    (
        re.compile(
            rf"(?P<first>{_TIME}) of\b|(?P<second>{_TIME})(?: long)? (?:playlist|mix|set|list)\b"
            rf"|\b(?:playlist|mix|set|list) (?:of|for|lasting) (?P<third>{_TIME})"
        ),
        "length_s",
        _length,
    ),
    (
        re.compile(rf"\b(?P<n>\d{{1,3}})\s+(?!{_UNIT})(?=(?:[a-z-]+\s+){{0,3}}?{_SONGS}\b)"),
        "n",
        lambda match: match["n"],
    ),
    (
        re.compile(
            rf"{_SIDE}(?:(?:between |from )?(?P<low>{_TIME}|{_NUMBER}){_TO}(?P<high>{_TIME})|(?P<one>{_TIME}))"
            r"(?: long| in length)?"
        ),
        "duration_s",
        _duration,
    ),
    (re.compile(rf"\b(?:very )?short (?=(?:[a-z-]+ ){{0,2}}{_SONGS}\b)|\bshort$"), "duration_s", _fixed("under 3m")),
    (re.compile(rf"\b(?:very )?long (?=(?:[a-z-]+ ){{0,2}}{_SONGS}\b)|\blong$"), "duration_s", _fixed("over 6m")),
    (
        re.compile(
            rf"\b(?P<no>not )?(?:(?P<side>before|after|older than|newer than|since|until|up to|from|pre|post)[\s-]+)?"
            rf"(?:(?P<about>{_ABOUT})\s*)?(?:in |between |of )?(?:the year )?(?P<low>{_YEAR})\b"
            rf"(?:{_TO}(?P<high>{_YEAR})\b)?{_ON}"
        ),
        "year",
        _years,
    ),
    (re.compile(r"\b20th[\s-]century\b"), "year", _fixed("1901..2000")),
    (re.compile(r"\b21st[\s-]century\b"), "year", _fixed("since 2001")),
    (re.compile(r"\b(?:in )?(?:an? )?(?P<mode>minor|major)[\s-]+(?:key|keys|mode)\b"), "key", lambda m: m["mode"]),
    (
        re.compile(
            r"\b(?P<mixing>(?:compatible|mix(?:es|ing)?|harmonic) with )?(?:in )?(?:the )?(?:key (?:of )?)?"
            r"(?P<note>[a-g])(?P<sign>#|♯|♭|[\s-]?sharp|[\s-]?flat|b(?=[\s-]?m))?[\s-]?(?P<mode>minor|major|maj|min|m)\b"
        ),
        "key",
        _key,
    ),
    (
        re.compile(
            r"\b(?P<mixing>(?:compatible|mix(?:es|ing)?) with )?(?:in )?(?:the )?key (?:of )?"
            r"(?P<note>[a-g])(?P<sign>#|♯|♭|[\s-]?sharp|[\s-]?flat|b)?(?P<mode>)(?![a-z#])"
        ),
        "key",
        _key,
    ),
    (re.compile(r"\b(?:in )?(?:key |camelot )?(?P<wheel>(?:1[0-2]|[1-9])[ab])\b"), "key", lambda m: m["wheel"].upper()),
]
