"""How far a decoded image is from its original: pixels, structure and perceptual features."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiment_jax.networks.ssim import ssim

Features = Callable[[jax.Array], list[jax.Array]]  # images -> feature maps [batch, h, w, features]


class Weights(NamedTuple):
    """Of the terms of `reconstruction`: numbers, or scalars where a schedule moves them."""

    l1: float | jax.Array
    ssim: float | jax.Array
    perceptual: float | jax.Array


def reconstruction(
    weights: Weights, images: jax.Array, decoded: jax.Array, features: Features | None = None
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """l1 · mean |Y − D| + ssim · (1 − SSIM(Y, D)) + perceptual · mean |f(Y) − f(D)|, and the terms.

    Args:
        weights: a term whose weight is the number 0 is not computed.
        images: Y, `[batch, height, width, channels]` in [-1, 1].
        decoded: D, likewise.
        features: f; needed where `weights.perceptual` is not 0.
    """
    terms = {"l1": jnp.mean(jnp.abs(images - decoded))}
    value = weights.l1 * terms["l1"]
    if _counts(weights.ssim):
        terms["ssim"] = jnp.mean(ssim(images, decoded))
        value += weights.ssim * (1.0 - terms["ssim"])
    if _counts(weights.perceptual):
        terms["perceptual"] = feature_distance(features(images), features(decoded))
        value += weights.perceptual * terms["perceptual"]
    return value, terms


def feature_distance(first: Sequence[jax.Array], second: Sequence[jax.Array]) -> jax.Array:
    """Mean over levels of the mean absolute difference of two lists of feature maps `[batch, h, w, features]`."""
    return jnp.mean(jnp.stack([jnp.mean(jnp.abs(a - b)) for a, b in zip(first, second, strict=True)]))


def _counts(weight: float | jax.Array) -> bool:
    """Whether a term is computed. The value of a scheduled weight is not known while the program is built."""
    return isinstance(weight, jax.Array) or bool(weight)
