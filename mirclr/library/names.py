"""Who an artist is, which album and which song: the one place that compares names.

Conventions: every function takes texts as tags and histories have them and gives folded ones, to be compared with each
other and never shown. Names are equal where people mean the same: "Guns N’ Roses" and "guns n' roses", "Simon and
Garfunkel" and "Simon & Garfunkel", "Beatles, The" and "The Beatles". What a text does not tell is decided for caution:
"Earth, Wind & Fire" and "Tyler, The Creator" stay whole, "Queen & David Bowie" begins with Queen.

Contents: `words`, `search_words` (texts), `artists`, `first_artist`, `bare_title`, `song_title`, `album_name` (names),
`artist_key`, `album_keys`, `song_key` (tracks), `albums_of`, `components` (many tracks).
"""

import re
from collections.abc import Hashable, Iterable, Sequence
from functools import lru_cache

from mirclr.library.records import LibraryTrack, fold
from mirclr.library.versions import NoteTest, is_recording_note, is_version_note, last_note, without_tail

AlbumKey = tuple[str, str, str]

_ARTICLES = "the|die|der|das|les|le|la|los|las|el|il|gli|het"
_ARTICLE_FIRST = re.compile(rf"(?:{_ARTICLES}) (?=..)")
_ARTICLE_LAST = re.compile(rf"(.+), ?({_ARTICLES})")
# what always parts two artists; "with" is in the names of bands, so it parts in brackets alone
_GUEST = r"feat\.?|ft\.?|featuring"
_APART = re.compile(
    rf"\s*(?:;|\||\0)\s*|\s+/+\s+|[\s(\[]+(?:{_GUEST}|w/|vs\.?|versus|presents|pres\.)\s+|\s+[x×]\s+|"
    rf"\s*[(\[](?:with|avec|mit|con)\s+"
)
_COMMA = re.compile(rf",\s+(?!(?:{_ARTICLES}) )")  # "Tyler, The Creator" is one
_OF_ONE_WORD = re.compile(r"(\w+(?:, \w+)+,? & \w+)(?: & (.+))?")  # "Earth, Wind & Fire", "Crosby, Stills & Nash"
_GUESTS = re.compile(rf"[ (\[](?:{_GUEST}) (.*)$")
_JOINED = re.compile(r"(?<=\S) (?:and|und|et|y|e|og|och|en|и|\+) (?=\S)")
_AND = re.compile(r"(?<=\S) (?:and|und|et|y|e|og|och|en|и|\+|n|'n'|n'|'n) (?=\S)")  # "Guns N' Roses" are no two
_INITIALS = re.compile(r"\b(?:\w\. ?){2,}(?:\w\b(?![.\w]))?")
_DROPPED = re.compile(r"['\"]|(?<=\d),(?=\d)|(?<=\w)[.!?,:]+(?=\s|$)|(?<!\S)[.!?¡¿]+(?=\w)|,")
_SPACED = re.compile(r"(?<=[^\s.:_-])[-.:_](?=[^\s.:_-])|(?<=\s)-(?=\s)|(?<=\w)-(?=\s)|(?<=\s)-(?=\w)")
_UNBRACKETED = str.maketrans("()[]", "    ")
_SEARCHED = str.maketrans({"'": None, '"': None, "-": " ", "_": " "})
_UNSAID = frozenset(("&", "+", "and"))  # in a search they need not be there
_VARIOUS = """
    various artists, various, va, v.a., v/a, v. a., verschiedene, verschiedene interpreten, verschiedene künstler,
    diverse, diverse artister, diverse artiesten, divers, artistes divers, artistes variés, varios, varios artistas,
    vari, artisti vari, vários, vários artistas, różni wykonawcy, разные исполнители, различные исполнители,
    ヴァリアス・アーティスト, 群星, 多人"""
_UNKNOWN = """
    unknown, unknown artist, <unknown>, [unknown], [no artist], unbekannt, unbekannter künstler, unbekannter interpret,
    artiste inconnu, artista desconocido, artista sconosciuto, artista desconhecido, неизвестный исполнитель"""
