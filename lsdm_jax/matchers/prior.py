"""The `prior` matcher: latents of the law that the representation was trained towards; no generator, no training.

A VAE or WAE draws its own N(0, I): in the units of standardised latents that is N(−mean/scale, I/scale²), with the mean
and scale of the representation. A representation that was trained towards no law gets the normal law of its latents'
mean and mean square, which standardised is N(0, I). Either way the condition is not heeded.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.method.stage import PyTree, Upstream
from lsdm_jax.matchers.matcher import Matcher


@dataclasses.dataclass(frozen=True)
class PriorMatcher(Matcher):
    """Samples are drawn from one normal law, whatever their condition. Nothing is trained; there are no settings."""

    NAME = "prior"
    conditional = False
    nfe = 0

    def fit(self, latents: np.ndarray, labels: np.ndarray, upstream: Upstream) -> PyTree:
        model = self.context.model
        if model.prior is None:
            return {"mean": np.zeros(model.latent_size, np.float32), "deviation": np.ones((), np.float32)}
        mean, deviation = model.prior(upstream)
        return {"mean": mean, "deviation": deviation}

    def sample(self, params: PyTree, key: jax.Array, x: jax.Array) -> jax.Array:
        return params["mean"] + params["deviation"] * jax.random.normal(key, jnp.shape(params["mean"]))
