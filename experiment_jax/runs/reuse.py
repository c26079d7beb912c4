"""Finished stages of other runs: those that a section names (`from_run`), and those of runs beside this one.

A stage is known by its *identity*, a hash of everything that decides what its training ends in: its settings, the
images and labels that it sees, the seed, and of each stage before it what it froze and the settings of its functions.
Of two runs that share a stage to the last setting the second takes it from the first.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from experiment_jax.config import durations
from experiment_jax.config import load as configs
from experiment_jax.data import sources
from experiment_jax.data.split import Dataset, View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Frozen, PyTree
from experiment_jax.method.task import Job, functions
from experiment_jax.runs import checkpoints
from experiment_jax.runs import directory as run_directory

Finished = tuple[Frozen, dict[str, Any]]  # what a stage froze, and its record
CADENCES = durations.keys("checkpoint", durations.UNITS)


def identity(job: Job, dataset: Dataset, upstream: Mapping[str, str]) -> str:
    """Twelve hexadecimal digits that two trainings share if they end in the same stage.

    Args:
        job: the training.
        dataset: whose validation images count where they choose the checkpoint, as do the moments of checkpoints.
        upstream: digests of the stages before it, by name.
    """
    idle = {"from_run", *run_directory.BOOKKEEPING}
    seen = [content(job.view)]
    if job.section.best:
        idle -= {*CADENCES}
        seen.append(content(View(dataset.validation.images, dataset.validation.labels)))
    settings = {
        key: value
        for key, value in configs.flat(job.section).items()
        if key not in idle and not (key in run_directory.LATER_OF_STAGES and value is None)
    }
    decisive = [job.name, settings, job.seed, job.flips, seen, sorted(upstream.items()), job.before]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]


def content(view: View) -> str:
    """A digest of the images and labels of a view, in their order."""
    return checkpoints.digest({"images": view.images, "labels": view.labels})


def beside(workdirs: Sequence[Path], name: str, identity: str) -> Finished | None:
    """The finished stage of that identity from the first of the run directories that holds it; None: none does."""
    for workdir in workdirs:
        record = checkpoints.finished_record(workdir, name)
        if record and record.get("identity") == identity:
            frozen, record = checkpoints.load_finished(workdir, name)
            return frozen, {"from_run": str(Path(workdir).absolute()), **record}
    return None


def named(jobs: Sequence[Job], workdir: Path, config: ConfigDict) -> dict[str, Finished]:
    """The finished stages that sections take from other runs, checked against what this config would train.

    A stage that was taken already stays as it was taken, and its source must not have changed since.

    Raises:
        UserError: no such run or stage, other images or labels, parameters of other names or shapes, an upstream or an
            identity that differs.
    """
    taken: dict[str, Finished] = {}
    for each in jobs:
        source = each.section.from_run
        if not source:
            continue
        setting = f"--config.{each.name}.from_run={source}"
        kept = checkpoints.load_finished(workdir, each.name)
        if kept and not (Path(source) / "finished" / each.name).is_dir():
            taken[each.name] = kept
            continue
        origin = run_directory.read_config(Path(source))
        found = checkpoints.load_finished(Path(source), each.name)
        if found is None:
            raise UserError(
                f"{setting}: the stage {each.name} is not finished there; finish that run, or leave from_run out"
            )
        frozen, record = found
        _check_same_view(setting, each, origin[each.name].view, record, config)
        if kept and kept[1]["digest"] != record["digest"]:
            raise UserError(f"{setting}: is not the stage that this run began with; choose another --workdir")
        earlier = {name: record["digest"] for name, (_, record) in taken.items()}
        if record["upstream"] != earlier:
            needed = ", ".join(record["upstream"]) or "none"
            raise UserError(f"{setting}: was trained on other stages; take these from the same run: {needed}")
        _check_same_functions(setting, each, origin)
        expected = each.stage.averaged(each.abstract_state({name: value for name, (value, _) in taken.items()}))
        differences = _differences(expected, frozen["params"])
        if differences:
            raise UserError(
                f"{setting}: does not fit this config: {'; '.join(differences[:3])}; use the settings of that run"
            )
        taken[each.name] = (frozen, {**record, "from_run": str(Path(source).absolute())})
    return taken


def _check_same_view(setting: str, job: Job, view: str, record: Mapping[str, Any], config: ConfigDict) -> None:
    """Raises UserError where a stage saw other images, or other labels.

    Of a stage that sees no labels, which of its images have one, or were held out, may differ.
    """
    was, now = record["data"], config.data
    if view != job.section.view:
        raise UserError(f"{setting}: was trained on view={view}; type --config.{job.name}.view={view}")
    keys = ["name", "crop", "size"]
    if view not in ("paired", "validation"):
        keys += ["unpaired"] if now.unpaired is None else ["unpaired", "paired"]
    if job.view.labels is not None:
        keys += ["label", "paired", "validation"]
    for key in keys:
        there, here = was.get(key), now[key]
        same = sources.title(there) == sources.title(here) if key == "name" else there == here
        if not same:
            raise UserError(f"{setting}: was trained on images of data.{key}={there}; type --config.data.{key}={there}")
    drawn = now.paired is not None or now.validation > 0  # by the seed
    if job.view.labels is not None and drawn and record["seed"] != config.seed:
        raise UserError(
            f"{setting}: was trained on labels that seed={record['seed']} chose; type --config.seed={record['seed']}"
        )


def _check_same_functions(setting: str, job: Job, origin: ConfigDict) -> None:
    """Raises UserError where a stage before it was another function in the run `origin`, whatever it froze."""
    for name, here in job.before.items():
        there = functions(origin[name])
        for key in sorted(there.keys() | here.keys()):
            if there.get(key) != here.get(key):
                was = f"{name}.{key}={there.get(key)}"
                raise UserError(f"{setting}: was trained with {was}; type --config.{was}")


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
