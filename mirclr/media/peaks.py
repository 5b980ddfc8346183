"""The waveform of a song as a row of peaks, found once and kept.

They are kept by what the song sounds like, in the folder of what can be made again: so a song that moves or is tagged
anew keeps them, a library that may only be read has them too, its file stays small, and they can be deleted at any
time.
"""

import threading
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import numpy as np

from mirclr.audio import why_lost
from mirclr.audio.streaming import MAX_PEAKS, try_peaks
from mirclr.errors import UnreadableAudio
from mirclr.library import LibraryTrack
from mirclr.media.sound import file_of
from mirclr.processes import Lost, results_in_order, seconds_for_file
from mirclr.provenance import cache_dir, digest_bytes, writing

_KEPT = 4096  # peaks of a song that are found: of four minutes, 17 a second
_IN_MEMORY = 256  # songs
_VERSION = b"1"


def peaks_of(track: LibraryTrack, n: int) -> bytes:
    """How loud each of `n` equal parts of a song gets, decoded in a process of its own.

    Returns
    -------
    bytes
        As of `mirclr.audio.streaming.read_peaks`.

    Raises
    ------
    UnreadableAudio
        The file cannot be read or decoded.
    """
    file = file_of(track)
    job = (file, n, track.span)
    [(_, found)] = results_in_order(try_peaks, [job], workers=1, seconds_for=seconds_for_file)
    if isinstance(found, Lost):
        raise UnreadableAudio(why_lost(track.label, found))
    if isinstance(found, str):
        raise UnreadableAudio(found.replace(str(file), track.label))
    assert isinstance(found, bytes)
    return found


class KeptPeaks:
    """Peaks of songs, found when they are first asked for; may be asked by several threads.

    Parameters
    ----------
    folder : Path or None
        Where they are kept; None: in memory alone, the last ones.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._held: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    @classmethod
    def of_user(cls) -> "KeptPeaks":
        """Those in the folder of what can be made again."""
        return cls(cache_dir() / "waveforms")

    def of(self, track: LibraryTrack, n: int) -> bytes:
        """As `peaks_of`."""
        if not 1 <= n <= MAX_PEAKS:
            raise ValueError(f"n: found {n}; expected 1 to {MAX_PEAKS}")
        key = digest_bytes(_VERSION, track.audio_digest.encode("utf-8", "replace"))
        with self._lock:  # one song after the other: each takes a core
            peaks = self._held.get(key) or self._read(key)
            if peaks is None:
                peaks = peaks_of(track, _KEPT)
                self._write(key, peaks)
            self._held[key] = peaks
            while len(self._held) > _IN_MEMORY:
                self._held.popitem(last=False)
        return fewer_peaks(peaks, n)

    def _file(self, key: str) -> Path | None:
        return None if self._folder is None else self._folder / key[:2] / key

    def _read(self, key: str) -> bytes | None:
        if file := self._file(key):
            with suppress(OSError):
                peaks = file.read_bytes()
                return peaks if len(peaks) == _KEPT else None
        return None

    def _write(self, key: str, peaks: bytes) -> None:
        """Keep them; a disk that is full or may not be written is no reason not to answer."""
        if file := self._file(key):
            with suppress(OSError), writing(file, sync=False) as f:
                f.write(peaks)


def fewer_peaks(peaks: bytes, n: int) -> bytes:
    """The peaks of `n` parts from those of other parts; of more parts than there are some are repeated."""
    values = np.frombuffer(peaks, np.uint8)
    edges = np.arange(n + 1) * (len(values) / n)
    begins = np.floor(edges[:-1] + 1e-9).astype(np.int64)
    ends = np.maximum(np.ceil(edges[1:] - 1e-9).astype(np.int64), begins + 1)
    return bytes(int(values[begin:end].max()) for begin, end in zip(begins, ends, strict=True))
