"""A training step of every stage as the project compiles it, with the gather of its batch and its metrics."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from cases import CLASSES, Case, Sizes  # of this folder
from ml_collections import ConfigDict

from experiment_jax import load_config
from experiment_jax.data.split import Dataset, Split
from experiment_jax.devices.batch_axis import WHOLE, BatchAxis
from experiment_jax.devices.mesh import Devices, Program
from experiment_jax.method.build import Task, build
from experiment_jax.method.stage import Upstream
from experiment_jax.training import cost
from experiment_jax.training.step import Steps

Known = dict[tuple[str, ...], object]  # by the settings of a stage and of those before it: what it froze, untrained


class Timed(NamedTuple):
    """A stage's step, compiled at its first call.

    Attributes:
        dispatch: takes `steps` steps.
        steps: of one dispatch.
        lower: the program of one step, not compiled.
    """

    dispatch: Callable[[], object]
    steps: int
    lower: Callable[[], Program]

    def flops(self) -> float | None:
        """Operations of one step, counted by XLA before it optimises; loops count once. None: XLA does not say."""
        return cost.count(self.lower().lowered.cost_analysis(), "flops")


def dataset(sizes: Sizes) -> Dataset:
    """Random images and labels in turn."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (sizes.count, *sizes.shape), dtype=np.uint8)
    labels = (np.arange(sizes.count) % CLASSES).astype(np.int32)
    names = tuple(str(label) for label in range(CLASSES))
    return Dataset("random", names, Split(images, labels), Split(images[:100], labels[:100]))


def stages(
    config: ConfigDict, data: Dataset, known: Known | None = None, axis: BatchAxis = WHOLE
) -> Iterator[tuple[Task, Upstream]]:
    """Each stage of a config with what the stages before it freeze, untrained: what a step costs depends on no more.

    Args:
        config: of a run.
        data: what it would be trained on.
        known: what stages of other configs froze on the same data; those with the same settings are taken from there.
        axis: the batch as the stages see it.
    """
    known = {} if known is None else known
    upstream: dict[str, object] = {}
    for task in build(config, data, axis):
        yield task, dict(upstream)
        same = (task.name, str(task.section), *map(str, task.earlier.values()))
        if same not in known:
            state = jax.jit(partial(task.initial, upstream=upstream))(task.key)
            known[same] = jax.tree.map(np.asarray, task.stage.finish(state, task.view, upstream))
        upstream[task.name] = known[same]


def step_of(task: Task, upstream: Upstream) -> Timed:
    """The step of a stage on the first device."""
    steps = Steps(task, upstream, Devices.of(jax.devices()[:1]))
    held = [steps.start(), 0]

    def dispatch() -> object:
        held[0], metrics = steps(*held)
        held[1] += task.schedule.dispatch
        return metrics

    return Timed(dispatch, task.schedule.dispatch, steps.lower)


def configured(case: Case) -> ConfigDict:
    """The config of a case; its stage has more steps than anybody times."""
    return load_config(case.config, {**case.settings, f"{case.stage}.steps": 100_000})


def ours(case: Case, data: Dataset, known: Known | None = None) -> Timed:
    """The step of one stage; for `known` see `stages`."""
    return next(
        step_of(task, upstream) for task, upstream in stages(configured(case), data, known) if task.name == case.stage
    )