_NOBODY = frozenset(fold(name.strip()) for names in (_VARIOUS, _UNKNOWN) for name in names.split(","))
_OF_ANOTHER = re.compile(
    r"(?:in the style of|(?:originally )?performed by|made famous by|made popular by|(?:a )?tribute to) ([^()\[\]]+)"
)
_NUMBER = r"(?:\d{1,2}|one|two|three|four|five|six|i{1,3}|iv|v)"
_DISC = re.compile(
    rf"(?:[\s,:-]*[(\[]\s*|\s*[,:]\s*|\s+-\s+)(?:disc|disk|cd|disque|disco|dvd)\s*[#.:-]?\s*{_NUMBER}"
    rf"(?:\s*(?:of|/)\s*\d{{1,2}})?(?:\s*[:-]\s[^()\[\]]*)?\s*[)\]]?$|\s+(?:disc|disk|cd)\s*{_NUMBER}$"
)
_EDITION = re.compile(
    r"deluxe|expanded|special edition|limited edition|anniversary|collector|bonus track|explicit|remaster|reissue"
)
_DISC_FOLDER = re.compile(r"(?:disc|disk|cd|disque|disco|dvd)[ _.-]*\d{1,2}\b.*")
_LONGEST = 1000
_MANY = 3  # artists of one album in one folder: of a compilation, unless most of them have several pieces there


# texts


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
    joined = _AND.sub(" & ", plain)
    joined = _INITIALS.sub(lambda found: re.sub(r"[. ]", "", found[0]) + (" " if found[0][-1] == " " else ""), joined)
    found = " ".join(_SPACED.sub(" ", _DROPPED.sub("", joined)).split())
    return found if any(c.isalnum() for c in found) else plain


# artists


@lru_cache(maxsize=1 << 14)
def artists(text: str) -> tuple[str, ...]:
    """The artists that a text names, folded: all of it first, then each where several are joined.

    "Simon & Garfunkel" is itself, and both of them.
    """
    whole = words(text)
    parts = _parted(whole)
    one = (artist_name(text),) if len(_APART.split(whole)) == 1 else ()
    return tuple(name for name in dict.fromkeys((whole, *one, *parts)) if name)


@lru_cache(maxsize=1 << 14)
def first_artist(text: str) -> str:
    """The artist that a text names first, folded."""
    whole = words(text)
    return next(iter(_parted(whole)), "") or whole


@lru_cache(maxsize=1 << 14)
def artist_name(text: str) -> str:
    """One artist's name folded: without an article, in whatever place, and without what `loose` leaves out."""
    name = words(text)
    if swapped := _ARTICLE_LAST.fullmatch(name):
        name = f"{swapped[2]} {swapped[1]}"
    article = _ARTICLE_FIRST.match(name)
    bare = name[article.end() :] if article else name
    if article and bare == article[0].strip():  # "The The"
        bare = name
    return loose(bare)


@lru_cache(maxsize=1 << 14)
def guests(title: str) -> tuple[str, ...]:
    """The artists that a title names as guests, folded: of "Song (feat. X & Y)" X and Y."""
    found = _GUESTS.search(words(title).translate(_UNBRACKETED)) if "f" in title.lower() else None
    return artists(found[1]) if found else ()


def _parted(whole: str) -> list[str]:
    """The names of single artists in a folded text, in its order."""
    found: list[str] = []
    for part in _APART.split(whole):
        part = part.strip()
        if part.endswith((")", "]")) and part.count(part[-1]) > part.count("(" if part[-1] == ")" else "["):
            part = part[:-1].rstrip()  # of "(feat. X)"
        found += [artist_name(name) for name in _joined(part) if name]
    return [name for name in dict.fromkeys(found) if name]


def _joined(part: str) -> list[str]:
    """The names that commas and "and" join; a band that is called so is one."""
    if not part or _ARTICLE_LAST.fullmatch(part):
        return [part]
    part = _JOINED.sub(" & ", part)
    if band := _OF_ONE_WORD.fullmatch(part):
        return [name for name in band.groups() if name]
    return [name.strip() for text in _COMMA.split(part) for name in re.split(r"(?:^|\s)&\s", text)]


def artist_key(track: LibraryTrack) -> str | int:
    """What tells an artist from others: the first that the tags name, folded; a track without is of one of its own."""
    return next((name for text in (track.artist, track.album_artist) if (name := known_artist(text))), track.id)


def known_artist(text: str | None) -> str:
    """The first artist of a text, folded; empty where it names nobody, such as "Various Artists"."""
    if not text or words(text) in _NOBODY:
        return ""
    return first_artist(text)


# songs


@lru_cache(maxsize=1 << 14)
def bare_title(text: str) -> str:
    """A title folded, without guests and without what it says of the recording; never empty where the text is not.

    "America - Remastered 2011", "America (Live)" and "America (feat. X)" are "america"; a remix is another.
    """
    return _without_notes(words(text), is_recording_note)


