"""A config's stages, built: one task each."""

import dataclasses
import functools
import importlib
import inspect
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.config.durations import Schedule, schedule
from experiment_jax.data.lazy_images import Images
from experiment_jax.data.order import Order
from experiment_jax.data.split import UNPAIRED, Dataset, View, view
from experiment_jax.devices.batch_axis import WHOLE, BatchAxis
from experiment_jax.devices.mesh import own_rows
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Model, PyTree, Stage, Upstream, stream

PACKAGES = ("experiment_jax", "lsdm_jax", "regene_jax", "rivals_jax")


@dataclasses.dataclass(frozen=True)
class Task:
    """One stage of a run, with all that its training needs but devices.

    Attributes:
        stage: its functions.
        context: what it got besides its section.
        section: its section of the config.
        view: what it trains on.
        schedule: how long it trains, and how often rows and checkpoints are written.
        seed: of the run.
        flips: mirror training images left to right, half of the time.
        earlier: the sections of the stages before it, by name.
    """

    stage: Stage
    context: Context
    section: ConfigDict
    view: View
    schedule: Schedule
    seed: int
    flips: bool
    earlier: Mapping[str, ConfigDict]

    @property
    def name(self) -> str:
        return self.context.name

    @property
    def key(self) -> jax.Array:
        """The root of the stage's random streams: 0 for `init`, 1 for flips, 2 for `update`."""
        return stream(self.seed, self.name)

    @property
    def skips(self) -> bool:
        """Whether batches that are not finite are left out; the config of an older run does not say, and means no."""
        return self.section.get("on_nonfinite", "stop") == "skip"

    @functools.cached_property
    def order(self) -> Order:
        """Which examples each of its batches holds; see `check_members` for what it raises."""
        self.check_members()
        return Order(
            self.view.labels,
            len(self.view),
            self.section.batch_size,
            self.stage.strata,
            self.seed,
            probabilities=self.view.probabilities,
            pairs=self.stage.pairs,
            pair_classes=self.context.num_classes,
        )

    def indices(self, step: int) -> np.ndarray:
        """Which examples the dispatch that begins at `step` takes: int32 `[steps, batch]`, of this process's rows."""
        steps = range(step, step + self.schedule.dispatch)
        return np.stack([self.order.indices(each) for each in steps])[:, own_rows(self.section.batch_size)]

    @property
    def reads_ahead(self) -> bool:
        """Whether batches are read from disk: the images are, and the stage sees them and not what is made of them."""
        return isinstance(self.view.images, Images) and self.stage.inputs is None

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
        if self.stage.strata is None and not self.stage.pairs:
            return
        counts = np.bincount(self.view.labels[self.view.labels >= 0], minlength=self.context.num_classes)
        empty = np.flatnonzero(counts == 0)
        if len(empty):
            label = class_names[empty[0]] if class_names else empty[0]
            advice = (
                "choose a data set that has, as in --config.data.name=digits"
                if self.stage.relabel is None
                else "train the stage that gives the labels for longer"
            )
            raise UserError(f"{self.name}: each batch holds every class, and class {label} has no image; {advice}")

    def relabelled(self, upstream: Upstream) -> "Task":
        """The task on the view that the stage trains on, where that is not its own."""
        if self.stage.relabel is None:
            return self
        return dataclasses.replace(self, view=self.stage.relabel(self.view, upstream))

    def abstract_batch(self, upstream: Upstream) -> dict[str, jax.ShapeDtypeStruct]:
        """Shapes and types of the batches that the stage gets; nothing is computed."""
        size = self.section.batch_size
        batch = {"images": jax.ShapeDtypeStruct((size, *self.view.images.shape[1:]), jnp.float32)}
        if self.stage.inputs is not None:
            batch = dict(jax.eval_shape(self.stage.inputs, batch["images"], upstream))
        for name, values in self.view.known.items():
            batch[name] = jax.ShapeDtypeStruct((size, *values.shape[1:]), values.dtype)
        return batch

    def initial(self, root: jax.Array, upstream: Upstream) -> PyTree:
        """The state before the first step, of random streams that come from `root`."""
        batch = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), self.abstract_batch(upstream))
        return self.stage.init(jax.random.fold_in(root, 0), batch, upstream)

    def abstract_state(self, upstream: Upstream) -> PyTree:
        """Shapes and types of the stage's state; nothing is computed."""
        return jax.eval_shape(self.initial, jax.random.key(0), upstream)


