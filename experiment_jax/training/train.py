"""`train`: from a config to a run directory whose stages are all finished.

In order: `prepare` checks everything that can be refused, before anything is written. It checks that the config fits
the run directory, that the data can be read, every stage built, every batch divided among the devices, that stages of
other runs fit, and that files which stages need exist. Then the directory is locked, config.json is written and a
tracker begun. Then the stages are trained one after another: a finished stage is loaded, one that was begun goes on
from its latest checkpoint, a new one starts. After its last step a stage makes one pass over its view and is frozen.
"""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config.numbers import shown
from experiment_jax.config.places import place
from experiment_jax.data.lazy_images import Images
from experiment_jax.data.load import load
from experiment_jax.data.split import Dataset
from experiment_jax.devices import failures, pmap, processes
from experiment_jax.devices.mesh import Devices
from experiment_jax.errors import UserError
from experiment_jax.method.build import Task, build
from experiment_jax.method.stage import PyTree, Upstream
from experiment_jax.runs import directory, lock, reuse, saved, verified
from experiment_jax.runs.checkpoints import Checkpoints
from experiment_jax.runs.finished import finished_record, load_finished, save_finished
from experiment_jax.training import analysis, clock, loop
from experiment_jax.training.logger import Logger
from experiment_jax.training.profile import profiler
from experiment_jax.training.step import Steps
from experiment_jax.training.tracker import Tracker
from experiment_jax.training.validation import check_best, check_validation_part, validation

log = logging.getLogger(__name__)


def train(
    config: ConfigDict,
    workdir: str | Path,
    devices: Sequence[jax.Device] | None = None,
    dataset: Dataset | None = None,
    siblings: Sequence[Path] = (),
    group: str = "",
) -> dict[str, Any]:
    """Trains the stages of `config` in `workdir`; goes on where an earlier call of the same run ended.

    Args:
        config: from `experiment_jax.load_config`.
        workdir: the run's directory, new or of the same config.
        devices: to train on; all by default.
        dataset: images in memory, in place of the data set that the config names.
        siblings: other run directories, whose finished stages are taken where they are what this run would train.
        group: what a tracker shows the run together with.

    Returns:
        What each stage froze, by its name.

    Raises:
        UserError: something in the config, the data or the directory does not fit, and nothing was written; or a metric
            or the state is not finite while a stage trains, or memory does not suffice, and what was written stays.
        Busy: another process trains in the directory.
        Unwritable: the disk is full or may only be read; what was there stays.
        Stopped: a signal asked to stop, see `training.loop`; the state is saved.
    """
    run = processes.agree(lambda: prepare(config, workdir, devices, dataset, siblings, group))
    with run.begun():
        upstream: dict[str, Any] = {}
        for task in run.tasks:
            frozen = run.find(task, upstream)
            if frozen is None:
                with clock.running(run.workdir, task.name):
                    frozen = run.finish(task, *train_stage(run, task, upstream), upstream)
            upstream[task.name] = frozen
        return upstream


