"""Finished stages of other runs: those that a section names (`from_run`), and those of siblings, other runs of a sweep.

A stage is known by its *identity*, a hash of everything that decides what its training ends in: its settings, the
images and labels that it sees, the seed, and of each stage before it what it froze and the settings of its functions.
Of two runs that share a stage to the last setting the second takes it from the first.
"""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from experiment_jax.config import durations, sections
from experiment_jax.config.places import place
from experiment_jax.config.types import flat
from experiment_jax.data.load import title
from experiment_jax.data.split import Dataset, View
from experiment_jax.errors import UserError
from experiment_jax.method.build import Task, view_name
from experiment_jax.method.stage import PyTree
from experiment_jax.runs import directory
from experiment_jax.runs.finished import finished_record, load_finished
from experiment_jax.runs.verified import digest

log = logging.getLogger(__name__)
Finished = tuple[Any, dict[str, Any]]  # what a stage froze, and its record
# What any stage's section holds: only the loop reads it, and what comes of it is in what the stage freezes.
LOOP = {*sections.stage("", "", 1)} - {"build"}


def identity(task: Task, dataset: Dataset, upstream: Mapping[str, str]) -> str:
    """Twelve hexadecimal digits that two trainings share if they end in the same stage.

    Args:
        task: the training.
        dataset: whose validation images count where they choose the checkpoint, as do the steps of checkpoints.
        upstream: digests of the stages before it, by name.
    """
    idle = {"from_run", *directory.BOOKKEEPING}
    seen = [content(task.view)]
    if task.section.best:
        idle -= {*durations.keys("checkpoint", durations.UNITS)}
        seen.append(content(View(dataset.validation.images, dataset.validation.labels)))
    if task.skips:  # a training that ends without is the same under "stop", not the other way round
        idle -= {"on_nonfinite"}
    settings = {key: value for key, value in flat(task.section).items() if key not in idle}
    decisive = [task.name, settings, task.seed, task.flips, seen, sorted(upstream.items()), earlier_functions(task)]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]


def content(view: View) -> str:
    """A digest of the images of a view and of what is known of them, in their order."""
    return digest({"images": view.images, "labels": view.labels, **view.known})


def functions(section: ConfigDict) -> dict[str, Any]:
    """The settings of a stage that its functions may read; what it froze and these decide what its functions are."""
    return flat({key: value for key, value in section.items() if key not in LOOP})


def earlier_functions(task: Task) -> dict[str, dict[str, Any]]:
    """`functions` of each stage before a task, by name."""
    return {name: functions(section) for name, section in task.earlier.items()}


def sibling(workdirs: Sequence[Path], task: Task, identity: str) -> Finished | None:
    """The finished stage of that identity from the first of the run directories that holds it; None: none does."""
    for workdir in workdirs:
        try:
            record = finished_record(workdir, task.name)
            if record and record.get("identity") == identity:
                frozen, record = load_finished(workdir, task.name, task.stage.Frozen)
                return frozen, {"from_run": str(Path(workdir).absolute()), **record}
        except UserError as error:  # damaged: it can be done without
            log.warning("%s", error)
    return None


def named(tasks: Sequence[Task], workdir: Path, config: ConfigDict) -> dict[str, Finished]:
    """The finished stages that sections take from other runs, checked against what this config would train.

    A stage that was taken already stays as it was taken, and its source must not have changed since.

    Raises:
        UserError: no such run or stage, other images or labels, parameters of other names or shapes, an upstream or an
            identity that differs.
    """
    taken: dict[str, Finished] = {}
    for task in tasks:
        if not task.section.from_run:
            continue
        source = str(place(task.section.from_run, f"--config.{task.name}.from_run"))
        kept = load_finished(workdir, task.name, task.stage.Frozen, directory.origin(config, task.name))
        if kept and not (Path(source) / "finished" / task.name).is_dir():
            taken[task.name] = kept
            continue
        setting = f"--config.{task.name}.from_run={source}"
        other = directory.read_config(Path(source))
        if finished_record(Path(source), task.name) is None:
            raise UserError(
                f"{setting}: the stage {task.name} is not finished there; finish that run, or leave from_run out"
            )
        theirs = directory.origin(other, task.name)
        frozen, record = load_finished(Path(source), task.name, task.stage.Frozen, theirs)
        _check_same_view(setting, task, view_name(other[task.name]), record, config)
        if kept and kept[1]["digest"] != record["digest"]:
            raise UserError(f"{setting}: is not the stage that this run began with; choose another --workdir")
        _check_same_upstream(setting, task, record, taken, other)
        taken[task.name] = (frozen, {**record, "from_run": str(Path(source).absolute())})
        _check_fits(setting, task, taken)
    return taken


