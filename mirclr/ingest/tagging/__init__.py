"""Tags written, and undone, without harm to the music: a checked copy takes a file's place, a journal undoes it.

In: what a library knows of its tracks (guesses.py), and what a person says of it (review.py). Out: changed files
(session.py), and a journal beside the library.
"""

from mirclr.ingest.tagging.journal import Journal
from mirclr.ingest.tagging.packets import PacketComparer
from mirclr.ingest.tagging.replacing import remove_leftovers
from mirclr.ingest.tagging.writing import TagChange, WriteOptions, undo_change, write_values

__all__ = ["Journal", "PacketComparer", "TagChange", "WriteOptions", "remove_leftovers", "undo_change", "write_values"]
