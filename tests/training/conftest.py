"""A stage small enough to see through, a linear map fitted to noisy targets, and its training without a config file."""

import dataclasses
import signal
from collections.abc import Callable
from contextlib import closing
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax.config import sections
from experiment_jax.config.durations import schedule
from experiment_jax.data.lazy_images import Images
from experiment_jax.data.split import View
from experiment_jax.devices import pmap
from experiment_jax.method.build import Task
from experiment_jax.method.stage import Context, Model, Stage
from experiment_jax.networks.train_state import Descent
from experiment_jax.runs.checkpoints import Checkpoints
from experiment_jax.training import loop
from experiment_jax.training.logger import Logger
from experiment_jax.training.profile import profiler
from experiment_jax.training.step import Steps

IMAGES = np.random.default_rng(0).integers(0, 256, (31, 5, 4, 1), np.uint8)
LABELS = (np.arange(31) % 2).astype(np.int32)
SETTINGS = dict(view="paired", batch_size=8, steps=12, log_steps=1, checkpoint_steps=4, ema_decay=0.9)


@dataclasses.dataclass(frozen=True)
class Linear(Stage):
    """Fits W in ‖x W − t − noise‖², with targets t of the images' own: everything random is used.

    `traced` is called whenever `update` is traced. Metrics tell how much of the left halves is white, and the labels.
    Where `spoilt`, the loss of a batch with an image whose first pixel is white is NaN.
    """

    descent: Descent
    strata: int | None = None
    inputs: Callable[..., Any] | None = None
    relabel: Callable[..., Any] | None = None
    traced: Callable[[], Any] = lambda: None
    spoilt: bool = False

    @flax.struct.dataclass
    class Frozen:
        w: jax.Array

    def images(self, batch):
        return batch["images" if self.inputs is None else "rows"]

    def init(self, key, batch, upstream):
        return self.descent.init({"w": jax.random.normal(key, (self.images(batch)[0].size, 3))})

    def update(self, state, batch, key, upstream):
        self.traced()
        images = self.images(batch)
        x = images.reshape(len(images), -1)
        targets = x[:, :3] + 0.1 * self.descent.axis.draw(jax.random.normal, key, (len(x), 3))

        def loss(params, statistics):
            left = jnp.mean(images[:, :, : images.shape[2] // 2] > 0)
            labels = {"label": jnp.mean(batch["labels"].astype(jnp.float32))} if "labels" in batch else {}
            value = jnp.mean((x @ params["w"] - targets) ** 2)
            if self.spoilt:
                value *= jnp.where(jnp.any(x[:, 0] == 1), jnp.nan, 1)
            return value, (statistics, {"left": left, **labels})

        return self.descent.step(state, loss)

    def averaged(self, state):
        return state.average["params"]


@dataclasses.dataclass(frozen=True)
class Kept(Linear):
    """Its state is the last batch that `update` was given."""

    def init(self, key, batch, upstream):
        parts = jax.device_count() if self.descent.axis.name else 1
        return jax.tree.map(lambda leaf: leaf[: len(leaf) // parts], batch)

    def update(self, state, batch, key, upstream):
        return batch, {}


def problem(
    *,
    images=IMAGES,
    labels=LABELS,
    on_disk=False,
    precomputed=False,
    kept=False,
    devices=1,
    parallel="jit",
    flips=False,
    stage=(),
    **settings,
):
    """(task, devices).

    Args:
        images: uint8, of the view.
        labels: of the view.
        on_disk: whether the images are read when they are needed.
        precomputed: whether `update` sees what `inputs` makes of the images.
        kept: take `Kept` in place of `Linear`.
        devices: how many.
        parallel: as in a config.
        flips: as in a config.
        stage: fields of the stage.
        settings: of the section.
    """
    section = sections.stage("experiment_jax.networks.convolutional:stage", **SETTINGS | settings)
    view = View(Images(lambda index: images[index], images.shape[1:], np.arange(31)) if on_disk else images, labels)
    shared = pmap.choose(parallel, jax.devices()[:devices])
    times = schedule(section, len(view))
    told = dict(num_classes=2, class_weights=np.full(2, 0.5, np.float32), class_counts=np.full(2, 15), model=Model())
    context = Context("linear", view.images.shape[1:], total_steps=times.total, axis=shared.axis, **told)
    fields = {"inputs": lambda images, upstream: {"rows": images + 1}} if precomputed else {}
    made = (Kept if kept else Linear)(Descent.of(section, context), **fields, **dict(stage))
    return Task(made, context, section, view, times, 7, flips, {}), shared


@pytest.fixture(name="problem", scope="session")
def problem_fixture():
    """`problem(…)` -> (task, devices)."""
    return problem


def weights(state):
    """Something to measure and to draw."""
    return {"score": float(jnp.sum(state.params["w"]))}, {}


class Watched(Logger):
    """Calls `at[step]()` after that step."""

    at: dict[int, Callable[[], Any]]

    def advance(self, step):
        super().advance(step)
        self.at.get(step, lambda: None)()


@pytest.fixture(scope="session")
def fit():
    """`fit(problem(…), workdir)` -> (state on the host, its step), trained by the loop; after a step `at[step]()`."""

    def train(problem, workdir, validate=weights, at=(), settings=(("seed", 0),)):
        (task, devices), section = problem, problem[0].section
        steps = Steps(task, {}, devices)
        origin = {"stage": task.name, "upstream": {}, "settings": dict(settings)}
        with closing(Checkpoints(workdir, origin, section.keep, section.best, steps.like)) as kept:
            logger = Watched(task.name, workdir, task.schedule.total, kept.latest(), validate)
            logger.at = dict(at)
            with closing(logger), profiler(task.name, workdir, section) as profile:
                state, step = loop.run(steps, task.schedule, logger, kept, profile)
        return jax.tree.map(np.asarray, state), step

    return train


@pytest.fixture(scope="session")
def walk():
    """`walk(problem(…))` -> [(state, metrics), …] after each dispatch, on the host, without a loop around the steps."""

    def all_steps(problem):
        task, devices = problem
        steps, found = Steps(task, {}, devices), []
        state = steps.start()
        for step in range(0, task.schedule.total, task.schedule.dispatch):
            state, metrics = steps(state, step)
            found.append(jax.tree.map(np.array, (steps.local(state), steps.local(metrics))))
        return found

    return all_steps


@pytest.fixture(scope="session")
def assert_identical():
    """Two pytrees are of one structure and the same to the last bit."""

    def check(first, second):
        assert jax.tree.structure(first) == jax.tree.structure(second)
        for (path, one), other in zip(jax.tree_util.tree_leaves_with_path(first), jax.tree.leaves(second), strict=True):
            assert np.asarray(one).dtype == np.asarray(other).dtype, path
            np.testing.assert_array_equal(one, other, err_msg=jax.tree_util.keystr(path))

    return check


@pytest.fixture
def stop_after(monkeypatch):
    """`stop_after(stage, step)`: SIGTERM arrives after that step of that stage, once."""

    def arrange(stage, step):
        advance = Logger.advance

        def watched(self, reached):
            advance(self, reached)
            if (self.name, reached) == (stage, step):
                monkeypatch.setattr(Logger, "advance", advance)
                signal.raise_signal(signal.SIGTERM)

        monkeypatch.setattr(Logger, "advance", watched)

    return arrange
