"""Tags written and taken back without harm to the music: a checked copy takes a file's place, a journal undoes it."""

from mirclr.tagging.journal import Journal
from mirclr.tagging.replacing import sweep
from mirclr.tagging.sound import Comparer
from mirclr.tagging.writing import Change, Manner, take_back, write_values

__all__ = ["Change", "Comparer", "Journal", "Manner", "sweep", "take_back", "write_values"]
