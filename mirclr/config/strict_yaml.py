"""YAML to plain values: strict, by YAML 1.2 where PyYAML is not, and bounded whatever the text holds.

``1e-3`` is a number, ``no`` is text, a key given twice is an error. Before anything is built the text's events are
counted: nesting, length, and what aliases stand for when they are written out. ruamel.yaml would need the same rules on
top: to it ``0x1F``, ``1_000`` and dates are no texts, ``%YAML 1.1`` changes what ``no`` is, and a list may be a key.
"""

import re
from collections.abc import Callable
from typing import Any

import yaml

from mirclr.errors import RecipeError

_DEEPEST = 30
_MOST_DIGITS = 100
_MOST_VALUES = 10_000  # keys and values, aliases written out
LONGEST = 1 << 20  # characters of a recipe


class _Loader(yaml.SafeLoader):
    """SafeLoader with YAML 1.2's numbers and booleans, that refuses a repeated key."""

    def construct_decimal(self, node: yaml.ScalarNode) -> int:
        digits = self.construct_scalar(node)
        if len(digits) > _MOST_DIGITS:
            raise RecipeError(f"line {node.start_mark.line + 1}: a whole number of {len(digits)} digits")
        return int(digits)  # PyYAML reads 010 as octal

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            try:
                twice = key in seen
                seen.add(key)
            except TypeError:  # which PyYAML puts into words
                continue
            if twice:
                raise RecipeError(f"line {node.start_mark.line + 1}: the key {key} stands twice")
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if not tag.endswith((":bool", ":float", ":int", ":timestamp"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_decimal)
for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), list(_first))


def plain_values(text: str, where: str) -> Any:
    """Read YAML.

    Parameters
    ----------
    text : str
        One document.
    where : str
        What errors call it.

    Returns
    -------
    dict, list, str, int, float, bool or None

    Raises
    ------
    RecipeError
        It is no YAML, a key stands twice, or it is longer or deeper than any recipe.
    """
    if len(text) > LONGEST:
        raise RecipeError(f"{where}: more than {LONGEST} characters; expected a recipe, of some kilobytes")
    try:
        _check_size(text)
        return yaml.load(text, _Loader)  # noqa: S506  (_Loader is a SafeLoader)
    except RecipeError as error:
        raise RecipeError(f"{where}: {error}") from None
    except (
        yaml.YAMLError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        # beside errors of YAML itself: a tag that does not fit its value, such as !!int x or !!bool maybe
        reason = _reason(error)
        raise RecipeError(f"{where}: not valid YAML: {shortened(' '.join(reason.split()), str)}") from error


_IN_WORDS = {  # of what PyYAML calls a problem
    r"found character '\\t'": "a tab stands where a value begins; indent with spaces",
    r"found character (.+) that cannot": "{} cannot begin a value; put the value in quotes",
    "mapping values are not allowed": "a colon stands within a value; put the value in quotes",
    "<stream end>|unexpected end of stream": "the text ends within brackets or quotes; close them",
    "<block end>|<block mapping start>": "the indentation does not fit that of the lines above",
    "found undefined alias (.+)": "*{} stands for nothing; put the value in quotes, or name it by & before",
}


def _reason(error: Exception) -> str:
    """What is wrong with YAML: the line, and what the reader met there."""
    if not isinstance(error, yaml.MarkedYAMLError) or not error.problem:
        known = isinstance(error, yaml.YAMLError | ValueError)
        return str(error) if known else f"a tag does not fit its value: {error}"
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}: " if mark else ""
    for problem, words in _IN_WORDS.items():
        if found := re.search(problem, error.problem):
            return where + words.format(*(group.strip("'") for group in found.groups()))
    return where + error.problem


def shortened(value: Any, form: Callable[[Any], str] = repr, most: int = 200) -> str:
    """A value as text for a message, its end left out where it is long."""
    try:
        text = form(value)
    except ValueError:  # a whole number of more digits than Python writes
        return "a number too long to show"
    return text if len(text) <= most else text[:most] + " …"


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1


def _check_size(text: str) -> None:
    """Raise where a text nests too deep, or stands for too many values."""
    counts = [0]  # values so far, in each open list or mapping
    names: list[str | None] = [None]  # their anchors
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in names:
                raise RecipeError(f"not a tree of plain values (Circular: *{event.anchor} stands within itself)")
            counts[-1] += sizes.get(str(event.anchor), 1)
        elif isinstance(event, yaml.ScalarEvent):
            counts[-1] += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            counts.append(1)
            names.append(event.anchor)
            if len(counts) > _DEEPEST:
                raise RecipeError(f"line {_line(event)}: more than {_DEEPEST} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            count, name = counts.pop(), names.pop()
            counts[-1] += count
            if name:
                sizes[name] = count
        if sum(counts) > _MOST_VALUES:
            raise RecipeError(f"line {_line(event)}: more than {_MOST_VALUES} values, aliases written out")
