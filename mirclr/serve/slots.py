"""`Slots`: a limit of what is done at once."""

from collections.abc import Callable

from mirclr.serve.problems import Problem


class Slots:
    """So many of something at once, and no more; used in one thread, as that of an event loop.

    Parameters
    ----------
    most : int
        How many.
    what : str
        What they are and what is done, such as "songs are being sent".
    """

    def __init__(self, most: int, what: str) -> None:
        self._most, self._what, self._taken = most, what, 0

    def take(self) -> Callable[[], None]:
        """Take one; what is returned gives it back, however often it is called.

        Raises
        ------
        Problem
            None is left.
        """
        if self._taken >= self._most:
            line = f"{self._most} {self._what} already; try again in a moment"
            raise Problem(503, line, headers={"Retry-After": "2"})
        self._taken += 1
        given = False

        def give_back() -> None:
            nonlocal given
            self._taken -= not given
            given = True

        return give_back
