"""A listener's history, as sites and players export it: who was played how often, what is liked and disliked.

Conventions: one `mirclr.library.Listen` for each piece of music, which is known by artist and title in any case and
accents, or by its file. A time counts when it lies between the year 2000 and tomorrow; else the play counts without.
Files come from anywhere: what is not as it should be is reported and left out, and sizes, lines and pieces are bounded.

Contents: `read_history`, `read_histories`, `History` (reading.py: what a file is); sources.py, bytes to lines and JSON
values; services.py, these to listens; tables.py, tables to listens; likes.py, texts and playlists of what is liked;
`aggregate` (many listens to one a piece) and `merge` (two histories of one listener), in merging.py.
"""

from mirclr.recommend.history.merging import aggregate, merge
from mirclr.recommend.history.reading import History, read_histories, read_history

__all__ = ["History", "aggregate", "merge", "read_histories", "read_history"]
