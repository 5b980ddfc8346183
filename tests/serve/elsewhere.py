"""What is run in processes of their own in tests; in a module of its own, as those import it."""

import os
from collections.abc import Iterator


def die_of(*_: object) -> None:
    """Take the process along, as a decoder that crashes does."""
    os._exit(3)


def endless(*_: object) -> Iterator[bytes]:
    """A song that never ends."""
    while True:
        yield bytes(1 << 16)
