import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from ml_collections import ConfigDict

from experiment_jax.method.stage import Context, Model
from experiment_jax.networks.autoencoder import Decoder
from lsdm_jax import kinds

BATCH, LATENT, PIXELS = 12, 5, 7 * 3 * 2
CONTEXT = Context("representation", (7, 3, 2), 10, np.full(10, 0.1, np.float32), np.full(10, 100), 20, Model())
OWN = dict(autoencoder=dict(noise=0.3), vae=dict(kl=0.7), wae=dict(mmd=3.0), rae=dict(l2=0.4))


def code(name, encoded, key=0):
    own = ConfigDict(OWN[name])
    return kinds.KINDS[name].code(jnp.asarray(encoded, jnp.float32), jax.random.key(key), own, CONTEXT)


def cloud(count=BATCH, seed=0, size=LATENT):
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


@examples(max_examples=20, deadline=None)
@given(mu=st.floats(-3, 3), deviation=st.floats(0.05, 3))
def test_the_divergence_is_the_integral_of_the_densities(mu, deviation):
    p = scipy.stats.norm(mu, deviation)
    integrand = lambda z: p.pdf(z) * (p.logpdf(z) - scipy.stats.norm.logpdf(z))  # noqa: E731
    expected, _ = scipy.integrate.quad(integrand, mu - 12 * deviation, mu + 12 * deviation)
    found = code("vae", [[mu, mu, 2 * np.log(deviation), 2 * np.log(deviation)]])
    np.testing.assert_allclose(found.metrics["kl"], 2 * expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(found.penalty, 0.7 * found.metrics["kl"] / PIXELS, rtol=1e-6)


def test_a_code_of_the_vae_is_a_draw_of_its_posterior():
    mu, deviation = np.linspace(-2, 2, LATENT), np.linspace(0.1, 2, LATENT)
    encoded = np.tile(np.concatenate([mu, 2 * np.log(deviation)]), (20_000, 1))
    z = np.asarray(code("vae", encoded).latents)
    np.testing.assert_allclose(z.mean(axis=0), mu, atol=0.05)
    np.testing.assert_allclose(z.std(axis=0), deviation, rtol=0.03)


def test_noise_of_the_autoencoder_is_in_units_of_the_latents_scale():
    encoded = 11.0 * cloud(4000) + 3.0
    found = code("autoencoder", encoded)
    scale = np.sqrt(np.mean((encoded - encoded.mean(axis=0)) ** 2))
    np.testing.assert_allclose(found.metrics["latent_scale"], scale, rtol=1e-5)
    np.testing.assert_allclose(np.std(found.latents - encoded), 0.3 * scale, rtol=0.02)
    assert found.penalty == 0.0


def kernel(x, y, scale):
    return scale / (scale + np.sum((x - y) ** 2))


def test_the_discrepancy_is_the_sum_over_pairs_of_two_different_points():
    x, y, scale = cloud(7).astype(float), 1.5 * cloud(7, seed=1).astype(float) + 0.3, 4.2
    own = [kernel(a[i], a[j], scale) for a in (x, y) for i in range(7) for j in range(7) if i != j]
    between = [kernel(a, b, scale) for a in x for b in y]
    expected = np.sum(own) / (7 * 6) - 2 * np.mean(between)
    np.testing.assert_allclose(kinds.mmd(x, y, scale), expected, rtol=1e-4, atol=1e-6)


def test_the_discrepancy_has_no_bias_and_grows_with_a_shift():
    clouds = jax.random.normal(jax.random.key(0), (400, 2, 11, LATENT))
    values = np.stack([jax.vmap(lambda c, s=s: kinds.mmd(c[0] + s, c[1], 10.0))(clouds) for s in (0.0, 0.5, 1.0, 2.0)])
    mean, error = values.mean(axis=1), values.std(axis=1) / 20
    assert abs(mean[0]) < 3 * error[0]
    assert np.all(np.diff(mean) > 5 * error[1:])


def test_the_wae_compares_with_the_normal_law_in_its_own_kernel():
    encoded = cloud(300)
    near, far = (code("wae", shift + encoded) for shift in (0.0, 2.0))
    np.testing.assert_array_equal(near.latents, encoded)
    assert abs(near.metrics["mmd"]) < 0.1 * far.metrics["mmd"]
    np.testing.assert_allclose(far.penalty, 3.0 * far.metrics["mmd"] / PIXELS, rtol=1e-6)
    # All points in one place x: k(x, x) + E k(p, p) − 2 E k(x, p), here by a Monte Carlo of its own.
    prior = np.random.default_rng(5).normal(size=(4000, LATENT))
    c = 2.0 * LATENT
    spread = np.mean([kernel(a, b, c) for a, b in zip(prior[::2], prior[1::2], strict=True)])
    expected = 1 + spread - 2 * np.mean([kernel(np.full(LATENT, 2.0), b, c) for b in prior])
    np.testing.assert_allclose(code("wae", np.full((2000, LATENT), 2.0)).metrics["mmd"], expected, atol=0.02)


def test_the_rae_weighs_half_the_squared_norm():
    encoded = cloud()
    found = code("rae", encoded)
    np.testing.assert_array_equal(found.latents, encoded)
    np.testing.assert_allclose(found.penalty, 0.4 * np.mean(0.5 * np.sum(encoded**2, axis=1)) / PIXELS, rtol=1e-5)


def spectral(widths, shape, z):
    """A spectral decoder and its variables, whose power iterations have converged."""
    decoder = Decoder(widths, shape, spectral=True)

    def iterate(variables, _):
        return {**variables, **decoder.apply(variables, z, mutable=["batch_stats"])[1]}, None

    first = jax.jit(decoder.init)(jax.random.key(0), z)
    return decoder, jax.jit(lambda variables: jax.lax.scan(iterate, variables, length=200)[0])(first)


@pytest.mark.parametrize("widths", [(6,), (4, 6)])
def test_a_spectral_decoder_divides_each_layer_by_its_largest_singular_value(widths):
    z = 3.0 * cloud()
    decoder, variables = spectral(widths, (8, 12, 2), z)
    kernels = {name: np.asarray(layer["kernel"]) for name, layer in variables["params"].items()}
    norms = {name: np.linalg.norm(k.reshape(-1, k.shape[-1]), ord=2) for name, k in kernels.items()}
    assert len(norms) == len(widths) + 2
    found = {path[-1].key: v for path, v in jax.tree_util.tree_leaves_with_path(variables["batch_stats"])}
    for name, norm in norms.items():
        np.testing.assert_allclose(found[f"{name}/kernel/sigma"], norm, rtol=1e-3)
    # So another scale of the weights is the same decoder; biases are 0 at first.
    scaled = {**variables, "params": jax.tree.map(lambda leaf: 7.0 * leaf, variables["params"])}
    decode = jax.jit(decoder.apply)
    np.testing.assert_allclose(decode(variables, z), decode(scaled, z), atol=1e-4)


def test_a_spectral_decoder_is_at_most_as_steep_as_its_layers():
    """A dense layer of norm 1; two 3×3 convolutions, whose patches hold each pixel 9 times: 3 each; silu: 1.1."""
    z = 2.0 * cloud(7)
    decoder, variables = spectral((4,), (8, 8, 1), z)
    jacobian = jax.jit(jax.vmap(jax.jacfwd(lambda row: decoder.apply(variables, row[None]).ravel())))
    slopes = np.linalg.norm(jacobian(z), 2, (1, 2))
    assert np.all(slopes <= 1.1**2 * 3.0**2) and np.all(slopes > 0)
