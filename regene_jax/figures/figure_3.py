"""Figure 3: a classifier's latent space next to an autoencoder's."""

from collections.abc import Callable

import numpy as np
from sklearn.manifold import TSNE

from experiment_jax.drawing import pictures, plots
from experiment_jax.errors import UserError
from experiment_jax.evaluation.reference import Reference
from experiment_jax.runs.run import Run, load_run
from regene_jax.figures.transitions import pairs, transitions

POINTS = 2000
CLASSES = 5


def embed(latents: np.ndarray) -> np.ndarray:
    """t-SNE of latents `[N, latent]`: `[N, 2]`, the same at every call."""
    perplexity = min(30.0, (len(latents) - 1) / 3)
    return TSNE(perplexity=perplexity, init="pca", random_state=0).fit_transform(latents)


def latent_spaces(
    run: Run, reference: Reference, embed: Callable[[np.ndarray], np.ndarray] = embed
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The pictures `latent_spaces` and `latent_space_transitions`, of this run and of an autoencoder's.

    `latent_spaces`: the latents of the same 2,000 test images in the plane, one panel for each space, coloured by
    class. Distances between clusters mean nothing there. `latent_space_transitions`: two rows for each class, one for
    each space, from one image to another at ratios 0.1 … 0.9.

    The config's `evaluation.autoencoder` is the directory of the autoencoder's run. Without it the pictures show this
    run alone.

    Args:
        run: that encodes and decodes.
        reference: whose test images are drawn.
        embed: latents `[N, latent]` -> points `[N, 2]`.

    Raises:
        UserError: that directory holds no finished run, or one that does not encode and decode this data set's images.
    """
    spaces = {"classifier" if run.model.classify is not None else run.config.method: run}
    if other := run.config.evaluation.get("autoencoder", ""):
        spaces["autoencoder"] = _autoencoder(other, run)
    test = reference.real.test.labelled
    images = test.take(np.random.default_rng(0).permutation(len(test))[:POINTS])
    figure = plots.figure(5 * len(spaces) + 1, 5)
    for place, (name, space) in enumerate(spaces.items(), start=1):
        panel = figure.add_subplot(1, len(spaces), place, title=name, xticks=[], yticks=[])
        _scatter(panel, embed(space.encode(images.images)), images.labels, run.dataset.class_names)
    figure.legend(*panel.get_legend_handles_labels(), loc="outside right center", markerscale=3)
    ends = pairs(reference.real.test, run, CLASSES)
    walks = [transitions(space, *ends) for space in spaces.values()]
    rows = np.stack(walks, axis=1).reshape(-1, *walks[0].shape[1:])
    drawn = pictures.label_rows(pictures.grid(rows), [*spaces] * len(ends[0]))
    return {}, {"latent_spaces": plots.image(figure), "latent_space_transitions": drawn}


def _scatter(panel, points: np.ndarray, labels: np.ndarray, names: tuple[str, ...]) -> None:
    for label in np.unique(labels):
        panel.scatter(*points[labels == label].T, s=4, color=f"C{label % 10}", label=names[label])


def _autoencoder(workdir: str, run: Run) -> Run:
    try:
        other = load_run(workdir)
    except UserError as error:
        raise UserError(f"evaluation.autoencoder={workdir}: {error}") from None
    if other.model.encode is None or other.model.decode is None or other.config.data.name != run.config.data.name:
        raise UserError(
            f"evaluation.autoencoder={workdir}: its stages are {', '.join(other.config.stages)}, its data "
            f"{other.config.data.name}; name a run that encodes and decodes {run.config.data.name}"
        )
    return other
