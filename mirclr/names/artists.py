"""Who an artist is: the names in a text, folded and to be compared with each other."""

import re
from functools import lru_cache

from mirclr.names.given import turned_round
from mirclr.names.texts import fold, loose, words

_ARTICLES = "the|die|der|das|les|le|la|los|las|el|il|gli|het"
_ARTICLE_FIRST = re.compile(rf"(?:{_ARTICLES}) (?=..)")
_ARTICLE_LAST = re.compile(rf"(.+?)(?:, ?({_ARTICLES})| \(({_ARTICLES})\))")
# what always parts two artists; "with" is in the names of bands, so it parts in brackets alone
_GUEST = r"feat\.?|ft\.?|featuring|part\.(?! ?(?:\d|[ivx]+\b|one\b|two\b))"
_LINK = r"(?:&|\+|[x×]|and|und|et|y|e|og|och|en|i|и|w/|(?:feat|ft|featuring|part|vs|versus|pres|presents|with)\.?)\s"
_APART = re.compile(
    rf"\s*(?:;|\||\0)\s*|\s+/+\s+|[\s(\[]+(?:{_GUEST}|w/|vs\.?|versus|presents|pres\.)\s+|\s+[x×]\s+(?!{_LINK})|"
    rf"\s*[(\[](?:with|avec|mit|con)\s+"
)
_COMMA = re.compile(rf",\s+(?!(?:{_ARTICLES}) )|(?<=[^\W\d]),(?=[^\W\d])")  # "Tyler, The Creator" is one
_SLASH = re.compile(r"(?<=...)/(?=...)")
_OF_ONE_WORD = re.compile(r"(\w+(?:, \w+)+,? & \w+)(?: & (.+))?")  # "Earth, Wind & Fire", "Crosby, Stills & Nash"
_DUO = re.compile(r"\w+ & \w+")  # "Sam & Dave", "Iron & Wine": neither is known by a first name that others have too
_GUESTS = re.compile(rf"[ (\[](?:{_GUEST}) (.*)$")
_JOINED = re.compile(rf"(?<=\S) (?:and|und|et|y|e|og|och|en|i|и|\+) (?=\S)(?!{_LINK})")  # "Guns N' Roses" are no two
_NAMESAKE = re.compile(r"(?<=\w)(?: \(\d{1,3}\))?\*?$")  # how Discogs distinguishes artists of one name
_IN_BRACKETS = re.compile(r"(.+?) ?[(\[]([^()\[\]]+)[)\]]")
_LATIN = re.compile("[a-z]")
_UNBRACKETED = str.maketrans("()[]", "    ")
_VARIOUS = """
    various artists, various, va, v.a., v/a, v. a., verschiedene, verschiedene interpreten, verschiedene künstler,
    diverse, diverse artister, diverse artiesten, diverse künstler, diverse interpreten, divers, artistes divers,
    artistes variés, varios, varios artistas, varios intérpretes, vari, artisti vari, autori vari, aa.vv., aavv,
    vários, vários artistas, vários intérpretes, blandade artister, eri esittäjiä, różni wykonawcy, různí interpreti,
    çeşitli sanatçılar, разные исполнители, различные исполнители, сборник, various artist, various performers,
    various composers, various interprets, compilation, soundtrack, original soundtrack,
    ヴァリアス・アーティスト, ヴァリアス, オムニバス, 群星, 多人, 合輯, 여러 아티스트"""
_UNKNOWN = """
    unknown, unknown artist, <unknown>, [unknown], [no artist], [anonymous], [traditional], [data], n/a, no artist,
    unbekannt, unbekannter künstler, unbekannter interpret, artiste inconnu, artista desconocido, artista sconosciuto,
    artista desconhecido, onbekende artiest, okänd artist, ukendt kunstner, nieznany wykonawca, неизвестный исполнитель,
    неизвестен, 不明なアーティスト, 未知艺术家, 未知演出者, 알 수 없는 아티스트"""
_NOBODY = frozenset(fold(name.strip()) for names in (_VARIOUS, _UNKNOWN) for name in names.split(","))


