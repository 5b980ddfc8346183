"""From what a network says of beats in every frame to beats, bars and tempo.

A beat lasts a whole number of frames, which may change at the next one: the likeliest course of tempi and places within
the beat is found by Viterbi's algorithm (Krebs, Böck and Widmer 2015, "An efficient state-space model for joint tempo
and meter tracking", ISMIR: the tempo changes at beats alone). Places between frames come of the activation about each
beat. Then bars: the likeliest course of metres and places in the bar over these beats, likewise, by how probable
downbeats are, by where harmonies change, which they do on first beats most often, and by kicks and snares.
"""

import math
from collections.abc import Callable

import numpy as np

from mirclr.audio.pitched import FRAME_S

SLOWEST_BPM, FASTEST_BPM = 50.0, 220.0
METRES = (4, 3, 2)
LEAST_BEATS = 4
_STEADY = 100.0  # how unlikely other tempi are: the cost of a change by a factor e, beyond a frame more or less
_A_FRAME = 0.2  # the cost of that: a beat is no whole number of frames
_USUAL_BPM = 92.0  # this and how steady tempi are were chosen on songs that measure nothing, with a look at recordings
_UNUSUAL, _GIVEN = 3.0, 20.0  # how unlikely other tempi are, a second, by octaves squared; than one that was given
# Of once, twice and half a tempo that is right at which bars are clear: how much these say, and how unlikely others
# are; chosen on held-out songs of POP909 that measure nothing.
_BY_BARS, _HARDLY_UNUSUAL = 6.0, 0.6
_UNSURE = 0.45  # mean probability of beats: of renders of songs it is more, of drums alone less
_FAINT = 0.12  # mean probability of beats, below which there is no beat
_CLEAR = 2.35  # log-odds of beats over those of what is between, at least; of noise 2.3 or less, of songs 2.4 or more
_DOTTED = 0.75  # of a tempo of drums is the right one where their dotted eighths were taken for beats
_CHANGE = 8.0  # cost of another metre, or of a bar that is cut short; of 5 to 8 the best on these songs
_RARE = (0.0, 0.05, 0.3)  # cost of a beat of each of `METRES`
_FIRST, _WEAK, _HALF = range(3)  # what a beat is in its bar; the third of four is half of it
# Of these: a bias, and weights of the log-odds of a downbeat, of how much roots change, of a kick and of a snare; and
# how often they are. Learned of renders of POP909 and Groove, split train; weigh.py of the recipe fits them anew.
_OF_PLACES = (
    (-0.45, 0.24, 1.18, 0.87, -0.47),
    (0.60, -0.15, -1.70, -0.84, 0.95),
    (-0.15, -0.10, 0.52, -0.03, -0.48),
)
_HOW_OFTEN = (0.25, 0.5, 0.25)
_PIECE, _OVERLAP = 37_500, 500  # frames: twenty minutes, and some twenty beats
_FLOOR = 0.02  # least probability that is distinguished from none


def track_beats(
    beat: np.ndarray,
    downbeat: np.ndarray,
    witness: Callable[[], float | None] | None = None,
    root: np.ndarray | None = None,
    drums: np.ndarray | None = None,
) -> np.ndarray:
    """Beats and their places in bars.

    Parameters
    ----------
    beat, downbeat : (T,) float32
        How probable each is in every frame.
    witness : callable, optional
        Gives beats a minute by another estimate; asked where beats are not sure, as of drums alone.
    root : (13, T) float32, optional
        Probabilities of pitch classes as roots of chords, and of no chord: bars begin where they change.
    drums : (5, T) float32, optional
        How probable hits are of `mirclr.transcription.DRUM_PITCHES`: a kick begins bars, a snare answers.

    Returns
    -------
    (n, 2) float64
        Seconds, and the place in the bar from 1. Empty where there is no beat that is clear and steady enough.
    """
    beat = np.asarray(beat, np.float64)
    first = beat_frames(beat, witness)
    if not len(first):
        return np.zeros((0, 2))
    best, found = -np.inf, (first, np.zeros(0))
    for frames in (first, *_other_octaves(beat, first)):
        places, evidence = _bars(signs_of_bars(frames, downbeat, root, drums))
        fit = _fit(beat, frames) + _BY_BARS * evidence
        if fit > best:
            best, found = fit, (frames, places)
    return np.stack([np.array([_between(beat, i) for i in found[0]]) * FRAME_S, found[1]], axis=1)


def beat_frames(beat: np.ndarray, witness: Callable[[], float | None] | None = None) -> np.ndarray:
    """(n,) int64: frames of beats; none where there is no beat that is clear and steady enough. See `track_beats`."""
    beat = np.asarray(beat, np.float64)
    frames = _beats_in_pieces(beat, _USUAL_BPM, _UNUSUAL)
    unsure = len(frames) > 0 and float(_near(beat, frames).mean()) < _UNSURE
    if unsure and witness is not None and (tempo := witness()):
        both = [_beats_in_pieces(beat, bpm, _GIVEN) for bpm in (tempo, _DOTTED * tempo)]
        frames = max(both, key=lambda found: float(_near(beat, found).mean()) if len(found) else 0.0)
    frames = _audible(beat, frames)
    return frames if len(frames) >= LEAST_BEATS and _is_clear(beat, frames) else frames[:0]


