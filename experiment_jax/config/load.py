"""Configs: Python files that return a locked, typed ConfigDict.

A config file defines `get_config()` and, where it has any, `VARIANTS`: named dictionaries of overrides, such as
`{"smoke": {"matching.steps": 2}}`. `configs/NAME.py:smoke` takes one of them; overrides on the command line come last.
The shipped recipes are found from any directory, also as `NAME:smoke`.
It may also define `sweep()`, the members of a sweep: see `experiment_jax.sweep.members`.
"""

import ast
import difflib
import inspect
import math
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from ml_collections import ConfigDict

from experiment_jax.config import durations, numbers, places
from experiment_jax.config.types import flat, optional_settings
from experiment_jax.errors import UserError

OVERRIDE = "--config."  # of the command line
ELEMENTS = {bool, int, float, str}  # what a tuple may hold whose default is empty


def load(spec: str, overrides: Mapping[str, Any] | None = None) -> ConfigDict:
    """Reads `PATH.py[:VARIANT]` or `NAME[:VARIANT]`, applies overrides, locks.

    Args:
        spec: a config file or the name of a shipped recipe, and one of its variants after a colon.
        overrides: dotted key -> value; a string is read as the type of the setting that it replaces.

    Raises:
        UserError: no such file, variant or key, or a value of the wrong type.
    """
    path, variant, module = _run(spec)
    config = module["get_config"]()
    variants = module.get("VARIANTS", {})
    if variant and variant not in variants:
        raise UserError(f"--config {spec}: {path} has no variant {variant!r}; choose one of {', '.join(variants)}")
    override(config, variants.get(variant, {}))
    override(config, overrides or {})
    _check_numbers(config)
    places.settle(config)
    return config.lock()


def _check_numbers(config: ConfigDict) -> None:
    """Raises UserError where a whole number is larger than what it becomes can hold, or a number is none."""
    for key, value in flat(config).items():
        name = key.rpartition(".")[2]
        for number in value if isinstance(value, list) else (value,):
            if isinstance(number, float) and math.isnan(number):
                raise UserError(f"--config.{key}={value}: is no number; give one")
            if key == "seed":
                numbers.seed(number, f"--config.{key}")
            elif name == "batch_size":
                numbers.count(number, f"--config.{key}")
            elif isinstance(number, int) and not isinstance(number, bool) and not name.endswith("examples"):
                numbers.whole(number, f"--config.{key}", -numbers.LARGEST, numbers.LARGEST)


def split_overrides(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Arguments without `--config.key=value` (or `--config.key value`), and those as {key: value}."""
    rest, overrides = [], {}
    queue = list(arguments)
    while queue:
        argument = queue.pop(0)
        if not argument.startswith(OVERRIDE):
            rest.append(argument)
            continue
        key, equals, value = argument.removeprefix(OVERRIDE).partition("=")
        if not equals:
            if not queue:
                raise UserError(f"{argument}: needs a value; type {argument}=VALUE")
            value = queue.pop(0)
        overrides[key] = value
    return rest, overrides


def sweep(spec: str) -> list[Any]:
    """What `sweep()` of the config file yields, or `sweep(variant)`; see `experiment_jax.sweep.members`.

    Raises:
        UserError: no such file, or one without a sweep.
    """
    path, variant, module = _run(spec)
    if "sweep" not in module:
        raise UserError(f"--config {spec}: {path} defines no sweep(); leave --sweep out, or type --seeds 3")
    yields = module["sweep"]
    found = yields(variant) if inspect.signature(yields).parameters else yields()
    return list(found.items() if isinstance(found, Mapping) else found)


def _run(spec: str) -> tuple[str, str, dict[str, Any]]:
    """The path and the variant that `PATH.py[:VARIANT]` names, and what the file defines."""
    path = str(places.place(spec, "--config"))
    path, _, variant = path.partition(":")
    recipe = places.shipped("configs") / Path(path).with_suffix(".py").name
    is_name = Path(path).parent in (Path(), Path("configs"))
    file = Path(path) if Path(path).is_file() else recipe if is_name and recipe.is_file() else None
    if file is None:
        known = ", ".join(sorted(p.stem for p in places.shipped("configs").glob("*.py")))
        raise UserError(f"--config {spec}: there is no file {path}; give one, or one of {known}")
    module = runpy.run_path(str(file))
    if "get_config" not in module:
        raise UserError(f"--config {spec}: {path} defines no get_config()")
    return path, variant, module


def override(config: ConfigDict, overrides: Mapping[str, Any]) -> None:
    """Sets dotted keys in place; see `load` for what it raises."""
    with config.unlocked():
        for key in overrides:
            if not isinstance(key, str):
                raise UserError(f"{numbers.shown(key)}: is no setting; give its name as text, as in 'data.paired'")
            section, name = _find(config, key)
            durations.replace(section, name)
        for key, value in overrides.items():
            section, name = _find(config, key)
            value = numbers.plain(value)
            try:
                section[name] = _typed(value, section, name)
            except (TypeError, ValueError, SyntaxError):
                expected = section.get_type(name).__name__
                raise UserError(
                    f"--config.{key}={value}: expected {expected}, as in --config.{key}={_example(section, name)}"
                ) from None


def _find(config: ConfigDict, key: str) -> tuple[ConfigDict, str]:
    *path, name = key.split(".")
    section = config
    for part in [*path, name]:
        if not isinstance(section, ConfigDict) or part not in section:
            close = difflib.get_close_matches(key, flat(config), n=1, cutoff=0.0)
            raise UserError(f"--config.{key}: there is no such setting; did you mean --config.{close[0]}?")
        parent, section = section, section[part]
    if isinstance(section, ConfigDict):
        raise UserError(f"--config.{key}: is a section; set one of {', '.join(f'{key}.{k}' for k in section)}")
    return parent, name


def _typed(value: Any, section: ConfigDict, name: str) -> Any:
    """`value` as a value of the setting: text is read, other values are checked where ConfigDict is lenient."""
    kind, current = section.get_type(name), section[name]
    optional = name in optional_settings(section)
    if isinstance(value, str) and (kind is not str or (optional and value == "None")):
        value = _read(value, kind)
    if value is None and not optional:
        _reject(value)
    if isinstance(value, bool) and kind is not bool:
        _reject(value)
    if isinstance(current, tuple):
        if not isinstance(value, list | tuple):
            _reject(value)
        kinds = {type(element) for element in current}
        if not {type(element) for element in value} <= (kinds or ELEMENTS):
            _reject(value)
        return tuple(value)
    return value


def _read(text: str, kind: type) -> Any:
    if text == "None":
        return None
    if kind is bool:
        return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else _reject(text)
    return kind(text) if kind in (int, float) else ast.literal_eval(text)


def _reject(value: Any) -> NoReturn:
    raise ValueError(value)


def _example(section: ConfigDict, name: str) -> Any:
    examples = {int: 1, float: 0.1, bool: True, str: "text"}
    return section[name] if section[name] is not None else examples[section.get_type(name)]
