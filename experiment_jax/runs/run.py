"""A run directory as a Python object: its config, its model, and its samples."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config import numbers
from experiment_jax.config.load import override
from experiment_jax.config.places import place
from experiment_jax.config.types import from_json, to_json
from experiment_jax.data import conditions, load, passes
from experiment_jax.data.split import Dataset, Split
from experiment_jax.errors import UserError
from experiment_jax.method.build import Task, build
from experiment_jax.method.stage import Model, Samples, Upstream, stream
from experiment_jax.runs import directory, saved, verified
from experiment_jax.runs.finished import load_finished


@dataclasses.dataclass(frozen=True)
class Run:
    """A finished run, or a checkpoint of its last stage.

    Attributes:
        workdir: its directory.
        config: what it was trained with.
        model: what its stages add up to, with their parameters.
        step: of the last stage, whose state was frozen.
        dataset: train and validation, as it was trained.
        finished: whether it is what the last stage froze, and not a checkpoint.
    """

    workdir: Path
    config: ConfigDict
    model: Model
    step: int
    dataset: Dataset
    finished: bool = True

    @functools.cached_property
    def test(self) -> Split:
        """The test split."""
        return load.read(self.config.data, "test")[0]

    @functools.cached_property
    def params(self) -> Upstream:
        """The model's parameters, on the device: put there once."""
        return jax.device_put(self.model.params)

    @property
    def reconstructs(self) -> bool:
        """Whether it encodes images and decodes their latents."""
        return self.model.encode is not None and self.model.decode is not None

    @functools.cached_property
    def encode(self) -> Callable[[np.ndarray], np.ndarray]:
        """uint8 images `[N, …]` -> latents float32 `[N, latent]`."""
        return self.over(lambda params, images: self.model.encode(params, passes.to_float(images)))

    @functools.cached_property
    def decode(self) -> Callable[[np.ndarray], np.ndarray]:
        """Latents `[N, latent]` -> uint8 images `[N, …]`."""
        return self.over(lambda params, latents: passes.to_uint8(self.model.decode(params, latents)))

    @functools.cached_property
    def classify(self) -> Callable[[np.ndarray], np.ndarray]:
        """Latents `[N, latent]` -> classes int `[N]`."""
        return self.over(lambda params, latents: jnp.argmax(self.model.classify(params, latents), axis=-1))

    @functools.cached_property
    def posterior(self) -> Callable[[np.ndarray], np.ndarray]:
        """uint8 images `[N, …]` -> what the run's labeller says of their classes, float32 `[N, classes]`."""
        return self.over(lambda params, images: self.model.posterior(params, passes.to_float(images)))

    @functools.cached_property
    def degrade(self) -> Callable[[np.ndarray], np.ndarray]:
        """uint8 images `[N, …]` -> low-resolution images float32 `[N, *model.low_shape]`, without noise."""
        return self.over(lambda params, images: self.model.degrade(params, passes.to_float(images)))

    @functools.cached_property
    def regress(self) -> Callable[[np.ndarray], np.ndarray]:
        """Low-resolution images `[N, *model.low_shape]` -> uint8 images `[N, …]`, by the run's own regression."""
        return self.over(lambda params, low: passes.to_uint8(self.model.regress(params, low)))

    def observe(self, images: np.ndarray, seed: int = 0) -> np.ndarray:
        """x = A(Y) + σ ε of uint8 images `[N, …]`: float32 `[N, *model.low_shape]`; ε by seed and row.

        Raises:
            UserError: a seed that is none.
        """
        return self._observer(*_numbered(len(images), seed, images))

    def sample(self, condition: np.ndarray, seed: int = 0) -> Samples:
        """One sample for each condition, on the host; images uint8 `[N, height, width, channels]`.

        Sample i depends on the seed, i and its condition alone.

        Args:
            condition: labels `[N]`, whole numbers, also of a run that does not heed them; or where the run finds
                high-resolution images low-resolution ones, uint8 or float32 in [-1, 1], `[N, *model.low_shape]`.
            seed: of the noise.

        Raises:
            UserError: a run that does not sample, a seed that is none, and what `data.conditions` refuses: labels that
                are no class of the run, or images of another shape or scale.
        """
        return self._sampler(*self._draws(condition, seed))

    def sample_latents(self, condition: np.ndarray, seed: int = 0) -> np.ndarray:
        """The latents `[N, latent]` of what `sample` draws; nothing is decoded that the latents do not need."""
        return self._latent_sampler(*self._draws(condition, seed))

    def _draws(self, condition: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Number, condition and seed of each sample."""
        if self.model.sample is None:
            stages = ", ".join(self.config.stages)
            raise UserError(f"--workdir {self.workdir}: its stages {stages} do not sample; take a run whose stages do")
        if self.model.degrade is None:
            condition = conditions.labels(condition, self.dataset.num_classes)
        else:
            condition = conditions.low_resolution(condition, self.model.low_shape)
            condition = np.asarray(passes.to_float(condition)) if condition.dtype == np.uint8 else condition
        return _numbered(len(condition), seed, condition)

    def draw(self, params: Any, rows: jax.Array, condition: jax.Array, seeds: jax.Array) -> Samples:
        """What `sample` compiles: a pure function of parameters, sample numbers uint32 `[batch]`, labels or float32
        low-resolution images `[batch, …]`, and the seed uint32 `[batch]`, of which the first counts."""
        keys = _keys(jax.random.fold_in(stream(self.config.seed, "samples"), seeds[0]), rows)
        samples = self.model.sample(params, keys, condition)
        return samples._replace(images=passes.to_uint8(samples.images))

    @functools.cached_property
    def _observer(self) -> Callable[..., np.ndarray]:
        def observe(params: Any, rows: jax.Array, images: jax.Array, seeds: jax.Array) -> jax.Array:
            keys = _keys(stream(seeds[0], "low resolution"), rows)
            return self.model.noise(params, self.model.degrade(params, passes.to_float(images)), keys)

        return self.over(observe)

    @functools.cached_property
    def _sampler(self) -> Callable[..., Samples]:
        return self.over(self.draw)

    @functools.cached_property
    def _latent_sampler(self) -> Callable[..., np.ndarray]:
        return self.over(lambda *arguments: self.draw(*arguments).latents)

    def over(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """function(params, *batch), compiled, as a function of whole arrays `[N, …]`: see `passes.over`.

        Another function is compiled anew, were it the same code: keep what this returns, or give it a function that is
        defined once.
        """
        compiled = functools.partial(jax.jit(function), self.params)
        return functools.partial(passes.over, compiled, batch_size=self.config.evaluation.batch_size)

    def with_settings(self, overrides: Mapping[str, Any]) -> "Run":
        """The same frozen parameters under other settings of the stages, as in {"hull.n": 5}; nothing is trained.

        Sound for what only the model's functions read: how many latents are combined, how they are weighed, sampling
        steps. Not for what training or a stage's final pass read (widths, weights of a loss, a view, what the bank or
        a threshold was made with): the frozen parameters still come from the run's own settings, and either do not
        fit or are measured as something that they are not. On disk nothing changes; do not `evaluate` the result, which
        would write the run's own evaluation over.

        Args:
            overrides: dotted keys of the stages' sections -> values.

        Raises:
            UserError: no such setting, a value of the wrong type, or a setting outside of the stages.
        """
        for key in overrides:
            if key.partition(".")[0] not in self.config.stages:
                raise UserError(f"{key}: belongs to no stage of this run; set one of {', '.join(self.config.stages)}")
        config = from_json(to_json(self.config))  # a copy in which the same settings may be None
        override(config, overrides)
        model = Model()
        for task in build(config, self.dataset):
            model = model.extend(task.stage)
        return dataclasses.replace(self, config=config.lock(), model=model.bind(**self.model.params))


def _numbered(count: int, seed: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number, row and seed of each of `count` rows."""
    return np.arange(count, dtype=np.uint32), rows, np.full(count, numbers.seed(seed), np.uint32)


