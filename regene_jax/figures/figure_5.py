"""Figure 5: combinations with what they were made of, and transitions."""

from functools import partial

import jax
import numpy as np

from experiment_jax.data import split as data
from experiment_jax.drawing import pictures
from experiment_jax.evaluation.reference import Reference
from experiment_jax.method.stage import stream
from experiment_jax.runs.run import Run
from regene_jax.combinations import Bank, Weights, combine, sources
from regene_jax.figures.numbers import NUMBERS, combining
from regene_jax.figures.transitions import pairs, transitions
from regene_jax.hull import weights_of

CLASSES = 10
REPEATS = 2


def combinations(run: Run, reference: Reference) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The pictures `combinations` and `transitions`.

    `combinations`: a column a class; for n = 2, 3 and 5 two rows of decoded combinations, and under each the overlay of
    its sources: their pixels combined with the same weights. What a combination in latent space adds to one of pixels
    is the difference. Nothing is filtered here: an acceptance test has no say.
    `transitions`: a row a class, from one image to another through the latents at ratios 0.1 … 0.9.

    Raises:
        UserError: the run has no hull.
    """
    rows, names = [], []
    for number in NUMBERS:
        decoded, overlays = combined(combining(run, number))
        for above, below in zip(decoded, overlays, strict=True):
            rows += [above, below]
            names += [f"n = {number}", "sources"]
    walks = transitions(run, *pairs(reference.compared, run, CLASSES))
    drawn = {
        "combinations": pictures.label_rows(pictures.grid(np.stack(rows)), names),
        "transitions": pictures.grid(walks),
    }
    return {}, drawn


def combined(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """Decoded combinations and the overlays of their sources, uint8 `[REPEATS, classes, height, width, channels]`."""
    frozen, section = run.model.params["hull"], run.config.hull
    labels = np.tile(np.arange(min(run.dataset.num_classes, CLASSES), dtype=np.int32), REPEATS)
    keys = jax.random.split(stream(run.config.seed, "evidence"), len(labels))
    latents, (index, weights) = jax.tree.map(np.asarray, _drawn(frozen, weights_of(section), keys, labels))
    images = data.view(run.dataset, section.view).images[np.asarray(frozen.images)[index]]
    overlays = np.rint(np.einsum("bn,bnhwc->bhwc", weights, images)).astype(np.uint8)
    return tuple(images.reshape(REPEATS, -1, *images.shape[1:]) for images in (run.decode(latents), overlays))


@partial(jax.jit, static_argnums=1)
def _drawn(bank: Bank, weights: Weights, keys: jax.Array, labels: jax.Array) -> tuple[jax.Array, tuple]:
    """Combinations and their sources."""
    return combine(bank, weights, keys, labels), sources(bank, weights, keys, labels)
