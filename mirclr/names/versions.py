"""The version that a title names after that of the song: live, remix, remaster, karaoke and the like.

Conventions: texts are folded. A note is what stands last in brackets, or after a dash: "(Live at Wembley)",
"- 2009 Remaster". Without either only a few endings count ("… Radio Edit"), so that "Live Forever" and "Remix" stay.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from mirclr.names.texts import fold

NoteTest = Callable[[str], object]

# "live" that is no verb: not "(Live Your Life)"
_LIVE = (
    r"live(?! (?:your|my|our|and|it|for|to|like|a|forever|free|life|together|or|through|without|up|on my|as)\b)|"
    r".*\blive(?:[ -](?:version|session|recording|acoustic|mix|take|performance)s?)?$"
)
_KIND = "version|versie|fassung|edit|mix|cut"
# how or where a song was recorded, cut, pressed or put on a page: the song as its listeners know it
_RECORDING = (
    rf"^(?:{_LIVE})|^(?:with|avec|mit|con|w/) |\b(?:feat|ft|featuring)\b|\b(?:mono|stereo)\b|^(?:explicit|clean)\b|"
    r"\bremaster|\bre-?master|\bremaste?ri[sz]|\brimasteri|\b(?:neu|digital) gemastert\b|"
    rf"\b(?:album|single|radio|original|lp|ep|video|full length|studio|soundtrack)(?:[ -]?(?:{_KIND})| ver\.?)(?!\w)|"
    r"^edit$|\bbonus\b|\bhidden track\b|^\d{4} (?:version|mix)$|\b\d{4} mix$|^mix \d{4}$|^prod(?:uced)?\.? |"
    r"\ben (?:vivo|directo|concierto|concert|public)\b|\bao vivo\b|\bdal vivo\b|\bin concert\b|\blive-?version\b|"
    r"\bunplugged\b|^recorded (?:live|at)\b|^(?:en )?(?:directo?|concert|concierto|vivo)$|^original$|"
    r"^from (?:\"|(?:the )?(?:vault|motion picture|film|movie|musical|soundtrack)\b)|"
    r"\bofficial (?:(?:music|lyrics?|hd|4k) )?(?:video|audio|visuali[sz]er|clip)\b|^(?:official|audio|video|h[dq]|4k)$|"
    r"^(?:(?:music|lyrics?) video|(?:with )?lyrics|visuali[sz]er|audio only|clip officiel|video (?:oficial|ufficiale)|"
    r"offizielles (?:musik)?video|audio oficial)\b|"
    r"^(?:spotify|amazon|apple) (?:music )?(?:singles?|original|exclusive)\b"
)
_NATIVE_RECORDING = "ライブ|ライヴ|リマスター|现场|現場|라이브|концерт|вживую"
# in one word, as Germanic languages have it
_COMPOUND = (
    r"\b(?:karaoke|akustik|acoustic|akoestische?|demo|instrumental|live|lang|kurz|maxi|club|dance|klavier|piano|orchester|"
    r"chor|konzert|film|tv|extended|remix|cover|disco|party|duett|solo|kinder)"
)
# what makes another version of it
_VERSION = (
    r"remix|remezcla|\bmix(?:ed)?(?: \d{4})?$|year-?mix\b|\bmix(?:ed)? by\b|\bedit$|^version\b|\bversione\b|\bversao\b|"
    rf"\b(?:version|versie|fassung|ver)(?:s| \d{{4}}| [ivx\d]+)?\.?$|{_COMPOUND}-?(?:{_KIND})(?:en)?(?: \d{{4}})?$|"
    r"\bkaraoke\b|\binstrumental|\bstrumentale|^inst\.?$|\boff[ -]vocal|\btv[ -]size\b|\bacoustic(?! guitar)|"
    r"\bacoustique|\bacustic[oa]|\bakust|\bdemo(?:s|version)?\b|\bmaqueta\b|\bensayo\b|"
    r"\bextended\b|\balternat(?:e|ive)\b|\bouttake|\brehearsal|\bre-?record|\bneuaufnahme|\btake \d+\b|"
    r"\ba ?cap?pella\b|\bdub$|\bvip$|\bbootleg\b|\brework|\bre-?edit|\bsessions?$|^sessions? (?:at|@) |\bsped up\b|"
    r"\bspeed up\b|\bslowed\b|\bnightcore\b|\b8d\b|\bbass ?boosted\b|\breverb(?:ed)?$|"
    r"(?<!under )(?<!take )(?<!for )\bcover$|"
    r"\bcover version|\bcovered by\b|\btribute\b|\bin the style of\b|\bperformed by\b|"
    r"\bmade (?:famous|popular) by\b|\bbacking track\b|\bplayback\b|\bsing-?along\b|\bstripped\b|^reimagined$|"
    r"\bdeluxe\b|\b(?:anniversary|special|limited|expanded) edition\b"
)
_NATIVE_VERSION = (
    "リミックス|カラオケ|アコースティック|インストゥルメンタル|インスト|オフボーカル|バージョン|ヴァージョン|伴奏|卡拉ok|리믹스|버전|어쿠스틱|караоке|ремикс|"
    "акустик|минус|демо"
)

_OF_RECORDING = re.compile("|".join([_RECORDING, *map(re.escape, map(fold, _NATIVE_RECORDING.split("|")))]))
_OF_VERSION = re.compile("|".join([_VERSION, *map(re.escape, map(fold, _NATIVE_VERSION.split("|")))]))
_TAIL = re.compile(
    r"(?<=\w) (?:(?:\d{4} )?(?:digital(?:ly)? )?re-?master(?:ed)?(?: version| edition)?(?: \d{4})?|"
    r"(?:radio|single|club) (?:edit|mix|version)|\d{4} (?:mix|remix|version|remaster)|"
    r"(?:karaoke|instrumental|extended|acoustic|live|album|demo|original|piano) (?:version|mix)|live (?:at|from) .+)$"
)
_DASH = re.compile(r"\s-+\s")
_BETWEEN = re.compile(
    r".*\s([~-])([^~-]+(?:-[^~-]+)*)\1"
)  # as Japanese titles have it: "Song -Instrumental-", "~Live~"
_OPENING = {")": "(", "]": "[", "}": "{", "】": "【", ">": "<"}


@dataclass(frozen=True)
class Note:
    """What stands last in brackets, or after a dash, and where it begins."""

    text: str
    start: int


def last_note(title: str) -> Note | None:
    """The note at the end of a title, apart from its name; None where nothing stands apart."""
    if title and (opening := _OPENING.get(title[-1])):
        depth = 0
        for at in range(len(title) - 1, -1, -1):
            depth += (title[at] == title[-1]) - (title[at] == opening)
            if depth == 0:
                return Note(title[at + 1 : -1].strip(), at)
        return None
    if title.endswith(("-", "~")) and (between := _BETWEEN.fullmatch(title)):
        return Note(between[2].strip(), between.start(1))
    dashes = list(_DASH.finditer(title))
    return Note(title[dashes[-1].end() :].strip(), dashes[-1].start()) if dashes else None


def is_recording_note(note: str) -> bool:
    """Whether a note is about how a song was recorded, cut or pressed, or who its guests are."""
    return bool(_OF_RECORDING.search(note))


def is_version_note(note: str) -> bool:
    """Whether a note makes a title that of a version: a note as above, or a remix, a demo, karaoke and the like."""
    return bool(_OF_RECORDING.search(note) or _OF_VERSION.search(note))


def without_tail(title: str) -> str:
    """A title without a version that stands in no brackets, such as "Radio Edit"; empty where there is none."""
    found = _TAIL.search(title)
    return title[: found.start()] if found else ""
