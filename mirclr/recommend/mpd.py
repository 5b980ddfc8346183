"""Songs into the queue of an MPD, which knows them by their places below its own music folder.

That folder may lie elsewhere than here, as on another machine, and its protocol tells only clients on its own socket
where. So a song is looked for by its file's name; the first that is found shows which folder here is which there, and
the others are looked for in its place. What MPD holds must have as many of the song's folders in common as can be, and
play as long where only the name is the same.

Contents: `MpdAddress`, as people write it; `append_to_mpd`.
"""

import math
import os
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from mirclr.errors import MissingExtra, PlayerError, in_words
from mirclr.library import LibraryTrack
from mirclr.terminal import shown

PORT = 6600
_TIMEOUT_S = 20.0  # a scan of a large database is one command
_NO_SUCH_SONG = 50  # ACK_ERROR_NO_EXIST
_NOT_ALLOWED = (3, 4)  # a wrong password, no permission
_AS_LONG_S = 3.0


@dataclass(frozen=True)
class MpdAddress:
    """Where an MPD listens.

    Attributes
    ----------
    host : str
        A name or an address; or a path, or ``@name``, of a socket of this machine.
    port : int
        Of no meaning for a socket.
    password : str or None
    """

    host: str = "localhost"
    port: int = PORT
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> "MpdAddress":
        """Read ``host``, ``host:port``, ``[::1]:6600``, ``/run/mpd/socket``, each with ``password@`` before it or not.

        Raises
        ------
        ValueError
            It is none of these.
        """
        found = re.fullmatch(r"(?:(?P<password>[^@/].*?)@)?(?P<place>@?[^@]*)", text.strip())
        if found is None or not found["place"]:
            raise ValueError(f"found {shown(text)!r}; expected a host such as localhost:{PORT}, or a socket's path")
        password, place = found["password"], found["place"]
        if place[0] in "/@~":
            return cls(os.path.expanduser(place), PORT, password)
        host, port = place, str(PORT)
        if bracketed := re.fullmatch(r"\[(.+)\](?::(.*))?", place):
            host, port = bracketed[1], bracketed[2] or port
        elif place.count(":") == 1:
            host, port = place.split(":")
        if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"port: found {shown(port)!r}; expected 1 to 65535")
        return cls(host or "localhost", int(port), password)

    @property
    def is_socket(self) -> bool:
        """Whether it is a socket of this machine."""
        return self.host[0] in "/@"

    def __str__(self) -> str:
        if self.is_socket:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def append_to_mpd(address: MpdAddress, tracks: Sequence[LibraryTrack]) -> list[LibraryTrack]:
    """Append songs to the queue of an MPD, in their order; a part of a file is queued as that part.

    Parameters
    ----------
    address : MpdAddress
        Where it listens.
    tracks : sequence of LibraryTrack
        What is to be played.

    Returns
    -------
    list of LibraryTrack
        Those that it does not hold, which were left out.

    Raises
    ------
    PlayerError
        It does not answer, or refuses.
    MissingExtra
        Of python-mpd2.
    """
    try:
        import mpd
    except ImportError:
        raise MissingExtra.of("--mpd", "mpd") from None
    client = mpd.MPDClient()
    client.timeout = _TIMEOUT_S
    with _explained(address, mpd):
        client.connect(address.host, address.port)
        try:
            if address.password is not None:
                client.password(address.password)
            queue = _Queue(client, mpd.CommandError, here=address.is_socket)
            return [track for track in tracks if not queue.append(track)]
        finally:
            with suppress(mpd.MPDError, OSError):
                client.close()
            client.disconnect()


@contextmanager
def _explained(address: MpdAddress, mpd: Any) -> Iterator[None]:
    """Turn what the client raises into a line for people."""
    try:
        yield
    except mpd.CommandError as error:
        text = shown(str(error)).partition("} ")[2] or shown(str(error))
        how = "; with a password: PASSWORD@HOST" if _code(error) in _NOT_ALLOWED else ""
        raise PlayerError(f"MPD at {address} refuses: {text}{how}") from error
    except (mpd.MPDError, ValueError) as error:
        raise PlayerError(f"{address} does not answer as an MPD does ({shown(str(error))})") from error
    except TimeoutError as error:
        raise PlayerError(f"MPD at {address} does not answer") from error
    except OSError as error:
        raise PlayerError(f"no MPD answers at {address}: {in_words(error)}") from error


