"""`train`: from a config to a run directory whose stages are all finished.

The order, written down once. First everything that can be refused, with nothing written: the run directory and the
config agree; the data can be read; every stage can be built; the devices share the batches; stages of other runs fit;
what stages need besides is there.
Then config.json. Then the stages, one after another: a finished one is loaded, one that was begun goes on from its
latest checkpoint, a new one starts; after its last step the stage is finished on its whole view and frozen.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiment_jax import checkpoints, data, loop, method, parallel, run_directory, sources
from experiment_jax.data import Dataset
from experiment_jax.errors import UserError
from experiment_jax.method import Part
from experiment_jax.stage import Frozen, Upstream
from experiment_jax.watch import measured, watcher

log = logging.getLogger(__name__)
PyTree = Any


def train(
    config: ConfigDict,
    workdir: str | Path,
    devices: Sequence[jax.Device] | None = None,
    dataset: Dataset | None = None,
) -> dict[str, Frozen]:
    """Trains the stages of `config` in `workdir`; goes on where an earlier call of the same run ended.

    Args:
        config: from `experiment_jax.load_config`.
        workdir: the run's directory, new or of the same config.
        devices: to train on; all by default.
        dataset: images in memory, in place of the data set that the config names.

    Returns:
        The frozen stages, by name.

    Raises:
        UserError: something in the config, the data or the directory does not fit; nothing was written.
        Stopped: SIGINT or SIGTERM arrived; the state is saved.
    """
    workdir = Path(workdir)
    changes = run_directory.check(workdir, config)
    dataset = dataset or data.load(config.data, config.seed)
    parts = method.build(config, dataset)
    mesh = parallel.mesh(devices)
    jobs = [method.job(part, config, mesh) for part in parts]
    for part, each in zip(parts, jobs, strict=True):
        if part.context.total_steps:  # the others see no batch
            parallel.check_divisible(each.section.batch_size, mesh, f"{each.name}.batch_size")
        _check_best(each, dataset)
        _check_not_shorter(each, workdir)
    taken = _taken(jobs, workdir, config.data)
    for each in jobs:
        if each.stage.check and each.name not in taken and checkpoints.load_finished(workdir, each.name) is None:
            each.stage.check()

    run_directory.write_config(workdir, config)
    for change in changes:
        log.info("continuing with %s", change)
    upstream: dict[str, Frozen] = {}
    for part, each in zip(parts, jobs, strict=True):
        if each.name in taken:
            frozen, record = taken[each.name]
            if checkpoints.load_finished(workdir, each.name) is None:
                checkpoints.save_finished(workdir, each.name, frozen, record)
            upstream[each.name] = frozen
        else:
            upstream[each.name] = _train_or_load(part, each, config, dataset, upstream, workdir)
    return upstream


def _train_or_load(
    part: Part, each: loop.Job, config: ConfigDict, dataset: Dataset, upstream: Upstream, workdir: Path
) -> Frozen:
    finished = checkpoints.load_finished(workdir, part.name)
    if finished and finished[1]["trained_steps"] == part.context.total_steps:
        log.info("%s is finished", part.name)
        return finished[0]
    if finished:
        stretch = f"from {finished[1]['trained_steps']} to {part.context.total_steps} steps"
        log.info("%s goes on; learning-rate schedules are stretched %s", part.name, stretch)
    watch = watcher(part.stage, part.context, dataset, config.seed)
    state, step = loop.train(each, upstream, workdir, watch)
    frozen = part.stage.finish(state, part.view, upstream)
    record = dict(
        stage=part.name,
        step=step,
        trained_steps=part.context.total_steps,
        upstream={name: checkpoints.digest(value) for name, value in upstream.items()},
        data=config.data.to_dict(),
        seed=config.seed,
    )
    checkpoints.save_finished(workdir, part.name, frozen, record)
    return jax.tree.map(np.asarray, frozen)


def _check_best(each: loop.Job, dataset: Dataset) -> None:
    """Raises UserError where the best checkpoint is to be chosen by something that is not measured."""
    name = each.section.best.removeprefix("-")
    trained = loop.plan(each.section, len(each.view)).total > 0
    names = measured(each.stage, dataset) if trained else ()
    if name and name not in names:
        advice = f"choose one of {', '.join(names)}" if names else f"type --config.{each.name}.best="
        if trained and not len(dataset.validation):
            advice = f"that needs validation images: type --config.data.validation={10 * dataset.num_classes}"
        raise UserError(f"{each.name}.best={each.section.best}: is not measured; {advice}")


def _check_not_shorter(each: loop.Job, workdir: Path) -> None:
    """Raises UserError where the run has already trained a stage for longer than the config asks."""
    total = loop.plan(each.section, len(each.view)).total
    done = checkpoints.latest_step(workdir, each.name)
    if done > total:
        raise UserError(
            f"--workdir {workdir}: {each.name} has already trained {done} steps, more than {total}; "
            f"type --config.{each.name}.steps={done} or more, or choose another --workdir"
        )


def _taken(jobs: list[loop.Job], workdir: Path, images: ConfigDict) -> dict[str, tuple[Frozen, dict[str, Any]]]:
    """The finished stages that sections take from other runs, checked against what this config would train.

    A stage that was taken already stays as it was taken, and its source must not have changed since. `images` is the
    config's data section.

    Raises:
        UserError: no such run or stage, other images, parameters of other names or shapes, an upstream or an identity
            that differs.
    """
    taken: dict[str, tuple[Frozen, dict[str, Any]]] = {}
    for each in jobs:
        source = each.section.from_run
        if not source:
            continue
        setting = f"--config.{each.name}.from_run={source}"
        kept = checkpoints.load_finished(workdir, each.name)
        if kept and not (Path(source) / "finished" / each.name).is_dir():
            taken[each.name] = kept
            continue
        run_directory.read_config(Path(source))
        found = checkpoints.load_finished(Path(source), each.name)
        if found is None:
            raise UserError(
                f"{setting}: the stage {each.name} is not finished there; finish that run, or leave from_run out"
            )
        frozen, record = found
        _check_same_images(setting, record["data"], images)
        if kept and kept[1]["digest"] != record["digest"]:
            raise UserError(f"{setting}: is not the stage that this run began with; choose another --workdir")
        earlier = {name: record["digest"] for name, (_, record) in taken.items()}
        if record["upstream"] != earlier:
            needed = ", ".join(record["upstream"]) or "none"
            raise UserError(f"{setting}: was trained on other stages; take these from the same run: {needed}")
        expected = each.stage.averaged(each.abstract_state({name: value for name, (value, _) in taken.items()}))
        differences = _differences(expected, frozen["params"])
        if differences:
            raise UserError(
                f"{setting}: does not fit this config: {'; '.join(differences[:3])}; use the settings of that run"
            )
        taken[each.name] = (frozen, {**record, "from_run": str(Path(source).absolute())})
    return taken


def _check_same_images(setting: str, there: Mapping[str, Any], here: ConfigDict) -> None:
    """Raises UserError where a stage saw other images; which of them had labels, or were held out, may differ."""
    for key in ("name", "crop", "size"):
        was, now = there.get(key), here[key]
        same = sources.title(was) == sources.title(now) if key == "name" else was == now
        if not same:
            raise UserError(f"{setting}: was trained on images of data.{key}={was}; type --config.data.{key}={was}")


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
