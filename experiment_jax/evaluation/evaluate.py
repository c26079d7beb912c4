"""Evaluation of a run: metrics.json, samples.png and the pictures of its evidence under `DIR/eval/<step>/`."""

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiment_jax import metrics
from experiment_jax.config import load as configs
from experiment_jax.data.split import Split
from experiment_jax.drawing import pictures
from experiment_jax.errors import UserError
from experiment_jax.evaluation import classification_score as cas
from experiment_jax.evaluation import reference as judged
from experiment_jax.evaluation import super_resolution as restoration
from experiment_jax.evaluation.reference import Bench
from experiment_jax.method.stage import Samples
from experiment_jax.runs import directory as run_directory
from experiment_jax.runs.run import Run

log = logging.getLogger(__name__)
PICTURE_COLUMNS = 10


Evidence = Callable[[Run, Bench], tuple[Mapping[str, Any], Mapping[str, np.ndarray]]]


def evaluate(
    run: Run,
    *,
    num_samples: int | None = None,
    protocol: str | None = None,
    with_cas: bool = False,
    evidence: Sequence[str] = (),
    seed: int = 0,
) -> dict[str, Any]:
    """Measures a run, writes metrics.json and samples.png, returns the metrics, flat; what does not apply is absent.

    Args:
        run: from `load_run`; one that does not sample yet has its reconstructions measured.
        num_samples: N, in place of the protocol's.
        protocol: "test_10k", "train_50k", "validation_1k", …; by default the config's `evaluation.protocol`.
        with_cas: train a classifier on the samples too; it takes as long as that training.
        evidence: functions "package.module:name" of (run, bench), which return more metrics, by flat key, and pictures
            uint8 `[height, width, 3]`, by the name of their PNG. They come last, when the rest is written.
        seed: of the samples' noise and of the choice of labels and training images.

    Raises:
        UserError: the run does not decode, no judge is named, samples that cannot be measured, or no such evidence, and
            nothing is written; or what a piece of evidence refuses.
    """
    if run.model.decode is None:
        stages = ", ".join(run.config.stages)
        raise UserError(f"--workdir {run.workdir}: its stages {stages} make no images; evaluate a run whose stages do")
    gathering: list[Evidence] = [configs.resolve(name) for name in evidence]
    start = time.perf_counter()
    bench, chosen = judged.bench(run.config, protocol or run.config.evaluation.protocol, num_samples, seed)
    condition = restoration.condition(run, chosen, seed)
    results, samples = _measure(run, bench, chosen, condition, seed)
    results["seconds"] = time.perf_counter() - start
    if with_cas and samples is not None and run.model.conditional:
        start = time.perf_counter()
        results["cas"] = cas.classification_accuracy_score(bench, run.config.judge, samples.images, chosen.labels)
        results["cas_seconds"] = time.perf_counter() - start
    if run.model.degrade is None or samples is None:
        drawn = picture(run, bench.test.images, samples, chosen.labels)
    else:
        drawn = restoration.picture(run, chosen, condition, seed)
    _write(run, results, {"samples": drawn})
    for gather in gathering:
        found, drawn = gather(run, bench)
        results |= found
        _write(run, results, drawn)
    return results


def _measure(
    run: Run, bench: Bench, chosen: Split, condition: np.ndarray, seed: int
) -> tuple[dict[str, Any], Samples | None]:
    """All that is measured by default, and the samples, where the run samples."""
    results = {"method": run.config.method, "dataset": run.config.data.name, "step": run.step}
    labels = chosen.labels
    results |= {"protocol": judged.protocol_name(bench.split, len(labels))} | judged.measure_real(bench)
    real = run.encode(bench.reference.images)
    results |= representation_metrics(run, bench, real)
    samples, features = None, None
    if run.model.sample is not None:
        samples, images_per_second = timed(run, run.sample, condition, seed)
        features = bench.features(samples.images)
        results |= {"nfe": run.model.nfe, "images_per_second": images_per_second}
        results["latents_per_second"] = timed(run, run.sample_latents, condition, seed)[1]
        heeded = labels if run.model.conditional else None
        results |= judged.measure_samples(bench, samples.images, features, heeded)
        by_label = heeded if run.model.degrade is None else None
        results |= latent_metrics(run, bench, real, samples.latents, by_label)
        if run.model.tests:
            results |= acceptance_metrics(samples, labels, run.dataset.num_classes)
            _warn_of_rejected_classes(run, samples, labels)
        if run.model.degrade is not None:
            results |= restoration.measure(run, bench, chosen, condition, samples.images, seed)
    return results | judged.measure_reconstructions(bench, run.decode(real), features), samples


