"""A service, run: its socket, uvicorn with patience for nobody, and an end that leaves nothing half done.

Contents: `bind`, `addresses`, `server_for`, `serve`.
"""

import asyncio
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from types import FrameType

import uvicorn
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from uvicorn.protocols.http.h11_impl import H11Protocol

from mirclr.api import Library
from mirclr.errors import MirclrError, in_words
from mirclr.library.database import check_as_it_is
from mirclr.serve.app import create_app
from mirclr.serve.settings import ServeSettings

_HEADERS_S = 10.0  # in which the head of a request has to come
_CONNECTIONS = 1000
_IDLE_S = 30  # for which a connection waits for another request; who thinks for 5 s would meet its end
_SWITCH_S = 0.0005  # a thread that reads rows waits as long for the others at each, where one computes; usually 5 ms
_STOP_S = 5  # for which an end waits for answers that are being sent


def bind(host: str, port: int) -> socket.socket:
    """Take a port.

    Parameters
    ----------
    host : str
        An address or a name of this machine; 0.0.0.0 and :: are all of them.
    port : int
        0: any that is free.

    Raises
    ------
    MirclrError
        It is taken, or may not be.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        both = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
        sock = socket.create_server(address, family=family, backlog=2048, dualstack_ipv6=both)
        # asyncio sends what is small at once (TCP_NODELAY) on sockets that say what they are; on others it waits 40 ms
        return socket.socket(sock.family, sock.type, socket.IPPROTO_TCP, fileno=sock.detach())
    except (OSError, UnicodeError) as error:
        raise MirclrError(_why_not(error, host, port)) from error


def _why_not(error: Exception, host: str, port: int) -> str:
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"--host {host}: no address of this name; expected one of this machine, such as 127.0.0.1 or 0.0.0.0"
    if code == errno.EADDRINUSE:
        return f"port {port} is taken, perhaps by another mirclr serve; name another: --port {_next(port)}"
    if code == errno.EACCES:
        return f"port {port} may not be taken by you; name another: --port 8338"
    if code == errno.EADDRNOTAVAIL:
        return f"--host {host}: no address of this machine; expected such as 127.0.0.1 or 0.0.0.0"
    return f"port {port} of {host} cannot be taken: {in_words(error)}"


def _next(port: int) -> int:
    return port + 1 if port < 65535 else 8338


def addresses(sock: socket.socket) -> list[str]:
    """The addresses of a service, for people: the one for this machine, then those for others."""
    host, port = sock.getsockname()[:2]
    if not ip_address(host).is_unspecified:
        return [_address(host, port)]
    ours = "127.0.0.1" if sock.family == socket.AF_INET or socket.has_dualstack_ipv6() else "::1"
    return [_address(one, port) for one in dict.fromkeys([ours, *_address_in_network()])]


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _address_in_network() -> list[str]:
    """The address by which other machines reach this one, if there is a network; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
            return [probe.getsockname()[0]]
        except OSError:
            return []


class _Protocol(H11Protocol):
    """HTTP of a connection on which the head of a request does not come for ever."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_watching()
        super().connection_lost(exc)

    def _unsupported_upgrade_warning(self) -> None:
        """Answer as HTTP what asks for another protocol, without advice in the log on what to install."""

    def _is_waiting(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _watch(self) -> None:
        if not self._is_waiting():
            self._stop_watching()
        elif self._timer is None:
            self._timer = self.loop.call_later(_HEADERS_S, self._give_up)

    def _stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if self._is_waiting():
            self.transport.abort()


class Server(uvicorn.Server):
    """A server that lets go who listens when it is to end, and ends in peace by Ctrl-C and SIGTERM."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End: who listens is let go, what runs is ended, what is being sent gets some seconds."""
        app = self.config.app
        app.state.jobs.close()  # type: ignore[union-attr]
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End soon; at once by a second Ctrl-C."""
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def _end_with_its_terminal(server: Server) -> None:
    """Have it end in peace when its terminal is closed, but not where it was begun to outlive that, as by nohup."""
    hangup = getattr(signal, "SIGHUP", None)
    if hangup is not None and signal.getsignal(hangup) == signal.SIG_DFL:
        signal.signal(hangup, server.handle_exit)


def server_for(settings: ServeSettings) -> Server:
    """The server of an application; ``run(sockets=[…])`` it."""
    config = uvicorn.Config(
        create_app(settings),
        http=_Protocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        forwarded_allow_ips="127.0.0.1,::1",
        limit_concurrency=_CONNECTIONS,
        timeout_keep_alive=_IDLE_S,
        timeout_graceful_shutdown=_STOP_S,
    )
    return Server(config)


def serve(settings: ServeSettings, ready: Callable[[Sequence[str]], object]) -> None:
    """Serve until the process is asked to end.

    Parameters
    ----------
    settings : ServeSettings
        What is served to whom.
    ready : callable
        Called with the `addresses` once they can be asked.

    Raises
    ------
    MirclrError
        The port is taken, or the library cannot be used.
    """
    if settings.read_only:
        check_as_it_is(settings.library)
    with Library.open(settings.library, create=not settings.read_only):
        pass  # one that cannot be used is a line now, and no answer later
    threadpool_limits(1)  # answers are made by threads beside each other; those of a product would only wait
    sys.setswitchinterval(_SWITCH_S)
    gc.freeze()  # what is there now stays; to look through it for garbage would keep an answer waiting
    with bind(settings.host, settings.port) as sock:
        server = server_for(replace(settings, port=sock.getsockname()[1]))
        _end_with_its_terminal(server)
        ready(addresses(sock))
        server.run(sockets=[sock])
