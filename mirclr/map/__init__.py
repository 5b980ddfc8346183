"""A library as a map: every track a point, and those that sound alike near each other.

In: a library's vectors, and what is known of its tracks. Out: points that the library keeps, clusters of them with
names, and what their colours mean.

Conventions: x and y are in [-1, 1], centred. A map is laid out once (`draw_map`); tracks that come later are placed
among those that are nearest to them, and nothing that has a place moves until the map is drawn anew. The same vectors
give the same map on one machine.

Contents: `draw_map` and `place_new` (drawing.py, over layout.py: t-SNE, and the place of one more track); `look_up`,
what is known of tracks as codes (facts.py); `find_clusters`, where points lie densely, and names of what they share
(clusters.py); `colours_by` (colours.py).
"""

from mirclr.map.clusters import Cluster, find_clusters
from mirclr.map.colours import KINDS, Colours, colours_by
from mirclr.map.drawing import Drawn, draw_map, place_new
from mirclr.map.facts import NAMING, Fact, look_up

__all__ = [
    "KINDS",
    "NAMING",
    "Cluster",
    "Colours",
    "Drawn",
    "Fact",
    "colours_by",
    "draw_map",
    "find_clusters",
    "look_up",
    "place_new",
]
