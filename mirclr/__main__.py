"""``python -m mirclr`` is the ``mirclr`` command."""

from mirclr.cli import main

main()
