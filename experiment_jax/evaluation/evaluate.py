"""Evaluation of a run: metrics.json, samples.png and the pictures of its figures under `DIR/eval/<step>/`."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiment_jax.data import conditions
from experiment_jax.data.split import Split
from experiment_jax.errors import UserError
from experiment_jax.evaluation import classification_score, earlier, latents, super_resolution
from experiment_jax.evaluation import protocol as protocols
from experiment_jax.evaluation.output import folder, keeping
from experiment_jax.evaluation.plan import Plan
from experiment_jax.evaluation.real_images import real_images
from experiment_jax.evaluation.reference import Reference, space_of
from experiment_jax.evaluation.shown import picture
from experiment_jax.extractors import judges, public, references, similarity
from experiment_jax.extractors.extractor import Distance
from experiment_jax.method.build import resolve
from experiment_jax.method.stage import Samples
from experiment_jax.metrics import frechet, noise
from experiment_jax.runs import parameters
from experiment_jax.runs.run import Run
from experiment_jax.training import clock
from experiment_jax.training.train import train

Figure = Callable[[Run, Reference], tuple[Mapping[str, Any], Mapping[str, np.ndarray]]]


def evaluate(run: Run, *, figures: Sequence[str] = (), **options: Any) -> dict[str, Any]:
    """Measures a run, writes metrics.json and samples.png, returns the metrics, flat; what does not apply is absent.

    What an earlier evaluation of the same samples measured besides stays among them, see `evaluation.earlier`. Where
    the run's folder cannot be written, a line says so and the metrics are returned all the same.

    Args:
        run: from `load_run`; one that does not sample yet has its reconstructions measured.
        figures: functions "package.module:name" of (run, reference), which return more metrics, by flat key, and
            pictures uint8 `[height, width, 3]`, by the name of their PNG. They come last, when the rest is written.
        options: what is measured, and how: `num_samples`, `protocol`, `repeats`, …; see `Plan`.

    Raises:
        UserError: the run does not decode, no judge is named, samples that cannot be measured, or no such figure, and
            nothing is written; or what a figure refuses.
    """
    plan = Plan(**options)
    if run.model.decode is None and run.model.sample is None:
        stages = ", ".join(run.config.stages)
        raise UserError(f"--workdir {run.workdir}: its stages {stages} make no images; evaluate a run whose stages do")
    drawing: list[Figure] = [resolve(name, "--figures") for name in figures]
    start = time.perf_counter()
    lpips, weights = similarity.find() if plan.with_lpips else (None, "")
    reference, chosen = reference_of(run.config, plan)
    condition = super_resolution.condition(run, chosen, plan.seed)
    results, samples = _measure(run, reference, chosen, condition, plan, lpips)
    results |= {"extractor_lpips": weights} if weights else {}
    results["seconds"] = time.perf_counter() - start
    if (trained := clock.total(run.workdir, run.config.stages)) is not None and run.finished:
        results["training_seconds"] = trained
    if plan.with_cas and samples is not None and run.model.conditional:
        start = time.perf_counter()
        asked = reference.judge.card["recipe"], reference.judge.class_names, Split(samples.images, chosen.labels)
        results["cas"] = classification_score.classification_accuracy_score(*asked, reference.real.test, train)
        results["cas_seconds"] = time.perf_counter() - start
    if run.model.degrade is None or samples is None:
        drawn = picture(run, reference.real.test.images, samples, chosen.labels)
    else:
        drawn = super_resolution.picture(run, chosen, condition, plan.seed)
    with keeping(run) as write:
        results = earlier.joined(folder(run), results)
        write(results, {"samples": drawn})
        for draw in drawing:
            found, drawn = draw(run, reference)
            results |= found
            write(results, drawn)
    return results


def evaluate_images(
    config: ConfigDict, images: np.ndarray, labels: np.ndarray | None, **options: Any
) -> dict[str, Any]:
    """Anybody's samples, uint8 `[N, height, width, channels]`, measured as those of a run are; nothing is written.

    Args:
        config: whose data set, judge and protocol count.
        images: the samples.
        labels: what they should be, int32 `[N]`, -1 where that is not known; None: not known of any.
        options: see `Plan`; there are as many samples as images, drawn once.

    Raises:
        UserError: images of another shape or type, or labels that the data set does not have.
    """
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4:
        found = f"{images.dtype} {list(images.shape)}"
        raise UserError(f"images are {found}; give uint8 [N, height, width, channels], or read them by read_images")
    plan = Plan(**{**options, "num_samples": len(images)})
    reference, _ = reference_of(config, plan)
    if labels is not None:
        labels = conditions.labels(labels, len(reference.judge.class_names), "labels", unknown=True)
        if len(labels) != len(images):
            raise UserError(f"labels are {len(labels)} for {len(images)} images; give one an image")
    features = reference.features_of(images)
    results = {"method": "images", "dataset": config.data.name, **plan.marks()}
    results |= reference.measure_real() | reference.measure_samples(images, features, labels)
    for space in reference.public:
        results |= space.measure_samples(space.extractor.features(space.take(images)))
    return results


def reference_of(config: ConfigDict, plan: Plan) -> tuple[Reference, Split]:
    """The reference of a run's config, its judge trained now if there is none, and the real images `[N]` to draw
    samples for.

    Raises:
        UserError: what `real_images` refuses, a judge or witness of other images, a network that is not installed or
            that the run was trained with, or a reference that does not fit.
    """
    for name in public.trained_on(config) & plan.networks().keys():
        raise UserError(f"--extractor {name}: the run was trained with it, so it does not judge it; name another")
    networks = [(public.find(name, plan.inception_weights), count) for name, count in plan.networks().items()]
    split, count = plan.split_and_count(config)
    found = judges.of_run(config, train, plan.judge)
    real, chosen = real_images(config, split, count, plan.seed)
    given = references.read_all(plan.references, real.compared, real.split)
    judge = found.pop("judge")
    spaces = [space_of(net, count, real, chosen, references.given_of(given, net)) for net, count in networks]
    reference = Reference(judge, real, found, spaces, references.given_of(given, judge.extractor))
    references.check_used(given, [space.extractor for space in reference.spaces])
    for space in reference.spaces:
        space.tell_if_few(len(space.take(chosen.labels)))
    return reference, chosen


def _measure(
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
    real, recon = None, []
    if run.reconstructs:
        real = run.encode(reference.compared.images)
        results |= latents.representation_metrics(run, reference.compared, real)
        of_recon, recon = _measure_reconstructions(run, reference, real, lpips)
        results |= of_recon
    if run.model.sample is None:
        return results, None
    samples, images_per_second = timed(run, run.sample, condition, plan.seed)
    results |= {"nfe": run.model.nfe, "parameters": parameters.count(run), "images_per_second": images_per_second}
    results["latents_per_second"] = timed(run, run.sample_latents, condition, plan.seed)[1]
    if run.model.degrade is None and run.model.conditional and real is not None:
        latents.tell_of_missing_classes(run, reference.real, chosen.labels)
        results |= latents.floor(run, reference.real, real)
    if run.model.degrade is not None:
        results |= super_resolution.measure_rivals(
            run, reference.judge, reference.space.moments, chosen, condition, lpips
        )
    rows = [_measure_samples(run, reference, chosen, condition, real, recon, samples, plan.seed, lpips)]
    for seed in range(plan.seed + 1, plan.seed + plan.repeats):
        more = run.sample(condition, seed)
        rows.append(_measure_samples(run, reference, chosen, condition, real, recon, more, seed, lpips))
    return results | (noise.with_errors(rows) if plan.repeats > 1 else rows[0]), samples


def _measure_reconstructions(
    run: Run, reference: Reference, real: np.ndarray, lpips: Distance | None
) -> tuple[dict[str, Any], list[frechet.Moments]]:
    """What is measured of reconstructions, and their moments in the features of each of the reference's spaces.

    Args:
        run: to measure.
        reference: what it is compared with.
        real: latents `[M, latent]` of the images that samples are compared with.
        lpips: measured too; None: it is not.
    """
    decoded = run.decode(real)
    results, moments = reference.measure_reconstructions(decoded)
    if lpips is not None:
        results["lpips_recon"] = float(np.mean(lpips(decoded, reference.compared.images)))
    recon = [moments]
    for space in reference.public:
        features = space.extractor.features(run.decode(run.encode(space.images)))
        recon.append(frechet.moments([features]))
        results |= space.measure_reconstructions(recon[-1])
    return results, recon


def _measure_samples(
    run: Run,
    reference: Reference,
    chosen: Split,
    condition: np.ndarray,
    real: np.ndarray | None,
    recon: list[frechet.Moments],
    samples: Samples,
    seed: int,
    lpips: Distance | None,
) -> dict[str, Any]:
    """What is measured of samples: in each network's features, in latents, and how their own tests went; for a run
    that does not reconstruct `real` is None, and `recon` empty."""
    labels = chosen.labels
    heeded = labels if run.model.conditional else None
    features = reference.features_of(samples.images)
    results = reference.measure_samples(samples.images, features, heeded)
    of_spaces = [features, *(space.extractor.features(space.take(samples.images)) for space in reference.public)]
    for space, own in zip(reference.public, of_spaces[1:], strict=True):
        results |= space.measure_samples(own)
    if real is not None:
        for space, moments, own in zip(reference.spaces, recon, of_spaces, strict=True):
            results |= space.measure_against(moments, own)
        by_class = heeded if run.model.degrade is None else None
        results |= latents.sample_metrics(reference.real, real, samples.latents, by_class)
    if run.model.tests:
        results |= latents.acceptance_metrics(samples, labels, run.dataset.num_classes)
        latents.warn_of_rejected_classes(run, samples, labels)
    if run.model.degrade is not None:
        results |= super_resolution.measure_samples(
            run, reference.judge, chosen, condition, samples.images, features, seed, lpips
        )
    return results


def timed(run: Run, draw: Callable[..., Any], condition: np.ndarray, seed: int) -> tuple[Any, float]:
    """draw(condition, seed) for conditions `[N, …]`, and how many were drawn a second, compilation left out."""
    draw(condition[: run.config.evaluation.batch_size], seed)
    start = time.perf_counter()
    drawn = draw(condition, seed)
    return drawn, len(condition) / (time.perf_counter() - start)
