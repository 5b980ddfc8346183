"""What a library's heads predict of audio that it does not hold, such as a file that was sent to a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from mirclr.audio.decoding import decode_files
from mirclr.classify.predict import HeadsInUse, Prediction, predictions
from mirclr.errors import EncoderMismatch, UnreadableAudio, UnusableAudio
from mirclr.library import NO_VECTOR, is_usable

if TYPE_CHECKING:
    from mirclr.models.embedder import Embedder


def predict_file(using: Sequence[HeadsInUse], embedder: Embedder, file: Path) -> Prediction:
    """Predict genre, moods and more of a file, as of the songs of a library: by the heads that predict there.

    Parameters
    ----------
    using : sequence of HeadsInUse
        What predicts in the library, such as `heads_for` gives.
    embedder : Embedder
        The library's encoder.
    file : Path
        The audio, decoded in a process of its own.

    Raises
    ------
    UnreadableAudio, UnusableAudio
        It cannot be decoded, is silent or too short.
    EncoderMismatch
        There are no heads for the library's encoder.
    """
    [decoded] = decode_files([file], count=embedder.excerpts, seconds=embedder.seconds, rate=embedder.rate, workers=1)
    if decoded.excerpts is None:
        raise UnreadableAudio(decoded.error or f"{file}: cannot be decoded")
    vector = embedder.embed_track(decoded.excerpts.waveforms)
    if not is_usable(vector):
        raise UnusableAudio(f"{file}: {NO_VECTOR}")
    found = Prediction({}, None, {}, {})
    for one in using:
        if not one.heads.are_of(embedder.stamp):
            raise EncoderMismatch(
                f"{one.file}: its genres and moods were learned for another encoder than the library's"
            )
        table = one.heads.predict_proba(vector[None])
        rows = {task: numbers for task, numbers in table.items() if task in one.tasks}
        if rows:
            its = next(predictions(one.heads, rows))
            given = {name: value for name, value in vars(its).items() if value}
            found = replace(found, **given)
    return found
