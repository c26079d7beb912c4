"""The `prior` matcher: latents of the law that the representation was trained towards; no generator, no training.

A VAE or WAE draws its own N(0, I): in the units of standardised latents that is N(−mean/scale, I/scale²), with the mean
and scale of the representation. A representation that was trained towards no law gets the normal law of its latents'
mean and mean square, which standardised is N(0, I). Either way the condition is not heeded.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.method.stage import Context, Upstream
from lsdm_jax.matching import Matcher

PyTree = Any


def matcher(config: ConfigDict, context: Context) -> Matcher:
    """The matcher; it has no settings."""
    size = context.model.latent_size

    def fit(latents: np.ndarray, labels: np.ndarray, upstream: Upstream) -> PyTree:
        if context.model.prior is None:
            return {"mean": np.zeros(size, np.float32), "deviation": np.ones((), np.float32)}
        mean, deviation = context.model.prior(upstream)
        return {"mean": mean, "deviation": deviation}

    def sample(fitted: PyTree, key: jax.Array, label: jax.Array) -> jax.Array:
        return fitted["mean"] + fitted["deviation"] * jax.random.normal(key, jnp.shape(fitted["mean"]))

    return Matcher.fitted(fit, sample, conditional=False)
