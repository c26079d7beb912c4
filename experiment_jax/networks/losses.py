"""How far a decoded image is from its original: pixels, structure and perceptual features."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from experiment_jax.config import checks as settings
from experiment_jax.networks import self_supervised as perceptual
from experiment_jax.networks.ssim import ssim

Features = Callable[[jax.Array], list[jax.Array]]  # images -> feature maps [batch, h, w, features]


class Weights(NamedTuple):
    """Of the terms of `loss`: numbers, or scalars where a schedule moves them."""

    l1: float | jax.Array
    ssim: float | jax.Array
    perceptual: float | jax.Array


def loss(
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
    if not settings.is_off(weights.ssim):
        terms["ssim"] = jnp.mean(ssim(images, decoded))
        value += weights.ssim * (1.0 - terms["ssim"])
    if not settings.is_off(weights.perceptual):
        terms["perceptual"] = perceptual.distance(features(images), features(decoded))
        value += weights.perceptual * terms["perceptual"]
    return value, terms
