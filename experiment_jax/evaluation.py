"""Evaluation of a run: metrics.json and samples.png under `DIR/eval/<step>/`.

What is measured is said where it is measured; DESIGN.md's definitions hold. Samples are drawn for the labels of the
test images (in an order chosen by seed), so that both have the same share of each class.
"""

import dataclasses
import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np

from experiment_jax import checkpoints, judge, metrics, pictures, run_directory
from experiment_jax.data import Split
from experiment_jax.errors import UserError
from experiment_jax.run import Run, load_run
from experiment_jax.stage import Samples

log = logging.getLogger(__name__)
PICTURE_COLUMNS = 10


@dataclasses.dataclass(frozen=True)
class Material:
    """What the metrics are computed from, N of each.

    Attributes:
        labels: int32 `[N]`, the conditions of the samples.
        samples: images uint8, latents, accepted, all `[N, …]`.
        test: the test split.
        train: training images, as many of each class as `labels` has, chosen by seed; with their labels.
    """

    labels: np.ndarray
    samples: Samples
    test: Split
    train: Split


def evaluate(run: Run, *, num_samples: int | None = None, seed: int = 0) -> dict[str, Any]:
    """Measures a run, writes metrics.json and samples.png, and returns the metrics, flat.

    Args:
        run: from `load_run`.
        num_samples: N; by default the config's `evaluation.num_samples`.
        seed: of the samples' noise and of the choice of labels and training images.

    Raises:
        UserError: the run does not sample, or no judge is named; nothing is written.
    """
    start = time.perf_counter()
    judge_config = judge.config_for(run.config.judge, run.config.data.name)
    judged_by = load_run(judge.trained(judge_config))
    labels = conditions(run.test.labels, num_samples or run.config.evaluation.num_samples, seed)
    run.sample(labels, seed)  # compiles
    drawing = time.perf_counter()
    samples = run.sample(labels, seed)
    images_per_second = len(labels) / (time.perf_counter() - drawing)
    material = Material(labels, samples, run.test, _matched_train(run, labels, seed))
    results = {
        "method": run.config.method,
        "dataset": run.config.data.name,
        "step": run.step,
        "num_samples": len(labels),
        "protocol": f"test_{len(run.test)}",
        "nfe": run.model.nfe,
        "images_per_second": images_per_second,
        **latent_metrics(run, material),
        **judged_metrics(run, material, judged_by),
        "judge": checkpoints.digest(judged_by.model.params),
    }
    results["seconds"] = time.perf_counter() - start
    folder = run.workdir / "eval" / str(run.step)
    pictures.save(folder / "samples.png", picture(run, samples, labels))
    run_directory.write_text(folder / "metrics.json", json.dumps(results, indent=2) + "\n")
    return results


def conditions(test_labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Labels int32 `[count]`: those of the test images in an order chosen by seed, over and over."""
    order = np.random.default_rng(seed).permutation(len(test_labels))
    return test_labels[np.resize(order, count)]


def latent_metrics(run: Run, material: Material) -> dict[str, float]:
    """`w1_latent`, its floor, `spread` in the model's latents; `fidelity` in pixels."""
    classes = run.dataset.num_classes
    test = run.encode(material.test.images), material.test.labels
    train = run.encode(material.train.images), material.train.labels
    samples = material.samples.latents, material.labels
    return {
        "w1_latent": float(np.mean(metrics.w1_per_class(*samples, *test, classes))),
        "w1_latent_floor": float(np.mean(metrics.w1_per_class(*train, *test, classes))),
        "spread": metrics.spread(*samples, *test, classes),
        "fidelity": metrics.fidelity(material.samples.images, material.train.images, material.test.images),
    }


def judged_metrics(run: Run, material: Material, judged_by: Run) -> dict[str, Any]:
    """Accuracies by the judge and Fréchet distances in its features, of samples, reconstructions and real images."""
    recon = run.decode(run.encode(material.test.images))
    features = {
        name: judged_by.encode(images)
        for name, images in dict(
            gen=material.samples.images, recon=recon, test=material.test.images, train=material.train.images
        ).items()
    }

    def accuracy(name: str, labels: np.ndarray) -> float:
        return float(np.mean(judged_by.classify(features[name]) == labels))

    def distance(first: str, second: str) -> float:
        return metrics.frechet_distance(metrics.moments([features[first]]), metrics.moments([features[second]]))

    return {
        "accuracy_gen": accuracy("gen", material.labels),
        "accuracy_recon": accuracy("recon", material.test.labels),
        "accuracy_real": accuracy("test", material.test.labels),
        "fd_gen": distance("gen", "test"),
        "fd_recon": distance("recon", "test"),
        "fd_gen_vs_recon": distance("gen", "recon"),
        "fd_floor": distance("train", "test"),
        "fd_extractor": f"judge of {judged_by.config.data.name}, {features['gen'].shape[1]} features",
    }


def picture(run: Run, samples: Samples, labels: np.ndarray) -> np.ndarray:
    """Samples, one row a class; below a rule, reconstructions under their originals (test images)."""
    classes = min(run.dataset.num_classes, 10)
    rows = [samples.images[np.resize(np.flatnonzero(labels == c), PICTURE_COLUMNS)] for c in range(classes)]
    originals = run.test.images[: 2 * PICTURE_COLUMNS]
    recon = run.decode(run.encode(originals))
    return pictures.stack(
        pictures.grid(np.stack(rows)), pictures.grid(pictures.alternate(originals, recon, PICTURE_COLUMNS))
    )


def save_samples(run: Run, count: int, seed: int = 0) -> Path:
    """Writes `count` samples as uint8 images with their labels to `DIR/eval/<step>/samples.npz`; the path."""
    labels = conditions(run.test.labels, count, seed)
    images = run.sample(labels, seed).images
    path = run.workdir / "eval" / str(run.step) / "samples.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, images=images, labels=labels)
    log.info("wrote %d samples to %s", count, path)
    return path


def _matched_train(run: Run, labels: np.ndarray, seed: int) -> Split:
    """Training images with their true labels, as many of each class as `labels` has (or all there are)."""
    from experiment_jax import data

    train = data.read(run.config.data.name, "train")[0]
    generator = np.random.default_rng(seed)
    chosen = []
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        chosen.append(generator.permutation(np.flatnonzero(train.labels == label))[:count])
    return train.take(np.sort(np.concatenate(chosen)))


def check_samples_possible(run: Run) -> None:
    """Raises UserError where the run's stages do not sample."""
    if run.model.sample is None:
        raise UserError(
            f"--workdir {run.workdir}: its stages {run.config.stages} do not sample; there is nothing to evaluate"
        )
