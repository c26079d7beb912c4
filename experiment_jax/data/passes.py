"""Full passes over many images, in batches of one shape."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.data.lazy_images import slices

PyTree = Any
PASS = 500  # images a call in a pass over a whole view


def to_float(images: jax.Array) -> jax.Array:
    """uint8 0 … 255 -> float32 -1 … 1."""
    return images.astype(jnp.float32) / 127.5 - 1.0


def to_uint8(images: jax.Array) -> jax.Array:
    """float32 -1 … 1, clipped -> uint8 0 … 255."""
    return jnp.round((jnp.clip(images, -1.0, 1.0) + 1.0) * 127.5).astype(jnp.uint8)


def over(function: Callable[..., PyTree], *arrays: Any, batch_size: int) -> PyTree:
    """`function(*batch)` over whole arrays `[N, …]`, on the host: leaves `[N, …]`.

    The last batch is padded with its own first row, and what came of the padding is dropped: each row counts once and
    the function compiles for one shape.

    Args:
        function: a compiled function of batches, row by row.
        arrays: of the same first dimension; images may be on disk (`experiment_jax.data.lazy_images`).
        batch_size: rows a call; a smaller set is one batch of its own size.
    """
    total = len(arrays[0])
    batch_size = min(batch_size, total)
    results = []
    for rows in zip(*(slices(array, batch_size) for array in arrays), strict=True):
        count = len(rows[0])
        padded = [_pad(row, batch_size) for row in rows]
        results.append(jax.tree.map(lambda leaf, count=count: np.asarray(leaf[:count]), function(*padded)))
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *results)


def _pad(rows: Any, size: int) -> Any:
    missing = size - len(rows)
    if not missing:
        return rows
    return jnp.concatenate([rows, jnp.repeat(rows[:1], missing, axis=0)])


def over_images(function: Callable[[PyTree, jax.Array], PyTree], params: PyTree, images: Any) -> PyTree:
    """`function(params, images in [-1, 1])`, compiled, over all of a view's images uint8 `[N, …]`: leaves `[N, …]`."""
    compiled = jax.jit(lambda params, batch: function(params, to_float(batch)))
    params = jax.device_put(params)
    return over(lambda batch: compiled(params, batch), images, batch_size=PASS)
