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
from experiment_jax.evaluation import classification_score, judges, latents, super_resolution
from experiment_jax.evaluation import protocol as protocols
from experiment_jax.evaluation.real_images import real_images
from experiment_jax.evaluation.reference import Reference
from experiment_jax.files import write_text
from experiment_jax.method.build import resolve
from experiment_jax.method.stage import Samples
from experiment_jax.runs.checkpoints import digest
from experiment_jax.runs.run import Run
from experiment_jax.training.train import train

Figure = Callable[[Run, Reference], tuple[Mapping[str, Any], Mapping[str, np.ndarray]]]
COLUMNS = 10  # of the picture


def evaluate(
    run: Run,
    *,
    num_samples: int | None = None,
    protocol: str | None = None,
    with_cas: bool = False,
    figures: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Measures a run, writes metrics.json and samples.png, returns the metrics, flat; what does not apply is absent.

    Args:
        run: from `load_run`; one that does not sample yet has its reconstructions measured.
        num_samples: N, in place of the protocol's.
        protocol: "test_10k", "train_50k", "validation_1k", …; by default the config's `evaluation.protocol`.
        with_cas: train a classifier on the samples too; it takes as long as that training.
        figures: functions "package.module:name" of (run, reference), which return more metrics, by flat key, and
            pictures uint8 `[height, width, 3]`, by the name of their PNG. They come last, when the rest is written.
        seed: of the samples' noise and of the choice of labels and training images.

    Raises:
        UserError: the run does not decode, no judge is named, samples that cannot be measured, or no such figure, and
            nothing is written; or what a figure refuses.
    """
    if run.model.decode is None:
        stages = ", ".join(run.config.stages)
        raise UserError(f"--workdir {run.workdir}: its stages {stages} make no images; evaluate a run whose stages do")
    drawing: list[Figure] = [resolve(name, "--figures") for name in figures]
    start = time.perf_counter()
    reference, chosen = reference_of(run.config, protocol or run.config.evaluation.protocol, num_samples, seed)
    condition = super_resolution.condition(run, chosen, seed)
    results, samples = _measure(run, reference, chosen, condition, seed)
    results["seconds"] = time.perf_counter() - start
    if with_cas and samples is not None and run.model.conditional:
        start = time.perf_counter()
        asked = run.config.judge, reference.judge.dataset.class_names, Split(samples.images, chosen.labels)
        results["cas"] = classification_score.classification_accuracy_score(*asked, reference.real.test, train)
        results["cas_seconds"] = time.perf_counter() - start
    if run.model.degrade is None or samples is None:
        drawn = picture(run, reference.real.test.images, samples, chosen.labels)
    else:
        drawn = super_resolution.picture(run, chosen, condition, seed)
    _write(run, results, {"samples": drawn})
    for draw in drawing:
        found, drawn = draw(run, reference)
        results |= found
        _write(run, results, drawn)
    return results


def evaluate_images(
    config: ConfigDict, images: np.ndarray, labels: np.ndarray | None, protocol: str | None = None
) -> dict[str, Any]:
    """Anybody's samples, uint8 `[N, height, width, channels]`, measured as those of a run are; nothing is written.

    Args:
        config: whose data set, judge and protocol count.
        images: the samples.
        labels: what they should be, int32 `[N]`, -1 where that is not known; None: not known of any.
        protocol: in place of the config's.

    Raises:
        UserError: images of another shape, or labels that the data set does not have.
    """
    reference, _ = reference_of(config, protocol or config.evaluation.protocol, len(images))
    classes = reference.judge.dataset.num_classes
    if labels is not None and not UNPAIRED <= labels.min() <= labels.max() < classes:
        raise UserError(f"labels are from {labels.min()} to {labels.max()}; the data set's are from 0 to {classes - 1}")
    measured = reference.measure_real() | reference.measure_samples(images, reference.features_of(images), labels)
    return {"method": "images", "dataset": config.data.name, **measured}


def reference_of(config: ConfigDict, protocol: str, num_samples: int | None, seed: int = 0) -> tuple[Reference, Split]:
    """The reference of a run's config, its judge trained now if it was not yet, and the real images `[N]` to draw
    samples for; for the arguments see `real_images`.

    Raises:
        UserError: what `real_images` refuses, or a judge or witness of other images.
    """
    configs = judges.configs_of(config)
    real, chosen = real_images(config, protocol, num_samples, seed)
    judge, *witnesses = (judges.find(each, train) for each in configs.values())
    return Reference(judge, real, dict(zip(list(configs)[1:], witnesses, strict=True))), chosen


def judge_digests(config: ConfigDict) -> dict[str, str]:
    """The digests of the judge and the witnesses that a run's config names now, by the keys under which an evaluation
    writes them. One that is not trained yet is trained now."""
    found = {name: judges.find(each, train) for name, each in judges.configs_of(config).items()}
    return {name if name == "judge" else f"witness_{name}": digest(run.model.params) for name, run in found.items()}


def _measure(
    run: Run, reference: Reference, chosen: Split, condition: np.ndarray, seed: int
) -> tuple[dict[str, Any], Samples | None]:
    """All that is measured by default, and the samples, where the run samples."""
    results = {"method": run.config.method, "dataset": run.config.data.name, "step": run.step}
    results |= {"protocol": protocols.name_of(reference.real.split, len(chosen))} | reference.measure_real()
    real = run.encode(reference.compared.images)
    results |= latents.representation_metrics(run, reference.compared, real)
    samples, features = None, None
    if run.model.sample is not None:
        samples, images_per_second = timed(run, run.sample, condition, seed)
        features = reference.features_of(samples.images)
        results |= {"nfe": run.model.nfe, "images_per_second": images_per_second}
        results["latents_per_second"] = timed(run, run.sample_latents, condition, seed)[1]
        results |= _measure_samples(run, reference, chosen, real, samples, features)
        if run.model.degrade is not None:
            rest = chosen, condition, samples.images, seed
            results |= super_resolution.measure(run, reference.judge, reference.moments, *rest)
    return results | reference.measure_reconstructions(run.decode(real), features), samples


def _measure_samples(
    run: Run, reference: Reference, chosen: Split, real: np.ndarray, samples: Samples, features: np.ndarray
) -> dict[str, Any]:
    """What is measured of samples: under the judge, in latents, and how their own tests went."""
    labels = chosen.labels
    heeded = labels if run.model.conditional else None
    results = reference.measure_samples(samples.images, features, heeded)
    by_class = heeded if run.model.degrade is None else None
    results |= latents.sample_metrics(run, reference.real, real, samples.latents, by_class)
    if run.model.tests:
        results |= latents.acceptance_metrics(samples, labels, run.dataset.num_classes)
        latents.warn_of_rejected_classes(run, samples, labels)
    return results


def _write(run: Run, results: Mapping[str, Any], drawn: Mapping[str, np.ndarray]) -> None:
    folder = run.workdir / "eval" / str(run.step)
    for name, image in drawn.items():
        pictures.save(folder / f"{name}.png", image)
    write_text(folder / "metrics.json", json.dumps(results, indent=2) + "\n")


def timed(run: Run, draw: Callable[..., Any], condition: np.ndarray, seed: int) -> tuple[Any, float]:
    """draw(condition, seed) for conditions `[N, …]`, and how many were drawn a second, compilation left out."""
    draw(condition[: run.config.evaluation.batch_size], seed)
    start = time.perf_counter()
    drawn = draw(condition, seed)
    return drawn, len(condition) / (time.perf_counter() - start)


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
