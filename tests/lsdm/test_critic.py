import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from ml_collections import ConfigDict

from experiment_jax.config import sections
from experiment_jax.method.stage import Context, Model
from experiment_jax.metrics.transport import w1_exact
from experiment_jax.networks import optimiser
from experiment_jax.networks.train_state import Descent
from lsdm_jax.matchers import critic
from lsdm_jax.matchers.matcher import Term, batch_weights, blur

STEPS = 100  # of the generator
SHIFT, DEVIATION = 1.0, 0.02
PENALTIES = np.array([0.5, 2.0, 50.0])


def build(beta=float("inf"), latent_size=3, num_classes=2, **own):
    """The matcher, with networks that train in a second; `own` are its own settings."""
    defaults = dict(
        penalty=10.0,
        one_sided=False,
        network="dense",
        steps=3,
        width=32,
        depth=2,
        optimiser=sections.optimiser(learning_rate=2e-3, b1=0.0, clip=0.0),
    )
    section = ConfigDict(
        dict(
            critic={**defaults, **own},
            beta=beta,
            pairs=dict(weight=0.0),
            noise_size=3,
            generator="dense",
            width=32,
            depth=1,
            optimiser=sections.optimiser(learning_rate=2e-3, b1=0.0),
            ema_decay=0.9,
        )
    )
    counts = np.full(num_classes, 50)
    weights = np.full(num_classes, 1 / num_classes, np.float32)
    context = Context("matching", (8, 8, 1), num_classes, weights, counts, STEPS, Model(latent_size=latent_size))
    matcher = critic.CriticMatcher(section, context)
    matcher.check()
    return matcher


@functools.cache
def trained_on_a_shift():
    """Slope on (0, W), estimate and reported norm `[penalties]` of critics trained on N(W, s²) against N(0, s²)."""
    count, steps = 128, 800
    quantiles = scipy.stats.norm.ppf((np.arange(count) + 0.5) / count)[:, None] * DEVIATION
    generated = jnp.asarray(quantiles, jnp.float32)
    real = SHIFT + jax.random.permutation(jax.random.key(2), generated)  # the points between join independent pairs
    weights = jnp.full(count, 1 / count)
    network = critic.Critic(width=32, depth=2)
    descent = Descent(optimiser.build(sections.optimiser(learning_rate=5e-3, clip=0.0), steps), ema_decay=0.0)
    score = lambda params, points: network.apply({"params": params}, points)  # noqa: E731

    @jax.jit
    @jax.vmap
    def train(penalty):
        def step(state, key):
            clouds = (real, generated, critic.interpolate(key, real, generated))
            return critic.critic_step(state, score, clouds, weights, penalty, descent)

        state = descent.init(network.init(jax.random.key(0), real)["params"])
        state, metrics = jax.lax.scan(step, state, jax.random.split(jax.random.key(1), steps))
        inside = jnp.linspace(0.1, 0.9, 50)[:, None] * SHIFT
        slopes = jax.grad(lambda x: jnp.sum(score(state.params, x)))(inside)[:, 0]
        value = critic.dual_value(score(state.params, real), score(state.params, generated), weights)
        return slopes, value, metrics["critic_gradient_norm"][-1]

    return jax.tree.map(np.asarray, train(jnp.asarray(PENALTIES, jnp.float32)))


def penalised_optimum(penalty):
    """The dual value of the optimal slope 1 + (F_q − F_p) / (2λρ) on a line, by quadrature; q generated, p real.

    Maximising ∫ f′ (F_q − F_p) − λ ρ (f′ − 1)² for each point by itself gives that slope.
    """
    x = np.linspace(-8 * DEVIATION, SHIFT + 8 * DEVIATION, 20_001)
    gap = scipy.stats.norm.cdf(x / DEVIATION) - scipy.stats.norm.cdf((x - SHIFT) / DEVIATION)
    u = (np.arange(400) + 0.5) / 400
    spread = DEVIATION * np.sqrt(u**2 + (1 - u) ** 2)
    density = np.mean([scipy.stats.norm.pdf(x, SHIFT * a, s) for a, s in zip(u, spread, strict=True)], axis=0)
    return np.trapezoid(gap * (1 + gap / (2 * penalty * density)), x)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_the_closed_form_is_the_optimum_of_the_penalised_problem(penalty):
    np.testing.assert_allclose(penalised_optimum(penalty), SHIFT * (1 + SHIFT / (2 * penalty)), rtol=0.003)


@pytest.mark.parametrize("index", range(len(PENALTIES)))
def test_slope_and_estimate_of_a_shift_are_those_of_the_penalised_optimum(index):
    slopes, value, norm = (found[index] for found in trained_on_a_shift())
    slope = 1 + SHIFT / (2 * PENALTIES[index])
    np.testing.assert_allclose(slopes, slope, rtol=0.01)
    np.testing.assert_allclose(norm, slope, rtol=0.01)
    np.testing.assert_allclose(value, SHIFT * slope, rtol=0.01)


