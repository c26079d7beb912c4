"""Figure 6: the training images and the other generations that are closest to a generation."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.data import passes
from experiment_jax.drawing import pictures
from experiment_jax.evaluation.reference import Reference
from experiment_jax.method.stage import Model
from experiment_jax.networks.ssim import ssim
from experiment_jax.runs.run import Run

PyTree = Any
GENERATIONS = 6
ACROSS = 3  # generations side by side in a picture
OTHERS = 1000


class Order(NamedTuple):
    """A way to say which image is closest.

    Attributes:
        prepare: (params, images `[batch, height, width, channels]` in [-1, 1]) -> what is compared, leaves
            `[batch, …]`.
        distance: (leaves `[batch, …]`, one generation's leaves `[…]`) -> `[batch]`; smallest is closest.
    """

    prepare: Callable[[PyTree, jax.Array], PyTree]
    distance: Callable[[PyTree, PyTree], jax.Array]


def orders(model: Model) -> dict[str, Order]:
    """By name: "MSE" and "SSIM" of pixels, and mean squared error of the model's "latents" and of its perceptual
    "features" (summed over levels), where it provides them. Generations are encoded as any image is."""

    def pixels(params: PyTree, images: jax.Array) -> jax.Array:
        return images

    found = {
        "MSE": Order(pixels, _squared_error),
        "SSIM": Order(pixels, lambda images, one: -ssim(images, jnp.broadcast_to(one, images.shape))),
    }
    if model.encode is not None:
        found["latents"] = Order(model.encode, _squared_error)
    if model.features is not None:
        found["features"] = Order(
            model.features, lambda levels, one: sum(map(_squared_error, levels, one), start=jnp.zeros(()))
        )
    return found


def closest(run: Run, reference: Reference) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The pictures `closest_training` and `closest_generations`, of one generation each of the first classes.

    The generation stands at the left of its block's first row; a row is an order, closest first. `closest_training`:
    the 3 closest training images, and after a gap the reconstructions of these. `closest_generations`: the 5 closest of
    1,000 other generations of all classes.

    Raises:
        UserError: the run does not sample.
    """
    classes = run.dataset.num_classes
    count = min(GENERATIONS, classes)
    labels = np.concatenate([np.arange(count), np.resize(np.arange(classes), OTHERS)]).astype(np.int32)
    images = run.sample(labels).images
    generations, others, train = images[:count], images[count:], run.dataset.train.images
    blank = np.full_like(generations[:, None], pictures.PAPER)
    original, other = {}, {}
    for name, order in orders(run.model).items():
        found = train[nearest(run, order, generations, train, 3)]
        decoded = run.decode(run.encode(found.reshape(-1, *train.shape[1:]))).reshape(found.shape)
        query = blank if original else generations[:, None]  # once, in the first row
        original[name] = np.concatenate([query, found, blank, decoded, blank], axis=1)
        if name in ("MSE", "SSIM"):
            found = others[nearest(run, order, generations, others, 5)]
            other[name] = np.concatenate([query, found, blank], axis=1)
    return {}, {"closest_training": _picture(original), "closest_generations": _picture(other)}


def nearest(run: Run, order: Order, generations: np.ndarray, images: np.ndarray, count: int) -> np.ndarray:
    """Indices int `[G, count]` of the images closest to each generation, closest first, by equal distance in order.

    Args:
        run: whose model the order asks.
        order: one of `orders`.
        generations: uint8 `[G, height, width, channels]`.
        images: uint8 `[N, …]`; read in chunks of `evaluation.batch_size`.
        count: how many.
    """
    measure = partial(_distances, order, run.params, _prepared(order, run.params, generations))
    distances = passes.over(measure, images, batch_size=run.config.evaluation.batch_size)
    return np.argsort(distances, axis=0, kind="stable")[:count].T


@partial(jax.jit, static_argnums=0)
def _prepared(order: Order, params: PyTree, images: jax.Array) -> PyTree:
    return order.prepare(params, passes.to_float(images))


@partial(jax.jit, static_argnums=0)
def _distances(order: Order, params: PyTree, prepared: PyTree, images: jax.Array) -> jax.Array:
    """`[batch, G]`, of images uint8 `[batch, …]` to generations that are prepared already."""
    points = order.prepare(params, passes.to_float(images))
    # One generation at a time: a chunk's differences to all of them would not fit with large images.
    return jax.lax.map(lambda one: order.distance(points, one), prepared).T


def _squared_error(points: jax.Array, one: jax.Array) -> jax.Array:
    return jnp.mean((points - one) ** 2, axis=tuple(range(1, points.ndim)))


def _picture(rows: dict[str, np.ndarray]) -> np.ndarray:
    """{order: images `[G, columns, …]`}: blocks of one generation, its orders as rows, ACROSS blocks side by side."""
    blocks = np.stack(list(rows.values()))
    missing = -blocks.shape[1] % ACROSS
    padding = np.full_like(blocks[:, :1], pictures.PAPER)
    blocks = np.concatenate([blocks, *[padding] * missing], axis=1)
    bands = [
        blocks[:, start : start + ACROSS].reshape(len(rows), -1, *blocks.shape[3:])
        for start in range(0, blocks.shape[1], ACROSS)
    ]
    return pictures.stack(*(pictures.label_rows(pictures.grid(band), list(rows)) for band in bands))
