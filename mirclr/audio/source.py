"""What reads samples from a file: one shape for every decoder."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

Span = tuple[float, float]
"""Begin and end of a part of a file, in seconds; an end of infinity is that of the file."""


class Stumbled(Exception):
    """A decoder gave up, or gave less than the header says: another may know better."""


@dataclass
class Damage:
    """What was found wrong with a file that is read all the same.

    Attributes
    ----------
    places : list of float
        In seconds: where something could not be decoded.
    claimed_s : float or None
        The length that a header states, where that is longer than what is there.
    """

    places: list[float] = field(default_factory=list)
    claimed_s: float | None = None

    def remark(self, seconds: float) -> str | None:
        """A line on it for people; None of a file that is whole."""
        found = []
        if distinct := sorted({round(place) for place in self.places if place <= seconds}):
            shown = [p for p, before in zip(distinct, (-9, *distinct), strict=False) if p - before > 1]
            more = f" and {len(shown) - 3} more places" if len(shown) > 3 else ""
            found.append(f"damaged near {', '.join(map(clock, shown[:3]))}{more}")
        if self.claimed_s:
            found.append(f"ends at {clock(seconds)} of {clock(self.claimed_s)}")
        return "; ".join(found) or None


def clock(seconds: float) -> str:
    """Minutes and seconds, such as 1:20; with hours from one on."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


class Source(Protocol):
    """An open file.

    Attributes
    ----------
    rate, channels : int
        In Hz; how many.
    seconds : float
        How long it is, by its header or by what is there.
    """

    rate: int
    channels: int
    seconds: float

    @property
    def damage(self) -> Damage:
        """What is known to be wrong with it so far."""
        ...

    def read_at(self, start_s: float, seconds: float) -> np.ndarray:
        """(frames, channels) float32 from a place on; fewer where there are no more."""
        ...

    def blocks(self, seconds: float, start_s: float = 0.0) -> Iterator[np.ndarray]:
        """All from a place on, about so many seconds at a time: (frames, channels) float32."""
        ...


class Stretch:
    """A part of a source, as if it were all there is."""

    def __init__(self, source: Source, span: Span) -> None:
        self._source, self._begin = source, span[0]
        self.rate, self.channels = source.rate, source.channels
        self.seconds = min(span[1], source.seconds) - span[0]

    @property
    def damage(self) -> Damage:
        """That of the source, in the part."""
        places = [p - self._begin for p in self._source.damage.places]
        return Damage([p for p in places if 0 <= p <= self.seconds])

    def read_at(self, start_s: float, seconds: float) -> np.ndarray:
        """As `Source.read_at`."""
        return self._source.read_at(self._begin + start_s, min(seconds, self.seconds - start_s))

    def blocks(self, seconds: float, start_s: float = 0.0) -> Iterator[np.ndarray]:
        """As `Source.blocks`."""
        left = round((self.seconds - start_s) * self.rate)
        for samples in self._source.blocks(seconds, self._begin + start_s):
            yield samples[:left]
            left -= len(samples)
            if left <= 0:
                return
