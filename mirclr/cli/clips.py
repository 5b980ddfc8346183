"""``mirclr clips``: the cache of decoded clips."""

import click

from mirclr.cli.options import as_json
from mirclr.cli.show import closing, print_json, print_line
from mirclr.terminal import counted, size


@click.group(epilog="Example: mirclr clips info")
def command() -> None:
    """Show or clear the cache of decoded clips."""


@command.command(epilog="Example: mirclr clips info --json")
@as_json
def info(as_json: bool) -> None:
    """Show where the cache is and how large."""
    from mirclr.data.clips import cache_size, clips_dir

    tracks, n_bytes = cache_size()
    if as_json:
        print_json({"folder": str(clips_dir()), "tracks": tracks, "bytes": n_bytes})
    else:
        print_line(f"{clips_dir()}: {counted(tracks, 'track')}, {size(n_bytes)}")


@command.command(epilog="Example: mirclr clips clear")
@as_json
def clear(as_json: bool) -> None:
    """Remove the cache; the next training decodes again."""
    from mirclr.data.clips import clear_cache

    freed = clear_cache()
    if as_json:
        print_json({"freed_bytes": freed})
    else:
        closing(f"freed {size(freed)}")
