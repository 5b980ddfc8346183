"""A sound to check notes by: the song on the left, what was found on the right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mirclr.audio import decode_blocks, write_wav_blocks
from mirclr.audio.pitched import RATE
from mirclr.transcription.drums import DRUM_PITCHES
from mirclr.transcription.marks import mark_of
from mirclr.transcription.tracking import Note

if TYPE_CHECKING:
    from mirclr.transcription.score import Notes

_LEVEL = 0.12
_LONGEST_S = 6.0  # after which a plain sound has faded
_HARMONICS = (1.0, 0.4, 0.2, 0.1)
_CLICK_HZ = {True: 1600.0, False: 1000.0}
_CLICK_S = 0.03
_HITS = dict(zip(DRUM_PITCHES, ((0.2, 24), (0.15, 4), (0.06, 1), (0.25, 12), (0.5, 1)), strict=True))
"""Of each drum how long it sounds, in seconds, and over how many samples its noise is smoothed."""


def sonify(notes: Notes, blocks: Iterable[np.ndarray], path: Path) -> None:
    """Write a stereo wav file: `blocks` of the song at 16 kHz on the left, notes and clicks of beats on the right."""
    write_wav_blocks(path, _both(notes, blocks), RATE, mark_of(notes.file))


def write_check(song: Path, notes: Notes, path: Path) -> None:
    """`sonify` of a song's file.

    Raises
    ------
    AudioError
        As `mirclr.audio.decode_blocks`.
    """
    sonify(notes, decode_blocks(song, rate=RATE), path)


def _both(notes: Notes, blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    sounds: list[tuple[float, Note | bool]] = [*_clicks(notes), *((n.onset_s, n) for n in notes)]
    sounds.sort(key=lambda each: each[0])
    at, next_one = 0, 0
    ahead = np.zeros(0, np.float32)  # of sounds that began before
    for block in blocks:
        end = (at + len(block)) / RATE
        while next_one < len(sounds) and sounds[next_one][0] < end:
            onset, what = sounds[next_one]
            sound = _click(what) if isinstance(what, bool) else _hit(what) if notes.drums else _plucked(what)
            first = max(0, round(onset * RATE) - at)
            ahead = np.pad(ahead, (0, max(0, first + len(sound) - len(ahead))))
            ahead[first : first + len(sound)] += sound
            next_one += 1
        ahead = np.pad(ahead, (0, max(0, len(block) - len(ahead))))
        yield np.stack([block, ahead[: len(block)].clip(-1, 1)], axis=1)
        ahead, at = ahead[len(block) :], at + len(block)


def _clicks(notes: Notes) -> Iterator[tuple[float, bool]]:
    """When, and whether a bar begins."""
    for at, place in notes.beats:
        yield float(at), bool(place == 1)


def _click(bar: bool) -> np.ndarray:
    t = np.arange(round(_CLICK_S * RATE)) / RATE
    click: np.ndarray = (_LEVEL * np.sin(2 * np.pi * _CLICK_HZ[bar] * t) * (1 - t / _CLICK_S)).astype(np.float32)
    return click


def _hit(note: Note) -> np.ndarray:
    """A drum as noise, darker and longer for larger ones."""
    length, dark = _HITS[note.pitch]
    noise = np.random.default_rng(note.pitch).standard_normal(round(length * RATE))
    smooth = np.convolve(noise, np.ones(dark) / np.sqrt(dark), "same")
    sound: np.ndarray = _LEVEL * smooth * np.exp(-6 * np.linspace(0, 1, len(noise)))
    return sound.astype(np.float32)


def _plucked(note: Note) -> np.ndarray:
    """A note as a plain sound that dies away."""
    t = np.arange(max(1, round(min(_LONGEST_S, note.offset_s - note.onset_s) * RATE))) / RATE
    hz = 440 * 2 ** ((note.pitch - 69) / 12)
    wave = sum(level * np.sin(2 * np.pi * hz * k * t) for k, level in enumerate(_HARMONICS, 1) if hz * k < RATE / 2)
    shape = np.exp(-2.0 * t) * np.minimum(1, t / 0.004) * np.minimum(1, (t[-1] - t) / 0.02)
    return (_LEVEL * note.velocity / 127 * wave * shape).astype(np.float32)
