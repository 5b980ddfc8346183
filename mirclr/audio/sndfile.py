"""Sources by libsndfile, through soundfile: it is as fast as any on the formats that it knows."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile

from mirclr.audio.quiet import quiet
from mirclr.audio.source import Damage, Stumbled

_ERRORS = (soundfile.LibsndfileError, soundfile.SoundFileRuntimeError)
_LACKING_S = 0.1  # an excerpt may be so much shorter than it should be: codecs round to frames


@contextmanager
def open_by_libsndfile(path: Path) -> Iterator["SndSource"]:
    """Open a file.

    Raises
    ------
    Stumbled
        libsndfile does not know it.
    """
    try:
        with quiet():
            # a name need not be UTF-8
            file = soundfile.SoundFile(path if os.name == "nt" else os.fsencode(path))
    except (*_ERRORS, TypeError) as error:  # TypeError: a .raw file, which has no header
        why = str(getattr(error, "error_string", error))
        # the first it also says of bytes that it does not know
        unknown = "does not exist" in why or "not recognised" in why
        raise Stumbled("not audio that is known" if unknown else why) from error
    with file:
        if file.format == "RAW":  # by the suffix alone, as of .vox and .gsm
            raise Stumbled("no header")
        yield SndSource(file)


class SndSource:
    """A file open in libsndfile. Its methods raise `Stumbled` where it gives up or comes short."""

    def __init__(self, file: soundfile.SoundFile) -> None:
        self._file = file
        self.rate = int(file.samplerate)
        self.channels = int(file.channels)
        self.seconds = file.frames / self.rate if self.rate else 0.0
        self.damage = Damage()

    def read_at(self, start_s: float, seconds: float) -> np.ndarray:
        """As `Source.read_at`."""
        wanted = round(seconds * self.rate)
        samples = self._read(min(round(start_s * self.rate), max(0, self._file.frames - 1)), wanted)
        if len(samples) < wanted - _LACKING_S * self.rate:
            raise Stumbled(f"the audio ends near {start_s + len(samples) / self.rate:.1f} s")
        return samples

    def blocks(self, seconds: float, start_s: float = 0.0) -> Iterator[np.ndarray]:
        """As `Source.blocks`."""
        at = round(start_s * self.rate)
        read = at
        while len(samples := self._read(at if read == at else None, round(seconds * self.rate))):
            read += len(samples)
            yield samples
        if read < self._file.frames - max(_LACKING_S * self.rate, 0.001 * self._file.frames):
            raise Stumbled(f"the audio ends near {read / self.rate:.1f} s")

    def _read(self, at: int | None, count: int) -> np.ndarray:
        try:
            with quiet():
                if at is not None:
                    self._file.seek(at)
                samples: np.ndarray = self._file.read(count, dtype="float32", always_2d=True)
        except _ERRORS as error:
            raise Stumbled(str(getattr(error, "error_string", error))) from error
        return samples
