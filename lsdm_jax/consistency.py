"""What is expected of an image without a label, and the loss of not saying it at another view of the image."""

import jax
import jax.numpy as jnp
import optax


def agreed(first: jax.Array, second: jax.Array) -> jax.Array:
    """The normalised geometric mean of two opinions `[batch, classes]`; zeros where they share no class."""
    return _normalised(jnp.sqrt(first * second))


def _normalised(values: jax.Array) -> jax.Array:
    return values / jnp.maximum(jnp.sum(values, axis=-1, keepdims=True), 1e-12)


def align(probabilities: jax.Array, found: jax.Array, shares: jax.Array) -> jax.Array:
    """q̃ `[batch, classes]`: probabilities, their mean `found` `[classes]` brought to the classes' `shares`."""
    return _normalised(probabilities * shares / jnp.maximum(found, 1e-6))


def loss(logits: jax.Array, expected: jax.Array, threshold: float) -> tuple[jax.Array, jax.Array]:
    """The cross-entropy of the likeliest expected class, a mean over the batch in which what is not sure counts 0.

    Args:
        logits: at the strong change, `[batch, classes]`.
        expected: q̃ `[batch, classes]`.
        threshold: of max q̃, below which a row counts 0.

    Returns:
        The loss, and the share of rows that count.
    """
    sure = jnp.max(expected, axis=-1) >= threshold
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.argmax(expected, axis=-1))
    return jnp.mean(jnp.where(sure, losses, 0.0)), jnp.mean(sure)
