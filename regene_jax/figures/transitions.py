"""Walks from one image to another through a latent space."""

import numpy as np

from experiment_jax.data.split import Split
from experiment_jax.runs.run import Run

RATIOS = tuple(round(0.1 * number, 1) for number in range(1, 10))


def pairs(images: Split, run: Run, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two different images of one class for each of the first `count` classes: uint8 `[classes, …]`, twice.

    Where the run classifies, images that it classifies rightly: Lemma 1 speaks of those. A class that has not two of
    them is left out.

    Args:
        images: with their labels; those without one are left out.
        run: whose classifier is asked.
        count: of classes, at most.
        seed: of the choice.
    """
    images = images.labelled
    right = np.ones(len(images), bool)
    if run.model.classify is not None:
        right = run.classify(run.encode(images.images)) == images.labels
    generator = np.random.default_rng(seed)
    members = [np.flatnonzero(right & (images.labels == label)) for label in np.unique(images.labels)[:count]]
    chosen = np.stack([generator.choice(rows, 2, replace=False) for rows in members if len(rows) > 1])
    return images.images[chosen[:, 0]], images.images[chosen[:, 1]]


def transitions(run: Run, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Rows of images: the first, D((1 − α) E(first) + α E(second)) for α = 0.1 … 0.9, the second.

    Args:
        run: that encodes and decodes.
        first: uint8 `[N, height, width, channels]`.
        second: likewise.

    Returns:
        uint8 `[N, 11, height, width, channels]`; the two at the ends are the images themselves.
    """
    ratio = np.asarray(RATIOS, np.float32)[:, None]
    start, end = run.encode(first)[:, None], run.encode(second)[:, None]
    latents = (1 - ratio) * start + ratio * end
    walks = run.decode(latents.reshape(-1, latents.shape[-1])).reshape(len(first), len(RATIOS), *first.shape[1:])
    return np.concatenate([first[:, None], walks, second[:, None]], axis=1)
