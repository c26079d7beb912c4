import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy import stats

from experiment_jax import metrics
from experiment_jax.config import sections
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Model
from lsdm_jax.matchers import energy


def crps(y):
    """Of N(0, 1) at y: in one dimension the energy score is the CRPS (Gneiting & Raftery 2007, eq. 21)."""
    return y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / np.sqrt(np.pi)


@pytest.mark.parametrize("draws", [2, 5])
def test_few_draws_have_the_score_of_their_law_on_average(draws):
    y = jnp.repeat(jnp.asarray([-1.5, 0.0, 0.7]), 40_000)
    generated = jax.random.normal(jax.random.key(0), (len(y), draws, 1))
    found = np.asarray(energy.energy_score(generated, y[:, None])[0]).reshape(3, -1)
    error = found.std(axis=1) / np.sqrt(found.shape[1])
    assert np.all(np.abs(found.mean(axis=1) - crps(np.asarray([-1.5, 0.0, 0.7]))) < 4 * error)


def test_it_is_the_metric_of_the_same_name():
    generated = jax.random.normal(jax.random.key(1), (11, 4, 3))
    real = jax.random.normal(jax.random.key(2), (11, 3))
    expected = metrics.energy_score(np.moveaxis(np.asarray(generated), 1, 0), np.asarray(real))
    np.testing.assert_allclose(np.mean(energy.energy_score(generated, real)[0]), expected, rtol=1e-5)


def test_draws_that_coincide_have_a_finite_gradient():
    gradient = jax.grad(lambda g: jnp.sum(energy.energy_score(g, jnp.ones((3, 2)))[0]))(jnp.ones((3, 4, 2)))
    np.testing.assert_array_equal(gradient, 0.0)


def test_the_best_generator_has_the_conditional_law_though_each_condition_has_one_point():
    section = ConfigDict(
        dict(draws=2, beta=float("inf"), noise_size=2, width=32, depth=2, ema_decay=0.99)
        | dict(optimiser=sections.optimiser(learning_rate=3e-3))
    )
    model = Model(latent_size=1, degrade=lambda params, images: images)
    made = energy.matcher(section, Context("matching", (1, 1, 1), 1, np.ones(1, np.float32), 600, model))

    def batch(key):
        """z ~ N(2x, 0.5²) at x ~ N(0, 1)."""
        first, second = jax.random.split(key)
        x = jax.random.normal(first, (256, 1))
        return 2.0 * x + 0.5 * jax.random.normal(second, x.shape), x

    @jax.jit
    def step(state, number):
        key = jax.random.fold_in(jax.random.key(4), number)
        rows = (jnp.repeat(each, 2, axis=0) for each in batch(key))
        return made.update(state, *rows, jax.random.fold_in(key, 1))[0]

    state = made.init(jax.random.key(0), *batch(jax.random.key(5)))
    for number in range(600):
        state = step(state, number)
    for x in (-1.0, 0.5):
        keys = jax.random.split(jax.random.key(6), 4000)
        z = jax.vmap(lambda key, x=x: made.sample(made.averaged(state), key, jnp.asarray([x])))(keys)
        assert abs(float(jnp.mean(z)) - 2 * x) < 0.15
        assert abs(float(jnp.std(z)) - 0.5) < 0.1


def test_one_draw_is_refused():
    with pytest.raises(UserError, match=r"matching\.draws=1: give 2 or more, as in --config\.matching\.draws=4"):
        energy.matcher(ConfigDict(dict(draws=1)), Context("matching", (1, 1, 1), 1, np.ones(1), 1, Model()))
