"""`Address`: where an index is, as a person writes it: ``faiss``, ``ivfpq:…``, ``milvus://…``, ``postgresql://…``.

What is secret in it is given to the client alone: texts name an address by `Address.shown`, and what a client says of
an error goes through `Address.without_secrets`.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from mirclr.errors import EngineError

COLLECTION = "mirclr"
"""The collection where an address names none."""
FORMS = (
    "faiss, ivfpq:FOLDER, milvus://HOST:19530/COLLECTION, milvus:FILE.db or postgresql://HOST/DATABASE?collection=NAME"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,24}")
_CODES = "in a password / is %2F, ? is %3F, # is %23 and @ is %40"
_SECRET = ("password", "sslpassword", "token")


@dataclass(frozen=True)
class Address:
    """Where an index is.

    Attributes
    ----------
    kind : str
        ``faiss``, ``ivfpq``, ``milvus`` or ``postgresql``.
    shown : str
        For people: the address without what is secret in it.
    collection : str
        The collection, or the table, that the vectors are in.
    target : str
        What the client connects to, secrets and all.
    database : str
        Of Milvus, where it is not the usual one.
    token : str
        Of Milvus: ``user:password``, or a key.
    secrets : tuple of str
        What is never printed.
    typed : str
        What stands for it in a command that is to be typed: `shown`, or ``URI`` where something in it is not shown.
    """

    kind: str
    shown: str
    collection: str = COLLECTION
    target: str = field(default="", repr=False)
    database: str = ""
    token: str = field(default="", repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    typed: str = "URI"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read an address.

        Raises
        ------
        EngineError
            It is none; the text does not repeat it, as it may hold a password.
        """
        if text == "faiss":
            return cls("faiss", "faiss", typed="faiss")
        scheme, found, rest = text.partition(":")
        scheme = scheme.lower()
        try:
            if scheme == "ivfpq" and rest:
                path = os.path.expanduser(rest)
                return cls("ivfpq", f"ivfpq:{path}", target=str(Path(path).absolute()), typed=f"ivfpq:{path}")
            if found and scheme == "milvus" and not (rest.startswith("//") and rest[2:3] != "/"):
                return _milvus_file(rest)
            if found and scheme in ("milvus", "milvus+tls"):
                return _milvus(_split(text))
            if found and scheme in ("postgresql", "postgres"):
                return _postgresql(_split(text))
        except ValueError as error:
            raise EngineError(f"the address of an index: {error}; expected {FORMS}") from None
        named = f"{scheme}:…" if found else text
        raise EngineError(f"{named}: no engine of an index is known by this address; expected {FORMS}")

    def without_secrets(self, text: str) -> str:
        """A text of a client's, on one line, with nothing secret in it."""
        for secret in sorted(self.secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return " ".join(text.split())


def _split(text: str) -> SplitResult:
    """The parts of an address; refuses one that ends its host within a password, which then would be shown."""
    try:
        parts = urlsplit(text)
    except ValueError:  # whose text has what stands there
        raise ValueError(f"it cannot be taken apart; {_CODES}") from None
    if "@" in parts.path + parts.query + parts.fragment or parts.fragment:
        raise ValueError(f"an @ stands after its host, or a #; {_CODES}")
    return parts


def _milvus_file(rest: str) -> Address:
    path, _, query = rest.removeprefix("//").partition("?")
    path = os.path.expanduser(unquote(path) if rest.startswith("//") else path)
    if not path.endswith(".db"):
        raise ValueError("a file of Milvus ends in .db")
    collection = _collection(query)
    shown = f"milvus:{path}" + (f"?collection={collection}" if collection != COLLECTION else "")
    return Address("milvus", shown, collection, str(Path(path).absolute()), typed=shown)


def _milvus(parts: SplitResult) -> Address:
    if not parts.hostname:
        raise ValueError("it names no host")
    *database, collection = [part for part in parts.path.split("/") if part] or [COLLECTION]
    if len(database) > 1:
        raise ValueError("its path is a collection, or a database and a collection")
    try:
        port = parts.port or 19530
    except ValueError:  # whose text has what stands there
        raise ValueError(f"its port is no number; {_CODES}") from None
    scheme = "https" if parts.scheme.lower() == "milvus+tls" else "http"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    token = ":".join(filter(None, (user, password))) or os.environ.get("MILVUS_TOKEN", "")
    named = f"{parts.username}@" if user and password else ""
    path = "/".join(("", *database, _checked(collection)))
    shown = f"{parts.scheme.lower()}://{named}{host}:{port}{path}"
    return Address(
        "milvus",
        shown,
        collection,
        f"{scheme}://{host}:{port}",
        "".join(database),
        token,
        _secrets(parts.password, password, token, user if not password else ""),
        "URI" if user else shown,
    )


def _postgresql(parts: SplitResult) -> Address:
    asked = [one for one in parts.query.split("&") if one]
    kept = [one for one in asked if one.partition("=")[0] != "collection"]
    shown = [one for one in kept if one.partition("=")[0].lower() not in _SECRET]
    hidden = [one.partition("=")[2] for one in kept if one not in shown]
    user, found, hosts = parts.netloc.rpartition("@")
    name, _, password = user.partition(":")
    netloc = f"{name}@{hosts}" if found and name else hosts
    query, collection = "?" + "&".join(kept) if kept else "", _collection(parts.query)
    shown += [f"collection={collection}"] if collection != COLLECTION else []
    named = f"postgresql://{netloc}{parts.path}{'?' + '&'.join(shown) if shown else ''}"
    return Address(
        "postgresql",
        named,
        collection,
        f"postgresql://{parts.netloc}{parts.path}{query}",
        secrets=_secrets(password, *hidden, os.environ.get("PGPASSWORD", "")),
        typed="URI" if password or hidden else named,
    )


def _collection(query: str) -> str:
    return _checked(parse_qs(query).get("collection", [COLLECTION])[-1])


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError("the name of a collection is 1 to 25 letters, digits and _, and begins with no digit")
    return name


def _secrets(*texts: str | None) -> tuple[str, ...]:
    """Texts as they are written and as they are meant; what has fewer than 3 letters is in any text."""
    both = [form for text in texts if text for form in (text, unquote(text))]
    return tuple(dict.fromkeys(form for form in both if len(form) > 2))
