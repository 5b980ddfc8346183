"""A song as sound and as pictures, for pages and players: its file, its cover, its waveform; no torch.

In: songs of a library. Out: the file that may be sent and what it is, pieces of it in another format, the image of its
cover, the peaks of its waveform.

Conventions: of a library that came from elsewhere nothing is opened that a link leads to from its folders, and nothing
but regular files. What decodes runs in processes of its own, as a file may crash its decoder.

Contents: `file_of`, `sound_type` (sound.py); `Mp3`, `opus_pieces`, what is made (made.py); `cover_of` (cover.py);
`peaks_of`, `KeptPeaks` (peaks.py).
"""

from mirclr.media.cover import Picture, cover_of
from mirclr.media.made import KINDS, Mp3, opus_pieces
from mirclr.media.peaks import KeptPeaks, peaks_of
from mirclr.media.sound import file_of, sound_type

__all__ = [
    "KINDS",
    "KeptPeaks",
    "Mp3",
    "Picture",
    "cover_of",
    "file_of",
    "opus_pieces",
    "peaks_of",
    "sound_type",
]
