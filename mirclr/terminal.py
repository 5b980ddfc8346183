"""Texts as a terminal may show them: no name of a file and no tag steers the terminal, or makes a line of its own."""

import re
import unicodedata

_JOINERS = "\u200c\u200d"
"""Invisible, and part of how Persian, Indic scripts and emoji are written."""


def shown(text: str) -> str:
    """A text with what cannot be printed, such as undecodable bytes or terminal controls, replaced by '�'.

    Also what turns the direction of writing, and what has no width. Spaces of any width stay.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or _is_harmless(text, i) else "�" for i, c in enumerate(text))


def _is_harmless(text: str, i: int) -> bool:
    if text[i] in _JOINERS:  # between letters that are joined or held apart; beside ASCII it only hides
        return 0 < i < len(text) - 1 and not (text[i - 1] + text[i + 1]).isascii() and text[i - 1] not in _JOINERS
    return unicodedata.category(text[i]) == "Zs"


def one_line(text: str) -> str:
    """The same, of a text that may have several lines: they become one."""
    return shown(re.sub(r"\s*[\r\n]+\s*", " ", text.strip("\r\n")))


def counted(n: int, what: str) -> str:
    """A number with its noun: "no tracks", "1 track", "1,200 tracks"."""
    return f"{f'{n:,}' if n else 'no'} {what}{'' if n == 1 else 's'}"
