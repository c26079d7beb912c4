"""The classification accuracy score: train a classifier on samples, apply it to real images (Ravuri & Vinyals 2019)."""

import tempfile
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from experiment_jax.config import load as configs
from experiment_jax.data.split import Dataset, Split
from experiment_jax.runs.run import load_run


def classification_accuracy_score(
    recipe: str, class_names: tuple[str, ...], samples: Split, test: Split, train: Callable[..., Any]
) -> float:
    """The share of real test images that a classifier trained on the samples alone gets right.

    Args:
        recipe: the judge's config, of any variant; the variant `cas` of the file is the recipe of the classifier.
        class_names: in the order of the labels.
        samples: with what they were asked to be.
        test: the real images.
        train: `experiment_jax.train`.
    """
    config = configs.load(f"{recipe.partition(':')[0]}:cas")
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset("samples", class_names, samples, samples.take(np.arange(0)))
        train(config, folder, jax.devices()[:1], dataset)  # as the judge is
        classifier = load_run(folder, dataset=dataset)
    test = test.labelled
    verdicts = classifier.classify(classifier.encode(test.images))
    return float(np.mean(verdicts == test.labels))
