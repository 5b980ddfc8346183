"""Where the ``mirclr`` command begins; ``python -m mirclr`` is the same."""

import sys


def start() -> None:
    """Run the command line; Ctrl-C is one line and 130 from the first import on."""
    try:
        from mirclr.cli import main

        main()
    except KeyboardInterrupt:
        sys.stderr.write("mirclr: interrupted; what was done is kept\n")
        exec("")  # noqa: S102  (as at the end of `mirclr.cli.main`)
        sys.exit(130)


if __name__ == "__main__":
    start()
