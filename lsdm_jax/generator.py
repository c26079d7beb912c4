"""The generator G(x, η) of step 2: one evaluation, from a condition and noise to a latent."""

import flax.linen as nn
import jax
import jax.numpy as jnp


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
