"""Configs: Python files that return a locked, typed ConfigDict.

A config file defines `get_config()` and, where it has any, `VARIANTS`: named dictionaries of overrides, such as
`{"smoke": {"matching.steps": 2}}`. `configs/NAME.py:smoke` takes one of them; overrides on the command line come last.
It may also define `sweep()`, the members of a sweep: see `experiment_jax.sweep`.
"""

import ast
import difflib
import importlib
import inspect
import json
import math
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from ml_collections import ConfigDict

from experiment_jax.config import durations
from experiment_jax.config.sections import Optional
from experiment_jax.errors import UserError

PACKAGES = ("experiment_jax", "lsdm_jax", "regene_jax")
OPTIONAL = "may_be_none"  # beside the sections of config.json
PROJECT = Path(__file__).resolve().parents[2]


def load(spec: str, overrides: Mapping[str, Any] | None = None) -> ConfigDict:
    """Reads `PATH.py[:VARIANT]`, applies overrides, locks.

    Args:
        spec: a config file, and one of its variants after a colon.
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
    if config.seed < 0:
        raise UserError(f"--config.seed={config.seed}: a seed is 0 or more, as in --config.seed=0")
    return config.lock()


def sweep(spec: str) -> list[Any]:
    """What `sweep()` of the config file yields, or `sweep(variant)`; see `experiment_jax.sweep`.

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
    path, _, variant = str(spec).partition(":")
    file = next((p for p in (Path(path), PROJECT / path) if p.is_file()), None)
    if file is None:
        known = ", ".join(sorted(f"configs/{p.name}" for p in (PROJECT / "configs").glob("*.py")))
        raise UserError(f"--config {spec}: there is no file {path}; choose one of {known}")
    module = runpy.run_path(str(file))
    if "get_config" not in module:
        raise UserError(f"--config {spec}: {path} defines no get_config()")
    return path, variant, module


def override(config: ConfigDict, overrides: Mapping[str, Any]) -> None:
    """Sets dotted keys in place; see `load` for what it raises."""
    with config.unlocked():
        for key in overrides:
            section, name = _find(config, key)
            durations.replace(section, name)
        for key, value in overrides.items():
            section, name = _find(config, key)
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
    optional = name in _optional(section)
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
        if kinds and not {type(element) for element in value} <= kinds:
            _reject(value)
        return tuple(value)
    return value


def _optional(section: ConfigDict) -> dict[str, Optional]:
    """The settings of a section that may be None; not those of the sections in it."""
    fields = section.items(preserve_field_references=True)
    return {name: field for name, field in fields if isinstance(field, Optional)}


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


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{dotted key: value} of a nested config; lists and tuples are the same thing."""
    rows = {}
    for key, value in config.items():
        if isinstance(value, Mapping | ConfigDict):
            rows |= flat(value, f"{prefix}{key}.")
        else:
            rows[prefix + key] = list(value) if isinstance(value, tuple) else value
    return rows


def to_json(config: ConfigDict) -> str:
    """The config as JSON text, which `from_json` reads back; JSON has no infinity, so that is the text "inf".

    Under OPTIONAL stands the type of each setting that may be None, by dotted key.
    """

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [plain(inner) for inner in value]
        return str(value) if isinstance(value, float) and math.isinf(value) else value

    content = {**plain(config.to_dict()), OPTIONAL: _optional_types(config)}
    return json.dumps(content, indent=2, sort_keys=True, allow_nan=False)


def _optional_types(config: ConfigDict, prefix: str = "") -> dict[str, str]:
    found = {prefix + name: field.get_type().__name__ for name, field in _optional(config).items()}
    for key, value in config.items():
        if isinstance(value, ConfigDict):
            found |= _optional_types(value, f"{prefix}{key}.")
    return found


def from_json(text: str) -> ConfigDict:
    """A locked config out of a run directory's config.json; the same settings may be None as in what was written."""
    content = json.loads(text)
    optional = content.pop(OPTIONAL, {})
    kinds = {kind.__name__: kind for kind in (bool, int, float, str, tuple)}

    def typed(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: typed(inner, f"{key}.{name}" if key else name) for name, inner in value.items()}
        if key in optional:
            kind = kinds[optional[key]]
            return Optional(None if value is None else kind(value), field_type=kind)
        if isinstance(value, list):
            return tuple(typed(inner) for inner in value)
        return float(value) if value in ("inf", "-inf") else value

    return ConfigDict(typed(content)).lock()


def resolve(build: str) -> Callable[..., Any]:
    """The function that "package.module:function" names, among the project's own packages.

    Raises:
        UserError: another package, or no such module or function.
    """
    module, _, name = build.partition(":")
    if module.split(".")[0] not in PACKAGES or not name:
        raise UserError(f"build={build}: name a factory as package.module:function, the package one of {PACKAGES}")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if not module.startswith(str(error.name)):
            raise  # the module is there and something that it imports is not: not a typing mistake
        raise UserError(f"build={build}: there is no module {module}") from None
    except AttributeError:
        raise UserError(f"build={build}: {module} has no {name}") from None
