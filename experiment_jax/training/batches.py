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
    """A function of the first step of a dispatch: what it reads, `[steps, batch, …]`, on the devices.

    That is images uint8, and what the view knows beside them.

    Args:
        view: whose images are on disk.
        indices: first step -> int32 `[steps, batch]`, this process's rows of each batch.
        schedule: of the stage.
        devices: that train.
    """

    def read(step: int) -> dict[str, np.ndarray]:
        index = indices(step)
        return {"images": view.images[index], **{name: values[index] for name, values in view.known.items()}}

    return Feed(read, devices.share_rows, schedule.total, schedule.dispatch)


def blank(view: View, indices: np.ndarray, reads_ahead: bool) -> PyTree:
    """Rows as a step takes them, of which only shapes and types count: nothing is read from disk.

    Args:
        view: what the stage trains on.
        indices: int32 `[steps, batch]`.
        reads_ahead: whether a step takes images, or indices into the table.
    """
    if not reads_ahead:
        return indices
    images = np.zeros((*indices.shape, *view.images.shape[1:]), np.uint8)
    return {"images": images, **{name: values[indices] for name, values in view.known.items()}}


def table(view: View, inputs: Inputs | None, flips: bool, upstream: PyTree) -> dict[str, Any]:
    """All that batches are gathered from: "rows", leaves `[variants, N, …]`, and what the view knows beside images.

    A stage that sees images gets them as uint8, one variant, mirrored on the device after the gather. For one that sees
    what frozen networks make of them, with flips, the second variant is made of the mirrored images.

    Args:
        view: what the stage trains on.
        inputs: the stage's, if it has any.
        flips: whether training images are mirrored.
        upstream: the frozen stages before this one.
    """
    if inputs is None:
        return {"rows": {"images": view.images[None]}, **view.known}
    upstream = jax.device_put(dict(upstream))
    compute = jax.jit(lambda batch: inputs(passes.to_float(batch), upstream))
    variants = [compute, lambda batch: compute(batch[:, :, ::-1])] if flips else [compute]
    rows = [passes.over(variant, view.images, batch_size=passes.PASS) for variant in variants]
    return {"rows": jax.tree.map(lambda *leaves: np.stack(leaves), *rows), **view.known}