@lru_cache(maxsize=1 << 14)
def artists(text: str) -> tuple[str, ...]:
    """The artists that a text names, folded: all of it first, then each where several are joined.

    "Simon & Garfunkel" is itself, and both of them; "BTS (방탄소년단)" is known by both names.
    """
    whole = words(text)
    one = (artist_name(text),) if len(_APART.split(whole)) == 1 else ()
    names = [name for part in _parts(whole) for name in (artist_name(part), *map(artist_name, _other_script(part)[1:]))]
    return tuple(name for name in dict.fromkeys((whole, *one, first_artist(text), *names)) if name)


@lru_cache(maxsize=1 << 14)
def first_artist(text: str) -> str:
    """The artist that a text names first, folded; a duo of two words, such as "Simon & Garfunkel", is one."""
    whole = words(text)
    alone = next(filter(None, map(str.strip, _APART.split(whole))), "")
    head = _COMMA.split(_JOINED.sub(" & ", alone))[0]
    parts = [head] if _DUO.fullmatch(head) else _parts(whole)
    return next((name for part in parts if (name := artist_name(part))), "") or whole


def known_artist(text: str | None) -> str:
    """The first artist of a text, folded; empty where it names nobody, such as "Various Artists"."""
    if not text or words(text) in _NOBODY:
        return ""
    return first_artist(text)


@lru_cache(maxsize=1 << 14)
def artist_name(text: str) -> str:
    """One artist's name folded: without an article, in whatever place, and without what `loose` leaves out."""
    name = words(text)
    name = _NAMESAKE.sub("", name) or name
    name = _other_script(name)[0]
    if swapped := _ARTICLE_LAST.fullmatch(name):
        name = f"{swapped[2] or swapped[3]} {swapped[1]}"
    name = turned_round(name) or name
    article = _ARTICLE_FIRST.match(name)
    bare = name[article.end() :] if article else name
    if article and bare == article[0].strip():  # "The The"
        bare = name
    return loose(bare)


@lru_cache(maxsize=1 << 14)
def guests(title: str) -> tuple[str, ...]:
    """The artists that a title names as guests, folded: of "Song (feat. X & Y)" X and Y."""
    text = words(title)
    found = _GUESTS.search(text.translate(_UNBRACKETED)) if "f" in text or "part." in text else None
    return artists(found[1]) if found else ()


def without_guests(title: str) -> str:
    """A folded title without the guests that it names last; the title itself where it names none."""
    found = _GUESTS.search(title)
    return title[: found.start()].rstrip(" -([") if found else title


def _parts(whole: str) -> list[str]:
    """The single artists in a folded text, in its order."""
    found: list[str] = []
    parts = _APART.split(whole)
    for part in map(str.strip, parts):
        if (
            len(parts) > 1
            and part.endswith((")", "]"))
            and part.count(part[-1]) > part.count("(" if part[-1] == ")" else "[")
        ):
            part = part[:-1].rstrip()  # of "(feat. X)"
        found += [name for name in _joined(part) if name]
    return found


def _joined(part: str) -> list[str]:
    """The names that commas, slashes and "and" join; a band that is called so is one."""
    if not part or _ARTICLE_LAST.fullmatch(part):
        return [part]
    part = _JOINED.sub(" & ", part)
    if all(map(turned_round, people := part.split(" & "))):
        return people
    if band := _OF_ONE_WORD.fullmatch(part):
        return [name for name in band.groups() if name]
    found = [name.strip() for text in _COMMA.split(part) for name in re.split(r"(?:^|\s)&\s", text)]
    # as ID3v2.3 writes several; "AC/DC" and "Love/Hate" are one
    return [name for one in found for name in (_SLASH.split(one) if " " in one else [one])]


def _other_script(name: str) -> tuple[str, ...]:
    """A folded name, and the same in another script where that stands in brackets after it."""
    if not name.endswith((")", "]")) or not (found := _IN_BRACKETS.fullmatch(name)):
        return (name,)
    latin = [bool(_LATIN.search(text)) for text in found.groups()]
    letters = [any(c.isalpha() for c in text) for text in found.groups()]
    return found.groups() if all(letters) and latin[0] != latin[1] else (name,)
