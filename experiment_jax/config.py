"""Configs: Python files that return a locked, typed ConfigDict.

A config file defines `get_config()` and, where it has any, `VARIANTS`: named dictionaries of overrides, such as
`{"smoke": {"matching.steps": 2}}`. `configs/NAME.py:smoke` takes one of them; overrides on the command line come last.
"""

import ast
import difflib
import importlib
import json
import runpy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from ml_collections import ConfigDict, config_dict

from experiment_jax import durations
from experiment_jax.errors import UserError

PACKAGES = ("experiment_jax", "lsdm_jax", "regene_jax")
PROJECT = Path(__file__).resolve().parent.parent


class Optional(config_dict.FieldReference):
    """A setting that may be None; the others may not."""


def optional(kind: type) -> Optional:
    """A setting of type `kind` that starts as None."""
    return Optional(None, field_type=kind)


def experiment(method: str, dataset: str, stages: tuple[str, ...]) -> ConfigDict:
    """The part that every config has; the recipe adds one section a stage and fills in what differs."""
    return ConfigDict(
        dict(
            method=method,
            seed=0,
            data=dict(
                name=dataset,  # "digits", any TFDS name, or the path of a prepared TFDS directory
                paired=optional(int),  # images whose label may be used, balanced over classes; None: all
                validation=0,  # images cut from train, balanced over classes, to watch the training by; never test
                flips=False,  # mirror training images left to right, half of the time
            ),
            stages=stages,
            judge="",  # config of the neutral classifier that evaluation trusts
            evaluation=dict(
                protocol="test_10k",  # compare 10,000 samples with the test images; "train_50k": 50,000 with train's
                batch_size=500,
            ),
        )
    )


def stage(build: str, view: str, batch_size: int, **own: Any) -> ConfigDict:
    """A stage's section: what the loop reads, and the stage's `own` settings.

    Durations carry their unit in the key, one of each: `steps`, `epochs` or `examples` for the length of training;
    `log_` and `checkpoint_` with any of those or `percent` of that length; `warmup_` with `steps` or `percent`.

    Args:
        build: "package.module:function", the stage's factory.
        view: what the stage sees: "all" (images, no label) or "paired" (images and labels).
        batch_size: over all devices.
        own: what the factory reads; any of the loop's settings may be given here too.
    """
    section = ConfigDict(
        dict(
            build=build,
            view=view,
            batch_size=batch_size,
            from_run="",  # take this stage, finished, from another run's directory
            steps_per_dispatch=1,  # steps in one call of the compiled program; 1 for convolutions on CPU
            ema_decay=0.999,
            keep=2,  # checkpoints kept, the latest
            best="",  # keep the best checkpoint by this validation metric, smallest first ("-metric": largest)
            profile=(0, 0),  # trace these steps with jax.profiler
            optimiser=optimiser(),
        )
    )
    for name, units in (("", durations.LENGTHS), ("log", durations.UNITS), ("checkpoint", durations.UNITS)):
        _add_duration(section, name, units)
    section.log_percent, section.checkpoint_percent = 1.0, 25.0
    for key, value in own.items():
        _assign(section, key, value)
    return section


def optimiser(**own: Any) -> ConfigDict:
    """An optimiser's section, every setting typed: a stage's `optimiser`, or one of several that a stage trains with.

    Args:
        own: settings that differ from the defaults below.
    """
    section = ConfigDict(
        dict(
            name="adam",
            learning_rate=1e-3,
            b1=0.9,
            b2=0.999,
            weight_decay=0.0,
            clip=1.0,  # global norm of the gradient; 0: none
            schedule="cosine",
        )
    )
    _add_duration(section, "warmup", ("steps", "percent"))
    section.warmup_percent = 2.0
    for key, value in own.items():
        _assign(section, key, value)
    return section


def _add_duration(section: ConfigDict, name: str, units: tuple[str, ...]) -> None:
    for key in durations.keys(name, units):
        section[key] = optional(int if key.endswith(("steps", "examples")) else float)


def _assign(section: ConfigDict, key: str, value: Any) -> None:
    if isinstance(value, Mapping) and isinstance(section.get(key), ConfigDict):
        for inner, inner_value in value.items():
            _assign(section[key], inner, inner_value)
        return
    durations.replace(section, key)
    section[key] = value


def load(spec: str, overrides: Mapping[str, Any] | None = None) -> ConfigDict:
    """Reads `PATH.py[:VARIANT]`, applies overrides, locks.

    Args:
        spec: a config file, and one of its variants after a colon.
        overrides: dotted key -> value; a string is read as the type of the setting that it replaces.

    Raises:
        UserError: no such file, variant or key, or a value of the wrong type.
    """
    path, _, variant = str(spec).partition(":")
    file = next((p for p in (Path(path), PROJECT / path) if p.is_file()), None)
    if file is None:
        known = ", ".join(sorted(f"configs/{p.name}" for p in (PROJECT / "configs").glob("*.py")))
        raise UserError(f"--config {spec}: there is no file {path}; choose one of {known}")
    module = runpy.run_path(str(file))
    if "get_config" not in module:
        raise UserError(f"--config {spec}: {path} defines no get_config()")
    config = module["get_config"]()
    variants = module.get("VARIANTS", {})
    if variant and variant not in variants:
        raise UserError(f"--config {spec}: {path} has no variant {variant!r}; choose one of {', '.join(variants)}")
    override(config, variants.get(variant, {}))
    override(config, overrides or {})
    if config.seed < 0:
        raise UserError(f"--config.seed={config.seed}: a seed is 0 or more, as in --config.seed=0")
    return config.lock()


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
    if isinstance(value, str) and kind is not str:
        value = _read(value, kind)
    if value is None and not isinstance(section.get_ref(name), Optional):
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
    """The config as JSON text, which `from_json` reads back."""
    return json.dumps(config.to_dict(), indent=2, sort_keys=True)


def from_json(text: str) -> ConfigDict:
    """A locked config out of a run directory's config.json."""

    def tuples(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: tuples(inner) for key, inner in value.items()}
        return tuple(value) if isinstance(value, list) else value

    return ConfigDict(tuples(json.loads(text))).lock()


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
