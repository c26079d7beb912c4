"""The condition X, a class or a low-resolution image, as costs and networks see it.

Matchers get conditions as int32 labels `[batch]`, or as images that `Model.embed` has made float32 vectors `[batch,
features]` of mean square 1 a coordinate.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Context
from experiment_jax.networks.layers import trunk


def is_image(context: Context) -> bool:
    """Whether the condition is an image and not a label."""
    return context.model.degrade is not None


def is_label(condition: jax.Array) -> bool:
    """Whether these conditions `[batch]` or `[batch, features]` are labels."""
    return jnp.issubdtype(condition.dtype, jnp.integer)


def phi(condition: jax.Array, num_classes: int) -> jax.Array:
    """φ(x) `[batch, k]`, in which conditions are 1 apart.

    A label is one-hot/√2: two classes are 1 apart. An image of m features is x/√(2m): of independent images x, x′ whose
    features have mean square 1, E‖φ(x) − φ(x′)‖² = 1.
    """
    if is_label(condition):
        return expected_phi(jax.nn.one_hot(condition, num_classes))
    return condition / jnp.sqrt(2.0 * condition.shape[-1])


def expected_phi(probabilities: jax.Array) -> jax.Array:
    """E φ(X) of a label X that is known by its probabilities `[batch, classes]`; of one that is certain, its φ."""
    return probabilities / jnp.sqrt(2.0)


class ConditionEncoder(nn.Module):
    """What a network sees of the condition: labels one-hot, images through two layers; `[batch, features]`.

    Attributes:
        num_classes: labels are 0 … num_classes − 1.
        width: units of each layer. The layers are dense, because a low-resolution image is small, and because a step of
            some matchers is a loop, in which convolutions are many times slower on CPU.
    """

    num_classes: int
    width: int

    @nn.compact
    def __call__(self, condition: jax.Array) -> jax.Array:
        if is_label(condition):
            return jax.nn.one_hot(condition, self.num_classes)
        return trunk(condition, self.width, depth=2)
