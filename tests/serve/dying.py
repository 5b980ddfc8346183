"""A job that takes its process with it, as a decoder that crashes does; in a module of its own, as that is imported."""

import os


def die_of(*_: object) -> None:
    os._exit(3)
