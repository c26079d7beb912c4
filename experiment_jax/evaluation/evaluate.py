"""Evaluation of a run: metrics.json, samples.png and the pictures of its figures under `DIR/eval/<step>/`."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiment_jax.data.split import UNPAIRED, Split
from experiment_jax.drawing import pictures
from experiment_jax.errors import UserError
from experiment_jax.evaluation import (
    classification_score,
    extractors,
    judges,
    references,
    similarity,
    super_resolution,
)
from experiment_jax.evaluation.measure import measure
from experiment_jax.evaluation.plan import Plan
from experiment_jax.evaluation.real_images import real_images
from experiment_jax.evaluation.reference import Reference
from experiment_jax.evaluation.space import space_of
from experiment_jax.files import write_text
from experiment_jax.method.build import resolve
from experiment_jax.method.stage import Samples
from experiment_jax.runs.run import Run
from experiment_jax.training.train import train

Figure = Callable[[Run, Reference], tuple[Mapping[str, Any], Mapping[str, np.ndarray]]]
COLUMNS = 10  # of the picture


def evaluate(run: Run, *, figures: Sequence[str] = (), **options: Any) -> dict[str, Any]:
    """Measures a run, writes metrics.json and samples.png, returns the metrics, flat; what does not apply is absent.

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
    if run.model.decode is None:
        stages = ", ".join(run.config.stages)
        raise UserError(f"--workdir {run.workdir}: its stages {stages} make no images; evaluate a run whose stages do")
    drawing: list[Figure] = [resolve(name, "--figures") for name in figures]
    start = time.perf_counter()
    lpips, weights = similarity.find() if plan.with_lpips else (None, "")
    reference, chosen = reference_of(run.config, plan)
    condition = super_resolution.condition(run, chosen, plan.seed)
    results, samples = measure(run, reference, chosen, condition, plan, lpips)
    results |= {"extractor_lpips": weights} if weights else {}
    results["seconds"] = time.perf_counter() - start
    if plan.with_cas and samples is not None and run.model.conditional:
        start = time.perf_counter()
        asked = reference.judge.card["recipe"], reference.judge.class_names, Split(samples.images, chosen.labels)
        results["cas"] = classification_score.classification_accuracy_score(*asked, reference.real.test, train)
        results["cas_seconds"] = time.perf_counter() - start
    if run.model.degrade is None or samples is None:
        drawn = picture(run, reference.real.test.images, samples, chosen.labels)
    else:
        drawn = super_resolution.picture(run, chosen, condition, plan.seed)
    _write(run, results, {"samples": drawn})
    for draw in drawing:
        found, drawn = draw(run, reference)
        results |= found
        _write(run, results, drawn)
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
        UserError: images of another shape, or labels that the data set does not have.
    """
    plan = Plan(**{**options, "num_samples": len(images)})
    reference, _ = reference_of(config, plan)
    classes = len(reference.judge.class_names)
    if labels is not None and not UNPAIRED <= labels.min() <= labels.max() < classes:
        raise UserError(f"labels are from {labels.min()} to {labels.max()}; the data set's are from 0 to {classes - 1}")
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
    networks = [(extractors.find(name, plan.inception_weights), count) for name, count in plan.networks().items()]
    for network, _ in networks:
        if network.name in extractors.trained_on(config):
            raise UserError(f"--extractor {network.name}: the run was trained with it; judge the run by others")
    split, count = plan.split_and_count(config)
    found = judges.of_run(config, train, plan.judge)
    real, chosen = real_images(config, split, count, plan.seed)
    given = references.read_all(plan.references, real.compared, real.split)
    judge = found.pop("judge")
    public = [space_of(net, count, real, chosen, references.given_of(given, net)) for net, count in networks]
    reference = Reference(judge, real, found, public, references.given_of(given, judge.extractor))
    references.check_used(given, [space.extractor for space in reference.spaces])
    return reference, chosen


def _write(run: Run, results: Mapping[str, Any], drawn: Mapping[str, np.ndarray]) -> None:
    folder = run.workdir / "eval" / str(run.step)
    for name, image in drawn.items():
        pictures.save(folder / f"{name}.png", image)
    write_text(folder / "metrics.json", json.dumps(results, indent=2) + "\n")


def picture(run: Run, held_out: np.ndarray, samples: Samples | None, labels: np.ndarray) -> np.ndarray:
    """Samples, one row a class; below a rule, reconstructions under their originals, uint8 images held out."""
    originals = held_out[: 2 * COLUMNS]
    pairs = pictures.alternate(originals, run.decode(run.encode(originals)), COLUMNS)
    if samples is None:
        return pictures.grid(pairs)
    classes = np.unique(labels)[:10]
    rows = [samples.images[np.resize(np.flatnonzero(labels == c), COLUMNS)] for c in classes]
    return pictures.stack(pictures.grid(np.stack(rows)), pictures.grid(pairs))


def summary(run: Run, results: Mapping[str, Any]) -> str:
    """The metrics as a few lines for a person; what was not measured has no place in them."""
    split = results["protocol"].partition("_")[0]
    rows = {
        "accuracy by the judge": {
            "samples": "accuracy_gen",
            "reconstructions": "accuracy_recon",
            "real": "accuracy_real",
        },
        f"Fréchet distance to {split}": {"samples": "fd_gen", "reconstructions": "fd_recon", "real": "fd_floor"},
        f"W₁ of latents to {split}": {"samples": "w1_latent", "real": "w1_latent_floor"},
        "spread (1 is honest)": {"samples": "spread"},
        "PSNR in dB": {"samples": "psnr", "bicubic": "bicubic_psnr", "regression": "regression_psnr"},
        "spread over error (1 is honest)": {"samples": "spread_skill"},
        "passed its own tests": {"samples": "accepted", "candidates": "acceptance_rate"},
        "images a second": {"samples": "images_per_second"},
    }
    lines = [f"{results['method']} on {results['dataset']}, step {results['step']}"]
    for title, keys in rows.items():
        found = [f"{name} {results[key]:,.3f}" for name, key in keys.items() if key in results]
        lines += [f"  {title:26}{'   '.join(found)}"] if found else []
    return "\n".join([*lines, f"  {'picture':26}{run.workdir / 'eval' / str(run.step) / 'samples.png'}"])
