"""Classes of one's own, named as ``package.module:Class``: a loss, an augmentation, an encoder or a teacher.

A recipe that is run may name them, and so may a person on the command line or in Python. A file that is loaded (a
checkpoint, a library, heads) names them too, but its word imports nothing: `load_class` gives only what was allowed in
this process, by a recipe that is run or by `allow_code`. What is allowed is kept in the environment variable
``MIRCLR_ALLOW_CODE``, so that processes that are started from here, and a person's shell, know it too.
"""

import importlib
import importlib.util
import inspect
import os
import re
import sys
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from mirclr.errors import RecipeError, in_words, is_fault_of_machine
from mirclr.provenance import content_digest

VARIABLE = "MIRCLR_ALLOW_CODE"
"""The environment variable that holds the allowed names, with commas between them."""
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def is_class_name(text: object) -> bool:
    """Whether a text has the form ``package.module:Class``; nothing is looked up."""
    return isinstance(text, str) and bool(_NAME.fullmatch(text)) and not text.endswith(".safetensors")


def class_name(kind: type) -> str:
    """The name of a class, as ``package.module:Class``.

    Raises
    ------
    RecipeError
        It is defined within a function, where no name leads to it.
    """
    name = f"{kind.__module__}:{kind.__qualname__}"
    if not is_class_name(name):
        raise RecipeError(f"{name}: a class within a function has no name to find it by; define it in a module")
    return name


def with_names(value: Any) -> Any:
    """Plain values with the name of each class that stands among them in its place."""
    if isinstance(value, type):
        return class_name(value)
    if isinstance(value, Mapping):
        return {key: with_names(inner) for key, inner in value.items()}
    return [with_names(inner) for inner in value] if isinstance(value, list | tuple) else value


def allowed() -> frozenset[str]:
    """The names that may be imported."""
    return frozenset(filter(None, map(str.strip, os.environ.get(VARIABLE, "").split(","))))


def allow_code(*names: str) -> None:
    """Allow classes of one's own to be imported where a checkpoint or a library names them.

    Parameters
    ----------
    *names : str
        Each ``package.module:Class``. They hold for this process and those that it starts.

    Raises
    ------
    RecipeError
        A name has another form.

    Examples
    --------
    >>> import mirclr
    >>> mirclr.allow_code("my_package.nets:MyNet")
    """
    for name in names:
        if not is_class_name(name):
            raise RecipeError(f"{name!r} is no name of a class; expected package.module:Class")
    os.environ[VARIABLE] = ",".join(sorted(allowed().union(names)))


def allow_named(names: Iterable[str], folder: Path) -> None:
    """Allow what a recipe names that is run, or a person, and find modules that stand beside it in its folder.

    Raises
    ------
    RecipeError
        A module beside the recipe has the name of another that is installed.
    """
    names = list(names)
    for name in names:
        top = name.partition(":")[0].partition(".")[0]
        places = folder / f"{top}.py", folder / top / "__init__.py", folder / top
        beside = next((place for place in places if place.exists()), None)
        if beside is None or top in sys.builtin_module_names:
            continue
        found = _file_of(top)
        if found is None:
            sys.path.append(str(folder.resolve()))  # last, so that it hides no other module
            importlib.invalidate_caches()
        elif beside.is_file() and found.resolve() != beside.resolve():
            raise RecipeError(f"{name}: {beside} has the name of another module, {found}; rename one of them")
    if names:
        allow_code(*names)


def _file_of(module: str) -> Path | None:
    """The file of a top-level module that can be imported."""
    spec = getattr(sys.modules.get(module), "__spec__", None) or importlib.util.find_spec(module)
    return Path(spec.origin) if spec and spec.origin else None


def load_class(name: str, what: str) -> Any:
    """Import a class that was allowed.

    Parameters
    ----------
    name : str
        ``package.module:Class``; a function that makes an object is taken too.
    what : str
        What names it, for messages.

    Raises
    ------
    RecipeError
        It was not allowed, or cannot be imported.
    """
    if name not in allowed():
        raise RecipeError(
            f"{what}: {name!r} is not registered, and is not imported because a file names it; if you trust that code, "
            f"say so: mirclr --allow-code {name} …, or in Python mirclr.allow_code({name!r})"
        )
    module, _, attribute = name.partition(":")
    found: Any = None
    try:
        found = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (Exception, SystemExit) as error:  # whatever somebody else's code raises
        if is_fault_of_machine(error):
            raise
        if isinstance(error, ModuleNotFoundError) and error.name and f"{module}.".startswith(f"{error.name}."):
            why = f"there is no module {error.name!r}; install its package, put its file beside the recipe, or its "
            why += "folder into PYTHONPATH"
        elif isinstance(error, AttributeError) and found is not None:
            near = get_close_matches(attribute, [n for n in dir(found) if not n.startswith("_")], 1)
            why = f"{module} has no {attribute!r}{f'; did you mean {near[0]}?' if near else ''}"
        else:
            why = f"{type(error).__name__}: {in_words(error)}"
        raise RecipeError(f"{what}: {name!r} cannot be imported ({why})") from error
    if not callable(found):
        raise RecipeError(f"{what}: {name!r} is of type {type(found).__name__}; expected a class")
    return found


def make(name: str, settings: Mapping[str, Any], what: str, *, filled_in: Mapping[str, Any] | None = None) -> Any:
    """Make an object of a class of one's own.

    Parameters
    ----------
    name, what : str
        As of `load_class`.
    settings : mapping of str to JSON value
        Its keyword arguments.
    filled_in : mapping of str to object, optional
        Further ones, of which it gets those that it names and that `settings` does not give.

    Raises
    ------
    RecipeError
        It cannot be imported or made.
    """
    kind = load_class(name, what)
    try:
        parameters = inspect.signature(kind).parameters
        more = {k: v for k, v in (filled_in or {}).items() if k in parameters and k not in settings}
        return kind(**settings, **more)
    except Exception as error:  # whatever somebody else's code raises
        if is_fault_of_machine(error):
            raise
        raise RecipeError(
            f"{what}: {name!r} with settings {dict(settings)} cannot be made ({type(error).__name__}: "
            f"{' '.join(str(error).split())[:300]})"
        ) from error


def source_digest(name: str) -> str | None:
    """Digest of the file that a class is written in; None where there is none, as in a notebook."""
    try:
        file = inspect.getsourcefile(load_class(name, "code"))
        return content_digest(Path(file)) if file else None
    except (OSError, TypeError, RecipeError):
        return None
