"""What is wrong with a recipe, or with any value that a model of pydantic refuses, in words for people."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError

from mirclr.config.strict_yaml import shortened

_LONGEST_MESSAGE = 500  # a message may quote what was found
_EXPECTED = {
    "int_type": "a whole number", "int_parsing": "a whole number", "int_from_float": "a whole number",
    "int_parsing_size": "a smaller number", "float_type": "a number", "float_parsing": "a number",
    "finite_number": "a finite number", "bool_type": "true or false", "bool_parsing": "true or false",
    "string_type": "a text", "string_too_short": "a text that is not empty", "string_unicode": "a text of Unicode",
    "tuple_type": "a list", "list_type": "a list", "dict_type": "settings, as {key: value}",
    "model_type": "settings, as {key: value}", "model_attributes_type": "settings, as {key: value}",
    "none_required": "nothing",
}  # fmt: skip
_KEYS = "; the keys there are "
_BOUNDS = {
    "greater_than": ("gt", "more than {}"),
    "greater_than_equal": ("ge", "{} or more"),
    "less_than": ("lt", "less than {}"),
    "less_than_equal": ("le", "{} or less"),
}
_OTHER_NAMES = {  # what other programs call a setting
    "learning_rate": "training.lr", "epochs": "training.steps", "max_steps": "training.steps",
    "batch_size": "training.batch", "accumulate_grad_batches": "training.accumulate",
    "grad_clip": "training.clip_norm", "warmup_steps": "training.warmup", "ema": "training.ema_decay",
    "tau": "objective.temperature", "temp": "objective.temperature", "loss": "objective", "model": "encoder",
    "network": "encoder", "backbone": "encoder", "augmentations": "augment", "transforms": "augment",
    "dataset": "data.train", "manifest": "data.train", "sr": "audio.sample_rate", "seconds": "audio.clip_seconds",
    "duration": "audio.clip_seconds", "teacher": "distillation.teacher", "num_workers": "training.workers",
    "fmin": "mel.f_min", "fmax": "mel.f_max", "queue_size": "objective.queue", "projection_dim": "projector.dim",
}  # fmt: skip


def expected(error: Mapping[str, Any]) -> str:
    """What one error of pydantic asks for: "a whole number", "0 or more"; or its own words, of a check of ours."""
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind in _BOUNDS:
        bound, form = _BOUNDS[kind]
        return form.format(_number(context[bound]))
    if kind in ("literal_error", "enum"):
        return str(context["expected"])
    if kind in ("too_short", "too_long"):
        short = kind == "too_short"
        n = context["min_length" if short else "max_length"]
        return f"{n} value{'' if n == 1 else 's'} at {'least' if short else 'most'}"
    if kind == "string_pattern_mismatch":
        return f"a text of the form {context['pattern']}"
    return _EXPECTED.get(kind, "another value")


def problems(error: ValidationError, tree: Any, kind: type[BaseModel]) -> list[str]:
    """What is wrong with plain values that a model refuses, one line a place.

    Parameters
    ----------
    error : ValidationError
        What was raised.
    tree : dict
        The plain values.
    kind : type of BaseModel
        The model, whose settings are proposed where one is not known.

    Returns
    -------
    list of str
        Each names the place by its dotted key, what was found, and what was expected.
    """
    by_place: dict[tuple[str | int, ...], list[Mapping[str, Any]]] = {}
    for one in error.errors(include_url=False):
        by_place.setdefault(_place(one, tree), []).append(one)
    lines = [shortened(_line(place, errors, tree, kind), str, _LONGEST_MESSAGE) for place, errors in by_place.items()]
    listed: set[str] = set()
    for i, line in enumerate(lines):  # a list of keys is read once
        what, there, keys = line.partition(_KEYS)
        if there and keys in listed:
            lines[i] = what
        listed.add(keys)
    return lines


def _line(place: tuple[str | int, ...], errors: Sequence[Mapping[str, Any]], tree: Any, kind: type[BaseModel]) -> str:
    first, key = errors[0], shortened(".".join(map(str, place)) or "recipe", str)
    found = shortened(first["input"])
    match first["type"]:
        case "missing":
            return f"{key}: is missing"
        case "value_error":
            message = str(first["msg"]).removeprefix("Value error, ")
            return f"{key}: {message}" if place else message
        case "extra_forbidden":
            return f"no setting {key!r} (found {found}){_instead(place, tree, kind)}"
        case "union_tag_invalid" | "union_tag_not_found":
            return _unknown_name(key, place, tree, kind)
    wanted = list(dict.fromkeys(expected(e) for e in errors))
    near = _near_choice(first)
    if first["type"] == "string_type" and isinstance(first["input"], int | float):
        near = "; put it in quotes"
    return f"{key}: expected {' or '.join(wanted)}, found {found}{near}"


def _place(error: Mapping[str, Any], tree: Any) -> tuple[str | int, ...]:
    """The keys that lead to what is wrong, without the names of models that pydantic puts among them."""
    place: list[str | int] = []
    node, parts = tree, error["loc"]
    for i, part in enumerate(parts):
        in_list = isinstance(node, list | tuple) and isinstance(part, int) and part < len(node)
        if in_list or (isinstance(node, Mapping) and part in node):
            node = node[part]
            place.append(part)
        elif error["type"] == "missing" and i == len(parts) - 1:
            place.append(part)
    return tuple(place)


def _number(value: Any) -> str:
    """A bound: 1,000,000 and 0.5, and 1e+12 where it has more digits than anyone counts."""
    return f"{value:,}" if isinstance(value, int) and abs(value) < 10**12 else f"{value:g}"


def _near_choice(error: Mapping[str, Any]) -> str:
    """What may have been meant by a text that is none of the choices."""
    choices = [c.strip("' ") for c in str(error.get("ctx", {}).get("expected", "")).replace(" or ", ",").split(",")]
    near = get_close_matches(error["input"], choices, 1) if isinstance(error["input"], str) else []
    return f"; did you mean {near[0]}?" if near else ""


def _instead(place: tuple[str | int, ...], tree: Any, kind: type[BaseModel]) -> str:
    """What to write in place of a setting that is not known."""
    *parents, key = place
    before = "".join(f"{part}." for part in parents)
    kinds = _models_at(parents, tree, kind)
    names = [name for each in kinds for name in each.model_fields]
    if "settings" in names and "name" in names:
        return f"; what a class of one's own takes stands below: {before}settings.{key}"
    if near := get_close_matches(str(key), names, 1, 0.75):
        return f"; did you mean {before}{near[0]}?"
    everywhere = known_settings(kind)
    other = _OTHER_NAMES.get(str(key))
    if elsewhere := [s for s in everywhere if s.rpartition(".")[2] == key] or [s for s in [other] if s in everywhere]:
        return f"; did you mean {' or '.join(elsewhere[:3])}?"
    if near := get_close_matches(str(key), names, 1):
        return f"; did you mean {before}{near[0]}?"
    if near := get_close_matches(str(key), [s.rpartition(".")[2] for s in everywhere], 1):
        return f"; did you mean {next(s for s in everywhere if s.rpartition('.')[2] == near[0])}?"
    return f"{_KEYS}{', '.join(sorted(set(names)))}" if names else ""


def _unknown_name(key: str, place: Sequence[str | int], tree: Any, kind: type[BaseModel]) -> str:
    node = _node(place, tree)
    names = sorted({n for each in models_in(_annotations(place, kind)) for n in _names(each)})
    there = f"there are {', '.join(names)}"
    if any("settings" in each.model_fields for each in models_in(_annotations(place, kind))):
        there += ", and any class as package.module:Class"
    found = node.get("name") if isinstance(node, Mapping) else node
    if found is None and isinstance(node, Mapping) and any(":" in str(k) and v is None for k, v in node.items()):
        return f"{key}: found {shortened(node)}; put a space after the colon"
    if found is None:
        return f"{key}.name: is missing, found {shortened(node)}; {there}"
    near = get_close_matches(str(found), names, 1)
    return f"{key}.name: no {shortened(found)} is known{f'; did you mean {near[0]}?' if near else ''}; {there}"


def _node(place: Sequence[str | int], tree: Any) -> Any:
    for part in place:
        tree = tree[part]
    return tree


@cache
def known_settings(kind: type[BaseModel]) -> tuple[str, ...]:
    """Every setting that a model may have, by its dotted key; those of a list's items are left out."""
    return tuple(dict.fromkeys(_walk(kind, "", ())))


