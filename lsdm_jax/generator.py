"""The generator G(x, η) of step 2: one evaluation, from a condition and noise to a latent."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.stage import Context

PyTree = Any


class Generator(nn.Module):
    """G: noise `[batch, noise_size]` and labels int32 `[batch]` -> latents `[batch, latent_size]`.

    Attributes:
        width: units of each hidden layer.
        depth: hidden layers.
        num_classes: labels are 0 … num_classes − 1.
        latent_size: dimension of the latent.
    """

    width: int
    depth: int
    num_classes: int
    latent_size: int

    @nn.compact
    def __call__(self, noise: jax.Array, labels: jax.Array) -> jax.Array:
        x = jnp.concatenate([noise, jax.nn.one_hot(labels, self.num_classes)], axis=-1)
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

    def init(self, key: jax.Array, labels: jax.Array) -> PyTree:
        """Parameters of G."""
        return self.generator.init(key, jnp.zeros((len(labels), self.noise_size)), labels)["params"]

    def draw(self, params: PyTree, key: jax.Array, labels: jax.Array) -> jax.Array:
        """G(labels, η): `[batch, latent]`, all from one key."""
        noise = jax.random.normal(key, (len(labels), self.noise_size))
        return self.generator.apply({"params": params}, noise, labels)

    def sample(self, params: PyTree, key: jax.Array, label: jax.Array) -> jax.Array:
        """G(label, η): `[latent]`, one sample from one key."""
        return self.draw(params, key, label[None])[0]
