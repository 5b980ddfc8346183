"""The version of mirclr."""

__version__ = "0.1.0"
