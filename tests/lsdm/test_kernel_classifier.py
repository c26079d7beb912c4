"""The classifier of latents: kernel ridge regression, its value at a pair left out, and its temperature."""

import jax
import numpy as np
import pytest
import scipy.special
from sklearn.kernel_ridge import KernelRidge

from lsdm_jax import kernel_classifier

CLASSES = 3


def planted(count, noise=0.7, seed=0):
    """Latents `[count, 5]` around a centre a class, and labels."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int32) % CLASSES
    return (2.0 * np.eye(5)[labels] + noise * generator.normal(size=(count, 5))).astype(np.float32), labels


def probabilities(fitted, latents):
    return np.asarray(jax.nn.softmax(kernel_classifier.logits(fitted, latents), axis=-1))


def test_it_is_scikit_learns_kernel_ridge_regression_up_to_the_temperature(monkeypatch):
    monkeypatch.setattr(kernel_classifier, "RIDGES", (0.3,))
    latents, labels = planted(40)
    fitted = kernel_classifier.fit(latents, labels, CLASSES)
    width = 5 * latents.astype(float).var(axis=0).mean()
    np.testing.assert_allclose(fitted["width"], width, rtol=1e-5)
    reference = KernelRidge(alpha=0.3, kernel="rbf", gamma=1 / width).fit(
        latents, np.eye(CLASSES)[labels] - 1 / CLASSES
    )
    fresh = planted(30, seed=1)[0]
    found, expected = np.asarray(kernel_classifier.logits(fitted, fresh)), reference.predict(fresh)
    scale = np.sum(found * expected) / np.sum(expected**2)
    assert scale > 0
    np.testing.assert_allclose(found, scale * expected, rtol=1e-3, atol=1e-3)


def test_the_ridge_and_the_temperature_are_those_of_pairs_left_out_one_by_one(monkeypatch):
    """Against 20 fits without a pair each."""
    latents, labels = planted(20, noise=1.5)
    losses = []
    for ridge in kernel_classifier.RIDGES:
        monkeypatch.setattr(kernel_classifier, "RIDGES", (ridge,))
        width = 5 * latents.astype(float).var(axis=0).mean()
        left_out = []
        for row in range(20):
            rest = np.arange(20) != row
            model = KernelRidge(alpha=ridge, kernel="rbf", gamma=1 / width)
            model.fit(latents[rest].astype(float), np.eye(CLASSES)[labels[rest]] - 1 / CLASSES)
            left_out.append(model.predict(latents[row : row + 1].astype(float))[0])
        degree, loss = kernel_classifier.temperature(kernel_classifier.SHARPNESS * np.array(left_out), labels)
        losses.append((loss, ridge, degree))
    monkeypatch.undo()
    best = min(losses)
    monkeypatch.setattr(kernel_classifier, "RIDGES", (best[1],))
    alone = kernel_classifier.fit(latents, labels, CLASSES)
    monkeypatch.undo()
    chosen = kernel_classifier.fit(latents, labels, CLASSES)
    np.testing.assert_allclose(chosen["coefficients"], alone["coefficients"], rtol=1e-5)


def test_it_knows_planted_classes_from_a_few_and_is_calibrated():
    latents, labels = planted(3000, noise=1.2)
    fitted = kernel_classifier.fit(latents[:90], labels[:90], CLASSES)
    said = probabilities(fitted, latents[90:])
    np.testing.assert_allclose(said.sum(axis=1), 1.0, rtol=1e-5)
    accuracy = np.mean(said.argmax(axis=1) == labels[90:])
    assert accuracy > 0.75
    assert abs(said.max(axis=1).mean() - accuracy) < 0.06


def test_of_many_pairs_a_part_is_fitted(monkeypatch):
    monkeypatch.setattr(kernel_classifier, "MOST", 60)
    latents, labels = planted(3000)
    fitted = kernel_classifier.fit(latents, labels, CLASSES)
    assert fitted["anchors"].shape == (60, 5)
    assert np.mean(probabilities(fitted, latents).argmax(axis=1) == labels) > 0.85


def test_far_from_all_pairs_it_knows_nothing():
    latents, labels = planted(30)
    fitted = kernel_classifier.fit(latents, labels, CLASSES)
    np.testing.assert_allclose(probabilities(fitted, np.full((1, 5), 100.0, np.float32)), 1 / CLASSES, rtol=1e-5)


@pytest.mark.parametrize("true", [0.5, 1.0, 3.0])
def test_the_temperature_is_that_at_which_labels_were_drawn(true):
    generator = np.random.default_rng(0)
    scores = 3.0 * generator.normal(size=(20_000, 5))
    cumulated = np.cumsum(scipy.special.softmax(scores / true, axis=1), axis=1)
    drawn = (generator.random((20_000, 1)) > cumulated).sum(axis=1)
    np.testing.assert_allclose(kernel_classifier.temperature(scores, drawn)[0], true, rtol=0.05)
    # Of one label little can be said.
    assert 0.5 < kernel_classifier.temperature(scores[:1], drawn[:1])[0] < 2.0
