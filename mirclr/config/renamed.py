"""Recipes of before: keys and names that were called otherwise are read as what they are called now."""

from typing import Any

from mirclr.errors import RecipeError

# section -> key as it was -> key as it is
_KEYS = {
    "data": {"share": "fraction"},
    "audio": {"rate": "sample_rate"},
    "mel": {"hop": "hop_length", "bands": "n_mels"},
    "encoder": {"collapse": "freq_collapse"},
    "embedding": {"deviation": "std_weight"},
}
_SECTIONS = {"check": "validation"}
_STEPS = {"mix": "background_mix"}  # of augment.waveform and augment.mel
_STEP_KEYS = {"frequency_mask": {"share": "fraction"}}
_MIXING = {"mixup": ("mixup", None), "cutmix_time": ("cutmix", "time"), "cutmix_box": ("cutmix", "box")}


def modern_recipe(tree: dict[str, Any], notes: list[str], *, old_wins: bool = False) -> dict[str, Any]:
    """A recipe's plain values with every key as it is called now; `tree` is left as it is.

    Parameters
    ----------
    tree : dict
        As it was written.
    notes : list of str
        Gets a phrase for each key or name that was read as another.
    old_wins : bool
        What to do where a key stands under both names: take the old one, which an override has just set, or refuse.

    Raises
    ------
    RecipeError
        A key stands under both of its names.
    """
    tree = _renamed(tree, _SECTIONS, "", notes, old_wins)
    for section, keys in _KEYS.items():
        if isinstance(tree.get(section), dict):
            tree[section] = _renamed(tree[section], keys, f"{section}.", notes, old_wins)
    if isinstance(tree.get("augment"), dict):
        tree["augment"] = _modern_augment(tree["augment"], notes, old_wins)
    return tree


def modern_key(key: str, tree: dict[str, Any]) -> str:
    """The dotted key of an override as it is called now, for a modern `tree`."""
    first, *rest = key.split(".")
    first = _SECTIONS.get(first, first)
    if first == "augment" and len(rest) > 1 and rest[0] == "mixing":
        augment = tree.get("augment")
        rest[0] = "cutmix" if isinstance(augment, dict) and augment.get("cutmix") else "mixup"
    elif rest:
        rest[0] = _KEYS.get(first, {}).get(rest[0], rest[0])
    return ".".join([first, *rest])


def _renamed(
    section: dict[str, Any], keys: dict[str, str], place: str, notes: list[str], old_wins: bool
) -> dict[str, Any]:
    found = dict(section)
    for old, new in keys.items():
        if old not in section:
            continue
        if new in section and not old_wins:
            raise RecipeError(f"{place}{old} and {place}{new} are two names of one key; keep {place}{new}")
        notes.append(f"{place}{old} is {place}{new} now")
        found[new] = found.pop(old)
    return found


def _modern_augment(augment: dict[str, Any], notes: list[str], old_wins: bool) -> dict[str, Any]:
    augment = dict(augment)
    for steps in ("waveform", "mel"):
        if isinstance(augment.get(steps), list | tuple):
            augment[steps] = [_modern_step(step, f"augment.{steps}", notes, old_wins) for step in augment[steps]]
    if "mixing" not in augment:
        return augment
    mixing = augment.pop("mixing")
    if mixing is None and not old_wins:
        return augment  # as resolved recipes were written
    if not old_wins and (augment.get("mixup") or augment.get("cutmix")):
        raise RecipeError("augment.mixing is augment.mixup or augment.cutmix now; keep one of them")
    name = mixing.get("name") if isinstance(mixing, dict) else None
    kind, region = "mixup", None
    if isinstance(name, str) and name in _MIXING:
        kind, region = _MIXING[name]
        mixing = {key: value for key, value in mixing.items() if key != "name"} | ({"region": region} if region else {})
    notes.append(f"augment.mixing is augment.{kind}{f' with region: {region}' if region else ''} now")
    return augment | {"mixup": None, "cutmix": None} | {kind: mixing}


def _modern_step(step: Any, place: str, notes: list[str], old_wins: bool) -> Any:
    name = step.get("name") if isinstance(step, dict) else None
    if not isinstance(name, str):
        return step
    if name in _STEPS:
        notes.append(f"{place}: {name} is {_STEPS[name]} now")
        return {**step, "name": _STEPS[name]}
    return _renamed(step, _STEP_KEYS.get(name, {}), f"{place}: {name}.", notes, old_wins)
