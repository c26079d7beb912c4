"""Each GAN's loss against values written by hand, of a discriminator that is linear in the pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from experiment_jax.devices.batch_axis import WHOLE
from rivals_jax import settings
from rivals_jax.gan import LOSSES
from rivals_jax.wgan_gp import slope

SHAPE, BATCH = (3, 2, 1), 5
generator = np.random.default_rng(0)
WEIGHTS = generator.normal(size=SHAPE).astype(np.float32)
REAL, FAKE = generator.uniform(size=(2, BATCH, *SHAPE)).astype(np.float32)


def score(images):
    return jnp.sum(images * WEIGHTS, axis=(1, 2, 3))


def loss(name, **own):
    return LOSSES[name](ConfigDict({**settings.LOSSES[name], **own}), WHOLE)


def values(name, score=score, carried=None, **own):
    """(what D minimises, its metrics, what G minimises)."""
    found = loss(name, **own)
    carried = found.start() if carried is None else carried
    value, metrics = found.of_discriminator(score, REAL, FAKE, jax.random.key(3), carried)
    return float(value), metrics, float(found.of_generator(score, FAKE))


@pytest.fixture(scope="module")
def scores():
    """The linear discriminator's scores of real and of generated images, float64."""
    return tuple(np.sum(images.astype(np.float64) * WEIGHTS, axis=(1, 2, 3)) for images in (REAL, FAKE))


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def test_the_non_saturating_loss_is_minus_the_log_of_probabilities(scores):
    real, fake = map(sigmoid, scores)
    of_d, _, of_g = values("ns_gan")
    assert of_d == pytest.approx(-np.mean(np.log(real)) - np.mean(np.log(1.0 - fake)), rel=1e-5)
    assert of_g == pytest.approx(-np.mean(np.log(fake)), rel=1e-5)


def test_its_gradient_does_not_vanish_where_the_discriminator_is_sure():
    found, sure = loss("ns_gan"), lambda images: score(images) - 50.0
    gradient = jax.grad(lambda images: found.of_generator(sure, images))(FAKE)
    np.testing.assert_allclose(gradient, np.broadcast_to(-WEIGHTS / BATCH, FAKE.shape), rtol=1e-5)


def test_least_squares_are_of_probabilities_and_halved(scores):
    real, fake = map(sigmoid, scores)
    of_d, _, of_g = values("lsgan")
    assert of_d == pytest.approx(0.5 * np.mean((real - 1.0) ** 2) + 0.5 * np.mean(fake**2), rel=1e-5)
    assert of_g == pytest.approx(0.5 * np.mean((fake - 1.0) ** 2), rel=1e-5)


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
def test_the_slope_of_a_linear_critic_is_the_norm_of_its_weights(factor):
    expected = np.sqrt(1e-4 + factor**2 * np.sum(WEIGHTS.astype(np.float64) ** 2))
    slopes = slope(lambda images: factor * score(images), jnp.asarray(REAL))
    np.testing.assert_allclose(slopes, np.full(BATCH, expected), rtol=1e-5)


def test_wgan_gp_is_the_dual_and_the_penalty(scores):
    real, fake = (np.mean(each) for each in scores)
    norm = np.sqrt(1e-4 + np.sum(WEIGHTS.astype(np.float64) ** 2))
    of_d, metrics, of_g = values("wgan_gp", penalty=3.0)
    assert of_d == pytest.approx(fake - real + 3.0 * (norm - 1.0) ** 2, rel=1e-5)
    assert of_g == pytest.approx(-fake, rel=1e-5)
    assert float(metrics["w1_estimate"]) == pytest.approx(real - fake, rel=1e-4)


def test_the_penalty_is_taken_between_real_and_generated_images():
    # D(x) = ½ Σ x² has slope ‖x‖: at x + α (G − x) with one α an image.
    half_square = lambda images: 0.5 * jnp.sum(images**2, axis=(1, 2, 3))  # noqa: E731
    alpha = np.asarray(jax.random.uniform(jax.random.key(3), (BATCH, 1, 1, 1)))
    between = (REAL + alpha * (FAKE - REAL)).astype(np.float64)
    norms = np.sqrt(1e-4 + np.sum(between**2, axis=(1, 2, 3)))
    _, metrics, _ = values("wgan_gp", half_square)
    assert float(metrics["penalty"]) == pytest.approx(np.mean((norms - 1.0) ** 2), rel=1e-5)


def test_began_holds_the_errors_of_real_and_generated_images_in_a_ratio(scores):
    positive = lambda images: score(images) + 9.0  # noqa: E731
    real, fake = (np.mean(each) + 9.0 for each in scores)
    of_d, metrics, of_g = values("began", positive, carried=jnp.asarray(0.3), gamma=0.6)
    assert of_d == pytest.approx(real - 0.3 * fake, rel=1e-5)
    assert of_g == pytest.approx(fake, rel=1e-5)
    assert float(metrics["convergence"]) == pytest.approx(real + abs(0.6 * real - fake), rel=1e-5)


def test_began_k_follows_its_recursion_and_is_not_clipped():
    found, k = loss("began", gamma=0.5, rate=0.1), 0.0
    carried = found.start()
    for real, fake in ((1.0, 3.0), (4.0, 0.5), (40.0, 1.0)):
        carried = found.carry(carried, {"error_real": jnp.asarray(real), "error_fake": jnp.asarray(fake)})
        k += 0.1 * (0.5 * real - fake)
        assert float(carried) == pytest.approx(k, rel=1e-5)
    assert k > 1.0  # the first step left [0, 1] below, the last one above


def test_only_began_carries_anything():
    assert [name for name in LOSSES if jax.tree.leaves(loss(name).start())] == ["began"]
    assert [name for name, kind in LOSSES.items() if kind.AUTOENCODES] == ["began"]
