"""What an evaluation measures in a run's own latents, and how the sampler's own tests went."""

import functools
import logging
from collections.abc import Callable
from typing import Any

import numpy as np

from experiment_jax.data.split import UNPAIRED, Split
from experiment_jax.evaluation.real_images import RealImages
from experiment_jax.method.stage import Samples
from experiment_jax.metrics import latents as metrics
from experiment_jax.metrics import transport
from experiment_jax.metrics.accuracy import share_right
from experiment_jax.runs.run import Run

log = logging.getLogger(__name__)

LEAST = {"w1_latent": 1, "spread": 2}  # images, and samples, that a class needs to count
Cloud = tuple[np.ndarray, np.ndarray]  # latents [N, latent] and their labels int32 [N]


def representation_metrics(run: Run, real: Split, latents: np.ndarray) -> dict[str, Any]:
    """Size and sparsity of the latents `[M, latent]` of real images; how right the run's own head and labeller are."""
    results = {"latent_size": latents.shape[1], "latent_near_zero": metrics.near_zero(latents)}
    if latents.shape[1] > 1:
        results["latent_hoyer"] = metrics.hoyer(latents)
    if run.model.classify is not None:
        results["accuracy_classifier"] = share_right(run.classify(latents), real.labels)
    if run.model.posterior is not None:
        found = run.posterior(real.images)
        results["accuracy_labeller"] = share_right(np.argmax(found, axis=-1), real.labels)
        results["confidence_labeller"] = float(np.mean(np.max(found, axis=-1)))
    return {key: value for key, value in results.items() if value is not None}


def tell_of_missing_classes(run: Run, real: RealImages, labels: np.ndarray) -> None:
    """Logs, in one line, which classes have no part in what goes by class.

    Args:
        run: whose classes they are.
        real: the real images.
        labels: of the samples, int32 `[N]`.
    """
    names, sides = run.dataset.class_names, (labels, real.compared.labels)
    for metric, least in LEAST.items():
        poor = np.setdiff1d(np.arange(len(names)), _shared(*sides, least))
        if len(poor):
            found = ", ".join(f"{names[c]} ({sum(sides[1] == c)} images, {sum(labels == c)} samples)" for c in poor[:5])
            log.warning(
                "%s is a mean over %d of %d classes; the others need %d images and samples: %s%s",
                *(metric, len(names) - len(poor), len(names), least, found, ", …" if len(poor) > 5 else ""),
            )


def _shared(labels: np.ndarray, others: np.ndarray, least: int) -> np.ndarray:
    """The classes, ascending, of which both sides have `least` or more."""
    sides = (np.unique(side[side != UNPAIRED], return_counts=True) for side in (labels, others))
    return functools.reduce(np.intersect1d, [classes[counts >= least] for classes, counts in sides])


def _by_class(measure: Callable[..., Any], one: Cloud, other: Cloud, least: int) -> float | None:
    """The mean of `measure(points, labels, others, their labels, classes)` over the classes of which both have `least`
    or more; None: there is none."""
    classes = _shared(one[1], other[1], least)
    if not len(classes):
        return None
    clouds = []
    for points, labels in (one, other):
        kept = np.isin(labels, classes)
        clouds += [points[kept], np.searchsorted(classes, labels[kept])]
    return float(np.mean(measure(*clouds, len(classes))))


def floor(run: Run, real: RealImages, latents: np.ndarray) -> dict[str, float]:
    """`w1_latent_floor`: W₁ per class of real images of the other split to those that samples are compared with.

    They are as many of each class as there are samples; where there are not as many, it is absent. The mean is over
    the classes that both have, as in `sample_metrics`.

    Args:
        run: whose latents they are.
        real: the real images.
        latents: of those that samples are compared with, `[M, latent]`.
    """
    if not real.matched:
        return {}
    other = run.encode(real.other.images), real.other.labels
    found = _by_class(transport.w1_per_class, other, (latents, real.compared.labels), LEAST["w1_latent"])
    return {} if found is None else {"w1_latent_floor": found}


def sample_metrics(
    real: RealImages, latents: np.ndarray, samples: np.ndarray, labels: np.ndarray | None
) -> dict[str, float]:
    """`w1_latent` and `spread`, exact and per class, and the sliced W₁ of all; in the model's latents.

    What goes by class is a mean over the classes that have images and samples, and absent where none has.

    Args:
        real: the real images.
        latents: of those that samples are compared with, `[M, latent]`.
        samples: latents `[N, latent]`.
        labels: of the samples, int32 `[N]`; None: they heed none, and what goes by class is absent.
    """
    sliced = {"w1_latent_sliced": transport.w1_sliced(samples, latents)}
    if labels is None:
        return sliced
    clouds = (samples, labels), (latents, real.compared.labels)
    results = {
        "w1_latent": _by_class(transport.w1_per_class, *clouds, LEAST["w1_latent"]),
        **sliced,
        "spread": _by_class(metrics.spread, *clouds, LEAST["spread"]),
    }
    return {key: value for key, value in results.items() if value is not None}


def acceptance_metrics(samples: Samples, labels: np.ndarray, num_classes: int) -> dict[str, Any]:
    """How a sampler's own tests went: `accepted`, share of samples that passed them; `acceptance_rate`, share of
    candidates that did, Σ accepted / Σ tries; and that for each class, None for one without samples.

    Args:
        samples: on the host.
        labels: of the samples, int32 `[N]`.
        num_classes: of the data set.
    """
    accepted = np.bincount(labels, weights=samples.accepted, minlength=num_classes)
    tries = np.bincount(labels, weights=samples.tries, minlength=num_classes)
    return {
        "accepted": float(accepted.sum() / len(labels)),
        "acceptance_rate": float(accepted.sum() / tries.sum()),
        "acceptance_rate_by_class": [float(a / t) if t else None for a, t in zip(accepted, tries, strict=True)],
    }


def warn_of_rejected_classes(run: Run, samples: Samples, labels: np.ndarray) -> None:
    """Logs each class that the sampler's own tests accepted no sample of."""
    stage = next((name for name in run.config.stages if "tries" in run.config[name]), run.config.stages[-1])
    for label in np.unique(labels):
        own = labels == label
        if not samples.accepted[own].any():
            log.warning(
                "class %d (%s): none of %d candidates for %d samples was accepted; train with a larger "
                "--config.%s.tries, or the classifier for longer, in another --workdir",
                *(label, run.dataset.class_names[label], samples.tries[own].sum(), own.sum(), stage),
            )