def _keys(root: jax.Array, rows: jax.Array) -> jax.Array:
    """The key of each sample's number, `[batch]`."""
    return jax.vmap(lambda number: jax.random.fold_in(root, number))(rows)


def load_run(
    workdir: str | Path, step: int | None = None, dataset: Dataset | None = None, data: str | Path | None = None
) -> Run:
    """The run in `workdir`; needs nothing but that and its data set.

    Args:
        workdir: a run directory.
        step: a checkpoint of the last stage, 0 or more; by default what the finished stage froze.
        dataset: what it was trained on, where that was not the data set that the config names.
        data: where the data set lies now, if it was moved.

    Raises:
        UserError: no run there, a stage that is not finished or is damaged, no checkpoint of that step, or `data` that
            is not what the run was trained on.
    """
    workdir = place(workdir, "--workdir")
    if step is not None:
        step = numbers.whole(step, "--step", 0, numbers.LARGEST_SEED)
    config = as_trained = directory.read_config(workdir)
    if dataset is None:
        config = directory.with_data(workdir, config, data)
    dataset = dataset or load.load(config.data, config.seed)
    tasks = build(config, dataset)
    model, reached = Model(), 0
    for task in tasks:
        if task is tasks[-1] and step is not None:
            frozen, reached = _from_checkpoint(workdir, as_trained, task, model.params, step), step
        else:
            origin = directory.origin(as_trained, task.name, verified.digests(model.params))
            found = load_finished(workdir, task.name, task.stage.Frozen, origin)
            if found is None:
                raise UserError(
                    f"--workdir {workdir}: the stage {task.name} is not finished; finish it with train.py, or name a "
                    f"checkpoint of the last stage with --step"
                )
            frozen, reached = found[0], found[1]["step"]
            if data is not None:
                _check_content(found[1], dataset, data)
        model = model.extend(task.stage).bind(**{task.name: frozen})
    return Run(workdir, config, model, reached, dataset, finished=step is None)


def _check_content(record: Mapping[str, Any], dataset: Dataset, data: str | Path) -> None:
    """Raises UserError where a stage was trained on other images or labels. (One of another run may have been.)"""
    here = verified.digest(dataset.arrays)
    if "from_run" not in record and record.get("content", here) != here:
        raise UserError(f"--data {data}: holds other images or labels than the run was trained on; give that set")


def _from_checkpoint(workdir: Path, config: ConfigDict, task: Task, upstream: Upstream, step: int) -> Any:
    """What the last stage freezes, from the state of one checkpoint."""
    if step not in (known := saved.steps(workdir, task.name)):
        kept = ", ".join(map(str, known)) or "none"
        raise UserError(f"--step {step}: {task.name} has no such checkpoint; it has {kept}")
    origin = directory.origin(config, task.name, verified.digests(upstream))
    state = saved.restore(workdir, task.name, step, task.abstract_state(upstream), origin)
    return task.stage.finish(state, task.view, upstream)
