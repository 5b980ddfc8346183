"""Empty figures of matplotlib, an optional part (``mirclr[plot]``), for all that draws a picture."""

from typing import Any

from mirclr.errors import MissingExtra


def new_figure(inches: tuple[float, float], what: str) -> Any:
    """An empty ``matplotlib.figure.Figure`` of that width and height.

    Parameters
    ----------
    inches : tuple of float
        Width and height.
    what : str
        What is drawn, as the error calls it: "the picture of the loss".

    Raises
    ------
    MissingExtra
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra.of(what, "plot") from None
    return Figure(figsize=inches, layout="constrained")
