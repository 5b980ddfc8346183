"""Options that several commands share, so that they are spelt and explained once."""

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mirclr.pretrained import checkpoint_named
from mirclr.provenance import data_dir

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

as_json: Decorator = click.option("--json", "as_json", is_flag=True, help="Print JSON on standard output.")


class HomePath(click.Path):
    """A path whose ``~`` means the home folder, where no shell has made it so (``make demo MUSIC=~/Music``)."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; an empty one, as of a variable that is not set, is wrong usage."""
        if not os.fspath(value).strip():
            self.fail("a path is empty", param, ctx)
        return super().convert(os.path.expanduser(value), param, ctx)


def default_library() -> Path:
    """The library that is meant where none is named."""
    return data_dir() / "library.db"


library: Decorator = click.option(
    "--library",
    "library_path",
    type=HomePath(path_type=Path, dir_okay=False),
    default=default_library,
    show_default="library.db in your data directory",
    help="The library file.",
)


def check_apart(output: Path, library_path: Path) -> None:
    """Refuse to write something else in the library's place."""
    if output.resolve() == library_path.resolve():
        raise click.BadParameter(f"{output}: is the library itself; name another file", param_hint="-o")


class _Checkpoint(click.ParamType):
    """``builtin``, or the path of a checkpoint; the command gets a `pathlib.Path`."""

    name = "checkpoint"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        return checkpoint_named(value)


CHECKPOINT = _Checkpoint()


class Number(click.FloatRange):
    """A number, within bounds where there are some; "nan" and "inf" are none."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number; it must be finite, as no bound keeps "nan" out."""
        try:
            finite = math.isfinite(float(value))
        except (ValueError, TypeError, OverflowError):
            finite = True  # no number at all, which click puts into words
        if not finite:
            self.fail(f"{value} is not a finite number", param, ctx)
        return super().convert(value, param, ctx)


def path_option(
    *names: str, help: str, exists: bool = False, required: bool = False, folder: bool = False
) -> Decorator:
    """Build an option that takes a path, given to the command as a `pathlib.Path`."""
    kind = HomePath(path_type=Path, exists=exists, dir_okay=folder, file_okay=not folder)
    return click.option(*names, type=kind, required=required, help=help)
