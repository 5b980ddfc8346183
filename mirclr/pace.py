"""How fast work goes on, and how long the rest of it takes, for all that shows progress."""

import time
from collections import deque

_SOONEST_S, _RECENT_S = 2.0, 90.0


class Pace:
    """How fast work goes on, by its last minute and a half: files that were seen before predict nothing of new ones.

    Parameters
    ----------
    total : int or None
        How many steps there are; None when unknown.
    """

    def __init__(self, total: int | None) -> None:
        self._total, self.done = total, 0
        self._marks = deque([(time.monotonic(), 0)])

    def advance(self, steps: int) -> None:
        """Note that some steps are done."""
        self.done += steps
        now = time.monotonic()
        if now - self._marks[-1][0] >= 1:
            self._marks.append((now, self.done))
        while len(self._marks) > 2 and now - self._marks[1][0] > _RECENT_S:
            self._marks.popleft()

    def so_far(self) -> str:
        """How much is done: "120 of 359"."""
        return f"{self.done:,}" if self._total is None else f"{self.done:,} of {self._total:,}"

    def left_s(self) -> float | None:
        """How many seconds the rest takes; None as long as that is not known."""
        since, before = self._marks[0]
        elapsed, steps = time.monotonic() - since, self.done - before
        if self._total is None or steps <= 0 or elapsed < _SOONEST_S or self.done >= self._total:
            return None
        return (self._total - self.done) * elapsed / steps

    def left(self) -> str:
        """The same, for people; empty as long as that is not known."""
        seconds = self.left_s()
        return "" if seconds is None else time_left(seconds)


def time_left(seconds: float) -> str:
    """How long something will take, as well as that can be known: "40 s left", "4 min left", "1 h 20 min left"."""
    if seconds < 10:
        return "a few seconds left"
    if seconds < 55:
        return f"{5 * round(seconds / 5)} s left"
    minutes = max(1, round(seconds / 60))
    if minutes < 60:
        return f"{minutes} min left"
    hours, rest = divmod(5 * round(minutes / 5), 60)
    if hours < 10:
        return f"{hours} h {rest} min left" if rest else f"{hours} h left"
    return f"{round(seconds / 3600)} h left" if hours < 48 else f"{round(seconds / 86400)} days left"
