"""Networks that transcribe, without torch: ONNX files in onnxruntime, over sound that comes in blocks.

The file's metadata, JSON under the key ``mirclr_transcriber``, hold ``format``, ``kind``, ``reach`` (frames to each
side that an output depends on) and ``frames`` (that it takes at once). Each window of frames has sound, or silence
beyond the ends of the file, on both sides as far as it reaches: so the result is the same whatever the blocks are.
"""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from mirclr.audio.pitched import BANDS, HOP, WINDOWS, PitchedSpectrogram
from mirclr.errors import CheckpointError, in_words, is_fault_of_machine
from mirclr.models.portable import session_of
from mirclr.provenance import digest_bytes, open_regular

FORMAT = 1
KEY, INPUT, OUTPUT = "mirclr_transcriber", "spectrogram", "activations"
_THREADS = 4  # nothing else computes meanwhile; more of them wait for each other
SHAPES = {"notes": [5, 88], "song": [29]}
"""What a frame has of each kind of network; see `mirclr.models.transcriber`."""
SONG_ROWS = {
    "beat": slice(0, 1),
    "downbeat": slice(1, 2),
    "drums": slice(2, 7),
    "root": slice(7, 20),
    "quality": slice(20, 29),
}
"""Which numbers of a frame of a song are what."""


class PortableTranscriber:
    """A network of notes, or of beats, drums and chords.

    Parameters
    ----------
    path : Path
        The ONNX file.
    kind : {"notes", "song"}, optional
        Which of them it should be; either unless given.
    threads : int
        0: as many as are of use.

    Raises
    ------
    CheckpointError
        It is missing, damaged, or of another kind.

    Attributes
    ----------
    facts : dict
        Its metadata.
    kind : {"notes", "song"}
        Which of them it is.
    digest : str
        Of the file.
    """

    def __init__(self, path: Path, kind: str | None = None, threads: int = 0) -> None:
        try:
            with open_regular(path) as f:
                content = f.read()
        except FileNotFoundError:
            raise CheckpointError(f"{path}: no such file") from None
        except OSError as error:
            if is_fault_of_machine(error):
                raise
            raise CheckpointError(f"{path}: cannot be read ({in_words(error, path)})") from error
        try:
            self._session = session_of(content, threads=threads or min(_THREADS, os.cpu_count() or 1))
        except Exception as error:  # onnxruntime's own are of no common class
            if "allocat" in str(error).lower():
                raise MemoryError(str(error)) from error
            raise CheckpointError(f"{path}: no ONNX file that can be run, or a damaged one") from error
        self.facts = _facts(path, self._session, kind)
        self.kind: str = self.facts["kind"]
        self.digest = digest_bytes(content)
        self.reach, self.frames = int(self.facts["reach"]), int(self.facts["frames"])
        self._spectrogram = PitchedSpectrogram()

    def activations(self, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """Sound to what the network says of it.

        Parameters
        ----------
        blocks : iterable of (n,) float32
            A whole file at 16 kHz.

        Yields
        ------
        (…, m) float32
            Of a file of n samples 1 + n // HOP frames in all. Of notes (5, 88, m): probabilities of onset, frame and
            offset, velocity from 0 to 1, place in frames. Of a song (29, m): probabilities, in the order of
            `mirclr.models.transcriber.SONG_OUTPUTS`.
        """
        stream = TranscriberStream(self)
        for block in blocks:
            yield from stream.feed(block)
        yield from stream.finish()

    def window(self, samples: np.ndarray) -> np.ndarray:
        """Samples of `frames` frames -> (…, frames - 2 reach) float32."""
        spectrogram = self._spectrogram.frames(samples, self.frames)[None]
        try:
            out: np.ndarray = self._session.run([OUTPUT], {INPUT: spectrogram})[0][0]
        except Exception as error:  # onnxruntime's own are of no common class
            if "allocat" in str(error).lower():
                raise MemoryError(str(error)) from error
            raise CheckpointError(f"the ONNX file cannot be run ({' '.join(str(error).split())})") from error
        return out[..., self.reach : self.frames - self.reach]


class TranscriberStream:
    """What a network says of sound that comes block by block, so that several networks may be given one reading of it.

    Parameters
    ----------
    network : PortableTranscriber
    """

    def __init__(self, network: PortableTranscriber) -> None:
        self._network = network
        self._core = network.frames - 2 * network.reach
        self._size = (network.frames - 1) * HOP + max(WINDOWS)
        self._pending = np.zeros(network.reach * HOP + max(WINDOWS) // 2, np.float32)  # silence before the first frame
        self._samples = self._given = 0

    def feed(self, block: np.ndarray) -> Iterator[np.ndarray]:
        """(n,) float32 at 16 kHz -> what can be predicted by now, as of `PortableTranscriber.activations`."""
        self._samples += len(block)
        self._pending = np.concatenate([self._pending, block])
        while len(self._pending) >= self._size:
            yield self._network.window(self._pending[: self._size])
            self._advance()

    def finish(self) -> Iterator[np.ndarray]:
        """The rest, where no more sound comes."""
        total = 1 + self._samples // HOP if self._samples else 0
        while self._given < total:
            window = np.pad(self._pending[: self._size], (0, max(0, self._size - len(self._pending))))
            yield self._network.window(window)[..., : total - self._given]
            self._advance()

    def _advance(self) -> None:
        self._pending, self._given = self._pending[self._core * HOP :], self._given + self._core


def _facts(path: Path, session: onnxruntime.InferenceSession, kind: str | None) -> dict[str, Any]:
    try:
        facts = json.loads(session.get_modelmeta().custom_metadata_map.get(KEY, "null"))
    except (ValueError, RecursionError):
        facts = None
    if not isinstance(facts, dict):
        raise CheckpointError(f"{path}: an ONNX file, but none that transcribes")
    if facts.get("format") != FORMAT:
        raise CheckpointError(f"{path}: format {facts.get('format')}; this mirclr reads format {FORMAT}")
    if facts.get("kind") not in (SHAPES if kind is None else (kind,)):
        raise CheckpointError(
            f"{path}: a network of the kind {facts.get('kind')!r}; expected {kind or 'notes or song'!r}"
        )
    shapes = [(part.name, part.shape[1:]) for part in (*session.get_inputs(), *session.get_outputs())]
    frames, reach = facts.get("frames"), facts.get("reach")
    wanted = [(INPUT, [len(WINDOWS), BANDS, frames]), (OUTPUT, [*SHAPES[facts["kind"]], frames])]
    whole = isinstance(frames, int) and isinstance(reach, int) and 0 <= 2 * reach < frames
    if not whole or shapes != wanted:
        raise CheckpointError(f"{path}: its metadata are damaged")
    return facts
