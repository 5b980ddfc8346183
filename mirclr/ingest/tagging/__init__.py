"""Tags written and taken back without harm to the music: a checked copy takes a file's place, a journal undoes it."""

from mirclr.ingest.tagging.journal import Journal
from mirclr.ingest.tagging.replacing import sweep
from mirclr.ingest.tagging.sound import Comparer
from mirclr.ingest.tagging.writing import Change, Manner, take_back, write_values

__all__ = ["Change", "Comparer", "Journal", "Manner", "sweep", "take_back", "write_values"]