class _Queue:
    """The queue of an MPD, and which folders of this machine are which of its own.

    Parameters
    ----------
    client : mpd.MPDClient
        Connected.
    refusal : type
        What it raises where MPD refuses a command.
    here : bool
        Whether it is asked by its own socket, which also takes files outside its folder.
    """

    def __init__(self, client: Any, refusal: type[Exception], *, here: bool) -> None:
        self._client, self._refusal, self._here = client, refusal, here
        self._folders: dict[tuple[str, ...], tuple[str, ...]] = {}  # of this machine, to those of MPD
        if here:
            with suppress(refusal):
                settings = client.config()
                folder = settings["music_directory"] if isinstance(settings, dict) else settings
                self._folders[PurePath(os.path.realpath(folder)).parts] = ()

    def append(self, track: LibraryTrack) -> bool:
        """Append a song; False where MPD does not hold it."""
        for uri in self._places(track):
            if (number := self._added(uri)) is not None:
                break
        else:
            return False
        here, there = track.file.parts, tuple(uri.split("/"))
        same = _in_common(here, there)
        if not uri.startswith("/") and (same > 1 or same == len(there)):
            self._folders[here[: len(here) - same]] = there[: len(there) - same]
        if track.span:
            begin, end = track.span
            with suppress(self._refusal):  # one of before 0.19 plays the whole file
                self._client.rangeid(number, f"{begin:.3f}:{end:.3f}")
        return True

    def _places(self, track: LibraryTrack) -> Iterator[str]:
        """Where MPD may hold a song, the likeliest first."""
        parts = track.file.parts
        if any(re.search("[\n\r\0\ud800-\udfff]", part) for part in parts):
            return  # no name in its protocol
        for folder, there in reversed(self._folders.items()):
            if parts[: len(folder)] == folder:
                yield "/".join((*there, *parts[len(folder) :]))
        if found := self._search(track):
            yield "/".join(found)
        for n in range(len(parts) - 1, 1, -1):  # it does not find, but plays, a file that a CUE sheet beside it names
            yield "/".join(parts[-n:])
        if self._here:
            yield track.file.as_posix()

    def _added(self, uri: str) -> str | None:
        """The number in the queue of what was appended; None where there is no such song."""
        try:
            return str(self._client.addid(uri))
        except self._refusal as error:
            if _code(error) == _NO_SUCH_SONG or uri.startswith("/"):
                return None  # of a file outside its folder it says in many ways that it has no use for it
            raise

    def _search(self, track: LibraryTrack) -> tuple[str, ...] | None:
        """The parts of the place of the song that MPD holds by the name of its file, if one is surely it."""
        name = track.file.name
        for form in dict.fromkeys((name, *(unicodedata.normalize(form, name) for form in ("NFC", "NFD")))):
            songs = {tuple(s["file"].split("/")): s for s in self._client.search("file", form) if "file" in s}
            same = {place: _in_common(track.file.parts, place) for place in songs}
            most = max(same.values(), default=0)
            best = [place for place, n in same.items() if n == most > 0]
            if most == 1 or len(best) > 1 or any(most < len(place) for place in best):
                best = [place for place in best if _is_as_long(track, songs[place])]
            if len(best) == 1:
                return best[0]
        return None


def _code(error: Exception) -> object:
    """The number of what MPD refuses."""
    code = getattr(error, "errno", None)
    return getattr(code, "value", code)


def _in_common(here: Sequence[str], there: Sequence[str]) -> int:
    """How many parts at the end of two paths are the same."""
    same = 0
    for a, b in zip(reversed(here), reversed(there), strict=False):
        if unicodedata.normalize("NFC", a) != unicodedata.normalize("NFC", b):
            break
        same += 1
    return same


def _is_as_long(track: LibraryTrack, song: dict[str, str]) -> bool:
    """Whether what MPD holds plays as long as a song, or of a part of a file as far as to its end."""
    try:
        seconds = float(song.get("duration") or song.get("time") or math.nan)
    except (TypeError, ValueError):
        return False
    if track.span:
        return seconds >= track.span[1] - _AS_LONG_S
    return abs(seconds - track.duration_s) <= _AS_LONG_S
