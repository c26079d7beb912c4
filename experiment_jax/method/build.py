"""A config's stages, built, and the model that they add up to."""

import dataclasses

import numpy as np
from jax.sharding import Mesh
from ml_collections import ConfigDict

from experiment_jax.config import load as configs
from experiment_jax.data import split as data
from experiment_jax.data.split import UNPAIRED, Dataset, View
from experiment_jax.devices import placement as parallel
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Model, Stage
from experiment_jax.method.task import Job, functions, plan


@dataclasses.dataclass(frozen=True)
class Part:
    """One stage of a method: its section of the config, what it was told, its functions and its view."""

    section: ConfigDict
    context: Context
    stage: Stage
    view: View

    @property
    def name(self) -> str:
        return self.context.name


def build(config: ConfigDict, dataset: Dataset) -> list[Part]:
    """The stages of `config`, in order; nothing is computed.

    Raises:
        UserError: what a stage's factory refuses, an unknown view, a stage without a section, steps where nothing is
            trained.
    """
    labels = dataset.train.labels[dataset.train.labels != UNPAIRED]
    counts = np.bincount(labels, minlength=dataset.num_classes)
    weights = counts.astype(np.float32) / max(len(labels), 1)
    model, parts, axis_name = Model(), [], parallel.axis_name(config.parallel)
    for name in config.stages:
        if "build" not in (config.get(name) or {}):
            known = ", ".join(
                key for key, value in config.items() if isinstance(value, ConfigDict) and "build" in value
            )
            raise UserError(f"stages={config.stages}: the config has no section for a stage {name}; it has {known}")
        section = config[name]
        view = data.view(dataset, section.view)
        total = plan(section, len(view)).total
        context = Context(
            name, dataset.image_shape, dataset.num_classes, weights, total, model, axis_name, class_counts=counts
        )
        stage = configs.resolve(section.build)(section, context)
        if stage.update is None and total:
            raise UserError(f"{name}: has nothing to train; type --config.{name}.steps=0")
        model = model.extend(stage)
        parts.append(Part(section, context, stage, view))
    return parts


def job(part: Part, config: ConfigDict, mesh: Mesh) -> Job:
    """What the loop needs to train `part`."""
    earlier = config.stages[: config.stages.index(part.name)]
    return Job(
        part.name,
        part.stage,
        part.view,
        part.section,
        config.seed,
        config.data.flips,
        mesh,
        part.context.axis_name,
        before={name: functions(config[name]) for name in earlier},
    )
