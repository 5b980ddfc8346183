"""What can go wrong, as a tree. Each leaf is also the builtin exception that a caller would catch.

::

    MirclrError
    ├── AudioError                     one file cannot be decoded; a run skips it and reports it
    │   ├── UnreadableAudio            (OSError)      missing, empty, truncated, not audio
    │   │   └── UnreachableAudio       the system does not give it: gone, no permission, a disk that fails
    │   └── UnusableAudio              (ValueError)   too short, silent, NaN, too many channels, absurd header
    ├── ProcessError                   (RuntimeError) the machine cannot start a process
    ├── MissingExtra                   (ImportError)  an optional dependency is not installed
    ├── CacheError                     (OSError)      the cache of clips cannot be written or read
    ├── StorageError                   (OSError)      a file of a folder, here or elsewhere, cannot be read or written
    ├── ShardsError                    (ValueError)   shards of clips are damaged, or cannot be trained on as asked
    ├── ManifestError                  (ValueError)   a manifest line breaks the schema or the split rules
    ├── CueError                       (ValueError)   a CUE sheet that is of no use
    ├── CorpusError                    (OSError)      a corpus cannot be obtained
    │   └── DigestMismatch             a file is not the one that the manifest names
    ├── RecipeError                    (ValueError)   a recipe is not valid
    │   └── OverrideError              by what was set on the command line
    ├── CheckpointError                (ValueError)   a file is not a mirclr checkpoint, or of another kind
    ├── TrainingError                  (RuntimeError) training cannot go on
    │   └── NotFinite                  (ArithmeticError) a loss became NaN or infinite
    ├── ObjectiveError                 (ValueError)   a batch from which an objective cannot be computed
    ├── LibraryError                   (ValueError)   a library file cannot be used as asked
    │   ├── LibraryNotFound            (FileNotFoundError)
    │   ├── LibraryBusy                another process has been writing to it for long
    │   └── EncoderMismatch            vectors of another encoder
    ├── EngineError                    (ValueError)   the engine of an index refuses what it is asked
    │   └── EngineUnreachable          (ConnectionError) it does not answer
    ├── NoMatch                        (LookupError)  a seed, label or name matches nothing
    ├── LabelsError                    (ValueError)   a labels file cannot be used
    ├── SettingsError                  (ValueError)   a person's settings cannot be read
    ├── QueryError                     (ValueError)   a query asks for what cannot be
    ├── PatternError                   (ValueError)   a pattern of what is left out stands for nothing
    ├── CopyError                                     songs cannot be copied: there is no room
    ├── PlaylistError                  (ValueError)   a playlist cannot be read, or its kind is not known
    ├── PlayerError                    (RuntimeError) a music player does not answer, or refuses
    ├── TagsError                      (ValueError)   the tags of a file cannot be read or written
    ├── HistoryError                   (ValueError)   a listening history cannot be read
    ├── ClusterError                   (RuntimeError) a cluster cannot be reached, or cannot do what is asked
    └── VectorsError                   (ValueError)   a folder of vectors cannot be used as asked

The text of each names the place: what was found; what was expected; what to do.
"""

import errno
import os

_REASONS = {
    errno.ENOSPC: "no space is left on the disk",
    errno.EDQUOT: "the disk space allowed to you is used up",
    errno.EIO: "the disk failed (input/output error); check it and its cable or network",
    errno.EROFS: "its disk can only be read",
    errno.ENAMETOOLONG: "the name is too long for the disk",
    errno.EMFILE: "this process has too many files open",
    errno.ENFILE: "too many files are open on this machine",
    errno.ENOMEM: "not enough memory",
}
_FAULTS = frozenset(_REASONS) - {errno.ENAMETOOLONG}


def exit_code(error: Exception) -> int:
    """By which a command ends: 2 where what was typed is wrong, else 1."""
    return 2 if isinstance(error, OverrideError) else 1


def in_words(error: BaseException, named: os.PathLike[str] | None = None) -> str:
    """What went wrong, for people: of an error of the system its file and the reason, without its number.

    The file is left out where it is `named` already.
    """
    if is_out_of_memory(error) and not isinstance(error, OSError):
        return f"not enough memory ({error})" if str(error) else "not enough memory"
    if not isinstance(error, OSError) or error.errno is None or not error.strerror:
        return str(error).removeprefix(f"{named}: ") or type(error).__name__
    reason = _REASONS.get(error.errno) or error.strerror[:1].lower() + error.strerror[1:]
    return reason if error.filename in (None, "", b"", named, str(named)) else f"{_name(error.filename)}: {reason}"


def _name(file: object) -> str:
    return os.fsdecode(file) if isinstance(file, str | bytes | os.PathLike) else str(file)


