"""``--set dotted.key=value``: one value of a recipe changed before it is checked."""

from typing import Any, get_origin

from pydantic import BaseModel

from mirclr.config.renamed import modern_key, modern_recipe
from mirclr.config.sections import Recipe
from mirclr.config.strict_yaml import plain_values
from mirclr.config.wording import models_in
from mirclr.errors import OverrideError, RecipeError


def apply_override(tree: dict[str, Any], override: str, notes: list[str]) -> dict[str, Any]:
    """Change one value in the plain values of a recipe.

    Parameters
    ----------
    tree : dict
        With keys as they are called now; may be changed in place.
    override : str
        ``dotted.key=value``.
    notes : list of str
        Gets a phrase for each key that is called otherwise now.

    Returns
    -------
    dict
        The plain values with the change.

    Raises
    ------
    OverrideError
        It is not of that form, or names a place that a list has not.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise OverrideError(f"--set {override}: expected dotted.key=value")
    if key.strip() == "augment.mixing.name" and isinstance(tree.get("augment"), dict):
        return _with_mixing(tree, _value(text, override), notes)
    modern = modern_key(key.strip(), tree)
    if modern != key.strip():
        notes.append(f"{key.strip()} is {modern} now")
    *parents, last = modern.split(".")
    node: Any = tree
    kinds: list[Any] = [Recipe]  # the sections that may stand where the key has come to
    for part in parents:
        if isinstance(node, list):
            node = node[_position(node, part, override)]
            if not isinstance(node, dict | list):
                raise OverrideError(f"--set {override}: place {part} holds {node!r}, which has no parts")
            kinds = []
        else:
            if not isinstance(node.get(part), dict | list):
                node[part] = _started(kinds, part)
            node, kinds = node[part], _sections(kinds, part)
    value = _value(text, override)
    if isinstance(node, list):
        node[_position(node, last, override)] = value
    else:
        node[last] = value
    return modern_recipe(tree, notes, old_wins=True)


def _with_mixing(tree: dict[str, Any], name: Any, notes: list[str]) -> dict[str, Any]:
    """The recipe with its mixup or cutmix made of another kind, by the key that once chose among them."""
    augment = dict(tree["augment"])
    settings = augment.pop("cutmix", None) or augment.pop("mixup", None)
    kept = {key: value for key, value in settings.items() if key != "region"} if isinstance(settings, dict) else {}
    return modern_recipe(tree | {"augment": augment | {"mixing": kept | {"name": name}}}, notes, old_wins=True)


def _value(text: str, override: str) -> Any:
    """The value of an override."""
    try:
        return plain_values(text, f"--set {override}")
    except RecipeError as error:
        raise OverrideError(str(error)) from None


def _sections(kinds: list[Any], key: str) -> list[Any]:
    """The models of sections that a key of one of some models may hold; none where it holds a value or a list."""
    fields = [kind.model_fields[key].annotation for kind in kinds if key in kind.model_fields]
    return models_in([a for a in fields if get_origin(a) is not tuple])


def _started(kinds: list[Any], key: str) -> dict[str, Any]:
    """What a section that a recipe leaves out begins with: the name of its default, where there is a choice."""
    for kind in kinds:
        default = kind.model_fields[key].default if key in kind.model_fields else None
        if isinstance(default, BaseModel) and "name" in type(default).model_fields:
            return {"name": default.name}  # type: ignore[attr-defined]
    return {}


def _position(node: list[Any], part: str, override: str) -> int:
    if not part.isdecimal() or int(part) >= len(node):
        raise OverrideError(f"--set {override}: {part!r} is not a place in a list of {len(node)}")
    return int(part)
