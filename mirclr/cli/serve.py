"""``mirclr serve``: the library as a web page, a service and a music server."""

from __future__ import annotations

import logging
import re
import secrets
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from mirclr.cli import options
from mirclr.cli.show import complain, loudness, print_line, remark

_LEVELS = {"quiet": logging.WARNING, "usual": logging.INFO, "verbose": logging.INFO}


def _token(context: click.Context, param: click.Parameter, given: str | None) -> str | None:
    """A token as a header can carry it, and that is not guessed at once."""
    if given is not None and not re.fullmatch(r"[!-~]{8,500}", given):
        raise click.UsageError("--token: expected 8 letters, figures or signs at least, without spaces")
    return given


def _names(context: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    """Names as browsers send them, but for the port."""
    for name in given:
        if not re.fullmatch(r"[^\s:/@\[\]]+|\[?[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f.]*\]?", name):
            line = f"--allow-host {name}: expected a name alone, such as music.example.org, without https:// and port"
            raise click.UsageError(line)
    return given


@click.command(epilog="Example: mirclr serve --open")
@options.library
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve at; 0.0.0.0: all of them.")
@click.option("--port", type=click.IntRange(0, 65535), default=8338, show_default=True, help="0: any that is free.")
@click.option(
    "--token",
    metavar="TOKEN",
    envvar="MIRCLR_TOKEN",
    callback=_token,
    help="What clients must know, also from $MIRCLR_TOKEN; made and shown where others can reach this.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    callback=_names,
    help="A name by which others ask for it.",
)
@click.option("--read-only", is_flag=True, help="Write nothing: no playlists, profiles, tags.")
@click.option("--open", "browse", is_flag=True, help="Open it in the browser.")
@click.option(
    "--log", "how", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to log."
)
def command(
    library_path: Path,
    host: str,
    port: int,
    token: str | None,
    allowed_hosts: tuple[str, ...],
    read_only: bool,
    browse: bool,
    how: Literal["text", "json"],
) -> int:
    """Open your library in a browser, and answer music players.

    Only this computer reaches it, unless --host or --allow-host says otherwise; then clients need a token, which is
    made and shown if you give none. Players that speak Subsonic take it as their password. Ctrl-C ends it.

    \b
    From other places, with TLS, by Caddy on this computer (Caddyfile):
        music.example.org {
            reverse_proxy 127.0.0.1:8338
        }
    and here: mirclr serve --allow-host music.example.org

    \b
    Always there, by systemd (~/.config/systemd/user/mirclr.service):
        [Service]
        ExecStart=%h/.local/bin/mirclr serve --log json
        EnvironmentFile=%h/.config/mirclr/serve.env
        Restart=on-failure
        [Install]
        WantedBy=default.target
    with MIRCLR_TOKEN=… in serve.env (chmod 600); and then:
        systemctl --user enable --now mirclr
    """
    from mirclr.errors import MissingExtra
    from mirclr.serve.settings import ServeSettings, is_loopback

    try:
        from mirclr.api import Library
        from mirclr.serve.logs import log_to
        from mirclr.serve.running import serve
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("mirclr"):
            raise
        raise MissingExtra.of("mirclr serve", "serve") from None
    made = token is None and (not is_loopback(host) or bool(allowed_hosts))
    if made:
        token = secrets.token_urlsafe(24)

    def ready(addresses: Sequence[str]) -> None:
        for address in (*addresses, *(f"https://{name}/" for name in allowed_hosts)):
            print_line(address)
        with Library.open(library_path) as library:
            if not any(library.roots().values()):
                embed = options.command_line("embed", "FOLDER", library_path=library_path)
                remark(f"no song is in this library yet; add your music: {embed}")
        if made:
            complain(f"token: {token}")
            remark(f"to be let in without typing it: {addresses[-1]}#token={token}")
        if browse:  # apart, as a browser in a terminal stays until it is closed
            threading.Thread(target=webbrowser.open, args=(addresses[0],), daemon=True).start()

    log_to(sys.stderr, how, level=_LEVELS[loudness()], requests=how == "json" or loudness() == "verbose")
    serve(ServeSettings(library_path, host, port, token, allowed_hosts, read_only), ready)
    return 0