def test_the_estimate_falls_to_the_distance_as_the_penalty_grows():
    errors = trained_on_a_shift()[1] / SHIFT - 1
    assert np.all(np.diff(errors) < 0)
    assert 0 < errors[-1] < 0.02


# --- the parts -------------------------------------------------------------------------------------------------------

LABELS = np.repeat(np.arange(3), 4)  # a stratified batch: 3 classes, 4 points each
BATCH, CLASSES, LATENT = 12, 3, 5


def clouds(seed=0):
    real, generated = np.random.default_rng(seed).normal(size=(2, BATCH, LATENT)).astype(np.float32)
    return jnp.asarray(real), jnp.asarray(generated)


def test_the_norm_is_that_of_each_row_and_differentiable_where_it_vanishes():
    matrix = np.random.default_rng(0).normal(size=(LATENT, LATENT)).astype(np.float32)
    matrix = matrix + matrix.T
    points, _ = clouds()
    points = points.at[0].set(0.0)
    norms = lambda m: critic.gradient_norms(lambda z: jnp.sum((z @ m) * z, axis=-1) / 2, points)  # noqa: E731
    np.testing.assert_allclose(norms(matrix), np.linalg.norm(points @ matrix, axis=-1), rtol=1e-5, atol=1e-6)
    assert np.all(np.isfinite(jax.grad(lambda m: jnp.sum(norms(m)))(matrix)))


def test_the_penalty_is_weighted_and_one_sided_where_asked():
    norms, weights = jnp.asarray([0.0, 1.0, 3.0]), jnp.asarray([0.5, 0.3, 0.2])
    np.testing.assert_allclose(critic.gradient_penalty(norms, weights), 0.5 * 1 + 0.3 * 0 + 0.2 * 4, rtol=1e-6)
    np.testing.assert_allclose(critic.gradient_penalty(norms, weights, one_sided=True), 0.2 * 4, rtol=1e-6)


def test_the_value_of_a_linear_critic_is_the_weighted_shift_of_the_means():
    shares = np.array([0.5, 0.3, 0.2], np.float32)
    weights = batch_weights(LABELS, shares, float("inf"))
    np.testing.assert_allclose(jnp.sum(weights), 1.0, rtol=1e-6)
    np.testing.assert_allclose(batch_weights(LABELS, shares, 2.0), 1 / BATCH)  # not stratified: as it is drawn
    real, generated = clouds()
    direction = np.arange(LATENT) / 3.0
    found = critic.dual_value(real @ direction, generated @ direction, weights)
    means = [(real[label == LABELS] - generated[label == LABELS]).mean(axis=0) for label in range(CLASSES)]
    np.testing.assert_allclose(found, shares @ (np.stack(means) @ direction), rtol=1e-4)


def slopes(setting, beta, vector):
    condition = critic.lift(LABELS, CLASSES, beta)
    conditions = condition if setting is critic.stratified else (condition, condition)
    points, (_, _, between) = setting(jax.random.key(0), conditions, *clouds())
    return critic.gradient_norms(lambda rows: points(rows) @ vector, between)


def test_the_slope_is_over_the_latent_alone_where_beta_is_infinite_and_over_the_pair_otherwise():
    vector = np.arange(1.0, 1 + CLASSES + LATENT)
    np.testing.assert_allclose(
        slopes(critic.stratified, float("inf"), vector), np.linalg.norm(vector[CLASSES:]), rtol=1e-5
    )
    np.testing.assert_allclose(slopes(critic.joint, 2.0, vector), np.linalg.norm(vector), rtol=1e-5)


