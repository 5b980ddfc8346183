"""`Job`: what is known of a piece of long work."""

import time
from typing import Any, Literal

from pydantic import BaseModel, PrivateAttr

from mirclr.pace import Pace
from mirclr.serve.jobs.kinds import Kind
from mirclr.terminal import shown

State = Literal["waiting", "running", "done", "failed", "cancelled"]
_REMARKS = 100


class Job(BaseModel):
    """A piece of long work on the library: how far it is, and what came of it."""

    id: int
    kind: Kind
    state: State = "waiting"
    label: str = ""
    """What is being done just now: "Listening to songs"."""
    done: int = 0
    total: int | None = None
    left_s: float | None = None
    """Seconds until it is done, where that is known."""
    note: str = ""
    """A word on how it goes: "3 could not be read"."""
    remarks: list[str] = []
    problem: str | None = None
    """Why it failed, in a line."""
    result: dict[str, Any] | None = None
    changes: int = 0
    """How often it has changed: of two accounts of it, the one with more is the later."""
    made_s: float
    started_s: float | None = None
    ended_s: float | None = None
    _pace: Pace = PrivateAttr(default_factory=lambda: Pace(None))

    @property
    def is_over(self) -> bool:
        """Whether nothing of it will change any more."""
        return self.state in ("done", "failed", "cancelled")

    def begin(self, label: str, total: int | None) -> None:
        """Note what is being done from now on, in how many steps."""
        self.label, self.total, self.done, self.left_s, self.note = shown(label), total, 0, None, ""
        self._pace = Pace(total)

    def advance(self, steps: int, note: str) -> None:
        """Note that some steps are done."""
        self._pace.advance(steps)
        self.done, self.left_s, self.note = self._pace.done, self._pace.left_s(), shown(note)

    def remark(self, text: str) -> None:
        """Add a line for people; of very many the first ones."""
        if len(self.remarks) < _REMARKS:
            self.remarks.append(shown(text))

    def end(self, state: State, *, problem: str | None = None, result: dict[str, Any] | None = None) -> None:
        """Note that it is over."""
        self.state, self.problem, self.result, self.left_s = state, problem and shown(problem), result, None
        self.ended_s = time.time()