def _write(run: Run, results: Mapping[str, Any], drawn: Mapping[str, np.ndarray]) -> None:
    folder = run.workdir / "eval" / str(run.step)
    for name, image in drawn.items():
        pictures.save(folder / f"{name}.png", image)
    run_directory.write_text(folder / "metrics.json", json.dumps(results, indent=2) + "\n")


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


def timed(run: Run, draw: Callable[..., Any], condition: np.ndarray, seed: int) -> tuple[Any, float]:
    """draw(condition, seed) for conditions `[N, …]`, and how many were drawn a second, compilation left out."""
    draw(condition[: run.config.evaluation.batch_size], seed)
    start = time.perf_counter()
    drawn = draw(condition, seed)
    return drawn, len(condition) / (time.perf_counter() - start)


def evaluate_images(
    config: ConfigDict, images: np.ndarray, labels: np.ndarray | None, protocol: str | None = None
) -> dict[str, Any]:
    """Anybody's samples, uint8 `[N, height, width, channels]`, measured as those of a run are; nothing is written.

    Args:
        config: whose data set, judge and protocol count.
        images: the samples.
        labels: what they should be, int32 `[N]`; None: unknown.
        protocol: in place of the config's.
    """
    bench, _ = judged.bench(config, protocol or config.evaluation.protocol, len(images))
    features = bench.features(images)
    measured = judged.measure_real(bench) | judged.measure_samples(bench, images, features, labels)
    return {"method": "images", "dataset": config.data.name, **measured}


def representation_metrics(run: Run, bench: Bench, real: np.ndarray) -> dict[str, Any]:
    """Size and sparsity of the reference's latents `[M, latent]`, and what the run's own head makes of them."""
    results = {"latent_size": real.shape[1], "latent_near_zero": metrics.near_zero(real)}
    if real.shape[1] > 1:
        results["latent_hoyer"] = metrics.hoyer(real)
    if run.model.classify is not None:
        results["accuracy_classifier"] = float(np.mean(run.classify(real) == bench.reference.labels))
    return results


def latent_metrics(
    run: Run, bench: Bench, real: np.ndarray, samples: np.ndarray, labels: np.ndarray | None
) -> dict[str, float]:
    """`w1_latent`, its floor and `spread`, exact and per class, and the sliced W₁ of all; in the model's latents.

    The floor takes real images of the other split, as many of each class as there are samples; where there are not as
    many, it is absent.

    Args:
        run: whose latents they are.
        bench: the real images.
        real: latents of `bench.reference`, `[M, latent]`.
        samples: latents `[N, latent]`.
        labels: of the samples, int32 `[N]`; None: they heed none, and what goes by class is absent.
    """
    sliced = {"w1_latent_sliced": metrics.w1_sliced(samples, real)}
    if labels is None:
        return sliced
    classes = run.dataset.num_classes
    reference = real, bench.reference.labels
    generated = samples, labels
    floor = {}
    if bench.matched:
        other = run.encode(bench.other.images), bench.other.labels
        floor["w1_latent_floor"] = float(np.mean(metrics.w1_per_class(*other, *reference, classes)))
    return {
        "w1_latent": float(np.mean(metrics.w1_per_class(*generated, *reference, classes))),
        **floor,
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


def _warn_of_rejected_classes(run: Run, samples: Samples, labels: np.ndarray) -> None:
    stage = run.config.stages[-1]
    for label in np.unique(labels):
        own = labels == label
        if not samples.accepted[own].any():
            log.warning(
                "class %d (%s): none of %d candidates for %d samples was accepted; train with a larger "
                "--config.%s.tries, or the classifier for longer, in another --workdir",
                *(label, run.dataset.class_names[label], samples.tries[own].sum(), own.sum(), stage),
            )


def picture(run: Run, held_out: np.ndarray, samples: Samples | None, labels: np.ndarray) -> np.ndarray:
    """Samples, one row a class; below a rule, reconstructions under their originals, uint8 images held out."""
    originals = held_out[: 2 * PICTURE_COLUMNS]
    pairs = pictures.alternate(originals, run.decode(run.encode(originals)), PICTURE_COLUMNS)
    if samples is None:
        return pictures.grid(pairs)
    classes = np.unique(labels)[:10]
    rows = [samples.images[np.resize(np.flatnonzero(labels == c), PICTURE_COLUMNS)] for c in classes]
    return pictures.stack(pictures.grid(np.stack(rows)), pictures.grid(pairs))
