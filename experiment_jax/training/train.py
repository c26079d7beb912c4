"""`train`: from a config to a run directory whose stages are all finished.

In order: `prepare` checks everything that can be refused, before anything is written. It checks that the config fits
the run directory, that the data can be read, every stage built, every batch divided among the devices, that stages of
other runs fit, and that files which stages need exist. Then config.json is written. Then the stages are trained one
after another: a finished stage is loaded, one that was begun goes on from its latest checkpoint, a new one starts.
After its last step a stage makes one pass over its view and is frozen.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config.numbers import shown
from experiment_jax.config.places import place
from experiment_jax.data.load import load
from experiment_jax.data.split import Dataset
from experiment_jax.devices import pmap, processes
from experiment_jax.devices.mesh import Devices
from experiment_jax.errors import UserError
from experiment_jax.method.build import Task, build
from experiment_jax.method.stage import PyTree, Upstream
from experiment_jax.runs import checkpoints, directory, reuse
from experiment_jax.training import loop
from experiment_jax.training.logger import Logger
from experiment_jax.training.profile import profiler
from experiment_jax.training.step import Steps
from experiment_jax.training.validation import check_best, check_validation_part, validation

log = logging.getLogger(__name__)


def train(
    config: ConfigDict,
    workdir: str | Path,
    devices: Sequence[jax.Device] | None = None,
    dataset: Dataset | None = None,
    siblings: Sequence[Path] = (),
) -> dict[str, Any]:
    """Trains the stages of `config` in `workdir`; goes on where an earlier call of the same run ended.

    Args:
        config: from `experiment_jax.load_config`.
        workdir: the run's directory, new or of the same config.
        devices: to train on; all by default.
        dataset: images in memory, in place of the data set that the config names.
        siblings: other run directories, whose finished stages are taken where they are what this run would train.

    Returns:
        What each stage froze, by its name.

    Raises:
        UserError: something in the config, the data or the directory does not fit, and nothing was written; or a metric
            is not finite while a stage trains, and what was written stays.
        Stopped: SIGINT or SIGTERM arrived; the state is saved.
    """
    run = processes.agree(lambda: prepare(config, workdir, devices, dataset, siblings))
    run.begin()
    upstream: dict[str, Any] = {}
    for task in run.tasks:
        frozen = run.find(task, upstream)
        if frozen is None:
            frozen = run.finish(task, *train_stage(run, task, upstream), upstream)
        upstream[task.name] = frozen
    return upstream


def train_stage(run: "Preparation", task: Task, upstream: Upstream) -> tuple[PyTree, int]:
    """The trained state of one stage and its step; see `training.loop.run`.

    A stage of no steps is only initialised: no row and no checkpoint is written.
    """
    steps = Steps(task, upstream, run.devices)
    if not task.schedule.total:
        return steps.local(steps.start()), 0
    section, total = task.section, task.schedule.total
    with closing(checkpoints.Checkpoints(run.workdir, task.name, section.keep, section.best)) as kept:
        logger = Logger(task.name, run.workdir, total, kept.latest(), run.validation(task, upstream))
        with closing(logger), profiler(task.name, run.workdir, section) as profile:
            return loop.run(steps, task.schedule, logger, kept, profile)


@dataclasses.dataclass(frozen=True)
class Preparation:
    """A run that can be trained: everything that can be refused was looked at, and nothing is written yet.

    Attributes:
        config: of the run.
        workdir: its directory.
        dataset: what it trains on.
        devices: that train it.
        tasks: its stages, in order.
        taken: finished stages that the config takes from other runs, by name.
        changes: what the config changes of the run that is there, as lines for the log.
        siblings: see `train`.
    """

    config: ConfigDict
    workdir: Path
    dataset: Dataset
    devices: Devices
    tasks: Sequence[Task]
    taken: Mapping[str, reuse.Finished]
    changes: Sequence[str]
    siblings: Sequence[Path]

    def begin(self) -> None:
        """Writes config.json, the first thing in the run's directory.

        Raises:
            UserError: of several processes not all see what the first has written.
        """
        if processes.is_first():
            directory.write_config(self.workdir, self.config)
        processes.agree(lambda: None)  # now it is written
        processes.agree(self._check_seen)
        for change in self.changes:
            log.info("continuing with %s", change)

    def _check_seen(self) -> None:
        if not (self.workdir / "config.json").is_file():
            raise UserError(
                f"--workdir {self.workdir}: process {jax.process_index()} does not see what process 0 writes there; "
                f"choose a folder that all hosts share"
            )

    def find(self, task: Task, upstream: Upstream) -> Any | None:
        """What a stage froze, where it need not be trained: taken, finished already, or finished in a sibling."""
        name, total = task.name, task.schedule.total
        finished = checkpoints.load_finished(self.workdir, name, task.stage.Frozen)
        if name in self.taken:
            return self._keep(name, self.taken[name]) if finished is None else self.taken[name][0]
        if finished and finished[1]["trained_steps"] == total:
            log.info("%s is finished", name)
            return finished[0]
        if finished:
            stretch = f"from {finished[1]['trained_steps']} to {total} steps"
            log.info("%s goes on; learning-rate schedules are stretched %s", name, stretch)
        elif self.siblings and (other := reuse.sibling(self.siblings, task, self.identity(task, upstream))):
            log.info("%s is the same as in %s: taken from there", name, other[1]["from_run"])
            return self._keep(name, other)
        return None

    def identity(self, task: Task, upstream: Upstream) -> str:
        """What the stage will be; see `reuse.identity`."""
        return reuse.identity(task, self.dataset, digests(upstream))

    def validation(self, task: Task, upstream: Upstream) -> Any:
        """state -> validation metrics and pictures; see `training.validation`."""
        validate = validation(task, self.dataset)
        return lambda state: validate(state, upstream)

    def finish(self, task: Task, state: PyTree, step: int, upstream: Upstream) -> Any:
        """Freezes a trained stage: its pass over the view, and `DIR/finished/<stage>`."""
        frozen = task.stage.finish(state, task.view, upstream)
        frozen = processes.of_first(jax.tree.map(np.asarray, frozen))
        record = dict(
            stage=task.name,
            step=step,
            trained_steps=task.schedule.total,
            identity=self.identity(task, upstream),
            upstream=digests(upstream),
            data=self.config.data.to_dict(),
            seed=self.config.seed,
        )
        return self._keep(task.name, (frozen, record))

    def _keep(self, name: str, finished: reuse.Finished) -> Any:
        checkpoints.save_finished(self.workdir, name, *finished)
        return finished[0]


def prepare(
    config: ConfigDict,
    workdir: str | Path,
    devices: Sequence[jax.Device] | None = None,
    dataset: Dataset | None = None,
    siblings: Sequence[Path] = (),
) -> Preparation:
    """Looks at everything that can be refused before anything is written; see `train`."""
    if not isinstance(config, ConfigDict):
        raise UserError(f"config={shown(config)}: is no config; give what experiment_jax.load_config returns")
    if devices is not None and not len(devices):
        raise UserError("devices: there are none to train on; leave them out, or give some of jax.devices()")
    workdir = place(workdir, "--workdir")
    changes = directory.check(workdir, config)
    dataset = dataset or load(config.data, config.seed)
    shared = pmap.choose(config.parallel, devices)
    tasks = build(config, dataset, shared.axis)
    for task in tasks:
        if task.schedule.total:  # the others see no batch
            shared.check_divides(task.section.batch_size, f"{task.name}.batch_size", task.stage.strata or 1)
        check_best(task, dataset)
        _check_not_shorter(task, workdir)
    taken = reuse.named(tasks, workdir, config)
    for task in tasks:
        if task.name not in taken:
            _check_data(task, dataset)
            if checkpoints.finished_record(workdir, task.name) is None:
                task.stage.check()
    return Preparation(config, workdir, dataset, shared, tasks, taken, changes, tuple(siblings))


def digests(upstream: Upstream) -> dict[str, str]:
    """The digests of frozen stages, by name."""
    return {name: checkpoints.digest(frozen) for name, frozen in upstream.items()}


def _check_data(task: Task, dataset: Dataset) -> None:
    """Raises UserError where a stage's batches, or its validation, lack images."""
    if task.schedule.total:
        if task.stage.relabel is None:  # else the labels are known only when the stages before are trained
            task.check_members(dataset.class_names)
        check_validation_part(task, dataset)


def _check_not_shorter(task: Task, workdir: Path) -> None:
    """Raises UserError where the run has already trained a stage for longer than the config asks."""
    total, done = task.schedule.total, checkpoints.latest_step(workdir, task.name)
    if done > total:
        raise UserError(
            f"--workdir {workdir}: {task.name} has already trained {done} steps, more than {total}; "
            f"type --config.{task.name}.steps={done} or more, or choose another --workdir"
        )
