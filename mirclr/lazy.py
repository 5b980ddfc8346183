"""Names of a package that are loaded when they are first asked for, so that importing the package stays cheap."""

from collections.abc import Callable
from importlib import import_module
from typing import Any


def attributes(package: str, modules: dict[str, str]) -> Callable[[str], Any]:
    """Make the ``__getattr__`` of a package (PEP 562).

    Parameters
    ----------
    package : str
        Its ``__name__``.
    modules : dict
        For each name the module of the package that holds it.

    Returns
    -------
    callable
        Loads a name; raises `AttributeError` where it is none of these.
    """

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return load
