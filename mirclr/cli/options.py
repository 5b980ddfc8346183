"""Options that several commands share, so that they are spelt and explained once."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from mirclr.models.pretrained import checkpoint_named
from mirclr.provenance import data_dir

if TYPE_CHECKING:
    from mirclr.library import LibraryStore

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


exclude: Decorator = click.option(
    "--exclude",
    "globs",
    metavar="GLOB",
    multiple=True,
    help="Leave out folders and files of this name, or path below the folder; may be given again. Kept in the library.",
)


def pattern_of(glob: str, root: str, given: Iterable[Path] = ()) -> str | None:
    """A glob as a pattern below a root; None of an absolute one that leads elsewhere.

    Parameters
    ----------
    glob : str
        As a person writes it: relative to the root, or absolute.
    root : str
        The absolute folder.
    given : iterable of Path
        Other names of the root, such as through a link.

    Raises
    ------
    click.UsageError
        It stands for nothing, or for the whole folder.
    """
    text = os.path.expanduser(glob).replace(os.sep, "/")
    anchor = ""
    if PurePath(text).is_absolute():
        for place in (Path(root), *(Path(os.path.abspath(g)) for g in given)):
            if PurePath(text).is_relative_to(place):
                text, anchor = PurePath(text).relative_to(place).as_posix(), "./"
                break
        else:
            return None
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or ".." in parts or set(parts) <= {"**"}:
        raise click.UsageError(f"--exclude {glob!r}: expected a name or a path below {root}, with *, ? and **")
    return ("./" if text.startswith("./") else anchor) + "/".join(parts)


def keep_exclusions(library: "LibraryStore", globs: Sequence[str], roots: Mapping[Path, str]) -> dict[str, list[str]]:
    """Keep globs in a library for the roots of folders; returns the patterns by root.

    Parameters
    ----------
    library : LibraryStore
        Keeps them.
    globs : sequence of str
        Of the command line.
    roots : mapping of Path to str
        Folders as they were given, each with its root.

    Raises
    ------
    click.UsageError
        A glob stands for nothing, or is absolute and below none of the roots.
    """
    kept: dict[str, list[str]] = {}
    for glob in globs:
        patterns = {
            root: pattern_of(glob, root, [folder for folder, of in roots.items() if of == root])
            for root in dict.fromkeys(roots.values())
        }
        if not any(patterns.values()):
            raise click.UsageError(f"--exclude {glob!r}: is below none of the folders {', '.join(patterns)}")
        for root, pattern in patterns.items():
            if pattern:
                kept.setdefault(root, []).append(pattern)
    for root, some in kept.items():
        library.add_exclusions(root, some)
    return kept
