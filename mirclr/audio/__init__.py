"""Audio files to mono float32 at one rate, log-mel and augmentations; the only door to soundfile, soxr and PyAV.

In: files, or waveforms in memory. Out: excerpts and blocks of mono float32, log-mel, augmented views of both.

Conventions: a waveform is (n_samples,) float32 in [-1, 1], mono. Times are in seconds, rates in Hz. What a file is
depends on its content (`content`), not on its name. Formats in which libsndfile is fast (wav, aiff, flac, ogg, mp3) are
read by it (`sndfile`); all others, lengths that a header does not state, and every file that libsndfile gives up,
by FFmpeg's decoders (`ffmpeg`). Nothing here holds more than one block or the asked excerpts in memory, however long
the file is or claims to be.

Contents: `excerpt_starts`, `read_excerpts` and `read_sections` (seek), `decode_blocks` (a whole file, streamed),
`resample`, `write_wav`, `write_wav_blocks`; pitched.py, the spectrogram of transcription; for players, streaming.py
(sound from any place on, peaks), mp3.py and transcoding.py (in another format), playable.py (what browsers play),
thumbnails.py (covers made smaller); tempo.py, key.py and loudness.py, what is found out of stretches, in numpy alone;
and, of torch, which is loaded by the first of them that is asked for: `LogMel`, and the augmentations of (B, N)
waveforms and (B, F, T) log-mel, from `PitchShift` to `CutMix`; `Augmentation`, to write more.

Examples
--------
>>> import torch
>>> from mirclr.audio import LogMel, Noise, PitchShift
>>> waveforms = torch.randn(4, 48000)
>>> log_mel = LogMel(sample_rate=16000)(PitchShift(semitones=(-2, 2))(waveforms))
>>> Noise(snr_db=(10, 40), p=0.5)(log_mel).shape
torch.Size([4, 96, 188])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mirclr.audio.reading import (
    MAX_CHANNELS,
    MAX_SECONDS,
    MIN_SECONDS,
    RATES,
    SILENCE,
    Excerpts,
    NotRead,
    Section,
    decode_blocks,
    excerpt_starts,
    read_excerpts,
    read_sections,
    try_blocks,
    try_excerpts,
    what_is_wrong,
    why_lost,
)
from mirclr.audio.samples import resample, through_mp3, write_wav, write_wav_blocks
from mirclr.audio.source import Span

if TYPE_CHECKING:
    from mirclr.audio.augment import (
        Augmentation,
        BackgroundMix,
        Equalizer,
        Filter,
        FrequencyMask,
        Gain,
        Noise,
        PitchShift,
        Polarity,
        TimeMask,
        TimeStretch,
    )
    from mirclr.audio.mel import LogMel
    from mirclr.audio.mixing import CutMix, MixUp

__all__ = [
    "MAX_CHANNELS",
    "MAX_SECONDS",
    "MIN_SECONDS",
    "RATES",
    "SILENCE",
    "Augmentation",
    "BackgroundMix",
    "CutMix",
    "Equalizer",
    "Excerpts",
    "Filter",
    "FrequencyMask",
    "Gain",
    "LogMel",
    "MixUp",
    "Noise",
    "NotRead",
    "PitchShift",
    "Polarity",
    "Section",
    "Span",
    "TimeMask",
    "TimeStretch",
    "decode_blocks",
    "excerpt_starts",
    "read_excerpts",
    "read_sections",
    "resample",
    "through_mp3",
    "try_blocks",
    "try_excerpts",
    "what_is_wrong",
    "why_lost",
    "write_wav",
    "write_wav_blocks",
]

_LAZY = {"LogMel": "mel", "CutMix": "mixing", "MixUp": "mixing"} | dict.fromkeys(
    ("Augmentation", "BackgroundMix", "Equalizer", "Filter", "FrequencyMask", "Gain", "Noise", "PitchShift",
     "Polarity", "TimeMask", "TimeStretch"), "augment"
)  # fmt: skip


def __getattr__(name: str) -> Any:
    """Load what is of torch when it is asked for: a process that decodes needs none."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
