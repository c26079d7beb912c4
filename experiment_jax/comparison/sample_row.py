"""One row of images that stands for a run, or for samples in files: its columns are the same classes in every row."""

import dataclasses

import numpy as np

from experiment_jax.data.split import Split
from experiment_jax.drawing import pictures
from experiment_jax.runs.run import Run

CLASSES, EACH = 10, 2  # of the first ten classes two samples each


def of_run(run: Run) -> np.ndarray:
    """The row of a run, drawn from the same keys as that of every other run, whatever its seed: uint8 `[h, w, 3]`.

    Two samples of each of the first ten classes, or of each of the first ten low-resolution test images; of a run that
    does not sample, reconstructions under their originals.
    """
    if run.model.sample is None:
        originals = run.test.images[: CLASSES * EACH]
        return pictures.grid(pictures.alternate(originals, run.decode(run.encode(originals)), CLASSES * EACH))
    if run.model.degrade is None:
        condition = np.arange(min(run.dataset.num_classes, CLASSES), dtype=np.int32)
    else:
        condition = run.observe(run.test.images[:CLASSES])
    return pictures.grid(_of_seed_0(run).sample(np.repeat(condition, EACH, axis=0)).images[None])


def _of_seed_0(run: Run) -> Run:
    """The same frozen run, whose samples come from the keys of seed 0."""
    if run.config.seed == 0:
        return run
    config = run.config.copy_and_resolve_references()
    config.seed = 0
    return dataclasses.replace(run, config=config)


def of_images(samples: Split, num_classes: int) -> np.ndarray:
    """The row of samples: the first two of each of the first ten classes, white where there are fewer; where a label is
    not known, the first twenty: uint8 `[h, w, 3]`.

    Args:
        samples: images uint8 `[N, height, width, channels]`, labels int32 `[N]`, negative ones unknown.
        num_classes: of the data set.
    """
    if (samples.labels < 0).any():
        return pictures.grid(np.asarray(samples.images[: CLASSES * EACH])[None])
    shown = np.full((min(num_classes, CLASSES) * EACH, *samples.images.shape[1:]), pictures.PAPER, np.uint8)
    for label in range(len(shown) // EACH):
        found = np.asarray(samples.images[np.flatnonzero(samples.labels == label)[:EACH]])
        shown[EACH * label : EACH * label + len(found)] = found
    return pictures.grid(shown[None])
