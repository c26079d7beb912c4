"""What each autoencoder minimises against values written by hand, of networks that are linear."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from experiment_jax.devices.batch_axis import WHOLE
from rivals_jax import settings
from rivals_jax.autoencoder import KINDS
from rivals_jax.networks import Autoencoder
from rivals_jax.wae import SCALES

SHAPE, BATCH, LATENT = (2, 3, 2), 7, 4
PIXELS = math.prod(SHAPE)
IMAGES = np.random.default_rng(1).uniform(size=(BATCH, *SHAPE)).astype(np.float32)
KEY, STEP = jax.random.key(5), jnp.asarray(9)


class Encoder(nn.Module):
    outputs: int

    @nn.compact
    def __call__(self, images):
        return nn.Dense(self.outputs)(images.reshape(images.shape[0], -1))


class Decoder(nn.Module):
    @nn.compact
    def __call__(self, latents):
        return nn.Dense(PIXELS)(latents).reshape(-1, *SHAPE)


def made(kind, **own):
    """(objective, networks, parameters) of a kind."""
    objective = KINDS[kind](ConfigDict({**settings.KINDS[kind], **own}), WHOLE)
    networks = Autoencoder(Encoder(objective.OUTPUTS * LATENT), Decoder())
    params = nn.init(objective.loss, networks)(jax.random.key(0), IMAGES, KEY, STEP)["params"]
    return objective, networks, params


def loss(kind, params=None, step=STEP, **own):
    """(value, metrics), and the parameters that they are of."""
    objective, networks, initial = made(kind, **own)
    params = initial if params is None else params
    return *nn.apply(objective.loss, networks)({"params": params}, IMAGES, KEY, step), params


def dense(params, values):
    return values.astype(np.float64) @ np.asarray(params["Dense_0"]["kernel"]) + np.asarray(params["Dense_0"]["bias"])


def encoded(params, images=IMAGES):
    return dense(params["encoder"], 2.0 * images.reshape(len(images), -1) - 1.0)


def decoded(params, latents):
    return 0.5 * (dense(params["decoder"], latents).reshape(-1, *SHAPE) + 1.0)


def noise(key=KEY):
    return np.asarray(jax.random.normal(key, (BATCH, LATENT)), np.float64)


def kl(mu, sigma):
    return 0.5 * np.mean(np.sum(mu**2 + sigma**2 - 1.0 - np.log(sigma**2), axis=-1))


def test_vae_weighs_the_kl_and_bounds_its_deviations():
    value, metrics, params = loss("vae", kl=0.7)
    mu, raw = np.split(encoded(params), 2, axis=-1)
    sigma = np.exp(5.0 * np.tanh(raw))
    square = np.sum((IMAGES - decoded(params, mu + sigma * noise())) ** 2) / (SHAPE[-1] * BATCH)
    assert float(value) == pytest.approx(square + 0.7 * kl(mu, sigma), rel=1e-4)
    assert float(metrics["kl"]) == pytest.approx(kl(mu, sigma), rel=1e-4)


def test_cv_vae_has_one_deviation_for_all():
    value, _, params = loss("cv_vae", kl=0.3, sigma=0.7)
    mu = encoded(params)
    square = np.sum((IMAGES - decoded(params, mu + 0.7 * noise())) ** 2) / (SHAPE[-1] * BATCH)
    assert float(value) == pytest.approx(square + 0.3 * 0.5 * np.mean(np.sum(mu**2, axis=-1)), rel=1e-4)


def test_rae_sn_is_a_square_and_the_size_of_latents():
    value, _, params = loss("rae_sn", l2=0.4)
    z = encoded(params)
    expected = np.mean((IMAGES - decoded(params, z)) ** 2) + 0.4 * np.mean(z**2)
    assert float(value) == pytest.approx(expected, rel=1e-5)


def test_wae_sums_the_kernels_of_seven_scales():
    value, _, params = loss("wae", mmd=0.2)
    z, prior = encoded(params), noise()

    def discrepancy(c):
        k = lambda a, b: c / (c + np.sum((a[:, None] - b[None]) ** 2, axis=-1))  # noqa: E731
        off = ~np.eye(BATCH, dtype=bool)
        return k(z, z)[off].mean() + k(prior, prior)[off].mean() - 2.0 * k(z, prior).mean()

    total = sum(discrepancy(2.0 * LATENT * scale) for scale in SCALES)
    assert float(value) == pytest.approx(np.mean((IMAGES - decoded(params, z)) ** 2) + 0.2 * total, rel=1e-4)


def test_the_first_of_two_stages_is_a_likelihood_with_a_learnt_deviation():
    _, _, params = made("two_stage_vae")
    params = {**params, "log_gamma": jnp.asarray(-0.8)}
    value, metrics, _ = loss("two_stage_vae", params)
    mu, log_sigma = np.split(encoded(params), 2, axis=-1)
    sigma, gamma = np.exp(log_sigma), np.exp(-0.8)
    errors = np.sum((IMAGES - decoded(params, mu + sigma * noise())) ** 2, axis=(1, 2, 3))
    likelihood = np.mean(errors / (2.0 * gamma**2)) + PIXELS * (np.log(gamma) + 0.5 * np.log(2.0 * np.pi))
    assert float(value) == pytest.approx(likelihood + kl(mu, sigma), rel=1e-4)
    assert float(metrics["gamma"]) == pytest.approx(gamma, rel=1e-5)


def test_its_best_deviation_is_the_root_mean_square_error():
    _, _, params = made("two_stage_vae")
    square = loss("two_stage_vae", params)[1]["square_error"]
    best = 0.5 * np.log(float(square) / PIXELS)
    slope = jax.grad(lambda log_gamma: loss("two_stage_vae", {**params, "log_gamma": log_gamma})[0])(best)
    assert abs(float(slope)) < 1e-3 * PIXELS


TERMS = dict(latent=0.0, logdet=0.0, kl=0.0, likelihood=0.0, delay=0)
ALL = dict(latent=0.5, logdet=0.3, kl=0.2, likelihood=0.7, delay=0)


def lvpga_keys():
    return jax.random.split(KEY, 3)


def test_lvpga_is_the_sum_of_its_terms():
    value, _, params = loss("lvpga", **ALL)
    first, second, third = lvpga_keys()
    mu, log_sigma = np.split(encoded(params), 2, axis=-1)
    sigma = np.exp(log_sigma)
    square = 4.0 * np.mean((IMAGES - decoded(params, mu + sigma * noise(first))) ** 2)
    h = lambda z: np.split(encoded(params, decoded(params, z)), 2, axis=-1)[0]  # noqa: E731
    latent = np.mean((h(noise(second)) - noise(second)) ** 2)
    delta = (sigma + 1e-2) * noise(third)
    ratios = np.linalg.norm(h(mu + delta) - h(mu), axis=-1) / np.linalg.norm(delta, axis=-1)
    terms = 0.5 * latent + 0.3 * np.mean(np.log(ratios)) + 0.2 * kl(mu, sigma) / LATENT + 0.7 * 0.5 * np.mean(mu**2)
    assert float(value) == pytest.approx(square + terms, rel=1e-4)


def test_lvpga_begins_with_the_reconstruction_alone():
    alone, _, params = loss("lvpga", **TERMS)
    assert float(loss("lvpga", params, jnp.asarray(8), **ALL | {"delay": 9})[0]) == pytest.approx(float(alone))
    assert float(loss("lvpga", params, jnp.asarray(9), **ALL | {"delay": 9})[0]) != pytest.approx(float(alone))


def gradients(params, **own):
    return jax.grad(lambda params: loss("lvpga", params, **TERMS | own)[0])(params)


def same(one, other):
    return all(np.allclose(a, b, atol=1e-6) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


@pytest.mark.parametrize("term", ["latent", "kl", "likelihood"])
def test_the_decoder_of_lvpga_does_not_minimise_this_term_and_the_encoder_does(term):
    _, _, params = made("lvpga")
    without, with_it = gradients(params), gradients(params, **{term: 0.9})
    assert same(without["decoder"], with_it["decoder"]) and not same(without["encoder"], with_it["encoder"])


def test_no_gradient_of_the_determinant_flows_through_the_latents_that_it_is_taken_at():
    objective, networks, params = made("lvpga", **TERMS | {"logdet": 1.0})
    mu, log_sigma = np.split(encoded(params).astype(np.float32), 2, axis=-1)

    def at_constants(networks):
        return objective._logdet(networks, jnp.asarray(mu), jnp.exp(jnp.asarray(log_sigma)), lvpga_keys()[2])

    expected = jax.grad(lambda params: nn.apply(at_constants, networks)({"params": params}))(params)
    found = jax.tree.map(jnp.subtract, gradients(params, logdet=1.0), gradients(params))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=2e-5)
    assert not same(expected["decoder"], jax.tree.map(jnp.zeros_like, expected["decoder"]))
