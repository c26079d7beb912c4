"""One stage with all that its training needs, and its durations in steps."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from ml_collections import ConfigDict

from experiment_jax import durations
from experiment_jax.data import View
from experiment_jax.errors import UserError
from experiment_jax.stage import PyTree, Stage, Upstream, stream


@dataclasses.dataclass(frozen=True)
class Plan:
    """A stage's durations in whole steps."""

    total: int
    log: int
    checkpoint: int
    dispatch: int


def plan(section: ConfigDict, num_examples: int) -> Plan:
    """The plan of a section; cadences are rounded up to whole dispatches.

    Raises:
        UserError: an empty batch, a missing or doubled duration, a length that is not a multiple of
            `steps_per_dispatch`, or a `profile` that is not two steps.
    """
    if section.batch_size < 1:
        raise UserError(
            f"batch_size={section.batch_size}: a batch holds at least one example; type batch_size=1 or more"
        )
    sizes = dict(batch_size=section.batch_size, num_examples=num_examples)
    total = durations.to_steps(section, **sizes)
    each = section.steps_per_dispatch
    if each < 1 or total % each:
        raise UserError(f"steps_per_dispatch={each}: must divide the {total} steps; type steps_per_dispatch=1")
    log, checkpoint = (
        max(math.ceil(durations.to_steps(section, name, total=total, **sizes) / each), 1) * each
        for name in ("log", "checkpoint")
    )
    if len(section.profile) != 2:
        raise UserError(f"profile={section.profile}: give the first step and the one after the last, as in (100,110)")
    return Plan(total, log, checkpoint, each)


@dataclasses.dataclass(frozen=True)
class Job:
    """One stage with all that its training needs.

    Attributes:
        name: the stage's name.
        stage: its functions.
        view: what it trains on.
        section: its section of the config.
        seed: of the run.
        flips: mirror training images left to right, half of the time.
        mesh: the devices.
        axis_name: the mapped axis under pmap, as the stage's context has it; None under jit.
    """

    name: str
    stage: Stage
    view: View
    section: ConfigDict
    seed: int
    flips: bool
    mesh: Mesh
    axis_name: str | None = None

    @property
    def key(self) -> jax.Array:
        """The root of the stage's random streams: 0 for `init`, 1 for flips, 2 for `update`."""
        return stream(self.seed, self.name)

    def relabelled(self, upstream: Upstream) -> "Job":
        """The job on the view that the stage trains on, where that is not its own."""
        if self.stage.relabel is None:
            return self
        return dataclasses.replace(self, view=self.stage.relabel(self.view, upstream))

    def abstract_batch(self, upstream: Upstream) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and types of the batches that the stage gets; nothing is computed."""
        size = self.section.batch_size
        batch = {"images": jax.ShapeDtypeStruct((size, *self.view.images.shape[1:]), jnp.float32)}
        if self.stage.inputs is not None:
            batch = dict(jax.eval_shape(self.stage.inputs, batch["images"], upstream))
        if self.view.labels is not None:
            batch["labels"] = jax.ShapeDtypeStruct((size,), jnp.int32)
        return batch

    def abstract_state(self, upstream: Upstream) -> PyTree:
        """Shapes and types of the stage's state; nothing is computed."""
        return jax.eval_shape(self.stage.init, jax.random.key(0), self.abstract_batch(upstream), upstream)
