"""One stage with all that its training needs, and its durations in steps."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from experiment_jax.config import durations, sections
from experiment_jax.config import load as configs
from experiment_jax.data.order import Order
from experiment_jax.data.split import View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import PyTree, Stage, Upstream, stream


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


# What any stage's section holds: only the loop reads it, and what comes of it is in what the stage freezes.
LOOP = {*sections.stage("", "", 1)} - {"build"}


def functions(section: ConfigDict) -> dict[str, Any]:
    """The settings of a stage that its functions may read; what it froze and these decide what its functions are."""
    own = {key: value for key, value in section.items() if key not in LOOP}
    return {key: value for key, value in configs.flat(own).items() if value is not None}


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
        before: of each stage before it the settings that its functions may read, by name; see `functions`.
    """

    name: str
    stage: Stage
    view: View
    section: ConfigDict
    seed: int
    flips: bool
    mesh: Mesh
    axis_name: str | None = None
    before: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    @property
    def key(self) -> jax.Array:
        """The root of the stage's random streams: 0 for `init`, 1 for flips, 2 for `update`."""
        return stream(self.seed, self.name)

    @functools.cached_property
    def order(self) -> Order:
        """Which examples each of its batches holds; see `check_members` for what it raises."""
        self.check_members()
        return Order(self.view.labels, len(self.view), self.section.batch_size, self.stage.strata, self.seed)

    def check_members(self, class_names: Sequence[str] = ()) -> None:
        """Raises UserError where batches have nothing to take: no images, or none of a class that each of them holds.

        Args:
            class_names: what the classes are called; their numbers, where it is empty.
        """
        if not len(self.view):
            raise UserError(
                f"{self.name}.view={self.section.view}: holds no images; choose another view, as in "
                f"--config.{self.name}.view=all"
            )
        if self.stage.strata is None:
            return
        counts = np.bincount(self.view.labels[self.view.labels >= 0], minlength=self.stage.strata)
        empty = np.flatnonzero(counts == 0)
        if len(empty):
            label = class_names[empty[0]] if class_names else empty[0]
            advice = (
                "choose a data set that has, as in --config.data.name=digits"
                if self.stage.relabel is None
                else f"type --config.{self.name}.view=paired"
            )
            raise UserError(f"{self.name}: each batch holds every class, and class {label} has no image; {advice}")

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
