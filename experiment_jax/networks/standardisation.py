"""Latents and low-resolution images are standardised: each coordinate is centred, and one scale divides all of them.

Whitening would weigh directions that the decoder hardly uses as much as those that it needs.
"""

from collections.abc import Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.data import passes
from experiment_jax.method.stage import Context, Stage, Upstream


@flax.struct.dataclass
class Standardisation:
    """z -> (z − mean) / scale, after which the mean square of a coordinate is 1.

    Attributes:
        mean: of each coordinate, float32 `[…]`.
        scale: of all, a float32 scalar.
    """

    mean: jax.Array
    scale: jax.Array

    def standardise(self, points: jax.Array) -> jax.Array:
        """(z − mean) / scale, of points `[…, *mean]` as they come."""
        return (points - self.mean) / self.scale

    def unstandardise(self, points: jax.Array) -> jax.Array:
        """The inverse of `standardise`."""
        return points * self.scale + self.mean


def moments(points: np.ndarray) -> dict[str, np.ndarray]:
    """`mean` and `scale` of points `[N, …]`, taken in float64."""
    points = points.astype(np.float64)
    mean = points.mean(axis=0)
    scale = np.sqrt(np.mean((points - mean) ** 2))
    return {"mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}


class StandardisedStage(Stage):
    """A stage of an encoder and a decoder whose latents are standardised over its view, so that all samplers may draw
    them. Its `Frozen` inherits `Standardisation`.

    Attributes:
        context: see `Context`.
        latent_size: dimension of the latents.
        latent_shape: (height, width, channels) of latents with places, see `grid`.
        towards_normal: whether latents are trained towards N(0, I).
    """

    context: Context
    latent_size: int
    latent_shape: tuple[int, ...] = ()
    towards_normal: bool

    def raw_latents(self, own: Any, images: jax.Array) -> jax.Array:
        """Latents `[batch, latent]` of images in [-1, 1], as the encoder gives them; `own` is a `Frozen`."""
        raise TypeError(f"{self.context.name} must say how it encodes")

    def raw_images(self, own: Any, latents: jax.Array) -> jax.Array:
        """Images in [-1, 1] of such latents."""
        raise TypeError(f"{self.context.name} must say how it decodes")

    def finish(self, state: Any, view: Any, upstream: Upstream) -> Any:
        unscaled = self.Frozen(**self.averaged(state), mean=np.zeros((), np.float32), scale=np.ones((), np.float32))
        return unscaled.replace(**moments(passes.over_images(self.raw_latents, unscaled, view.images)))

    @property
    def provides(self) -> Mapping[str, Any]:
        prior = {"prior": self.prior} if self.towards_normal else {}
        own = dict(encode=self.encode, decode=self.decode, decoder=self.context.name)
        return dict(**own, latent_size=self.latent_size, latent_shape=tuple(self.latent_shape), **prior)

    def encode(self, params: Upstream, images: jax.Array) -> jax.Array:
        own = params[self.context.name]
        return own.standardise(self.raw_latents(own, images))

    def decode(self, params: Upstream, latents: jax.Array) -> jax.Array:
        own = params[self.context.name]
        return self.raw_images(own, own.unstandardise(latents))

    def prior(self, params: Upstream) -> tuple[jax.Array, jax.Array]:
        """N(0, I) of the latents as they come, standardised as they are: its mean `[latent]` and deviation."""
        own = params[self.context.name]
        return own.standardise(jnp.zeros(self.latent_size)), 1.0 / own.scale
