"""Tags written, and undone, without harm to the music: a checked copy takes a file's place, a journal undoes it.

In: what a library knows of its tracks (`mirclr.ingest.tagging.session`). Out: changed files, and a journal beside the
library.
"""

from mirclr.ingest.tagging.journal import Journal
from mirclr.ingest.tagging.packets import PacketComparer
from mirclr.ingest.tagging.replacing import remove_leftovers
from mirclr.ingest.tagging.writing import TagChange, WriteOptions, undo_change, write_values

__all__ = ["Journal", "PacketComparer", "TagChange", "WriteOptions", "remove_leftovers", "undo_change", "write_values"]
