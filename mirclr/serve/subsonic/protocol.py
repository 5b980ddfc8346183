"""What goes over the wire: parameters of a request, and documents in XML or JSON."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, SubElement, tostring

from fastapi import Request, Response

from mirclr.terminal import shown
from mirclr.version import __version__

API_VERSION = "1.16.1"
GENERIC, MISSING, WRONG_PASSWORD, CONFLICTING, WRONG_KEY, NOT_ALLOWED, NOT_FOUND = 0, 10, 40, 43, 44, 50, 70

_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 20_000
_WHOLE = re.compile(r"-?\d{1,15}")
_NOT_OF_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAMESPACE = "http://subsonic.org/restapi"
Values = dict[str, Any]


class Failure(Exception):
    """A request that is refused, with a code of the API and a line for people."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Parameters:
    """The parameters of a request, of its query and its form.

    Parameters
    ----------
    pairs : sequence of (str, str)
        In their order; names may come again.
    """

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in pairs:
            self._values.setdefault(name, []).append(value)

    @classmethod
    async def of(cls, request: Request) -> "Parameters":
        """Those of a request; of what is sent as a form, too."""
        pairs = request.query_params.multi_items()
        if request.method == "POST" and request.headers.get("content-type", _FORM).partition(";")[0].strip() == _FORM:
            try:
                form = (await request.body()).decode("ascii", "replace")
                pairs += parse_qsl(form, keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS)
            except ValueError:
                raise Failure(GENERIC, f"the form has too many fields; expected {_MOST_FIELDS} at most") from None
        return cls(pairs)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def all(self, name: str) -> list[str]:
        """All values of a name."""
        return self._values.get(name, [])

    def text(self, name: str, default: str = "") -> str:
        """The value of a name, the last where it comes again."""
        return self._values.get(name, [default])[-1]

    def needed(self, name: str) -> str:
        """The same, of what must be there."""
        if not (value := self.text(name)):
            raise Failure(MISSING, f"Required parameter is missing: {name}")
        return value

    def number(self, name: str, default: int, *, least: int = 0, most: int = 2**53) -> int:
        """A whole number, drawn to the nearest that may be."""
        text = self.text(name).strip() or str(default)
        return min(max(_whole(name, text), least), most)

    def numbers(self, name: str) -> list[int]:
        """All values of a name as whole numbers."""
        return [_whole(name, text.strip()) for text in self.all(name)]

    def flag(self, name: str, default: bool) -> bool:
        """Whether something is so."""
        return {"true": True, "1": True, "false": False, "0": False}.get(self.text(name).lower(), default)


def _whole(name: str, text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise Failure(GENERIC, f"{name}: found {shown(text[:40])!r}; expected a whole number")
    return int(text)


def moment(seconds: float) -> str:
    """A time, in seconds since 1970, as players read times."""
    kept = min(max(seconds, 0.0), 4_102_444_800.0) if math.isfinite(seconds) else 0.0
    return datetime.fromtimestamp(round(kept, 3), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def answered(values: Mapping[str, Any], form: str) -> Response:
    """The document of an answer; `form` is what was asked for as ``f``."""
    return _document({"status": "ok", **_SELF, **values}, form)


def refused(failure: Failure, form: str) -> Response:
    """The document of a request that is refused."""
    error = {"code": failure.code, "message": shown(failure.message)}
    return _document({"status": "failed", **_SELF, "error": error}, form)


_SELF = {"version": API_VERSION, "type": "mirclr", "serverVersion": __version__, "openSubsonic": True}


def _document(values: Values, form: str) -> Response:
    if form == "json":
        text = json.dumps({"subsonic-response": values}, ensure_ascii=False, separators=(",", ":"))
        return Response(text.encode("utf-8", "replace"), media_type="application/json")
    root = Element("subsonic-response", xmlns=_NAMESPACE)
    _fill(root, values)
    xml = tostring(root, encoding="utf-8", xml_declaration=True)
    return Response(xml, media_type="text/xml")


def _fill(element: Element, values: Mapping[str, Any]) -> None:
    """Single values become attributes, others elements; what is named ``value`` the element's text."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            _fill(SubElement(element, name), value)
        elif isinstance(value, list):
            for one in value:
                child = SubElement(element, name)
                if isinstance(one, Mapping):
                    _fill(child, one)
                else:
                    child.text = _text(one)
        elif name == "value":
            element.text = _text(value)
        else:
            element.set(name, _text(value))


def _text(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return _NOT_OF_XML.sub("\ufffd", text)