def train_stage(run: "Preparation", task: Task, upstream: Upstream) -> tuple[PyTree, int]:
    """The trained state of one stage and its step; see `training.loop.run`.

    A stage of no steps is only initialised: no row and no checkpoint is written.
    """
    section, total = task.section, task.schedule.total
    origin = run.origin(task, upstream)
    with failures.memory(task.name, _less_memory(task, run.devices)):
        steps = Steps(task, upstream, run.devices)
        if not total:
            return steps.local(steps.start()), 0
        with closing(Checkpoints(run.workdir, origin, section.keep, section.best, steps.like)) as kept:
            done, validate = kept.latest(), run.validation(task, upstream)
            if section.get("analyse", False) and done != total:  # the config of an older run does not say
                analysis.report(task.name, section.batch_size, steps.lower(), run.workdir)
            logger = Logger(task.name, run.workdir, total, done, validate, tracker=run.tracker)
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
        group: see `train`.
        tracker: open while the run is.
    """

    config: ConfigDict
    workdir: Path
    dataset: Dataset
    devices: Devices
    tasks: Sequence[Task]
    taken: Mapping[str, reuse.Finished]
    changes: Sequence[str]
    siblings: Sequence[Path]
    group: str
    tracker: Tracker

    @contextlib.contextmanager
    def begun(self) -> Iterator[None]:
        """Holds the lock of the run's directory, and writes config.json, the first thing in it.

        Raises:
            Busy: another process holds the lock.
            UserError: of several processes not all see what the first has written.
        """
        with contextlib.ExitStack() as held:
            processes.agree(lambda: self._claim(held) if processes.is_first() else None)
            processes.agree(self._check_seen)
            for change in self.changes:
                log.info("continuing with %s", change)
            yield

    def _claim(self, held: contextlib.ExitStack) -> None:
        held.enter_context(lock.hold(self.workdir))
        directory.check(self.workdir, self.config)  # again: another process may have begun a run there since
        directory.write_config(self.workdir, self.config)
        held.enter_context(self.tracker.begun(self.workdir, self.config, self.group))

    def _check_seen(self) -> None:
        if not (self.workdir / "config.json").is_file():
            raise UserError(
                f"--workdir {self.workdir}: process {jax.process_index()} does not see what process 0 writes there; "
                f"choose a folder that all hosts share"
            )

    def find(self, task: Task, upstream: Upstream) -> Any | None:
        """What a stage froze, where it need not be trained: taken, finished already, or finished in a sibling."""
        name, total = task.name, task.schedule.total
        finished = load_finished(self.workdir, name, task.stage.Frozen, self.origin(task, upstream))
        if name in self.taken:
            return self._keep(task, self.taken[name], upstream) if finished is None else self.taken[name][0]
        if finished and finished[1]["trained_steps"] == total:
            log.info("%s is finished", name)
            return finished[0]
        if finished:
            stretch = f"from {finished[1]['trained_steps']} to {total} steps"
            log.info("%s goes on; learning-rate schedules are stretched %s", name, stretch)
        elif self.siblings and (other := reuse.sibling(self.siblings, task, self.identity(task, upstream))):
            log.info("%s is the same as in %s: taken from there", name, other[1]["from_run"])
            return self._keep(task, other, upstream)
        return None

    def origin(self, task: Task, upstream: Upstream) -> saved.Origin:
        """What its checkpoints and its finished stage are known by; see `directory.origin`."""
        return directory.origin(self.config, task.name, verified.digests(upstream))

    def identity(self, task: Task, upstream: Upstream) -> str:
        """What the stage will be; see `reuse.identity`."""
        return reuse.identity(task, self.dataset, verified.digests(upstream))

    @functools.cached_property
    def content(self) -> str:
        """A digest of the images and labels that the run trains on."""
        return verified.digest(self.dataset.arrays)

    def validation(self, task: Task, upstream: Upstream) -> Any:
        """state -> validation metrics and pictures; see `training.validation`."""
        validate = validation(task, self.dataset)
        return lambda state: validate(state, upstream)

    def finish(self, task: Task, state: PyTree, step: int, upstream: Upstream) -> Any:
        """Freezes a trained stage: its pass over the view, and `DIR/finished/<stage>`."""
        with failures.memory(task.name, _less_memory(task, self.devices)):
            frozen = task.stage.finish(state, task.view, upstream)
        frozen = processes.of_first(jax.tree.map(np.asarray, frozen))
        record = dict(
            step=step,
            trained_steps=task.schedule.total,
            identity=self.identity(task, upstream),
            data=self.config.data.to_dict(),
            content=self.content,
            seed=self.config.seed,
        )
        return self._keep(task, (frozen, record), upstream)

    def _keep(self, task: Task, finished: reuse.Finished, upstream: Upstream) -> Any:
        frozen, record = finished
        if "from_run" in record:
            clock.copy(record["from_run"], self.workdir, task.name)
        save_finished(self.workdir, task.name, frozen, {**record, **self.origin(task, upstream)})
        return frozen


def prepare(
    config: ConfigDict,
    workdir: str | Path,
    devices: Sequence[jax.Device] | None = None,
    dataset: Dataset | None = None,
    siblings: Sequence[Path] = (),
    group: str = "",
) -> Preparation:
    """Looks at everything that can be refused before anything is written; see `train`."""
    if not isinstance(config, ConfigDict):
        raise UserError(f"config={shown(config)}: is no config; give what experiment_jax.load_config returns")
    if devices is not None and not len(devices):
        raise UserError("devices: there are none to train on; leave them out, or give some of jax.devices()")
    workdir = place(workdir, "--workdir")
    changes = directory.check(workdir, config)
    tracker = Tracker(config.get("tracker", "none"))  # the config of an older run does not say
    dataset = dataset or load(config.data, config.seed)
    shared = pmap.choose(config.parallel, devices)
    shared.check_even()
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
            if finished_record(workdir, task.name) is None:
                task.stage.check()
    return Preparation(config, workdir, dataset, shared, tasks, taken, changes, tuple(siblings), group, tracker)


def _less_memory(task: Task, devices: Devices) -> str:
    """What to type where a stage takes too much memory."""
    advice, half = [], devices.nearest(task.section.batch_size / 2, task.stage.strata or 1)
    if task.schedule.total and half < task.section.batch_size:
        advice.append(f"--config.{task.name}.batch_size={half} with another --workdir")
    if not isinstance(task.view.images, Images):
        advice.append("--config.data.resident=false")
    return f"type {', or '.join(advice)}" if advice else "take a device with more"


def _check_data(task: Task, dataset: Dataset) -> None:
    """Raises UserError where a stage's batches, or its validation, lack images."""
    if task.schedule.total:
        if task.stage.relabel is None:  # else the labels are known only when the stages before are trained
            task.check_members(dataset.class_names)
        check_validation_part(task, dataset)


def _check_not_shorter(task: Task, workdir: Path) -> None:
    """Raises UserError where the run has already trained a stage for longer than the config asks."""
    total, done = task.schedule.total, saved.latest_step(workdir, task.name)
    if done > total:
        raise UserError(
            f"--workdir {workdir}: {task.name} has already trained {done} steps, more than {total}; "
            f"type --config.{task.name}.steps={done} or more, or choose another --workdir"
        )
