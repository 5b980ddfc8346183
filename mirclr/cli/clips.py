"""``mirclr clips``: the cache of decoded clips."""

import click

from mirclr.cli.options import as_json
from mirclr.cli.show import print_json, print_line


@click.group(epilog="Example: mirclr clips info")
def command() -> None:
    """Show or clear the cache of decoded clips."""


@command.command(epilog="Example: mirclr clips info --json")
@as_json
def info(as_json: bool) -> None:
    """Show where the cache is and how large."""
    from mirclr.data.clips import cache_size, clips_dir

    tracks, size = cache_size()
    if as_json:
        print_json({"folder": str(clips_dir()), "tracks": tracks, "bytes": size})
    else:
        print_line(f"{clips_dir()}: {tracks} tracks, {size / 1e6:.1f} MB")


@command.command(epilog="Example: mirclr clips clear")
@as_json
def clear(as_json: bool) -> None:
    """Remove the cache; the next training decodes again."""
    from mirclr.data.clips import clear_cache

    freed = clear_cache()
    if as_json:
        print_json({"freed_bytes": freed})
    else:
        print_line(f"freed {freed / 1e6:.1f} MB")
