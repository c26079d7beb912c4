"""Latents and low-resolution images are standardised: each coordinate is centred, and one scale divides all of them.

Whitening would weigh directions that the decoder hardly uses as much as those that it needs.
"""

import flax
import jax
import numpy as np


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
