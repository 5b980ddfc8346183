"""What a report is made of, for the terminal and for a page: texts, tables and bars."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Bars:
    """Values, 0 and above, that are drawn as bars.

    Attributes
    ----------
    caption : str
        What the bars are.
    labels : (n,) of str
    values : (n,) of float
        Below 0 there is no bar.
    texts : (n,) of str
        The values as people read them.
    top : float, optional
        Value of a bar of full length; the highest unless given.
    """

    caption: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    texts: tuple[str, ...]
    top: float | None = None

    def lengths(self) -> list[float]:
        """How long each bar is, in [0, 1]."""
        top = self.top or max([*self.values, 1e-9])
        return [min(1.0, max(0.0, value / top)) for value in self.values]


@dataclass(frozen=True)
class Part:
    """A part of the report; `note` is sentences on what it shows, before the rows."""

    title: str
    note: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    bars: tuple[Bars, ...] = ()