def is_fault_of_machine(error: BaseException, *, music: bool = False) -> bool:
    """Whether the machine is at fault and not the file at hand: no space, no memory, a disk that fails.

    Of `music` that is being read, a disk may fail at one spot and give all other files: that is reported of the file.
    """
    faults = _FAULTS - {errno.EIO} if music else _FAULTS
    return is_out_of_memory(error) or (isinstance(error, OSError) and error.errno in faults)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, in whatever way that is raised: by torch as a RuntimeError like any other."""
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    text = str(error).lower() if isinstance(error, RuntimeError) and not isinstance(error, MirclrError) else ""
    return isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text


class MirclrError(Exception):
    """Root of the tree: everything mirclr raises on purpose."""


class AudioError(MirclrError):
    """One file cannot be decoded. A run over many files skips it and reports it."""


class UnreadableAudio(AudioError, OSError):
    """The file is missing, empty, truncated, or not audio."""


class UnreachableAudio(UnreadableAudio):
    """The system does not give the file: it is gone, may not be read, or its disk fails; it may be read another day."""


class UnusableAudio(AudioError, ValueError):
    """The file decodes, but holds nothing to learn from: too short, silent, NaN, an absurd header."""


class ProcessError(MirclrError, RuntimeError):
    """A process of its own cannot be started, as memory or processes are used up; no file is at fault."""


class MissingExtra(MirclrError, ImportError):
    """An optional dependency is not installed; the text names the extra to install."""

    @classmethod
    def of(cls, what: str, extra: str) -> "MissingExtra":
        """Build the error of `what` needing ``mirclr[extra]``."""
        return cls(f"{what} needs an optional part; install it with: pip install 'mirclr[{extra}]'")

    @classmethod
    def of_import(cls, error: ImportError) -> "MissingExtra | None":
        """Build the error of an import that failed for want of torch; None where it is another."""
        if error.name is None or error.name.partition(".")[0] != "torch":
            return None
        return cls("this needs torch, which is not installed; install it with: pip install 'mirclr[train]'")


class CacheError(MirclrError, OSError):
    """The cache of clips cannot be written or read: the disk or its permissions, and no fault of a track."""


class StorageError(MirclrError, OSError):
    """A file of a folder, here or elsewhere, cannot be read or written: not there, not allowed, or not reached."""


class ShardsError(MirclrError, ValueError):
    """Shards of clips are damaged, of another kind or setting, or cannot be trained on as a recipe asks."""


class ManifestError(MirclrError, ValueError):
    """A manifest line breaks the schema, or a manifest breaks the split rules."""


class CueError(MirclrError, ValueError):
    """A CUE sheet that is none, or contradicts itself; the text does not name the sheet."""


class CorpusError(MirclrError, OSError):
    """A corpus cannot be obtained."""


class DigestMismatch(CorpusError):
    """A file is not, byte for byte, the one that the manifest names."""


class RecipeError(MirclrError, ValueError):
    """A recipe is not valid."""


class OverrideError(RecipeError):
    """A recipe is not valid by what was set on the command line."""


class CheckpointError(MirclrError, ValueError):
    """A file is not a mirclr checkpoint, or not of the kind that is needed."""


class TrainingError(MirclrError, RuntimeError):
    """Training cannot go on."""


class NotFinite(TrainingError, ArithmeticError):
    """A loss became NaN or infinite; the text names the batch."""


class ObjectiveError(MirclrError, ValueError):
    """A batch from which the objective cannot be computed, such as one without a positive pair."""


class LibraryError(MirclrError, ValueError):
    """A library file cannot be used as asked."""


class LibraryNotFound(LibraryError, FileNotFoundError):
    """There is no library at that path."""


class LibraryBusy(LibraryError):
    """Another process has been writing to the library for so long that this one gave up; try again."""


class EncoderMismatch(LibraryError):
    """The library holds vectors of another encoder; the text names both and the command that rebuilds."""


class EngineError(MirclrError, ValueError):
    """The engine of an index, such as a database, refuses what it is asked, or its address is none."""


class EngineUnreachable(EngineError, ConnectionError):
    """The engine of an index does not answer, or the connection to it was lost and did not come back."""


class NoMatch(MirclrError, LookupError):
    """A seed, a label or a name matches nothing; further texts are what may have been meant, a line each."""

    def __str__(self) -> str:
        return "\n  ".join(self.args)


class LabelsError(MirclrError, ValueError):
    """A labels file cannot be used."""


class SettingsError(MirclrError, ValueError):
    """The file of a person's settings cannot be read, or says what cannot be."""


class QueryError(MirclrError, ValueError):
    """A query asks for what cannot be, or in a form that is none."""


class PatternError(MirclrError, ValueError):
    """A pattern of what is left out of a library stands for nothing, or for all of it."""


class CopyError(MirclrError):
    """Songs cannot be copied, as there is no room for them."""


class PlaylistError(MirclrError, ValueError):
    """A playlist cannot be read, or its suffix names no kind that is known."""


class PlayerError(MirclrError, RuntimeError):
    """A music player does not answer, or refuses what it is asked."""


class TagsError(MirclrError, ValueError):
    """The tags of a file cannot be read or written."""


class HistoryError(MirclrError, ValueError):
    """A listening history cannot be read."""


class ClusterError(MirclrError, RuntimeError):
    """A cluster cannot be reached, or cannot do what is asked of it; no file is at fault."""


class VectorsError(MirclrError, ValueError):
    """A folder of vectors cannot be used as asked."""
