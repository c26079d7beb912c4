"""Structural similarity (Wang et al. 2004) of images in [-1, 1]."""

import jax
import jax.numpy as jnp
import numpy as np

RANGE = 2.0  # of the images: from -1 to 1


def ssim(first: jax.Array, second: jax.Array) -> jax.Array:
    """SSIM of each pair: `[batch, height, width, channels]` in [-1, 1], twice -> `[batch]`.

    Gaussian window 11×11 with σ = 1.5 as in the paper; images under 11 pixels get 7×7 with σ = 0.8. Mean over the
    windows that lie inside the image.
    """
    size, sigma = (7, 0.8) if min(first.shape[1:3]) < 11 else (11, 1.5)
    down, across = (_windows(side, size, sigma) for side in first.shape[1:3])

    def mean(images: jax.Array) -> jax.Array:
        """Weighted means over all windows. As two matrix products: a convolution of one channel is slow on CPU."""
        return jnp.einsum("ih,bhwc,jw->bijc", down, images, across, precision="highest")

    mean_1, mean_2 = mean(first), mean(second)
    variance_1 = mean(first**2) - mean_1**2
    variance_2 = mean(second**2) - mean_2**2
    covariance = mean(first * second) - mean_1 * mean_2
    c1, c2 = (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    structure = (2 * covariance + c2) / (variance_1 + variance_2 + c2)
    return jnp.mean(luminance * structure, axis=(1, 2, 3))


def _windows(side: int, size: int, sigma: float) -> np.ndarray:
    """`[side - size + 1, side]`: the Gaussian's weights at every place of the window along one axis."""
    weights = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    matrix = np.zeros((side - size + 1, side), np.float32)
    for place in range(len(matrix)):
        matrix[place, place : place + size] = weights / weights.sum()
    return matrix