@lru_cache(maxsize=1 << 14)
def song_title(text: str) -> str:
    """A title folded, without guests and without any word for a version: remix, karaoke, demo, live and the like."""
    return _without_notes(words(text), is_version_note)


def _without_notes(whole: str, is_note: NoteTest) -> str:
    bare = whole
    while True:
        note = last_note(bare)
        if note and note.start and is_note(note.text):
            bare = bare[: note.start].rstrip(" -:,")
        elif found := _GUESTS.search(bare):
            bare = bare[: found.start()].rstrip(" -([")
        elif is_note is is_version_note and (shorter := without_tail(bare)):
            bare = shorter
        else:
            break
    return loose(bare) or loose(whole)


def song_key(track: LibraryTrack) -> tuple[str, str] | None:
    """What tells a song from others: its first artist and its title without words of versions; None without either.

    Of a karaoke version it is the artist whose song it is, where the title says so.
    """
    artist = known_artist(track.artist)
    if not (artist and track.title):
        return None
    title = words(track.title)
    if others := _OF_ANOTHER.search(title):
        artist = first_artist(others[1].strip()) or artist
    named, dash, rest = title.partition(" - ")
    if dash and rest.strip() and first_artist(named) == artist and not is_version_note(rest):
        title = rest
    return artist, song_title(title)


# albums


@lru_cache(maxsize=1 << 14)
def album_name(text: str) -> str:
    """The name of an album folded, without the number of a disc and without words of editions."""
    whole = bare = words(text)
    while True:
        note = last_note(bare)
        if (disc := _DISC.search(bare)) and disc.start():
            bare = bare[: disc.start()].rstrip(" -:,([")
        elif note and note.start and _EDITION.search(note.text):
            bare = bare[: note.start].rstrip(" -:,")
        else:
            return loose(bare) or loose(whole)


def album_keys(track: LibraryTrack) -> frozenset[AlbumKey]:
    """What tells an album from others; two tracks that share one of these are of one album. Empty without a name.

    ``of`` an album artist, or else of the track's first artist; a compilation ``of`` nobody, where its tags say that it
    is one; and, without an album artist, ``in`` a folder: that counts where `is_shared` finds many artists in it.
    """
    if not track.album:
        return frozenset()
    name = album_name(track.album)
    if track.album_artist:
        return frozenset((("of", known_artist(track.album_artist), name),))
    keys = {("of", known_artist(track.artist), name), folder_key(track)}
    if track.compilation:
        keys.add(("of", "", name))
    return frozenset(key for key in keys if key)


def folder_key(track: LibraryTrack) -> AlbumKey:
    """A track's album by its folder, that of all discs."""
    folder = track.path.rpartition("/")[0]
    above, _, last = folder.rpartition("/")
    if _DISC_FOLDER.fullmatch(fold(last)):
        folder = above
    return ("in", f"{track.root}/{folder}", album_name(track.album or ""))


def is_shared(tracks: Iterable[LibraryTrack]) -> bool:
    """Whether tracks of one album name and folder, without album artists, are a compilation of many artists."""
    of = [artist_key(track) for track in tracks]
    return len(set(of)) >= _MANY and len(of) <= 2 * len(set(of))


def albums_of(tracks: Sequence[LibraryTrack]) -> list[str]:
    """A label for each of many tracks, equal for those of one album; empty for those of none."""
    keys = [album_keys(track) for track in tracks]
    by_folder: dict[AlbumKey, list[LibraryTrack]] = {}
    for track, of in zip(tracks, keys, strict=True):
        for key in of:
            if key[0] == "in":
                by_folder.setdefault(key, []).append(track)
    alone = {key for key, those in by_folder.items() if not is_shared(those)}
    labels = components([of - alone for of in keys])
    return [f"{label}\n{album_name(t.album)}" if t.album else "" for label, t in zip(labels, tracks, strict=True)]


def components(keys: Iterable[Iterable[Hashable]]) -> list[int]:
    """A number for each item, equal for those that share a key, or are joined by others that do; from 0 on."""
    above: list[int] = []
    first: dict[Hashable, int] = {}

    def top(i: int) -> int:
        while above[i] != i:
            above[i] = i = above[above[i]]
        return i

    for i, of in enumerate(keys):
        above.append(i)
        for key in of:
            low, high = sorted((top(first.setdefault(key, i)), top(i)))
            above[high] = low
    numbers: dict[int, int] = {}
    return [numbers.setdefault(top(i), len(numbers)) for i in range(len(above))]
