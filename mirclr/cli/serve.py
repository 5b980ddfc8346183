"""``mirclr serve``: the library as a web page, a service and a music server."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

from mirclr.cli import options
from mirclr.cli.show import print_line, remark


@click.command(epilog="Example: mirclr serve --open")
@options.library
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to serve at; 0.0.0.0: all of them.")
@click.option("--port", type=click.IntRange(0, 65535), default=8338, show_default=True, help="0: any that is free.")
@click.option("--token", metavar="TOKEN", help="What clients must know; made and shown where others can reach this.")
@click.option("--allow-host", "allowed_hosts", multiple=True, metavar="NAME", help="A name by which others ask for it.")
@click.option("--read-only", is_flag=True, help="Write nothing: no playlists, profiles, tags.")
@click.option("--open", "browse", is_flag=True, help="Open it in the browser.")
@click.option("--log", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to log.")
def command(
    library_path: Path,
    host: str,
    port: int,
    token: str | None,
    allowed_hosts: tuple[str, ...],
    read_only: bool,
    browse: bool,
    log: str,
) -> int:
    """Open your library in a browser, and answer music players.

    Only this computer reaches it, unless --host says otherwise; others then need the token that is shown.
    """
    from mirclr.errors import MissingExtra
    from mirclr.serve.settings import ServeSettings, is_loopback

    try:
        import uvicorn

        from mirclr.serve.app import create_app
    except ModuleNotFoundError:
        raise MissingExtra.of("mirclr serve", "serve") from None
    if token is None and not is_loopback(host):
        token = secrets.token_urlsafe(24)
        remark(f"token: {token}")
    settings = ServeSettings(library_path, host, port, token, allowed_hosts, read_only)
    print_line(f"http://{host}:{port}/")
    uvicorn.run(create_app(settings), host=host, port=port, log_level="warning")
    return 0
