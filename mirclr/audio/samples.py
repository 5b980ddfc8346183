"""Arithmetic on samples: channels to one, rates, lengths; what is written."""

import io
import struct
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile
import soxr

from mirclr.errors import UnusableAudio
from mirclr.provenance import writing

# correlation of a channel with the loudest one, below which it counts as turned: over whole files that of 66 stereo
# tracks of the corpora was .11 to 1
_TURNED = -0.05
_LOUDEST = 1e9  # floating-point files may be scaled as whole numbers are; more overflows what comes after
_MP3_LEVEL = 0.8889  # of libsndfile's 0 to 1 for 320 to 32 kbps


def resample(waveform: np.ndarray, rate: int, to: int) -> np.ndarray:
    """Resample (n_samples,) float32 from `rate` to `to` Hz by soxr, high quality, clipped to [-1, 1]."""
    if rate != to:
        waveform = soxr.resample(waveform, rate, to, quality="HQ")
    return np.clip(waveform, -1.0, 1.0).astype(np.float32, copy=False)


def covariance(samples: np.ndarray) -> np.ndarray:
    """(n, channels) float32 -> (channels, channels) float64: sums of the products of channels."""
    products: np.ndarray = (samples.T @ samples).astype(np.float64)
    return products


def polarity(products: np.ndarray) -> np.ndarray | None:
    """Which channels are turned, by sums of their products: (channels,) of 1 and -1; None where none is.

    One channel of a stereo file that was wired, or mixed, the wrong way round cancels the other in their mean.
    """
    power = products.diagonal()
    loudest = int(power.argmax())
    scale = np.sqrt(power * power[loudest])
    turned = products[loudest] < _TURNED * scale
    return np.where(turned, -1, 1).astype(np.float32) if turned.any() else None


def to_mono(samples: np.ndarray, path: Path, signs: np.ndarray | None = None) -> np.ndarray:
    """(n, channels) -> (n,): the mean of the channels, those with a negative sign turned."""
    channels = np.ascontiguousarray(samples.T)  # a mean over two neighbours at a time is slow
    if len(channels) and not max(channels.max(initial=0), -channels.min(initial=0)) < _LOUDEST:  # not, as of NaN
        raise UnusableAudio(f"{path}: holds samples that are NaN, infinite or absurdly loud; export it again")
    if signs is not None:
        channels = channels * signs[:, None]  # not in place: it may be what a caller holds
    mono: np.ndarray = channels.mean(axis=0)
    return mono


def fit(waveform: np.ndarray, n_samples: int) -> np.ndarray:
    """Repeat or cut to exactly `n_samples`."""
    if len(waveform) < n_samples:
        waveform = np.tile(waveform, -(-n_samples // max(1, len(waveform))))
    return waveform[:n_samples]


def through_mp3(waveforms: np.ndarray, rate: int, to: int) -> tuple[np.ndarray | None, float | None]:
    """What mp3 at about 64 kbps, mono, makes of waveforms.

    Parameters
    ----------
    waveforms : np.ndarray
        (n, n_samples) float32 in [-1, 1], coded one after the other.
    rate : int
        Theirs, in Hz; 44,100 gives 64 kbps.
    to : int
        Rate of the result, in Hz.

    Returns
    -------
    waveforms : (n, n_samples) float32 at `to`, or None
        None where libsndfile writes no mp3.
    kbps : float or None
        What it came to.
    """
    if "MP3" not in soundfile.available_formats():
        return None, None
    x = waveforms.reshape(-1)
    with io.BytesIO() as file:
        how = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": "CONSTANT"}
        soundfile.write(file, x, rate, compression_level=_MP3_LEVEL, **how)
        kbps = file.tell() * 8 / (len(x) / rate) / 1000
        file.seek(0)
        decoded = soundfile.read(file, dtype="float32")[0][: len(x)]
    decoded = np.pad(decoded, (0, len(x) - len(decoded))).reshape(waveforms.shape)
    return np.stack([resample(row, rate, to) for row in decoded]), kbps


def write_wav(path: Path | str, waveform: np.ndarray, rate: int) -> None:
    """Write (n_samples,) float32 in [-1, 1] as a 16-bit wav file; its folder is created."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.clip(waveform, -1, 1), rate, subtype="PCM_16", format="WAV")


def write_wav_blocks(path: Path | str, blocks: Iterable[np.ndarray], rate: int, comment: str = "") -> None:
    """Write (n, channels) float32 blocks, one after the other, as a 16-bit wav file that replaces an older one at once.

    Of no blocks at all it becomes a file of one channel without samples. The comment, in ASCII, stands before them.

    Raises
    ------
    OSError
        It cannot be written, as on a full disk.
    """
    with writing(Path(path)) as file:  # by hand: libsndfile prints what goes wrong with a file of Python's, and goes on
        iterator = iter(blocks)
        first = next(iterator, np.zeros((0, 1), np.float32))
        begin = file.write(_wav_header(rate, first.shape[1], comment, 0))
        for block in chain([first], iterator):
            file.write(np.rint(block * 32768.0).clip(-32768, 32767).astype("<i2").tobytes())
        size = file.tell() - begin
        file.seek(0)
        file.write(_wav_header(rate, first.shape[1], comment, size))


def _wav_header(rate: int, channels: int, comment: str, size: int) -> bytes:
    """What comes before `size` bytes of samples of 16 bits; of more than it can say, the most that it can."""
    about = b""
    if text := comment.encode("ascii"):
        text += b"\0" * (2 - len(text) % 2)
        about = b"LIST" + struct.pack("<I", len(text) + 12) + b"INFOICMT" + struct.pack("<I", len(text)) + text
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate, 2 * channels * rate, 2 * channels, 16)
    rest = b"WAVE" + form + about + b"data"
    whole, samples = (struct.pack("<I", min(n, 2**32 - 1)) for n in (len(rest) + 4 + size, size))
    return b"RIFF" + whole + rest + samples