def build(config: ConfigDict, dataset: Dataset, axis: BatchAxis = WHOLE) -> list[Task]:
    """The stages of `config`, in order; nothing is computed.

    Args:
        config: of a run.
        dataset: what the stages see parts of.
        axis: the batch on the devices that train.

    Raises:
        UserError: what a stage's factory refuses, an unknown view, a stage without a section, steps where nothing is
            trained.
    """
    labels = dataset.train.labels[dataset.train.labels != UNPAIRED]
    counts = np.bincount(labels, minlength=dataset.num_classes)
    told = functools.partial(
        Context,
        image_shape=dataset.image_shape,
        num_classes=dataset.num_classes,
        class_weights=counts.astype(np.float32) / max(len(labels), 1),
        class_counts=counts,
        axis=axis,
        flips=config.data.flips,
    )
    model, tasks, earlier = Model(), [], {}
    for name in config.stages:
        section = _section(config, name)
        if "on_nonfinite" in section:
            checks.choice(section, name, "on_nonfinite", ("stop", "skip"))
        seen = view(dataset, view_name(section))
        timing = schedule(section, len(seen))
        context = told(name, total_steps=timing.total, model=model)
        stage = _stage(section, context)
        if stage.given:
            timing = dataclasses.replace(timing, total=0)
        elif stage.update is None and timing.total:
            raise UserError(f"{name}: has nothing to train; type --config.{name}.steps=0")
        model = model.extend(stage)
        tasks.append(Task(stage, context, section, seen, timing, config.seed, context.flips, dict(earlier)))
        earlier[name] = section
    return tasks


def _stage(section: ConfigDict, context: Context) -> Stage:
    """What a section's factory makes of it.

    Raises:
        UserError: what the factory refuses; or it is none, or one of sections with other settings.
    """
    setting = f"{context.name}.build={section.build}"
    factory = resolve(section.build, f"{context.name}.build")
    if not _may_be_factory(factory):
        raise UserError(f"{setting}: is no factory of a stage; leave the build that the config has")
    try:
        stage = factory(section, context)
    except (KeyError, AttributeError) as error:
        *_, (frame, _) = traceback.walk_tb(error.__traceback__)
        if not frame.f_globals["__name__"].startswith("ml_collections"):
            raise  # not of a setting that is missing
        reason = str(error).partition("\n")[0]
        raise UserError(f"{setting}: reads a setting that {context.name} does not have: {reason}") from None
    return stage


def _may_be_factory(named: Any) -> bool:
    """Whether it takes a section and a context, and does not say that it returns something else than a stage."""
    try:
        signature = inspect.signature(named)
        signature.bind("section", "context")
    except (TypeError, ValueError):
        return False
    kind = named if isinstance(named, type) else signature.return_annotation  # a class makes its own kind
    return kind is signature.empty or isinstance(kind, str) or (isinstance(kind, type) and issubclass(kind, Stage))


def view_name(section: ConfigDict) -> str:
    """The view that a section names, or that "package.module:function" of the section names.

    Raises:
        UserError: see `resolve`, or what the function refuses.
    """
    if section.view.split(".")[0] in PACKAGES:
        return resolve(section.view, "view")(section)
    return section.view


def _section(config: ConfigDict, name: str) -> ConfigDict:
    sections = {key: value for key, value in config.items() if isinstance(value, ConfigDict) and "build" in value}
    if name not in sections:
        known = ", ".join(sections)
        raise UserError(f"stages={config.stages}: the config has no section for a stage {name}; it has {known}")
    return sections[name]


def resolve(name: str, setting: str) -> Callable[..., Any]:
    """The function that "package.module:function" names, among the project's own packages.

    A config names functions as text, so that no method is imported before a config asks for it.

    Args:
        name: the text.
        setting: where it was given, for messages.

    Raises:
        UserError: another package, or no such module or function.
    """
    module, _, function = name.partition(":")
    if module.split(".")[0] not in PACKAGES or not function:
        raise UserError(f"{setting}={name}: give package.module:function, the package one of {', '.join(PACKAGES)}")
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not module.startswith(str(error.name)):
            raise  # the module is there and something that it imports is not: not a typing mistake
        raise UserError(f"{setting}={name}: there is no module {module}") from None
    if not hasattr(found, function):
        raise UserError(f"{setting}={name}: {module} has no {function}")
    return getattr(found, function)
