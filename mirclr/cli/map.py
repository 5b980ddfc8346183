"""``mirclr map``: the library's songs as points, those that sound alike near each other."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mirclr.cli import options
from mirclr.cli.show import ProgressOf, closing, print_json, print_table, remark

if TYPE_CHECKING:
    from mirclr.library import LibraryStore
    from mirclr.map import Cluster, Drawn

_LISTED = 20


@click.command(epilog="Example: mirclr map --library music.db")
@options.library
@click.option("--again", is_flag=True, help="Draw it anew: songs that have a place move too.")
@options.as_json
def command(library_path: Path, again: bool, as_json: bool) -> int:
    """Draw a map of your songs: those that sound alike lie close.

    A map is drawn once, in a minute or a few; songs that come later find their place on it. `serve` shows it. Printed
    are the places where most songs lie, and what these share.
    """
    from mirclr.library import LibraryStore
    from mirclr.map import NAMING, draw_map, find_clusters, look_up

    with LibraryStore.open(library_path) as library:
        with ExitStack() as stack:
            drawn = draw_map(library, anew=again, report=ProgressOf("Drawing the map", stack))
        with library.snapshot():
            ids, points = library.map_points()
            clusters = find_clusters(points, [look_up(library, kind, ids) for kind in NAMING])
            if as_json:
                print_json(_as_json(library, drawn, clusters))
                return 0
    places = [cluster for cluster in clusters if cluster.level == 0 and cluster.name]
    if places:
        print_table(("where", "songs"), [(place.name, place.size) for place in places[:_LISTED]])
    closing(str(drawn))
    if len(ids):
        remark(f"Try: {options.command_line('serve', '--open', library_path=library_path)}")
    return 0


def _as_json(library: "LibraryStore", drawn: "Drawn", clusters: "list[Cluster]") -> dict[str, object]:
    ids, points = library.map_points()
    placed = zip(library.tracks(ids.tolist()), points.tolist(), strict=True)
    songs = [{"id": t.id, "file": str(t.file), "x": round(x, 5), "y": round(y, 5)} for t, (x, y) in placed]
    return {**vars(drawn), "songs": songs, "clusters": [vars(cluster) for cluster in clusters]}
