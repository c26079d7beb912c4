"""What an evaluation measures in a run's own latents, and how the sampler's own tests went."""

import logging
from typing import Any

import numpy as np

from experiment_jax.data.split import Split
from experiment_jax.evaluation.real_images import RealImages
from experiment_jax.method.stage import Samples
from experiment_jax.metrics import latents as metrics
from experiment_jax.metrics import transport
from experiment_jax.runs.run import Run

log = logging.getLogger(__name__)


def representation_metrics(run: Run, real: Split, latents: np.ndarray) -> dict[str, Any]:
    """Size and sparsity of the latents `[M, latent]` of real images; how right the run's own head and labeller are."""
    results = {"latent_size": latents.shape[1], "latent_near_zero": metrics.near_zero(latents)}
    if latents.shape[1] > 1:
        results["latent_hoyer"] = metrics.hoyer(latents)
    if run.model.classify is not None:
        results["accuracy_classifier"] = float(np.mean(run.classify(latents) == real.labels))
    if run.model.posterior is not None:
        found = run.posterior(real.images)
        results["accuracy_labeller"] = float(np.mean(np.argmax(found, axis=-1) == real.labels))
        results["confidence_labeller"] = float(np.mean(np.max(found, axis=-1)))
    return results


def floor(run: Run, real: RealImages, latents: np.ndarray) -> dict[str, float]:
    """`w1_latent_floor`: W₁ per class of real images of the other split to those that samples are compared with.

    They are as many of each class as there are samples; where there are not as many, it is absent.

    Args:
        run: whose latents they are.
        real: the real images.
        latents: of those that samples are compared with, `[M, latent]`.
    """
    if not real.matched:
        return {}
    other = run.encode(real.other.images), real.other.labels
    distances = transport.w1_per_class(*other, latents, real.compared.labels, run.dataset.num_classes)
    return {"w1_latent_floor": float(np.mean(distances))}


def sample_metrics(
    run: Run, real: RealImages, latents: np.ndarray, samples: np.ndarray, labels: np.ndarray | None
) -> dict[str, float]:
    """`w1_latent` and `spread`, exact and per class, and the sliced W₁ of all; in the model's latents.

    Args:
        run: whose latents they are.
        real: the real images.
        latents: of those that samples are compared with, `[M, latent]`.
        samples: latents `[N, latent]`.
        labels: of the samples, int32 `[N]`; None: they heed none, and what goes by class is absent.
    """
    sliced = {"w1_latent_sliced": transport.w1_sliced(samples, latents)}
    if labels is None:
        return sliced
    classes = run.dataset.num_classes
    reference = latents, real.compared.labels
    generated = samples, labels
    return {
        "w1_latent": float(np.mean(transport.w1_per_class(*generated, *reference, classes))),
        **sliced,
        "spread": metrics.spread(*generated, *reference, classes),
    }


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
