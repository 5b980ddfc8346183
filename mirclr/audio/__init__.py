"""Audio files to mono float32 at one rate; the only door to soundfile, soxr and PyAV.

Conventions: a waveform is (n_samples,) float32 in [-1, 1], mono. Times are in seconds, rates in Hz. What a file is
hangs on its content (`content`), not on its name. Formats in which libsndfile is fast (wav, aiff, flac, ogg, mp3) are
read by it (`sndfile`); all others, lengths that a header does not state, and every file that libsndfile gives up,
by FFmpeg's decoders (`ffmpeg`). Nothing here holds more than one block or the asked excerpts in memory, however long
the file is or claims to be.

Contents: `excerpt_starts`, `read_excerpts` and `read_middle` (seek), `decode_blocks` (a whole file, streamed),
`resample`, `write_wav`.
"""

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
    read_middle,
    try_blocks,
    try_excerpts,
    what_is_wrong,
    why_lost,
)
from mirclr.audio.samples import resample, through_mp3, write_wav
from mirclr.audio.source import Span

__all__ = [
    "MAX_CHANNELS",
    "MAX_SECONDS",
    "MIN_SECONDS",
    "RATES",
    "SILENCE",
    "Excerpts",
    "NotRead",
    "Section",
    "Span",
    "decode_blocks",
    "excerpt_starts",
    "read_excerpts",
    "read_middle",
    "resample",
    "through_mp3",
    "try_blocks",
    "try_excerpts",
    "what_is_wrong",
    "why_lost",
    "write_wav",
]
