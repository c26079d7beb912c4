"""What an evaluation measures of a run: once of its reconstructions, and as often as asked of its samples."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from experiment_jax.data.split import Split
from experiment_jax.evaluation import latents, super_resolution
from experiment_jax.evaluation import protocol as protocols
from experiment_jax.evaluation.plan import Plan
from experiment_jax.evaluation.reference import Reference
from experiment_jax.evaluation.similarity import Distance
from experiment_jax.method.stage import Samples
from experiment_jax.metrics import frechet, noise
from experiment_jax.runs.run import Run


def measure(
    run: Run, reference: Reference, chosen: Split, condition: np.ndarray, plan: Plan, lpips: Distance | None = None
) -> tuple[dict[str, Any], Samples | None]:
    """All metrics but those of figures and `cas`, and the samples of the first seed, where the run samples.

    Args:
        run: to measure.
        reference: what it is compared with.
        chosen: the real images `[N]` to draw samples for.
        condition: of these, what samples are drawn for.
        plan: the options.
        lpips: measured of reconstructions, and of what super-resolution finds; None: it is not.
    """
    results = {"method": run.config.method, "dataset": run.config.data.name, "step": run.step}
    results |= {"protocol": protocols.name_of(reference.real.split, len(chosen)), **plan.marks()}
    results |= reference.measure_real()
    compared = reference.compared
    real = run.encode(compared.images)
    results |= latents.representation_metrics(run, compared, real)
    decoded = run.decode(real)
    of_recon, moments = reference.measure_reconstructions(decoded)
    results |= of_recon
    if lpips is not None:
        results["lpips_recon"] = float(np.mean(lpips(decoded, compared.images)))
    recon = [moments]
    for space in reference.public:
        features = space.extractor.features(run.decode(run.encode(space.images)))
        recon.append(frechet.moments([features]))
        results |= space.measure_reconstructions(recon[-1])
    if run.model.sample is None:
        return results, None
    samples, images_per_second = timed(run, run.sample, condition, plan.seed)
    results |= {"nfe": run.model.nfe, "images_per_second": images_per_second}
    results["latents_per_second"] = timed(run, run.sample_latents, condition, plan.seed)[1]
    if run.model.degrade is not None:
        results |= super_resolution.measure_rivals(run, reference, chosen, condition, lpips)
    rows = [_measure_samples(run, reference, chosen, condition, real, recon, samples, plan.seed, lpips)]
    for seed in range(plan.seed + 1, plan.seed + plan.repeats):
        more = run.sample(condition, seed)
        rows.append(_measure_samples(run, reference, chosen, condition, real, recon, more, seed, lpips))
    return results | (noise.with_errors(rows) if plan.repeats > 1 else rows[0]), samples


def _measure_samples(
    run: Run,
    reference: Reference,
    chosen: Split,
    condition: np.ndarray,
    real: np.ndarray,
    recon: list[frechet.Moments],
    samples: Samples,
    seed: int,
    lpips: Distance | None,
) -> dict[str, Any]:
    """What is measured of samples: in each network's features, in latents, and how their own tests went."""
    labels = chosen.labels
    heeded = labels if run.model.conditional else None
    features = reference.features_of(samples.images)
    results = reference.measure_samples(samples.images, features, heeded)
    results |= reference.space.measure_against(recon[0], features)
    for space, moments in zip(reference.public, recon[1:], strict=True):
        own = space.extractor.features(space.take(samples.images))
        results |= space.measure_samples(own) | space.measure_against(moments, own)
    by_class = heeded if run.model.degrade is None else None
    results |= latents.sample_metrics(run, reference.real, real, samples.latents, by_class)
    if run.model.tests:
        results |= latents.acceptance_metrics(samples, labels, run.dataset.num_classes)
        latents.warn_of_rejected_classes(run, samples, labels)
    if run.model.degrade is not None:
        results |= super_resolution.measure_samples(run, reference, chosen, condition, samples.images, seed, lpips)
    return results


def timed(run: Run, draw: Callable[..., Any], condition: np.ndarray, seed: int) -> tuple[Any, float]:
    """draw(condition, seed) for conditions `[N, …]`, and how many were drawn a second, compilation left out."""
    draw(condition[: run.config.evaluation.batch_size], seed)
    start = time.perf_counter()
    drawn = draw(condition, seed)
    return drawn, len(condition) / (time.perf_counter() - start)
