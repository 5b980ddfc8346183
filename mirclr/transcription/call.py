"""`transcribe`: a song to its notes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mirclr.audio import Span, decode_blocks
from mirclr.audio.pitched import RATE
from mirclr.errors import QueryError
from mirclr.models.portable_transcriber import PortableTranscriber
from mirclr.transcription.outline import SongReader
from mirclr.transcription.score import Notes
from mirclr.transcription.tracking import PRESETS, Preset, track_notes

if TYPE_CHECKING:
    import numpy.typing as npt

DRUM_PRESET = "drums"


def transcribe(
    source: str | os.PathLike[str] | npt.ArrayLike,
    sr: float | None = None,
    *,
    preset: str = "piano",
    sensitivity: float = 0.5,
    network: str | os.PathLike[str] | PortableTranscriber | None = None,
    span: Span | None = None,
) -> Notes:
    """Find the notes of a song, as ``mirclr transcribe`` does; in bounded memory, however long it is.

    Parameters
    ----------
    source : str, Path or array-like
        An audio file, or a waveform: (n,) or (channels, n).
    sr : float, optional
        Sampling rate of a waveform, in Hz.
    preset : {"piano", "melody", "full", "drums"}
        What counts as a note; see `mirclr.transcription.PRESETS`. Drums are notes of General MIDI's drums.
    sensitivity : float
        From 0 to 1: more gives more notes, also wrong ones; 0.5 is as the preset is.
    network : str, Path or PortableTranscriber, optional
        Another network than a built-in one: of notes, or of beats, chords and drums.
    span : Span, optional
        A part of a file: begin and end in seconds.

    Returns
    -------
    found : Notes
        By onset and pitch, with beats and chords.

    Raises
    ------
    AudioError
        It cannot be decoded; see `mirclr.audio.read_excerpts`.
    QueryError
        There is no such preset, `sensitivity` is out of range, or `span` is no part of a file.
    CheckpointError
        `network` is no such file.
    ValueError
        `sr` is missing beside a waveform.

    Examples
    --------
    >>> import mirclr
    >>> notes = mirclr.transcribe("song.mp3")                      # doctest: +SKIP
    >>> notes.write_midi("song.mid")                               # doctest: +SKIP
    """
    if span is not None and not 0 <= span[0] < span[1]:
        raise QueryError(
            f"span: found {span}; expected begin and end in seconds, the begin 0 or more and before the end"
        )
    drums = preset == DRUM_PRESET
    chosen = preset_of("piano" if drums else preset).at(sensitivity)
    given = [network if isinstance(network, PortableTranscriber) else _loaded(Path(network))] if network else []
    of_kind = {one.kind: one for one in given}
    reader = SongReader(of_kind.get("song") or _loaded(builtin_transcriber("song")))
    remarks: list[str] = []
    counter = _Counted(_blocks(source, sr, span, remarks.append), reader)
    if drums:
        for _ in counter:
            pass
        reader.finish()
        found = reader.drums(sensitivity)
    else:
        found = track_notes((of_kind.get("notes") or _loaded(builtin_transcriber())).activations(counter), chosen)
        reader.finish()
    file = Path(os.path.expanduser(source)) if isinstance(source, str | os.PathLike) else None
    remark = "; ".join(remarks) or None
    return Notes(tuple(found), counter.samples / RATE, reader.outline(), drums, remark, file)


def preset_of(name: str) -> Preset:
    """A preset by its name.

    Raises
    ------
    QueryError
        There is none.
    """
    if name not in PRESETS:
        raise QueryError(f"preset: found {name!r}; expected one of {', '.join((*PRESETS, DRUM_PRESET))}")
    return PRESETS[name]


def builtin_transcriber(kind: str = "notes") -> Path:
    """Where a network is that mirclr comes with: of ``notes``, or of a ``song``: its beats, chords and drums."""
    from mirclr.models import pretrained

    return Path(pretrained.__file__).with_name(f"{kind}.onnx")


def _blocks(
    source: str | os.PathLike[str] | npt.ArrayLike,
    sr: float | None,
    span: Span | None,
    report: Callable[[str], object],
) -> Iterator[np.ndarray]:
    if isinstance(source, str | os.PathLike):
        return decode_blocks(Path(os.path.expanduser(source)), rate=RATE, span=span, raised=True, report=report)
    if sr is None:
        raise ValueError("sr: expected the sampling rate of the waveform, in Hz")
    from mirclr.audio.waveform import waveform_blocks

    return waveform_blocks(source, sr, to=RATE, raised=True)


class _Counted:
    """Blocks, which a reader is given too, and how many samples they had."""

    def __init__(self, blocks: Iterable[np.ndarray], reader: SongReader) -> None:
        self._blocks, self._reader, self.samples = blocks, reader, 0

    def __iter__(self) -> Iterator[np.ndarray]:
        for block in self._blocks:
            self.samples += len(block)
            self._reader.feed(block)
            yield block


@lru_cache(maxsize=4)
def _loaded(path: Path) -> PortableTranscriber:
    return PortableTranscriber(path)
