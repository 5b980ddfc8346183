"""What a title says of the version after the name of the song: live, remix, remaster, karaoke and the like.

Conventions: texts are folded. A note is what stands last in brackets, or after a dash: "(Live at Wembley)",
"- 2009 Remaster". Without either only a few endings count ("… Radio Edit"), so that "Live Forever" and "Remix" stay.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from mirclr.library.records import fold

NoteTest = Callable[[str], object]

# "live" that is no verb: not "(Live Your Life)"
_LIVE = (
    r"live(?! (?:your|my|our|and|it|for|to|like|a|forever|free|life|together|or|through|without|up|on my|as)\b)|"
    r".*\blive(?:[ -](?:version|session|recording|acoustic|mix|take|performance)s?)?$"
)
# what says how or where a song was recorded, cut or pressed: the song as its listeners know it
_RECORDING = (
    rf"^(?:{_LIVE})|^(?:with|avec|mit|con) |\b(?:feat|ft|featuring)\b|\b(?:mono|stereo)\b|^(?:explicit|clean)\b|"
    r"\bremaster|\bre-?master|\bremaste?ri[sz]|\brimasteri|"
    r"\b(?:album|single|radio|original|lp|ep|video|full length) (?:version|edit|mix|cut)\b|^edit$|"
    r"\bbonus\b|^\d{4} (?:version|mix)$|\b\d{4} mix$|^mix \d{4}$|"
    r"\ben (?:vivo|directo|concierto|concert|public)\b|\bao vivo\b|\bdal vivo\b|\bin concert\b|\blive-?version\b|"
    r"\bunplugged\b|^recorded (?:live|at)\b|^from \""
)
_NATIVE_RECORDING = "ライブ|ライヴ|リマスター|现场|現場|라이브|концерт|вживую"
# what makes another version of it
_VERSION = (
    r"remix|\bmix$|\bmix(?:ed)? by\b|\bedit$|\bversion(?:s| \d{4}| [ivx\d]+)?$|^version\b|\bversione\b|\bversao\b|"
    r"\bkaraoke\b|\binstrumental|\bstrumentale|\bacoustic|\bacoustique|\bacustic[oa]|\bakust|\bdemo(?:s|version)?\b|"
    r"\bextended\b|\balternat(?:e|ive)\b|\bouttake|\brehearsal|\bre-?record|\bneuaufnahme|\btake \d+\b|"
    r"\ba ?cap?pella\b|\bdub$|\bvip$|\bbootleg\b|\brework|\bre-?edit|\bsessions?$|\bsped up\b|\bspeed up\b|"
    r"\bslowed\b|\bnightcore\b|\b8d\b|^cover$|\bcover version|\bcovered by\b|\btribute\b|\bin the style of\b|"
    r"\bperformed by\b|"
    r"\bmade (?:famous|popular) by\b|\bbacking track\b|\bplayback\b|\bsing-?along\b|\bstripped\b|"
    r"\bdeluxe\b"
)
_NATIVE_VERSION = "リミックス|カラオケ|アコースティック|伴奏|卡拉ok|리믹스|караоке|ремикс|акустик|минус|демо"

_OF_RECORDING = re.compile("|".join([_RECORDING, *map(re.escape, map(fold, _NATIVE_RECORDING.split("|")))]))
_OF_VERSION = re.compile("|".join([_VERSION, *map(re.escape, map(fold, _NATIVE_VERSION.split("|")))]))
_TAIL = re.compile(
    r"(?<=\w) (?:(?:\d{4} )?(?:digital(?:ly)? )?re-?master(?:ed)?(?: version| edition)?(?: \d{4})?|"
    r"(?:radio|single|club) (?:edit|mix|version)|\d{4} (?:mix|remix|version|remaster)|"
    r"(?:karaoke|instrumental|extended|acoustic|live|album|demo|original|piano) (?:version|mix)|live (?:at|from) .+)$"
)
_DASH = re.compile(r"\s-+\s")
_OPENING = {")": "(", "]": "[", "}": "{", "】": "【", ">": "<"}


@dataclass(frozen=True)
class Note:
    """What stands last in brackets, or after a dash, and where it begins."""

    text: str
    start: int


def last_note(title: str) -> Note | None:
    """What a title says last, apart from its name; None where nothing stands apart."""
    if title and (opening := _OPENING.get(title[-1])):
        depth = 0
        for at in range(len(title) - 1, -1, -1):
            depth += (title[at] == title[-1]) - (title[at] == opening)
            if depth == 0:
                return Note(title[at + 1 : -1].strip(), at)
        return None
    dashes = list(_DASH.finditer(title))
    return Note(title[dashes[-1].end() :].strip(), dashes[-1].start()) if dashes else None


def is_recording_note(note: str) -> bool:
    """Whether a note says of a song how it was recorded, cut or pressed, or who its guests are."""
    return bool(_OF_RECORDING.search(note))


def is_version_note(note: str) -> bool:
    """Whether a note says of a song that it is a version of one: that, or a remix, a demo, karaoke and the like."""
    return bool(_OF_RECORDING.search(note) or _OF_VERSION.search(note))


def without_tail(title: str) -> str:
    """A title without a version that stands in no brackets, such as "Radio Edit"; empty where there is none."""
    found = _TAIL.search(title)
    return title[: found.start()] if found else ""
