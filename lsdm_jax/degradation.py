"""The degradation of super-resolution: it makes the condition X = A Y + σ ε, from which Y is to be found again.

A is linear and separable: one matrix for all columns of an image, and another for all its rows. The stage trains
nothing. It measures the mean and the scale of low-resolution images, so that β, the weight of the condition in the
joint cost, means the same for images as for labels.
"""

import dataclasses
import math
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.data import passes
from experiment_jax.data.split import View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, PyTree, Stage, Upstream
from experiment_jax.networks.standardisation import Standardisation, moments

KERNELS = ("area", "bicubic")


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage; provides `degrade`, `low_shape`, `noise`, `embed` and, where asked, `project`.

    Args:
        config: factor (by which the sides shrink), kernel ("area": the mean of factor × factor pixels; "bicubic": Keys'
            cubic, widened by the factor so that it does not alias, as Pillow's), noise (σ, in units of images in
            [-1, 1]), project (whether an image that is found from x is corrected, so that A makes x of it).
        context: see `Context`.

    Raises:
        UserError: an unknown kernel, a negative noise, or a factor that is less than 2 or does not divide the sides.
    """
    checks.choice(config, context.name, "kernel", KERNELS)
    checks.at_least(config, context.name, 0, noise=0.01)
    height, width, _ = context.image_shape
    shared = math.gcd(height, width)
    if config.factor < 2 or shared % config.factor:
        fits = [factor for factor in range(2, shared + 1) if shared % factor == 0]
        advice = f"type --config.{context.name}.factor={fits[0]}" if fits else "crop the images to even sides"
        known = f", which {', '.join(map(str, fits))} do" if fits else ""
        raise UserError(
            f"{context.name}.factor={config.factor}: does not divide {height}x{width} images{known}; {advice}"
        )

    return Degradation(config, context)


@dataclasses.dataclass(frozen=True)
class Degradation(Stage):
    """A, the noise, and what low-resolution images are standardised by. For the settings see `stage`."""

    config: ConfigDict
    context: Context
    Frozen = Standardisation

    @cached_property
    def down(self) -> tuple[np.ndarray, np.ndarray]:
        """A along height and width."""
        return tuple(matrix(side, self.config.factor, self.config.kernel) for side in self.context.image_shape[:2])

    @cached_property
    def up(self) -> tuple[np.ndarray, np.ndarray]:
        """U (A U)⁻¹ along height and width."""
        return tuple(smooth_inverse(each) for each in self.down)

    def finish(self, state: PyTree, view: View, upstream: Upstream) -> Standardisation:
        return Standardisation(**moments(passes.over_images(self.degrade, dict(upstream), view.images)))

    @property
    def provides(self):
        projects = {"project": self.project} if self.config.project else {}
        height, width, channels = self.context.image_shape
        low_shape = height // self.config.factor, width // self.config.factor, channels
        return dict(degrade=self.degrade, low_shape=low_shape, noise=self.noise, embed=self.embed, **projects)

    def degrade(self, params: Upstream, images: jax.Array) -> jax.Array:
        return separable(self.down, images)

    def project(self, params: Upstream, images: jax.Array, low: jax.Array) -> jax.Array:
        """y + U (A U)⁻¹ (x − A y), U cubic interpolation: A y = x, changed by a smooth image."""
        return images + separable(self.up, low - separable(self.down, images))

    def noise(self, params: Upstream, low: jax.Array, keys: jax.Array) -> jax.Array:
        if not self.config.noise:
            return low
        return low + self.config.noise * jax.vmap(lambda key: jax.random.normal(key, low.shape[1:]))(keys)

    def embed(self, params: Upstream, low: jax.Array) -> jax.Array:
        return params[self.context.name].standardise(low).reshape(low.shape[0], -1)


def matrix(side: int, factor: int, kernel: str) -> np.ndarray:
    """A along one axis: float32 `[side // factor, side]`, rows of sum 1; see `stage`."""
    small = side // factor
    if kernel == "area":
        return np.repeat(np.eye(small, dtype=np.float32), factor, axis=1) / factor
    return cubic(side, small)


def smooth_inverse(down: np.ndarray) -> np.ndarray:
    """U (A U)⁻¹ along one axis, `[side, small]`, for A `[small, side]`: A times it is the identity.

    The pseudo-inverse would change y least. With the kernel "area" it adds a constant to each block of pixels, and the
    blocks are seen.
    """
    small, side = down.shape
    up = cubic(small, side)
    return (up @ np.linalg.inv(down @ up)).astype(np.float32)


def cubic(side: int, other: int) -> np.ndarray:
    """Keys' cubic along one axis, float32 `[other, side]`; a constant, also where it is asked for while JAX traces."""
    with jax.ensure_compile_time_eval():
        return np.asarray(jax.image.resize(jnp.eye(side), (other, side), "cubic", antialias=True))


def separable(matrices: tuple[np.ndarray, np.ndarray], images: jax.Array) -> jax.Array:
    """Images `[batch, height, width, channels]`, the first matrix along their height, the second along width."""
    return jnp.einsum("ih,bhwc,jw->bijc", matrices[0], images, matrices[1], precision="highest")
