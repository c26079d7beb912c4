"""`train`: from a config to a run directory whose stages are all finished.

The order, written down once. First everything that can be refused, with nothing written: the run directory and the
config agree; the data can be read; every stage can be built; the devices share the batches; stages of other runs fit;
what stages need besides is there.
Then config.json. Then the stages, one after another: a finished one is loaded, one that was begun goes on from its
latest checkpoint, a new one starts; after its last step the stage is finished on its whole view and frozen.
"""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.data import split as data
from experiment_jax.data.split import Dataset
from experiment_jax.devices import placement as parallel
from experiment_jax.devices import processes
from experiment_jax.errors import UserError
from experiment_jax.method import build as method
from experiment_jax.method.build import Part
from experiment_jax.method.stage import Context, Frozen, PyTree, Upstream
from experiment_jax.method.task import Job, plan
from experiment_jax.runs import checkpoints, reuse
from experiment_jax.runs import directory as run_directory
from experiment_jax.training import loop
from experiment_jax.training.validation import check as check_watch
from experiment_jax.training.validation import measured, watcher

log = logging.getLogger(__name__)


def train(
    config: ConfigDict,
    workdir: str | Path,
    devices: Sequence[jax.Device] | None = None,
    dataset: Dataset | None = None,
    beside: Sequence[Path] = (),
) -> dict[str, Frozen]:
    """Trains the stages of `config` in `workdir`; goes on where an earlier call of the same run ended.

    Args:
        config: from `experiment_jax.load_config`.
        workdir: the run's directory, new or of the same config.
        devices: to train on; all by default.
        dataset: images in memory, in place of the data set that the config names.
        beside: other runs, whose finished stages are taken where they are what this run would train.

    Returns:
        The frozen stages, by name.

    Raises:
        UserError: something in the config, the data or the directory does not fit; nothing was written.
        Stopped: SIGINT or SIGTERM arrived; the state is saved.
    """
    run = processes.agree(lambda: prepare(config, workdir, devices, dataset, beside))
    run.begin()
    upstream: dict[str, Frozen] = {}
    for job in run.jobs:
        frozen = run.found(job.name, upstream)
        if frozen is None:
            state, step = loop.train(job, upstream, run.workdir, run.watch(job.name))
            frozen = run.finish(job.name, state, step, upstream)
        upstream[job.name] = frozen
    return upstream


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A run that can be trained: everything that can be refused has been looked at, and nothing is written yet.

    Attributes:
        config: of the run.
        workdir: its directory.
        dataset: what it trains on.
        parts: its stages by name, in order.
        jobs: what the loop needs to train them.
        taken: finished stages that the config takes from other runs, by name.
        changes: what the config changes of the run that is there, as lines for the log.
        beside: see `train`.
    """

    config: ConfigDict
    workdir: Path
    dataset: Dataset
    parts: Mapping[str, Part]
    jobs: Sequence[Job]
    taken: Mapping[str, reuse.Finished]
    changes: Sequence[str]
    beside: Sequence[Path]

    def begin(self) -> None:
        """Writes config.json, the first thing in the run's directory.

        Raises:
            UserError: of several processes not all see what the first has written.
        """
        if processes.is_first():
            run_directory.write_config(self.workdir, self.config)
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

    def job(self, name: str) -> Job:
        """What the loop needs to train a stage."""
        return next(job for job in self.jobs if job.name == name)

    def found(self, name: str, upstream: Upstream) -> Frozen | None:
        """The stage where it need not be trained: taken, finished already, or finished in a run beside this one."""
        finished = checkpoints.load_finished(self.workdir, name)
        if name in self.taken:
            return self._keep(name, self.taken[name]) if finished is None else self.taken[name][0]
        total = self.parts[name].context.total_steps
        if finished and finished[1]["trained_steps"] == total:
            log.info("%s is finished", name)
            return finished[0]
        if finished:
            stretch = f"from {finished[1]['trained_steps']} to {total} steps"
            log.info("%s goes on; learning-rate schedules are stretched %s", name, stretch)
        elif self.beside and (other := reuse.beside(self.beside, name, self.identity(name, upstream))):
            log.info("%s is the same as in %s: taken from there", name, other[1]["from_run"])
            return self._keep(name, other)
        return None

    def identity(self, name: str, upstream: Upstream) -> str:
        """What the stage will be; see `reuse.identity`."""
        return reuse.identity(self.job(name), self.dataset, digests(upstream))

    def watch(self, name: str) -> loop.Watch:
        """The watcher of a stage; see `experiment_jax.training.validation`."""
        part = self.parts[name]
        return watcher(part.stage, part.context, self.dataset, self.config.seed)

    def finish(self, name: str, state: PyTree, step: int, upstream: Upstream) -> Frozen:
        """Freezes a trained stage: its full pass, and `DIR/finished/<stage>`."""
        part = self.parts[name]
        frozen = part.stage.finish(state, self.job(name).relabelled(upstream).view, upstream)
        frozen = processes.of_first(jax.tree.map(np.asarray, frozen))
        record = dict(
            stage=name,
            step=step,
            trained_steps=part.context.total_steps,
            identity=self.identity(name, upstream),
            upstream=digests(upstream),
            data=self.config.data.to_dict(),
            seed=self.config.seed,
        )
        return self._keep(name, (frozen, record))

    def _keep(self, name: str, finished: reuse.Finished) -> Frozen:
        checkpoints.save_finished(self.workdir, name, *finished)
        return finished[0]


def prepare(
    config: ConfigDict,
    workdir: str | Path,
    devices: Sequence[jax.Device] | None = None,
    dataset: Dataset | None = None,
    beside: Sequence[Path] = (),
) -> Prepared:
    """Looks at everything that can be refused before anything is written; see `train`."""
    workdir = Path(workdir)
    changes = run_directory.check(workdir, config)
    dataset = dataset or data.load(config.data, config.seed)
    parts = {part.name: part for part in method.build(config, dataset)}
    mesh = parallel.mesh(devices)
    jobs = [method.job(part, config, mesh) for part in parts.values()]
    for job in jobs:
        if parts[job.name].context.total_steps:  # the others see no batch
            parallel.check_divisible(job.section.batch_size, mesh, f"{job.name}.batch_size", job.stage.strata or 1)
        _check_best(job, parts[job.name].context, dataset)
        _check_not_shorter(job, workdir)
    taken = reuse.named(jobs, workdir, config)
    for job in jobs:
        if job.name not in taken:
            _check_data(job, parts[job.name].context, dataset)
            if job.stage.check and checkpoints.load_finished(workdir, job.name) is None:
                job.stage.check()
    return Prepared(config, workdir, dataset, parts, jobs, taken, changes, tuple(beside))


def digests(upstream: Upstream) -> dict[str, str]:
    """The digests of frozen stages, by name."""
    return {name: checkpoints.digest(frozen) for name, frozen in upstream.items()}


def _check_data(each: Job, context: Context, dataset: Dataset) -> None:
    """Raises UserError where a stage's batches, or what is measured while it trains, lack images."""
    if context.total_steps:
        if each.stage.relabel is None:  # else the labels are known only when the stages before are trained
            each.check_members(dataset.class_names)
        check_watch(each.stage, context, dataset)


def _check_best(each: Job, context: Context, dataset: Dataset) -> None:
    """Raises UserError where the best checkpoint is to be chosen by something that is not measured."""
    name = each.section.best.removeprefix("-")
    trained = plan(each.section, len(each.view)).total > 0
    names = measured(each.stage, context, dataset) if trained else ()
    if name and name not in names:
        advice = f"choose one of {', '.join(names)}" if names else f"type --config.{each.name}.best="
        if trained and not len(dataset.validation):
            advice = f"that needs validation images: type --config.data.validation={10 * dataset.num_classes}"
        raise UserError(f"{each.name}.best={each.section.best}: is not measured; {advice}")


def _check_not_shorter(each: Job, workdir: Path) -> None:
    """Raises UserError where the run has already trained a stage for longer than the config asks."""
    total = plan(each.section, len(each.view)).total
    done = checkpoints.latest_step(workdir, each.name)
    if done > total:
        raise UserError(
            f"--workdir {workdir}: {each.name} has already trained {done} steps, more than {total}; "
            f"type --config.{each.name}.steps={done} or more, or choose another --workdir"
        )
