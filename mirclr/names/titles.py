"""Which song and which album: titles without notes of a version, an edition or a disc."""

import re
from functools import lru_cache

from mirclr.names.artists import without_guests
from mirclr.names.texts import fold, loose, words
from mirclr.names.versions import NoteTest, is_recording_note, is_version_note, last_note, without_tail

_NUMBER = r"(?:\d{1,2}|one|two|three|four|five|six|i{1,3}|iv|v)"
_DISC = re.compile(
    rf"(?:[\s,:-]*[(\[{{]\s*|\s*[,:]\s*|\s+-\s+)(?:disc|disk|cd|disque|disco|dvd)\s*[#.:-]?\s*{_NUMBER}"
    rf"(?:\s*(?:of|/)\s*\d{{1,2}})?(?:\s*[:-]\s[^()\[\]]*)?\s*[)\]}}]?$|\s+(?:disc|disk|cd)\s*{_NUMBER}$|"
    rf"\s*[(\[]\s*(?:\d{{1,2}}\s*(?:of|/)\s*\d{{1,2}}|\d\s*(?:cds?|discs?|lps?))\s*[)\]]$"
)
_EDITION = re.compile(
    r"deluxe|expanded|anniversary|collector|bonus (?:track|disc|cd)|explicit|remaster|remasteri[sz]|reissue|"
    r"(?:edition|issue|pressing|ausgabe|edicion|edizione|edicao)$|^(?:mono|stereo|lp|vinyl|ep|cd|clean|web|flac|mp3)$|"
    r"soundtrack|^ost$|motion picture|(?:bande originale|colonna sonora|banda sonora)"
)
_KIND_OF_RELEASE = re.compile(r" - (?:ep|single)$")  # of iTunes
_NO_ALBUM_NAMES = """
    unknown album, unknown, <unknown>, [unknown], [unknown album], no album, none, n/a, single, singles, various, misc,
    unsorted, downloads, youtube, soundcloud, [non-album tracks], [standalone recordings], non-album tracks,
    standalone recordings, unbekanntes album, unbekannt, album inconnu, album desconocido, álbum desconocido,
    album sconosciuto, álbum desconhecido, onbekend album, okänt album, nieznany album, неизвестный альбом,
    不明なアルバム, 未知专辑, 未知專輯, 알 수 없는 앨범"""
_NO_ALBUM = frozenset(fold(name.strip()) for name in _NO_ALBUM_NAMES.split(","))
_OF_MANY = re.compile(  # what albums of many artists are called
    r"(?:(?:the|my|their|all|all time|absolute) )*"
    r"(?:(?:very |ultimate )?best(?: of)?|(?:(?:greatest|biggest|top|super) )?hits|gold|platinum|"
    r"(?:(?:ultimate|definitive|complete|essential) )?collection|essentials?|anthology|number ones|(?:hit )?singles?|"
    r"demos?|live|(?:live )?in concert|(?:mtv )?unplugged|self titled|untitled|remixes|remixed|b sides|rarities|covers|"
    r"acoustic|ep|christmas|christmas album|lo mejor|grandes exitos|exitos|le meilleur|i successi|o melhor)"
    r"(?: (?:vol|volume|part|pt)?\s?(?:\d{1,2}|[ivx]+))?"
)
# a piece of these names is another one on each album, and of each work
_LITTLE = (
    r"(?:track|titel|piste|pista|traccia|spor|ścieżka|трек|дорожка|トラック|音轨|트랙|audio ?track)\s?\d+|"
    r"(?:intro|outro|introduction|interlude|skit|segue|untitled|unknown|overture|prelude|praeludium|preludio|fugue|fuga|"
    r"nocturne|etude|waltz|mazurka|sonata|sinfonia|concerto|impromptu|theme|main theme|main title|"
    r"opening|ending|end credits|credits|finale|epilogue|prologue|hidden track|bonus track|medley|improvisation|aria|"
    r"recitativo?|choral|coro|variation|kyrie|sanctus|benedictus|agnus dei)"
    r"(?: (?:no )?(?:\d+|[ivx]+))?"
)
_TEMPO = (
    r"(?:allegr(?:o|etto)|andant(?:e|ino)|adagi(?:o|etto)|largo|larghetto|lento|grave|presto|prestissimo|vivace|"
    r"viviacissimo|moderato|scherzo|scherzando|m(?:enuett?o?|inuet(?:to)?)|rondo|rondeau|trio|finale|cadenza|allemande|"
    r"courante|corrente|sarabande|gigue|giga|bourr?ee|gavotte|sostenuto|maestoso|cantabile|animato|assai|molto|"
    r"(?:ma )?non troppo|non tanto|con brio|con moto|con fuoco|poco|piu|mosso|quasi|una|fantasia|tempo|di|e|ed|&|"
    r"alla|attacca|mouvement|movement|satz|no|nr|\d+|[ivx]+)"
)
_SAYS_LITTLE = re.compile(rf"{_LITTLE}|(?=.*[a-z]{{4}}){_TEMPO}(?: {_TEMPO})*")


