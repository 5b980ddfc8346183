"""`mirclr.classify(…)`: what heads predict of one file or waveform; the package itself is called."""

from __future__ import annotations

import inspect
import os
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from mirclr.classify.heads import Heads
from mirclr.classify.predict import Prediction, load_embedder, predictions
from mirclr.errors import EncoderMismatch
from mirclr.models.pretrained import builtin_heads
from mirclr.models.stamp import EncoderStamp

if TYPE_CHECKING:
    import numpy.typing as npt

    from mirclr.models.encoding import Encoder


def classify(
    source: str | os.PathLike[str] | npt.ArrayLike,
    sr: float | None = None,
    *,
    heads: str | os.PathLike[str] | Heads | None = None,
    encoder: Encoder | None = None,
    device: str = "auto",
) -> Prediction:
    """Predict genre, moods and more of a file or a waveform, as ``mirclr classify predict`` does.

    Parameters
    ----------
    source : str, Path or array-like
        An audio file, or a waveform as `mirclr.Encoder.embed` takes it: (n,) or (channels, n).
    sr : float, optional
        Sampling rate of a waveform, in Hz.
    heads : str, Path or Heads, optional
        What predicts, such as a file that ``mirclr classify train`` wrote; the built-in heads unless given.
    encoder : Encoder, optional
        The encoder whose vectors the heads take, where it is loaded already; else it is loaded, and kept for the next
        call.
    device : str
        A device of torch, where `encoder` is not given.

    Returns
    -------
    Prediction
        ``genre`` and ``moods``, label -> probability, the likeliest first; ``top_genre``, "unknown" where no genre is
        likely enough; ``valence`` and ``arousal`` from 0 to 1; ``voice``, ``sound`` and ``instruments``, label ->
        probability, and ``likely``, what of these three is more likely than not.

    Raises
    ------
    UnreadableAudio, UnusableAudio
        It cannot be decoded, is too short or silent; see `mirclr.Encoder.embed_file` and `mirclr.Encoder.embed`.
    ValueError
        `sr` is missing beside a waveform.
    EncoderMismatch
        The heads were fitted on vectors of another encoder.
    TypeError
        `encoder` is none.

    Examples
    --------
    >>> import mirclr
    >>> found = mirclr.classify("song.mp3")
    >>> len(found.genre) > 20, round(sum(found.genre.values()), 6)
    (True, 1.0)
    >>> list(found.genre)[0] == found.top_genre or found.top_genre == "unknown"
    True
    >>> 0 <= found.valence <= 1 and 0 <= found.arousal <= 1
    True
    """
    if not isinstance(heads, Heads):
        file = Path(os.path.expanduser(heads)) if heads is not None else builtin_heads()
        heads, own = _loaded(file, file.stat().st_mtime_ns if file.is_file() else 0, None if encoder else device)
        encoder = encoder or own
    if encoder is not None and not isinstance(getattr(encoder, "stamp", None), EncoderStamp):
        raise TypeError(f"encoder: found {encoder!r}; expected an Encoder, as mirclr.load_encoder gives it")
    encoder = encoder or load_embedder(heads, Path("heads"), device=device)
    if not heads.are_of(encoder.stamp):
        raise EncoderMismatch(
            f"heads of the encoder {heads.encoder['name']} ({heads.encoder['digest'][:8]}), and given was "
            f"{encoder.stamp.name} ({encoder.stamp.digest[:8]})"
        )
    if isinstance(source, str | os.PathLike):
        vector = encoder.embed_file(source)
    elif sr is None:
        raise ValueError("sr: expected the sampling rate of the waveform, in Hz")
    else:
        vector = encoder.embed(source, sr)
    return next(predictions(heads, heads.predict_proba(vector[None])))


@lru_cache(maxsize=2)
def _loaded(file: Path, changed: int, device: str | None) -> tuple[Heads, Encoder | None]:
    heads = Heads.load(file)
    return heads, None if device is None else load_embedder(heads, file, device=device)


class CallablePackage(ModuleType):
    """A package that is called as `classify` is."""

    __call__ = staticmethod(classify)
    __signature__ = inspect.signature(classify)
