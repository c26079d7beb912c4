"""The run's latents in the plane of the two directions in which those of real images vary most."""

from collections.abc import Sequence

import numpy as np
from sklearn.decomposition import PCA

from experiment_jax.data.split import Split
from experiment_jax.drawing import pages, plots
from experiment_jax.drawing.pages import Markup
from experiment_jax.runs.run import Run

MOST = 1000  # points of a plot
COLOURS = 10  # classes that have one; the others are grey
GREY = "0.7"


def latents(run: Run, held_out: Split) -> Markup:
    """A plot of real latents, and one of samples for the same labels, or low-resolution images; nothing where the run
    does not encode."""
    if run.model.encode is None:
        return Markup()
    real = held_out.take(np.random.default_rng(0).permutation(len(held_out))[:MOST])
    encoded = run.encode(real.images)
    axes = PCA(min(2, *encoded.shape), random_state=0).fit(encoded)
    clouds = {f"{len(real)} real images": (encoded, real.labels)}
    if run.model.sample is not None:
        real = real.labelled if run.model.degrade is None else real
        condition = real.labels if run.model.degrade is None else run.observe(real.images)
        if len(condition):
            clouds[f"{len(real)} samples"] = run.sample_latents(condition), real.labels
    places = {name: (_plane(axes.transform(points)), labels) for name, (points, labels) in clouds.items()}
    limits = _limits(np.concatenate([points for points, _ in places.values()]))
    shares = axes.explained_variance_ratio_.sum()
    drawn = [
        pages.figure(plot(points, labels, run.dataset.class_names, limits), f"latents of {name}", name)
        for name, (points, labels) in places.items()
    ]
    said = (
        f"In the two directions in which latents of real images vary most. They hold {shares:.0%} of the variance; "
        f"latents have {encoded.shape[1]} numbers."
    )
    return pages.join([pages.paragraph(said), pages.gallery(drawn)])


def _plane(points: np.ndarray) -> np.ndarray:
    """Points `[n, 2]`; of latents of one number the second is 0."""
    return np.pad(points, ((0, 0), (0, 2 - points.shape[1])))


def _limits(points: np.ndarray) -> np.ndarray:
    """From where to where each axis goes, `[2, 2]`."""
    least, most = points.min(axis=0), points.max(axis=0)
    room = 0.05 * np.maximum(most - least, 1e-6)
    return np.stack([least - room, most + room], axis=1)


def plot(points: np.ndarray, labels: np.ndarray, class_names: Sequence[str], limits: np.ndarray) -> np.ndarray:
    """Points `[n, 2]` in the colours of the first classes: uint8 `[height, width, 3]`."""
    figure = plots.figure(4.4, 3.4)
    axes = figure.subplots()
    rest = (labels < 0) | (labels >= COLOURS)
    if rest.any():
        axes.scatter(*points[rest].T, s=6, color=GREY, label="others", linewidths=0)
    for label in range(min(len(class_names), COLOURS)):
        own = points[labels == label]
        name = class_names[label][:16].replace("$", r"\$")  # between dollars Matplotlib reads formulas
        axes.scatter(*own.T, s=8, color=f"C{label}", label=name, linewidths=0)
    axes.set(xlim=limits[0], ylim=limits[1])
    axes.tick_params(labelsize="small")
    axes.legend(
        fontsize="small", loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, markerscale=2, handletextpad=0.1
    )
    return plots.image(figure)
