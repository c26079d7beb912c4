"""LPIPS (Zhang et al. 2018), version 0.1 with AlexNet: how different two images look to people.

    d(y, y') = Σ_l mean over places of Σ_c w_lc (f̂_lc(y) − f̂_lc(y'))²

f̂_l are the activations of layer l divided at each place by their norm over channels, w_l weights that were fitted to
people's judgements.
"""

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from experiment_jax.networks.pretrained import alexnet, inputs, weights

TINY = 1e-10  # added to norms


def from_package(asked: str, instead: str) -> tuple[dict[str, jax.Array], str]:
    """The weights of AlexNet, w `[channels]` of each layer as "linear_<layer>", and the digest of their file.

    For the arguments and errors see `weights.read`.
    """
    held, digest = weights.read(weights.ALEXNET, asked, instead)
    params = alexnet.take(held)
    for number, (*_, channels, _) in enumerate(alexnet.LAYERS):
        linear = held.take(f"NetLinLayer_{number}/Conv_0/kernel", 1, 1, channels, 1)
        params[f"linear_{number}"] = linear.reshape(channels)
    return params, digest


def lpips(params: Mapping[str, jax.Array], first: jax.Array, second: jax.Array) -> jax.Array:
    """d of each pair of images.

    Args:
        params: see `from_package`.
        first: `[batch, height, width, 1 or 3]` in [-1, 1], sides of at least 31; grey is repeated.
        second: likewise.

    Returns:
        float32 `[batch]`, 0 for equal images.
    """
    maps = (alexnet.features(params, inputs.scaled(images)) for images in (first, second))
    distance = jnp.zeros(len(first))
    for number, (one, other) in enumerate(zip(*maps, strict=True)):
        weighted = (_directions(one) - _directions(other)) ** 2 @ params[f"linear_{number}"]
        distance += jnp.mean(weighted, axis=(1, 2))
    return distance


def _directions(maps: jax.Array) -> jax.Array:
    return maps / (jnp.linalg.norm(maps, axis=-1, keepdims=True) + TINY)
