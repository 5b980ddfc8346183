"""``mirclr clips``: the cache of decoded clips, and shards of them."""

import shlex
from pathlib import Path
from typing import Any

import click

from mirclr.cli import options
from mirclr.cli.options import as_json
from mirclr.cli.show import closing, print_json, print_line, progress, remark
from mirclr.storage import is_url
from mirclr.terminal import counted, size


@click.group(epilog="Example: mirclr clips info")
def command() -> None:
    """Show or clear the cache of decoded clips, or pack it into shards."""


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


class _Part(click.ParamType):
    """One of several machines, as ``3/16``: from 1."""

    name = "part"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        which, slash, of = str(value).partition("/")
        if not (slash and which.isdecimal() and of.isdecimal() and 1 <= int(which) <= int(of) <= 100_000):
            self.fail(f"{value}: expected a part of the whole, such as 3/16", param, ctx)
        return int(which) - 1, int(of)


@command.command(epilog="Example: mirclr clips shard recipes/debian_ntxent/recipe.yaml -o s3://bucket/debian")
@click.argument("recipe_path", metavar="RECIPE.yaml", type=options.HomePath(path_type=Path, dir_okay=False))
@click.option(
    "-o", "--output", required=True, metavar="FOLDER", help="Where shards go: a path, or a URL such as s3://…"
)
@click.option(
    "--tracks",
    "per_shard",
    type=click.IntRange(1, 1_000_000),
    default=200,
    show_default=True,
    help="Tracks of a shard.",
)
@click.option(
    "--seconds",
    type=options.Number(0.5, 86_400),
    help="Keep so much of the middle of each track; by default all of it.",
)
@click.option(
    "--part", type=_Part(), metavar="I/N", default="1/1", help="Make a part of the shards, as one of N machines does."
)
@options.overrides
@options.workers
@as_json
def shard(
    recipe_path: Path,
    output: str,
    per_shard: int,
    seconds: float | None,
    part: tuple[int, int],
    overrides: tuple[str, ...],
    workers: int,
    as_json: bool,
) -> None:
    """Pack the clips that a recipe trains on into shards, for training on other machines.

    What was stopped goes on where it was. A recipe then trains on data.train=FOLDER/shards.json.
    """
    from mirclr.config import find_recipe, read_recipe
    from mirclr.data.clips import Skipped
    from mirclr.training.sharding import Sharding

    if not output.strip():
        raise click.BadParameter("a path is empty", param_hint="-o")
    if not is_url(output):
        output = str(Path(output).expanduser())
    recipe_path = find_recipe(recipe_path)
    recipe = read_recipe(recipe_path, overrides=overrides, on_note=remark)
    work = Sharding.of(recipe, recipe_path.parent, output, size=per_shard, seconds=seconds, on_note=remark)
    written = before = tracks = n_bytes = 0
    with progress("Packing shards", len(range(part[0], len(work.plan), part[1]))) as advance:
        for done in work.write(part, workers or None):
            if isinstance(done, Skipped):
                remark(f"skipped {done.reason}")
                continue
            written, before = written + (not done.before), before + done.before
            tracks, n_bytes = tracks + done.tracks, n_bytes + done.bytes
            advance()
    shards = work.finish()
    index = f"{work.folder}/shards.json" if shards else None
    if as_json:
        found = {"written": written, "there_before": before, "tracks": tracks, "bytes": n_bytes, "index": index}
        print_json(found | ({"digest": shards.digest} if shards else {}))
        return
    there = f" ({before} were there)" if before else ""
    print_line(
        f"{work.folder}: {counted(written + before, 'shard')}{there}, {counted(tracks, 'track')}, {size(n_bytes)}"
    )
    if index:
        train = index if is_url(index) else str(Path(index).absolute())
        remark(f"Try: {shlex.join(['mirclr', 'train', str(recipe_path), '-o', 'RUN', '--set', f'data.train={train}'])}")
    else:
        remark("other parts are not there yet; the last one that is made writes shards.json")
