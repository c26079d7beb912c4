"""What makes the condition X of super-resolution: X = A Y + σ ε, of which Y is to be found again.

A is linear and separable: the same matrix for all rows of an image, and another for all columns. A stage that trains
nothing. It measures the mean and the scale of low-resolution images, so that β, the weight of the condition in the
joint cost, means the same for images as for labels.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config import checks as settings
from experiment_jax.data import passes
from experiment_jax.data.split import View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Frozen, PyTree, Stage, Upstream
from lsdm_jax.representation import moments, standardise

KERNELS = ("area", "bicubic")


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage; provides `degrade`, `noise`, `embed` and, where asked, `project`.

    Args:
        config: factor (by which the sides shrink), kernel ("area": the mean of factor × factor pixels; "bicubic": Keys'
            cubic, widened by the factor so that it does not alias, as Pillow's), noise (σ, in units of images in
            [-1, 1]), project (whether what is found from x is moved to an image of which A makes x).
        context: see `Context`.

    Raises:
        UserError: an unknown kernel, a negative noise, or a factor that is less than 2 or does not divide the sides.
    """
    settings.check_choice(config, context.name, "kernel", KERNELS)
    settings.check_at_least(config, context.name, 0, noise=0.01)
    height, width, _ = context.image_shape
    shared = math.gcd(height, width)
    if config.factor < 2 or shared % config.factor:
        fits = [factor for factor in range(2, shared + 1) if shared % factor == 0]
        advice = f"type --config.{context.name}.factor={fits[0]}" if fits else "crop the images to even sides"
        known = f", which {', '.join(map(str, fits))} do" if fits else ""
        raise UserError(
            f"{context.name}.factor={config.factor}: does not divide {height}x{width} images{known}; {advice}"
        )

    down = tuple(matrix(side, config.factor, config.kernel) for side in (height, width))
    up = tuple(smooth_inverse(each) for each in down)

    def degrade(params: Upstream, images: jax.Array) -> jax.Array:
        return separable(down, images)

    def project(params: Upstream, images: jax.Array, low: jax.Array) -> jax.Array:
        """y + U (A U)⁻¹ (x − A y), U cubic interpolation: A y = x, changed by a smooth image."""
        return images + separable(up, low - separable(down, images))

    def noise(params: Upstream, low: jax.Array, keys: jax.Array) -> jax.Array:
        if settings.is_off(config.noise):
            return low
        return low + config.noise * jax.vmap(lambda key: jax.random.normal(key, low.shape[1:]))(keys)

    def embed(params: Upstream, low: jax.Array) -> jax.Array:
        return standardise(params[context.name], low).reshape(len(low), -1)

    def finish(state: PyTree, view: View, upstream: Upstream) -> Frozen:
        shrink = jax.jit(lambda images: degrade(upstream, passes.to_float(images)))
        return moments(passes.over(shrink, view.images, batch_size=500))

    provides = dict(degrade=degrade, noise=noise, embed=embed)
    return Stage.untrained(finish, provides | ({"project": project} if config.project else {}))


def matrix(side: int, factor: int, kernel: str) -> np.ndarray:
    """A along one axis: float32 `[side // factor, side]`, rows of sum 1; see `stage`."""
    small = side // factor
    if kernel == "area":
        return np.repeat(np.eye(small, dtype=np.float32), factor, axis=1) / factor
    return np.asarray(jax.image.resize(jnp.eye(side), (small, side), "cubic", antialias=True))


def smooth_inverse(down: np.ndarray) -> np.ndarray:
    """U (A U)⁻¹ along one axis, `[side, small]`, for A `[small, side]`: A times it is the identity.

    The pseudo-inverse would change y least, but for area by a constant a block, and the blocks are seen.
    """
    small, side = down.shape
    up = np.asarray(jax.image.resize(jnp.eye(small), (side, small), "cubic"))
    return (up @ np.linalg.inv(down @ up)).astype(np.float32)


def separable(matrices: tuple[np.ndarray, np.ndarray], images: jax.Array) -> jax.Array:
    """Images `[batch, height, width, channels]`, the first matrix along their height, the second along width."""
    return jnp.einsum("ih,bhwc,jw->bijc", matrices[0], images, matrices[1], precision="highest")
