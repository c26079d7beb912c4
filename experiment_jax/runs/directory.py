"""A run's directory: its config, and what of that may change when it is continued."""

import functools
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from experiment_jax.config import durations, places
from experiment_jax.config.places import lasting_data, place
from experiment_jax.config.types import OPTIONAL, flat, from_json, to_json
from experiment_jax.data.names import members, title
from experiment_jax.errors import UserError
from experiment_jax.files import write_text

LENGTHS = durations.LENGTHS
BOOKKEEPING = (
    *durations.keys("log", durations.UNITS),
    *durations.keys("checkpoint", durations.UNITS),
    "keep",
    "profile",
    "analyse",
    "on_nonfinite",
)
EVALUATION = ("judge", "witnesses", "evaluation", "tracker")  # what a training does not depend on
MOVED = "absolute_paths"  # in config.json: those that are relative there
MACHINE = ("parallel", "data.resident")  # how it is computed, not what


def check(workdir: Path, config: ConfigDict) -> list[str]:
    """What differs between the run in `workdir` and `config`, as lines for the log; [] for a new directory.

    The length of the last stage, the logging and keeping policies, the tracker, the judge, the witnesses, the
    evaluation and how it is computed may change.

    Raises:
        UserError: anything else differs, or the directory holds something that is not a run.
    """
    workdir = place(workdir, "--workdir")
    if not (workdir / "config.json").is_file():
        # A leading dot: what a kill during the very first write left behind.
        if workdir.is_file() or (workdir.is_dir() and any(not path.name.startswith(".") for path in workdir.iterdir())):
            raise UserError(f"--workdir {workdir}: is not empty and holds no run; choose another --workdir")
        return []
    old, new = flat(read_config(workdir)), flat(config)
    changed = sorted(key for key in old.keys() | new.keys() if not _same(key, old.get(key), new.get(key)))
    last = config.stages[-1] if len(config.stages) else ""
    refused = [key for key in changed if not _may_change(key, last)]
    if refused:
        key = refused[0]
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise UserError(
            f"--workdir {workdir}: holds a run with {key}={old.get(key)}, not {new.get(key)}{more}; "
            f"choose another --workdir, or type --config.{key}={old.get(key)}"
        )
    return [f"{key}: {old.get(key)} -> {new.get(key)}" for key in changed]


def _same(key: str, old: Any, new: Any) -> bool:
    """Whether a setting is the same: paths may be written in several ways.

    Of a stage that is taken from another run, the stage itself is compared, by its digest, not where that run lies.
    """
    if key == "data.name" and old and new:
        return lasting_data(old) == lasting_data(new)
    return old == new or bool(key.endswith(".from_run") and old and new)


def _may_change(key: str, last_stage: str) -> bool:
    section, _, name = key.partition(".")
    return section in EVALUATION or name in BOOKKEEPING or key in MACHINE or (section == last_stage and name in LENGTHS)


def fingerprint(config: ConfigDict) -> str:
    """Twelve hexadecimal digits of the settings that decide what is trained; see `decisive`."""
    return hashlib.sha256(json.dumps(decisive(config), sort_keys=True).encode()).hexdigest()[:12]


def decisive(config: ConfigDict) -> dict[str, Any]:
    """The settings that stay the same while a run goes on, by dotted key, as JSON holds them."""
    last = config.stages[-1] if len(config.stages) else ""
    content = {key: value for key, value in json.loads(to_json(config)).items() if key != OPTIONAL}
    return {key: value for key, value in flat(content).items() if not _may_change(key, last)}


def origin(config: ConfigDict, stage: str, upstream: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What tells whether a checkpoint or a finished stage is one of this run, as its record holds it.

    Args:
        config: of the run.
        stage: the stage's name.
        upstream: digests of the stages before it, by name; None: not looked at.
    """
    # The data set by its name, wherever its folder lies.
    settings = {**decisive(config), "data.name": "+".join(map(title, config.data.name.split("+")))}
    known = {} if upstream is None else {"upstream": dict(upstream)}
    return {"stage": stage, **known, "settings": settings}


def write_config(workdir: Path, config: ConfigDict) -> None:
    """Writes config.json, whole or not at all.

    Where data, judges and witnesses share a folder with the run, their paths are relative to its directory. So they are
    found where all has been moved together; for a run that was moved alone, MOVED holds the absolute ones.
    """
    folder, moved = os.path.abspath(workdir), {}

    def near(text: str) -> str:
        found = places.relative(text, folder)
        if found != text:
            moved[found] = text
        return found

    content = json.loads(to_json(_with_places(config, lambda name: "+".join(map(near, members(name))), near)))
    write_text(Path(workdir) / "config.json", json.dumps(content | ({MOVED: moved} if moved else {}), indent=2) + "\n")


def _with_places(config: ConfigDict, data: Callable[[str], str], change: Callable[[str], str]) -> ConfigDict:
    """A copy with other paths of data, judges and witnesses. What else is a path is in the records of stages too."""

    def path(key: str, value: str) -> str:
        return change(value) if key.startswith("evaluation.") else value

    copy = from_json(to_json(config))  # in which the same settings may be None
    with copy.unlocked():
        places.replace(copy, data, change, path)
    return copy.lock()


def read_config(workdir: Path) -> ConfigDict:
    """The config of the run in `workdir`.

    Raises:
        UserError: there is no run, or its config.json is damaged or of an older format.
    """
    path = place(workdir, "--workdir") / "config.json"
    if not path.is_file():
        raise UserError(
            f"--workdir {workdir}: holds no run; train one: python train.py --config ... --workdir {workdir}"
        )
    try:
        content = json.loads(path.read_text())
        moved = content.pop(MOVED, {}) if isinstance(content, dict) else {}
        config = from_json(json.dumps(content))
        here = functools.partial(places.found, absolute=moved, folder=path.parent)
        return _with_places(config, here, here) if moved else config
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: is damaged ({error}); choose another --workdir") from None
    except ValueError as error:
        raise UserError(f"{path}: {error}; train again in another --workdir") from None


def with_data(workdir: Path, config: ConfigDict, data: str | Path | None) -> ConfigDict:
    """A run's config with its data set where that lies now.

    Args:
        workdir: the run's directory.
        config: from `read_config`.
        data: the place, if it was moved.

    Raises:
        UserError: no place is given and the data set is gone, or one that `place` refuses.
    """
    if data is None:
        gone = [each for each in config.data.name.split("+") if os.path.isabs(each) and not os.path.exists(each)]
        if gone and not os.path.exists(config.data.name):
            raise UserError(f"--workdir {workdir}: its data set {gone[0]} is not there any more; type --data PATH")
        return config
    config = from_json(to_json(config))
    with config.unlocked():
        config.data.name = lasting_data(os.fspath(data))
    return config.lock()
