"""The generator G(x, η) of step 2: one evaluation, from a condition and noise to a latent."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.method.stage import Context
from lsdm_jax.condition import Told

PyTree = Any


class Generator(nn.Module):
    """G: noise `[batch, noise_size]` and conditions (`lsdm_jax.condition`) -> latents `[batch, latent_size]`.

    Attributes:
        width: units of each hidden layer.
        depth: hidden layers.
        num_classes: labels, where they are the condition, are 0 … num_classes − 1.
        latent_size: dimension of the latent.
    """

    width: int
    depth: int
    num_classes: int
    latent_size: int

    @nn.compact
    def __call__(self, noise: jax.Array, condition: jax.Array) -> jax.Array:
        x = jnp.concatenate([noise, Told(self.num_classes, self.width)(condition)], axis=-1)
        for _ in range(self.depth):
            x = nn.silu(nn.LayerNorm()(nn.Dense(self.width)(x)))
        return nn.Dense(self.latent_size)(x)


@dataclasses.dataclass(frozen=True)
class OneStep:
    """G with its noise, as matchers use it.

    Attributes:
        generator: the network.
        noise_size: dimension of η ~ N(0, I).
    """

    generator: Generator
    noise_size: int

    @classmethod
    def build(cls, config: ConfigDict, context: Context) -> "OneStep":
        """By the settings noise_size, width and depth of a matcher's section."""
        generator = Generator(config.width, config.depth, context.num_classes, context.model.latent_size)
        return cls(generator, config.noise_size)

    def init(self, key: jax.Array, condition: jax.Array) -> PyTree:
        """Parameters of G."""
        return self.generator.init(key, jnp.zeros((len(condition), self.noise_size)), condition)["params"]

    def draw(self, params: PyTree, key: jax.Array, condition: jax.Array) -> jax.Array:
        """G(x, η) at each x of `condition`: `[batch, latent]`, all from one key."""
        noise = jax.random.normal(key, (len(condition), self.noise_size))
        return self.generator.apply({"params": params}, noise, condition)

    def sample(self, params: PyTree, key: jax.Array, x: jax.Array) -> jax.Array:
        """G(x, η): `[latent]`, one sample from one key."""
        return self.draw(params, key, x[None])[0]
