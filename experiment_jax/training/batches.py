"""Where the rows of a batch come from: a table that lies on the devices, or images that are read ahead from disk."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiment_jax.config.durations import Schedule
from experiment_jax.data import passes
from experiment_jax.data.lazy_images import Feed
from experiment_jax.data.split import View
from experiment_jax.devices.mesh import Devices

PyTree = Any
Inputs = Callable[[jax.Array, PyTree], PyTree]  # a stage's, see `method.stage.Stage`


def read_ahead(
    view: View, indices: Callable[[int], np.ndarray], schedule: Schedule, devices: Devices
) -> Callable[[int], PyTree]:
    """A function of the first step of a dispatch: its images uint8 and labels `[steps, batch, …]`, on the devices.

    Args:
        view: whose images are on disk.
        indices: first step -> int32 `[steps, batch]`, this process's rows of each batch.
        schedule: of the stage.
        devices: that train.
    """

    def read(step: int) -> dict[str, np.ndarray]:
        index = indices(step)
        labels = {} if view.labels is None else {"labels": view.labels[index]}
        return {"images": view.images[index], **labels}

    return Feed(read, devices.share_rows, schedule.total, schedule.dispatch)


def table(view: View, inputs: Inputs | None, flips: bool, upstream: PyTree) -> dict[str, Any]:
    """All that batches are gathered from: "rows", leaves `[variants, N, …]`, and "labels" where the view has any.

    A stage that sees images gets them as uint8, one variant, mirrored on the device after the gather. For one that sees
    what frozen networks make of them, with flips, the second variant is made of the mirrored images.

    Args:
        view: what the stage trains on.
        inputs: the stage's, if it has any.
        flips: whether training images are mirrored.
        upstream: the frozen stages before this one.
    """
    labels = {} if view.labels is None else {"labels": view.labels}
    if inputs is None:
        return {"rows": {"images": view.images[None]}, **labels}
    upstream = jax.device_put(dict(upstream))
    compute = jax.jit(lambda batch: inputs(passes.to_float(batch), upstream))
    variants = [compute, lambda batch: compute(batch[:, :, ::-1])] if flips else [compute]
    rows = [passes.over(variant, view.images, batch_size=passes.PASS) for variant in variants]
    return {"rows": jax.tree.map(lambda *leaves: np.stack(leaves), *rows), **labels}
