"""`ServeSettings`: what is served to whom."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Limits:
    """How much one request or client may ask for.

    Attributes
    ----------
    page : int
        Rows of one answer.
    n : int
        Songs of one recommendation.
    body_bytes : int
        Of a request, audio that is sent apart.
    audio_bytes : int
        Of audio that is sent to be classified.
    streams : int
        Songs that are sent at once.
    transcoded : int
        Of these, songs that are sent in another format, each by a process of its own.
    events : int
        Clients that wait for events at once.
    jobs : int
        Jobs that wait.
    body_s : float
        Seconds that a request may take to come; more where it is large and goes on coming.
    requests_a_second : float
        Of one address, other than this machine's; ten times that at once.
    wrong_tokens_a_minute : int
        Of one address.
    """

    page: int = 500
    n: int = 500
    body_bytes: int = 1 << 20
    audio_bytes: int = 200 << 20
    streams: int = 32
    transcoded: int = 8
    events: int = 512
    jobs: int = 16
    body_s: float = 20.0
    requests_a_second: float = 100.0
    wrong_tokens_a_minute: int = 10


@dataclass(frozen=True)
class ServeSettings:
    """What is served to whom.

    Attributes
    ----------
    library : Path
        The library file.
    host : str
        The address that is bound.
    port : int
        0: any that is free.
    token : str or None
        What a client must know; none is needed where it is None, as on loopback.
    allowed_hosts : tuple of str
        Names, beside the address itself, by which it may be asked, as behind a reverse proxy.
    read_only : bool
        Whether nothing may be written: library, playlists, profiles, tags.
    limits : Limits
    """

    library: Path
    host: str = "127.0.0.1"
    port: int = 8338
    token: str | None = None
    allowed_hosts: tuple[str, ...] = ()
    read_only: bool = False
    limits: Limits = field(default_factory=Limits)

    @property
    def is_loopback(self) -> bool:
        """Whether no other machine reaches it."""
        return is_loopback(self.host)


def is_loopback(host: str) -> bool:
    """Whether an address or name is of this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