def _audible(beat: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Those of beats that are not in silence before and after the song."""
    sure = np.flatnonzero(_near(beat, frames) >= _FAINT)
    return frames[sure[0] : sure[-1] + 1] if len(sure) else frames[:0]


def _other_octaves(beat: np.ndarray, frames: np.ndarray) -> list[np.ndarray]:
    """The likeliest beats at twice and half the tempo of those that are sure; none of those that are not."""
    if float(_near(beat, frames).mean()) < _UNSURE:
        return []
    bpm = 60 / _steady_gap(np.diff(frames) * FRAME_S)
    tempi = [one for one in (2 * bpm, bpm / 2) if SLOWEST_BPM <= one <= FASTEST_BPM]
    found = [_audible(beat, _beats_in_pieces(beat, one, _GIVEN)) for one in tempi]
    return [one for one in found if len(one) >= LEAST_BEATS]


def _fit(beat: np.ndarray, frames: np.ndarray) -> float:
    """How likely all of a song is, given its beats, up to a constant; nearly all tempi are alike in this."""
    gaps = np.diff(frames)
    apart, octaves = np.abs(np.diff(gaps)), np.log2(60 / (gaps * FRAME_S) / _USUAL_BPM)
    steady = _STEADY * np.maximum(apart - 1, 0) / gaps[:-1] + _A_FRAME * np.minimum(apart, 1)
    usual = _HARDLY_UNUSUAL * gaps * FRAME_S * octaves**2
    return float(_log_odds(beat[frames]).sum() - steady.sum() - usual.sum())


def signs_of_bars(
    frames: np.ndarray, downbeat: np.ndarray, root: np.ndarray | None = None, drums: np.ndarray | None = None
) -> np.ndarray:
    """(5, n) float64 of n beats, what `_OF_PLACES` weighs: 1, log-odds of a downbeat, change of root, kick, snare."""
    none = np.zeros(len(frames))
    changes = none if root is None else _changes(root, frames)
    kick, snare = (none, none) if drums is None else (_near(row, frames) for row in drums[:2])
    return np.stack([np.ones(len(frames)), _log_odds(_near(downbeat, frames)), changes, kick, snare])


def _is_clear(beat: np.ndarray, frames: np.ndarray) -> bool:
    """Whether beats are likely, and between them none: noise, drones and a voice alone are as likely anywhere."""
    away = np.zeros(len(beat), bool)
    away[frames[0] : frames[-1]] = True
    for by in range(-2, 3):
        away[np.clip(frames + by, 0, len(beat) - 1)] = False
    at, between = (float(x.mean()) if x.size else 0.0 for x in (_near(beat, frames), beat[away]))
    odds = _log_odds(np.array([at, between]))
    return at >= _FAINT and bool(odds[0] - odds[1] >= _CLEAR)


def _beats_in_pieces(beat: np.ndarray, usual_bpm: float, unusual: float) -> np.ndarray:
    """`_beat_frames` of twenty minutes at a time, for a bound of memory; a piece goes on where the last one ends."""
    found: list[np.ndarray] = []
    for first in range(0, max(1, len(beat)), _PIECE):
        begin = max(0, first - _OVERLAP)
        frames = begin + _beat_frames(beat[begin : first + _PIECE], usual_bpm, unusual)
        if found and len(found[-1]):
            frames = frames[frames > found[-1][-1] + 60 / FASTEST_BPM / FRAME_S]
        found.append(frames)
    return np.concatenate(found)


def tempo_of(beats: np.ndarray) -> float | None:
    """Beats a minute, by the median time from one beat to the next; None where there is no beat."""
    if len(beats) < LEAST_BEATS:
        return None
    return float(60 / _steady_gap(np.diff(beats[:, 0])))


def _steady_gap(gaps: np.ndarray) -> float:
    """The mean of gaps near the median: of steady music more exact than frames are."""
    middle = float(np.median(gaps))
    near = gaps[np.abs(gaps - middle) < 0.08 * middle]
    return float(near.mean()) if len(near) else middle


def _beat_frames(beat: np.ndarray, usual_bpm: float, unusual: float) -> np.ndarray:
    """(n,) int64: frames of the likeliest beats, where tempi are the likelier the nearer they are to the usual one."""
    gaps = np.arange(math.floor(60 / FASTEST_BPM / FRAME_S), math.ceil(60 / SLOWEST_BPM / FRAME_S) + 1)
    count, shortest, longest = len(beat), int(gaps[0]), int(gaps[-1])
    if count < 2 * shortest:
        return np.zeros(0, np.int64)
    p = np.clip(beat, _FLOOR, 1 - _FLOOR)
    on, off = np.log(p), np.log1p(-p)
    between = np.concatenate([[0.0], np.cumsum(off)])
    apart = np.abs(gaps[:, None] - gaps[None, :])  # to, from
    change = -_STEADY * np.maximum(apart - 1, 0) / gaps[None, :] - _A_FRAME * np.minimum(apart, 1)
    octaves = np.log2(60 / (gaps * FRAME_S) / usual_bpm)
    change -= (unusual * gaps * FRAME_S * octaves**2)[:, None]
    score = np.full((longest + count, len(gaps)), -np.inf)  # of a beat at a frame, after a gap; `longest` rows before
    came = np.full((count, len(gaps)), -1, np.int16)  # the gap before that one; -1 of the first beat of all
    for first in range(0, count, shortest):  # no two of these are beats, so that all are looked at together
        frames = np.arange(first, min(count, first + shortest))[:, None]
        begun = frames - gaps[None, :]
        before = score[begun + longest] + change[None]  # (frames, gaps, gaps before)
        best = before.argmax(axis=2)
        value = np.take_along_axis(before, best[:, :, None], axis=2)[:, :, 0]
        after = value + between[frames] - between[np.maximum(begun, -1) + 1] + on[frames]
        start = between[frames] + on[frames] - math.log(len(gaps))
        score[longest + frames[:, 0]] = np.where(begun >= 0, after, start)
        came[frames[:, 0]] = np.where(begun >= 0, best, -1)
    tail = between[-1] - between[1:]
    last = np.arange(max(0, count - longest), count)
    ends = score[longest + last] + tail[last][:, None]
    place, gap = np.unravel_index(int(ends.argmax()), ends.shape)
    return _walked_back(int(last[place]), int(gap), gaps, came)


def _walked_back(at: int, gap: int, gaps: np.ndarray, came: np.ndarray) -> np.ndarray:
    found = []
    while True:
        found.append(at)
        before = int(came[at, gap])
        if before < 0:
            return np.array(found[::-1], np.int64)
        at, gap = at - int(gaps[gap]), before


def _log_odds(p: np.ndarray) -> np.ndarray:
    """Of probabilities, that of none and of all but certain ones being bounded."""
    bounded = np.clip(p, _FLOOR, 1 - _FLOOR)
    odds: np.ndarray = np.log(bounded) - np.log1p(-bounded)
    return odds


def _near(activation: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """(n,): the greatest activation within a frame of each."""
    padded = np.pad(np.asarray(activation, np.float64), 1)
    near: np.ndarray = np.maximum.reduce([padded[frames], padded[frames + 1], padded[frames + 2]])
    return near


def _between(activation: np.ndarray, frame: int) -> float:
    """Where about a frame the activation has its middle, in frames."""
    first, last = max(0, frame - 2), min(len(activation), frame + 3)
    part = np.square(np.asarray(activation[first:last], np.float64))
    middle = float((part * np.arange(first, last)).sum() / part.sum()) if part.sum() > 0 else float(frame)
    return min(max(middle, frame - 1.0), frame + 1.0)


def _changes(root: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """(13, T) and (n,) frames of beats -> (n,): by how much roots change at each, from 0 to 1."""
    sums = np.concatenate([np.zeros((len(root), 1)), np.cumsum(root, axis=1, dtype=np.float64)], axis=1)
    ends = np.append(frames[1:], min(root.shape[1], 2 * frames[-1] - frames[-2]))
    means = (sums[:, ends] - sums[:, frames]) / (ends - frames)
    alike = np.sqrt(means[:, 1:] * means[:, :-1]).sum(axis=0)  # Bhattacharyya's coefficient
    return np.concatenate([[0.0], np.maximum(0.0, 1 - alike)])


def _bars(signs: np.ndarray) -> tuple[np.ndarray, float]:
    """(5, n) signs that `_OF_PLACES` weighs -> (n,) float64, the place of each beat in its bar from 1, and how much
    likelier the signs are by these bars than by none, in nats.
    """
    logits = np.array(_OF_PLACES) @ signs
    odds = logits - np.logaddexp.reduce(logits, axis=0) - np.log(_HOW_OFTEN)[:, None]
    states = [(metre, place) for metre in METRES for place in range(metre)]
    fit = odds[[_FIRST if not place else _HALF if (metre, place) == (4, 2) else _WEAK for metre, place in states]].T
    fit -= np.array([_RARE[METRES.index(metre)] for metre, _ in states])
    change = np.full((len(states), len(states)), -np.inf)  # to, from
    for j, (metre, place) in enumerate(states):
        for i, (was, at) in enumerate(states):
            if metre == was and place == (at + 1) % metre:
                change[j, i] = 0.0
            elif place == 0:
                change[j, i] = -_CHANGE
    score = fit[0]
    came = np.zeros((len(fit), len(states)), np.int8)
    for i in range(1, len(fit)):
        before = score[None, :] + change
        came[i] = before.argmax(axis=1)
        score = before.max(axis=1) + fit[i]
    at, evidence = int(score.argmax()), float(score.max())
    places = np.zeros(len(fit))
    for i in range(len(fit) - 1, -1, -1):
        places[i] = states[at][1] + 1
        at = int(came[i, at])
    return places, evidence
