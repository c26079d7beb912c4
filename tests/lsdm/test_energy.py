import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy import stats

from experiment_jax.config import sections
from experiment_jax.method.stage import Context, Model
from experiment_jax.metrics import restoration
from lsdm_jax.matchers import energy
from lsdm_jax.matchers.matcher import Term

STEPS = 400


def crps(y):
    """Of N(0, 1) at y: in one dimension the energy score is the CRPS (Gneiting & Raftery 2007, eq. 21)."""
    return y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / np.sqrt(np.pi)


def context(steps, model):
    return Context("matching", (1, 1, 1), 1, np.ones(1, np.float32), np.ones(1, int), steps, model)


@pytest.mark.parametrize("draws", [2, 5])
def test_few_draws_have_the_score_of_their_law_on_average(draws):
    y = jnp.repeat(jnp.asarray([-1.5, 0.0, 0.7]), 40_000)
    generated = jax.random.normal(jax.random.key(0), (len(y), draws, 1))
    found = np.asarray(jax.jit(energy.energy_score)(generated, y[:, None])[0]).reshape(3, -1)
    error = found.std(axis=1) / np.sqrt(found.shape[1])
    assert np.all(np.abs(found.mean(axis=1) - crps(np.asarray([-1.5, 0.0, 0.7]))) < 4 * error)


def test_it_is_the_metric_of_the_same_name():
    generated = jax.random.normal(jax.random.key(1), (11, 4, 3))
    real = jax.random.normal(jax.random.key(2), (11, 3))
    expected = restoration.energy_score(np.moveaxis(np.asarray(generated), 1, 0), np.asarray(real))
    np.testing.assert_allclose(np.mean(energy.energy_score(generated, real)[0]), expected, rtol=1e-5)


def test_draws_that_coincide_have_a_finite_gradient():
    score = lambda g: jnp.sum(energy.energy_score(g, jnp.ones((3, 2)))[0])  # noqa: E731
    gradient = jax.jit(jax.grad(score))(jnp.ones((3, 4, 2)))
    np.testing.assert_array_equal(gradient, 0.0)


def test_the_best_generator_has_the_conditional_law_though_each_condition_has_one_point():
    section = ConfigDict(
        dict(
            draws=2,
            beta=float("inf"),
            noise_size=2,
            generator="dense",
            width=32,
            depth=1,
            ema_decay=0.99,
            energy=dict(squares=()),
        )
        | dict(optimiser=sections.optimiser(learning_rate=3e-3))
    )
    model = Model(latent_size=1, degrade=lambda params, images: images)
    made = energy.EnergyMatcher(section, context(STEPS, model))

    def batch(key):
        """z ~ N(2x, 0.5²) at x ~ N(0, 1)."""
        first, second = jax.random.split(key)
        x = jax.random.normal(first, (128, 1))
        return 2.0 * x + 0.5 * jax.random.normal(second, x.shape), x

    @jax.jit
    def trained():
        def step(state, key):
            rows = (jnp.repeat(each, 2, axis=0) for each in batch(key))
            return made.update(state, [Term(*rows)], jax.random.fold_in(key, 1))[0], None

        state = made.init(jax.random.key(0), *batch(jax.random.key(5)))
        return jax.lax.scan(step, state, jax.random.split(jax.random.key(4), STEPS))[0]

    params = made.averaged(trained())
    sample = jax.jit(jax.vmap(lambda key, x: made.sample(params, key, x[None]), in_axes=(0, None)))
    for x in (-1.0, 0.5):
        z = sample(jax.random.split(jax.random.key(6), 4000), x)
        assert abs(float(jnp.mean(z)) - 2 * x) < 0.15
        assert abs(float(jnp.std(z)) - 0.5) < 0.1


