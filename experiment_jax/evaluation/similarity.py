"""LPIPS of images and their truths, where the package that has its weights is installed."""

import logging
from collections.abc import Callable

import jax
import numpy as np

from experiment_jax.data import passes
from experiment_jax.networks.pretrained import inputs, weights
from experiment_jax.networks.pretrained.lpips import from_package, lpips

log = logging.getLogger(__name__)
SIDE, BATCH = 64, 100


def find() -> Callable[[np.ndarray, np.ndarray], np.ndarray] | None:
    """(images, truths, uint8 `[N, height, width, 1 or 3]`) -> LPIPS float32 `[N]`, on the host.

    Images are resized to 64×64, bilinearly. None where the package is not installed, or has other weights than those of
    LPIPS 0.1, which is said: the number would be another.
    """
    path = weights.installed(weights.ALEXNET)
    if path is None:
        return None
    if weights.sha256(path) != weights.ALEXNET.sha256:
        log.warning("%s: not LPIPS 0.1, so no lpips; type %s --force-reinstall", path, weights.INSTALL)
        return None
    params, _ = from_package("lpips", f"pip uninstall {weights.ALEXNET.package}")
    compiled, params = jax.jit(_of_pixels), jax.device_put(params)
    return lambda images, truths: passes.over(lambda *pair: compiled(params, *pair), images, truths, batch_size=BATCH)


def _of_pixels(params: dict[str, jax.Array], *pair: jax.Array) -> jax.Array:
    return lpips(params, *(inputs.resized(passes.to_float(images), SIDE) for images in pair))
