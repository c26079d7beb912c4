"""LPIPS of images and their truths, of installed weights."""

import jax
import numpy as np

from experiment_jax.data import passes
from experiment_jax.extractors.extractor import Distance
from experiment_jax.networks.pretrained import inputs
from experiment_jax.networks.pretrained.lpips import from_package, lpips

SIDE, BATCH = 64, 100


def find() -> tuple[Distance, str]:
    """(images, truths, uint8 `[N, height, width, 1 or 3]`) -> LPIPS float32 `[N]` on the host, and the weights' digest.

    Images are resized to 64×64, bilinearly.

    Raises:
        UserError: the package that has the weights is not installed.
    """
    params, digest = from_package("--lpips", "leave --lpips out")
    compiled, params = jax.jit(_of_pixels), jax.device_put(params)

    def distance(images: np.ndarray, truths: np.ndarray) -> np.ndarray:
        return passes.over(lambda *pair: compiled(params, *pair), images, truths, batch_size=BATCH)

    return distance, digest


def _of_pixels(params: dict[str, jax.Array], *pair: jax.Array) -> jax.Array:
    return lpips(params, *(inputs.resized(passes.to_float(images), SIDE) for images in pair))