def test_in_squares_of_one_number_it_is_the_mean_crps():
    """√m · mean CRPS, of m = 6 places with one number; draws have the law N(0, 1) in each."""
    y = np.linspace(-1.5, 1.5, 6, dtype=np.float32)
    generated = jax.random.normal(jax.random.key(0), (40_000, 2, 6))
    scores = jax.jit(energy.score_in_squares, static_argnums=(2, 3))(generated, jnp.tile(y, (40_000, 1)), (2, 3, 1), 1)
    error = np.std(scores) / np.sqrt(len(scores))
    assert abs(np.mean(scores) - np.sqrt(6) * np.mean(crps(y))) < 4 * error


def test_in_one_square_of_all_places_it_is_the_score_of_the_whole():
    generated, real = jax.random.normal(jax.random.key(1), (7, 3, 20)), jax.random.normal(jax.random.key(2), (7, 20))
    found = energy.score_in_squares(generated, real, (2, 2, 5), 2)
    np.testing.assert_allclose(found, energy.energy_score(generated, real)[0], rtol=1e-5)


def test_a_square_is_what_lies_together():
    """Draws that are right in one square of 2 × 2 places have the score of the other alone."""
    right, off = jnp.zeros((4, 6)).at[1, 2].set(3.0), jnp.zeros((4, 6)).at[2:, 2:4].set(2.0)
    generated = jnp.broadcast_to((right + off).ravel(), (1, 2, 24))
    found = energy.score_in_squares(generated, right.reshape(1, 24), (4, 6, 1), 2)
    np.testing.assert_allclose(found, np.sqrt(6) * 4.0 / 6, rtol=1e-6)


def test_of_many_numbers_the_whole_tells_how_much_varies_and_squares_tell_which():
    """y ~ N(0, 1) in half of 256 places and 0 in the others. Draws of the same mean square, spread over all of them,
    have nearly the score of the true law, and by places a much worse one."""
    keys, shape = jax.random.split(jax.random.key(0), 3), (16, 16, 1)
    scale = (jnp.arange(256) < 128).astype(jnp.float32)
    y = scale * jax.random.normal(keys[0], (500, 256))
    true = scale * jax.random.normal(keys[1], (500, 4, 256))
    spread = jnp.sqrt(0.5) * jax.random.normal(keys[2], (500, 4, 256))
    whole = [float(jnp.mean(energy.energy_score(draws, y)[0])) for draws in (true, spread)]
    places = [float(jnp.mean(energy.score_in_squares(draws, y, shape, 1))) for draws in (true, spread)]
    assert whole[1] < 1.02 * whole[0]
    assert places[1] > 1.15 * places[0]


def squares_refused(refused, squares, model):
    return refused(
        energy.EnergyMatcher(ConfigDict(dict(draws=2, energy=dict(squares=squares))), context(1, model)).check
    )


def test_squares_that_are_none_of_the_places_are_refused(refused):
    error = squares_refused(refused, (1, 3), Model(latent_shape=(4, 6, 2)))
    assert "matching.energy.squares=(1, 3): 4x6 places are no squares of 3; type" in error


def test_squares_need_latents_with_places_and_distances_between_them(refused):
    space = Model(latent_shape=(4, 6, 2), space=lambda params, latents: latents)
    for model in (Model(), space):
        assert "distances are not taken between latents with places" in squares_refused(refused, (1,), model)


def test_one_draw_is_refused(refused):
    error = refused(energy.EnergyMatcher(ConfigDict(dict(draws=1, energy=dict(squares=()))), context(1, Model())).check)
    assert "matching.draws=1: give 2 or more, as in --config.matching.draws=4" in error


def test_a_length_that_is_not_finite_stays_so():
    value, slope = jax.vmap(jax.value_and_grad(energy.lengths))(jnp.asarray([[3.0, 4.0], [0.0, 0.0], [jnp.nan, 1.0]]))
    np.testing.assert_array_equal(value, [5.0, 0.0, jnp.nan])
    np.testing.assert_allclose(slope[:2], [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
    assert np.isnan(slope[2]).all()
