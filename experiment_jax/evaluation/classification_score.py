"""The classification accuracy score: train a classifier on samples, apply it to real images (Ravuri & Vinyals 2019)."""

import tempfile

import jax
import numpy as np

from experiment_jax.config import load as configs
from experiment_jax.data.split import Dataset, Split
from experiment_jax.evaluation.reference import Bench
from experiment_jax.runs.run import load_run
from experiment_jax.training.train import train


def classification_accuracy_score(bench: Bench, judge_name: str, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of real test images that a classifier trained on the samples alone gets right.

    Args:
        bench: for the real images and the classes.
        judge_name: the judge's config, of any variant; the variant `cas` of the file is the recipe of the classifier.
        images: samples, uint8 `[N, height, width, channels]`.
        labels: what they were asked to be, int32 `[N]`.
    """
    config = configs.load(f"{judge_name.partition(':')[0]}:cas")
    names = bench.judge.dataset.class_names
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset("samples", names, Split(images, labels), Split(images[:0], labels[:0]))
        train(config, folder, jax.devices()[:1], dataset)  # as the judge is
        classifier = load_run(folder, dataset=dataset)
    verdicts = classifier.classify(classifier.encode(bench.test.images))
    return float(np.mean(verdicts == bench.test.labels))