@lru_cache(maxsize=1 << 14)
def bare_title(text: str) -> str:
    """A title folded, without guests and without notes of the recording; never empty where the text is not.

    "America - Remastered 2011", "America (Live)" and "America (feat. X)" are "america"; a remix is another.
    """
    return _without_notes(words(text), is_recording_note)


@lru_cache(maxsize=1 << 14)
def song_title(text: str) -> str:
    """A title folded, without guests and without any word for a version: remix, karaoke, demo, live and the like."""
    return _without_notes(words(text), is_version_note)


def is_generic_title(title: str) -> bool:
    """Whether a folded title is one that an artist gives to many pieces, such as "intro" or "ii. andante"."""
    return bool(_SAYS_LITTLE.fullmatch(loose(title)))


def _without_notes(whole: str, is_note: NoteTest) -> str:
    bare = whole
    while True:
        note = last_note(bare)
        if note and note.start and is_note(note.text):
            bare = bare[: note.start].rstrip(" -:,~")
            continue
        shorter = without_guests(bare)
        if shorter in ("", bare) and is_note is is_version_note:
            shorter = without_tail(bare)
        if shorter in ("", bare):
            return loose(bare) or loose(whole)
        bare = shorter


@lru_cache(maxsize=1 << 14)
def album_name(text: str) -> str:
    """The name of an album folded, without the number of a disc and without words of editions."""
    whole = bare = words(text)
    while True:
        note = last_note(bare)
        if (disc := _DISC.search(bare)) and disc.start():
            bare = bare[: disc.start()].rstrip(" -:,([{")
        elif kind := _KIND_OF_RELEASE.search(bare):
            bare = bare[: kind.start()]
        elif note and note.start and _EDITION.search(note.text):
            bare = bare[: note.start].rstrip(" -:,")
        else:
            return loose(bare) or loose(whole)


@lru_cache(maxsize=1 << 14)
def without_disc(text: str) -> str:
    """The name of an album as it stands, without the number of a disc; all of it where the name is nothing else."""
    folded = fold(text)
    disc = _DISC.search(folded) if len(folded) == len(text) else None
    return text[: disc.start()].rstrip(" -:,([{") or text if disc else text


@lru_cache(maxsize=1 << 14)
def disc_number(text: str) -> int | None:
    """The number of a disc that the name of an album or a folder ends in."""
    disc = _DISC.search(f" {fold(text)}")
    number = re.search(r"\d{1,2}", disc[0]) if disc else None
    return int(number[0]) if number else None


def is_album(text: str | None) -> bool:
    """Whether a text names an album: "Unknown Album" and "[non-album tracks]" do not."""
    return bool(text) and words(text or "") not in _NO_ALBUM


def is_of_many(name: str) -> bool:
    """Whether an album's folded name is one that albums of many artists have, such as "greatest hits"."""
    return bool(_OF_MANY.fullmatch(name))
