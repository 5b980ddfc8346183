"""mirclr learns what music sounds alike, from music without labels, and makes that useful.

The rooms, in pipeline order, are described in ARCHITECTURE.md. Importing this package imports no torch.
"""

__version__ = "0.1.0"