def test_smoothing_widens_a_law_by_its_variance_and_nothing_else():
    points = jax.random.normal(jax.random.key(0), (20_011, 3)) * jnp.array([0.5, 1.0, 2.0]) + jnp.array([1.0, 2.0, 3.0])
    blurred = blur(jax.random.key(1), points, 0.7)
    np.testing.assert_allclose(blurred.mean(axis=0), points.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(np.cov(blurred.T), np.cov(points.T) + 0.49 * np.eye(3), atol=0.06)
    assert blur(jax.random.key(1), points, 0.0) is points


def test_two_classes_are_beta_apart():
    lifted = critic.lift(np.arange(CLASSES), CLASSES, 7.0)
    np.testing.assert_allclose(jnp.linalg.norm(lifted[0] - lifted[2]), 7.0, rtol=1e-6)


def test_stratified_points_between_stay_in_their_class():
    real, generated = (z + 1000.0 * LABELS[:, None] for z in clouds())
    _, (_, _, between) = critic.stratified(jax.random.key(0), critic.lift(LABELS, CLASSES, jnp.inf), real, generated)
    low, high = np.minimum(real, generated), np.maximum(real, generated)
    assert np.all((low - 1e-3 <= between) & (between <= high + 1e-3))


def test_joint_points_between_lie_on_a_segment_of_two_pairs_and_cross_classes():
    beta, (real, generated) = 2.0, clouds()
    condition = critic.lift(LABELS, CLASSES, beta)
    _, (_, target, between) = critic.joint(jax.random.key(0), (condition, condition), real, generated)
    np.testing.assert_array_equal(target, np.concatenate([condition, generated], axis=-1))
    own = between[np.arange(BATCH), LABELS] / (beta / np.sqrt(2))  # u, where the partner is of another class
    crossing = np.asarray(own) < 0.999
    assert crossing.sum() >= 3
    for row in np.flatnonzero(crossing):
        pair = np.concatenate([condition[row], real[row]])
        partner = (between[row] - own[row] * pair) / (1 - own[row])
        assert np.abs(np.asarray(target) - partner).max(axis=1).min() < 1e-3


def test_one_class_does_not_feel_the_data_of_another():
    """With a critic of own parameters for each class, f(x, z) = aₓ · z + ‖z‖² / 4."""
    weights = batch_weights(LABELS, np.array([0.5, 0.3, 0.2]), float("inf"))

    def gradient(real, generated):
        points, cloud = critic.stratified(jax.random.key(0), critic.lift(LABELS, CLASSES, jnp.inf), real, generated)

        def loss(a):
            f = lambda rows: jnp.sum((rows[:, :CLASSES] @ a + rows[:, CLASSES:] / 4) * rows[:, CLASSES:], axis=-1)  # noqa: E731
            return critic.critic_loss(lambda rows: f(points(rows)), cloud, weights, 10.0)[0]

        return jax.grad(loss)(jnp.ones((CLASSES, LATENT)))

    real, generated = clouds()
    moved = gradient(real.at[LABELS == 1].add(3.0), generated) - gradient(real, generated)
    np.testing.assert_allclose(moved[jnp.array([0, 2])], 0.0, atol=1e-6)
    assert np.abs(moved[1]).min() > 0.1


# --- the matcher -----------------------------------------------------------------------------------------------------


def pairs(rng, count, centres):
    """Latents `[classes · count, latent]` around a centre for each class, sorted by class, and labels."""
    labels = np.repeat(np.arange(len(centres), dtype=np.int32), count)
    return (centres[labels] + 0.3 * rng.normal(size=(len(labels), centres.shape[1]))).astype(np.float32), labels


def distances(matcher, params, centres):
    """Exact W₁ of each class between 200 samples and 200 fresh latents."""
    latents, labels = pairs(np.random.default_rng(99), 200, centres)
    sample = jax.jit(jax.vmap(matcher.sample, (None, 0, 0)))
    sampled = sample(params, jax.random.split(jax.random.key(5), len(labels)), labels)
    return np.array([w1_exact(np.asarray(sampled)[labels == c], latents[labels == c]) for c in range(len(centres))])


@pytest.mark.parametrize(("beta", "one_sided"), [(float("inf"), False), (4.0, True)])
def test_training_brings_every_class_to_its_own_target_in_one_trace(beta, one_sided):
    """Two-sided and stratified, f must have slope 1 where nothing is left to gain, so the generator circles its target:
    more critic steps keep the circle small."""
    centres = np.array([[1.5, 0.0, 0.0], [0.0, -1.5, 1.0]])
    matcher = build(beta, one_sided=one_sided, steps=3 if one_sided else 8)
    rng, traces = np.random.default_rng(0), []
    state = jax.jit(matcher.init)(jax.random.key(0), *pairs(rng, 32, centres))

    @jax.jit
    def update(state, latents, labels, key):
        traces.append(key)
        return matcher.update(state, [Term(latents, labels, beta)], key)

    for step in range(STEPS):
        state, metrics = update(state, *pairs(rng, 32, centres), jax.random.fold_in(jax.random.key(1), step))
    after = distances(matcher, matcher.averaged(state), centres)
    assert np.all(after < 0.5 * np.linalg.norm(centres, axis=1))  # a generator of zeros is as far as the norm
    assert len(traces) == 1
    assert int(state.generator.step) == STEPS and int(state.critic.step) == matcher.own.steps * STEPS
    assert all(np.isfinite(value) for value in metrics.values())
    named = {"loss", "gradient_norm", "update_norm", "parameter_norm", "w1_estimate", "critic_gradient_norm", "penalty"}
    assert named <= set(metrics)


@pytest.mark.parametrize(("key", "value"), [("steps", 0), ("penalty", 0.0), ("penalty", -1.0)])
def test_settings_that_make_no_critic_are_refused(key, value, refused):
    assert f"matching.critic.{key}={value}" in refused(build, **{key: value})