def _walk(kind: type[BaseModel], before: str, within: tuple[type, ...]) -> Iterator[str]:
    for name, field in kind.model_fields.items():
        yield before + name
        if get_origin(field.annotation) is not tuple:
            for inner in models_in([field.annotation]):
                if inner not in within:
                    yield from _walk(inner, f"{before}{name}.", (*within, kind))


def _models_at(place: Sequence[str | int], tree: Any, kind: type[BaseModel]) -> list[type[BaseModel]]:
    """The models that plain values at a place may be of: of several with names, the one that is named there."""
    kinds = models_in(_annotations(place, kind)) if place else [kind]
    node = _node(place, tree)
    found = node.get("name") if isinstance(node, Mapping) else None
    if isinstance(found, str) and ":" in found:
        return [each for each in kinds if "settings" in each.model_fields] or kinds
    return [each for each in kinds if found in _names(each)] or kinds


def _annotations(place: Sequence[str | int], kind: type[BaseModel]) -> list[Any]:
    """The annotations of the fields at a place."""
    kinds, found = [kind], []
    for part in place:
        if isinstance(part, str):
            found = [each.model_fields[part].annotation for each in kinds if part in each.model_fields]
            kinds = models_in(found)
    return found


def models_in(annotations: Sequence[Any]) -> list[type[BaseModel]]:
    """The models within annotations, in lists and unions too."""
    found: list[type[BaseModel]] = []
    for each in annotations:
        if isinstance(each, type) and issubclass(each, BaseModel):
            found.append(each)
        else:
            found += models_in([a for a in get_args(each) if isinstance(a, type) or get_origin(a) is not None])
    return found


def _names(kind: type[BaseModel]) -> tuple[str, ...]:
    field = kind.model_fields.get("name")
    return tuple(n for n in get_args(field.annotation) if isinstance(n, str)) if field else ()