def _check_same_view(setting: str, task: Task, view: str, record: Mapping[str, Any], config: ConfigDict) -> None:
    """Raises UserError where a stage saw other images, or other labels.

    Of a stage that sees no labels, which of its images have one, or were held out, may differ.
    """
    was, now = record["data"], config.data
    if view != view_name(task.section):
        raise UserError(f"{setting}: was trained on view={view}; type --config.{task.name}.view={view}")
    keys = ["name", "crop", "size", "channels", "image", "test"]
    if view not in ("paired", "validation"):
        keys += ["unpaired"] if now.unpaired is None else ["unpaired", "paired"]
    if task.view.labels is not None:
        keys += ["label", "paired", "validation"]
    for key in keys:
        there, here = was.get(key), now.get(key)
        same = title(there) == title(here) if key == "name" else there == here
        if not same:
            raise UserError(f"{setting}: was trained on images of data.{key}={there}; type --config.data.{key}={there}")
    drawn = now.paired is not None or now.validation > 0  # by the seed
    if task.view.labels is not None and drawn and record["seed"] != config.seed:
        raise UserError(
            f"{setting}: was trained on labels that seed={record['seed']} chose; type --config.seed={record['seed']}"
        )


def _check_same_upstream(
    setting: str, task: Task, record: Mapping[str, Any], taken: Mapping[str, Finished], origin: ConfigDict
) -> None:
    """Raises UserError where a stage was trained on other stages, or on other functions of what they froze."""
    if record["upstream"] != {name: record["digest"] for name, (_, record) in taken.items()}:
        needed = ", ".join(record["upstream"]) or "none"
        raise UserError(f"{setting}: was trained on other stages; take these from the same run: {needed}")
    for name, here in earlier_functions(task).items():
        if name not in origin.stages:
            raise UserError(
                f"{setting}: was trained without a stage {name} before it; put {name} after {task.name} in stages"
            )
        there = functions(origin[name])
        for key in sorted(there.keys() & here.keys()):  # a setting that came since decided nothing there
            if there[key] != here[key]:
                was = f"{name}.{key}={there[key]}"
                raise UserError(f"{setting}: was trained with {was}; type --config.{was}")


def _check_fits(setting: str, task: Task, taken: Mapping[str, Finished]) -> None:
    """Raises UserError where a stage's parameters are not those that this config would train."""
    frozen = taken[task.name][0]
    upstream = {name: value for name, (value, _) in taken.items() if name != task.name}
    expected = task.stage.averaged(task.abstract_state(upstream))
    differences = _differences(expected, {name: getattr(frozen, name) for name in expected})
    if differences:
        raise UserError(
            f"{setting}: does not fit this config: {'; '.join(differences[:3])}; use the settings of that run"
        )


def _differences(expected: PyTree, found: PyTree) -> list[str]:
    """Names and shapes in which two pytrees of parameters differ."""

    def shapes(tree: PyTree) -> dict[str, tuple[int, ...]]:
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        return {jax.tree_util.keystr(path, simple=True, separator="/"): tuple(leaf.shape) for path, leaf in leaves}

    want, have = shapes(expected), shapes(found)
    return [
        f"{name} {want.get(name, 'absent')} here, {have.get(name, 'absent')} there"
        for name in sorted(want.keys() | have.keys())
        if want.get(name) != have.get(name)
    ]
