"""Structural similarity (Wang et al. 2004) of images in [-1, 1]."""

import dm_pix as pix
import jax


def ssim(first: jax.Array, second: jax.Array) -> jax.Array:
    """SSIM of each pair: `[batch, height, width, channels]` in [-1, 1], twice -> `[batch]`.

    Gaussian window 11×11 with σ = 1.5 as in the paper; images under 11 pixels get 7×7 with σ = 0.8.
    """
    small = min(first.shape[1:3]) < 11
    return pix.ssim(first, second, max_val=2.0, filter_size=7 if small else 11, filter_sigma=0.8 if small else 1.5)
