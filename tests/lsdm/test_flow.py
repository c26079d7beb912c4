import functools

import jax
import jax.numpy as jnp
import numpy as np
import ot
import pytest
from ml_collections import ConfigDict
from scipy.spatial.distance import cdist

from experiment_jax.config import sections
from experiment_jax.method.stage import Context, Model
from experiment_jax.metrics.latents import spread
from experiment_jax.metrics.transport import w1_exact
from lsdm_jax.condition import phi
from lsdm_jax.matchers import flow, sinkhorn
from lsdm_jax.matchers.matcher import Term

SOLVER = dict(max_iterations=5000, threshold=1e-4)
LABELS = np.repeat(np.arange(3), 7)  # 3 classes, 7 points each, 5 dimensions


@pytest.fixture(autouse=True)
def lenient_promotion():
    """ott promotes ranks inside, so a strict suite must not hold it to our rule."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def cloud(count, seed=0, shift=0.0, features=5):
    return (np.random.default_rng(seed).normal(size=(count, features)) + shift).astype(np.float32)


pull = jax.jit(lambda x, y, epsilon: flow.pull(x, y, epsilon=epsilon, **SOLVER)[0])
drift = jax.jit(lambda x, y, other, epsilon: flow.drift(x, y, other, epsilon=epsilon, **SOLVER)[0])
descent = jax.jit(
    lambda x, y, epsilon: -len(x) * jax.grad(lambda x: sinkhorn.divergence(x, y, epsilon=epsilon, **SOLVER)[0])(x)
)


@pytest.mark.parametrize("epsilon", [3.0, 0.3])
def test_against_itself_the_drift_is_the_steepest_descent_of_the_divergence(epsilon):
    x, y = cloud(11), cloud(7, seed=1, shift=0.5)
    expected = descent(x, y, epsilon)
    assert np.linalg.norm(expected, axis=1).min() > 0.05
    np.testing.assert_allclose(drift(x, y, x, epsilon), expected, atol=2e-3)


def test_the_pull_tends_to_the_unit_vectors_of_exact_transport():
    x, y = cloud(11, seed=4), cloud(7, seed=24, shift=0.5)
    cost = cdist(x, y)
    plan = ot.emd(np.full(11, 1 / 11), np.full(7, 1 / 7), cost)
    exact = 11 * np.sum((plan / cost)[..., None] * (y[None] - x[:, None]), axis=1)
    errors = [np.linalg.norm(pull(x, y, epsilon) - exact) / np.linalg.norm(exact) for epsilon in (1.0, 0.1, 0.01)]
    assert np.all(np.diff(errors) < 0) and errors[-1] < 0.01


def test_the_pull_of_a_far_cloud_is_one_long_however_far():
    """W₁ moves points at unit speed; the drift of W₂ would be as long as the way."""
    x, direction = cloud(11), np.array([12.0, -16.0, 0.0, 0.0, 15.0], np.float32) / 25
    for distance in (100.0, 1000.0):
        found = pull(x, x + distance * direction, 1.0)
        np.testing.assert_allclose(found, np.broadcast_to(direction, found.shape), atol=10 / distance)


def test_coincident_points_do_not_pull():
    x = np.concatenate([np.repeat(cloud(5), 2, axis=0), np.zeros((1, 5), np.float32)])
    np.testing.assert_allclose(pull(x, x[::-1].copy(), 0.01), 0.0, atol=1e-3)
    np.testing.assert_array_equal(pull(x[:1], x[:1], 1.0), np.zeros((1, 5)))


def test_data_and_model_take_opposite_parts():
    """So where both are of one law, whatever it is, V and −V are equally likely: E V = 0."""
    x, y, other = cloud(11), cloud(7, seed=1), cloud(7, seed=2)
    np.testing.assert_allclose(drift(x, y, other, 0.5), -drift(x, other, y, 0.5), atol=1e-5)
    np.testing.assert_array_equal(drift(x, y, y, 0.5), np.zeros((11, 5)))


def test_a_second_batch_does_not_contract_a_model_that_is_right_and_the_batch_itself_does():
    """The mean of V · x/‖x‖ over many batches of 7 points from one normal law, in standard errors and in units of 1."""
    x, y, other = jax.random.normal(jax.random.key(0), (3, 400, 7, 5))

    def outwards(other):
        drifts = jax.jit(jax.vmap(functools.partial(drift, epsilon=0.5)))(x, y, other)
        radial = np.asarray(jnp.sum(drifts * x, axis=-1) / jnp.linalg.norm(x, axis=-1)).mean(axis=1)
        return radial.mean(), radial.std() / np.sqrt(len(radial))

    mean, error = outwards(other)
    assert abs(mean) < 3 * error and error < 0.02
    mean, error = outwards(x)
    assert mean < -10 * error and mean < -0.2


def test_stratified_is_a_loop_over_classes():
    x, y, other = cloud(21), cloud(21, seed=1, shift=0.5), cloud(21, seed=2)
    solver = dict(SOLVER, epsilon=1.0)
    found, metrics = jax.jit(functools.partial(flow.stratified, **solver))(*(z.reshape(3, 7, 5) for z in (x, y, other)))
    loop = [drift(x[label == LABELS], y[label == LABELS], other[label == LABELS], 1.0) for label in range(3)]
    np.testing.assert_allclose(found, np.stack(loop), atol=1e-3)
    assert metrics["converged"] == 1.0 and metrics["iterations"] > 0


def test_joint_is_the_descent_of_the_joint_divergence_by_the_latents():
    x, y, beta = cloud(21), cloud(21, seed=1, shift=0.5), 1.7
    order = LABELS[np.random.default_rng(0).permutation(21)]
    value = lambda x: sinkhorn.joint(x, y, (phi(order, 3),) * 2, beta, epsilon=1.0, **SOLVER)[0]  # noqa: E731
    found, _ = jax.jit(lambda: flow.joint((x, y, x), (phi(order, 3),) * 3, beta, epsilon=1.0, **SOLVER))()
    np.testing.assert_allclose(found, -21 * jax.jit(jax.grad(value))(x), atol=2e-3)


def test_joint_at_a_large_finite_beta_is_stratified():
    clouds = cloud(21), cloud(21, seed=1, shift=0.5), cloud(21, seed=2)
    solver = dict(SOLVER, epsilon=1.0)
    by_class, _ = jax.jit(functools.partial(flow.stratified, **solver))(*(z.reshape(3, 7, 5) for z in clouds))
    found, metrics = jax.jit(lambda: flow.joint(clouds, (phi(LABELS, 3),) * 3, 1e4, **solver))()
    np.testing.assert_allclose(found, by_class.reshape(21, 5), atol=2e-3)
    assert metrics["converged"] == 1.0


def test_both_terms_are_to_converge_and_nothing_is_finite_again():
    x, one_point, several = cloud(11), np.zeros((7, 5), np.float32), cloud(7, seed=1)
    run = jax.jit(functools.partial(flow.drift, epsilon=0.01, max_iterations=10, threshold=1e-2))
    assert run(x, one_point, one_point)[1]["converged"] == 1.0  # whatever the plan is
    for other in (several, np.full((7, 5), np.nan, np.float32)):
        assert run(x, one_point, other)[1]["converged"] == run(x, other, one_point)[1]["converged"] == 0.0
    assert np.isnan(run(x, one_point, other)[0]).all()


# --- the matcher -----------------------------------------------------------------------------------------------------


def settings(**own):
    of_flow = dict(epsilon=0.3, max_iterations=100, threshold=1e-2, thinning=1)
    of_flow |= {key: own.pop(key) for key in of_flow if key in own}
    defaults = dict(
        batch_size=32,
        beta=float("inf"),
        pairs=dict(weight=0.0),
        flow=of_flow,
        noise_size=3,
        generator="dense",
        width=32,
        depth=1,
        optimiser=sections.optimiser(learning_rate=5e-3),
        ema_decay=0.9,
    )
    return ConfigDict({**defaults, **own})


def context(weights, steps=1):
    weights = np.asarray(weights, np.float32)
    return Context("matching", (8, 8, 1), len(weights), weights, 100 * weights, steps, Model(latent_size=3))


def build(section, context):
    matcher = flow.FlowMatcher(section, context)
    matcher.check()
    return matcher


def test_a_step_descends_the_divergences_weighted_by_the_shares_of_the_classes():
    """By plain gradient descent, against the gradient of Σ p(x) [OT(G, y) − OT(G, x′)] with the batches of the step."""
    shares, rate = [0.75, 0.25], 0.1
    plain = sections.optimiser(name="sgd", b1=0.0, clip=0.0, schedule="constant", warmup_steps=0, learning_rate=rate)
    section = settings(optimiser=plain, epsilon=1.0, max_iterations=5000, threshold=1e-4, batch_size=12, thinning=2)
    matcher = build(section, context(shares))
    labels, latents = np.repeat(np.arange(2), 6), cloud(12, seed=1, shift=1.0, features=3)
    state = jax.jit(matcher.init)(jax.random.key(0), latents, labels)
    term = Term(latents, labels)
    after, _ = jax.jit(lambda state, key: matcher.update(state, [term], key))(state, key := jax.random.key(1))
    first, second = (jax.random.split(key)[i] for i in range(2))
    other = matcher.draw(state.params, second, labels)

    divergences = jax.vmap(lambda x, y: sinkhorn.divergence(x, y, epsilon=1.0, **SOLVER)[0])

    def by_class(z, of):
        return jnp.stack([z[of == label] for label in range(2)])

    def objective(params):
        x = by_class(matcher.draw(params, first, labels[::2]), labels[::2])
        # −½ OT(y, y) and −½ OT(x′, x′) are constants; each divergence holds −½ OT(x, x), so these cancel
        to_data, to_model = (divergences(x, by_class(z, labels)) for z in (latents, other))
        return jnp.sum(jnp.asarray(shares) * (to_data - to_model))

    moved = jax.tree.map(lambda new, old: (old - new) / rate, after.params, state.params)
    expected = jax.jit(jax.grad(objective))(state.params)
    for found, wanted in zip(jax.tree.leaves(moved), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(found, wanted, atol=3e-3)


@pytest.mark.parametrize(("beta", "thinning"), [(float("inf"), 1), (4.0, 2)])
def test_training_brings_every_class_to_its_law_and_keeps_its_spread(beta, thinning):
    centres = np.array([[1.5, 0.0, 0.0], [0.0, -1.5, 1.0]], np.float32)
    labels = np.repeat(np.arange(2), 16)
    matcher = build(settings(beta=beta, thinning=thinning), context([0.5, 0.5], steps=300))

    @jax.jit
    def train(key):
        def step(state, key):
            data, model = jax.random.split(key)
            latents = centres[labels] + 0.5 * jax.random.normal(data, (32, 3))
            return matcher.update(state, [Term(latents, labels, beta)], model)

        first, rest = jax.random.split(key)
        state = matcher.init(first, jnp.zeros((32, 3)), labels)
        state, metrics = jax.lax.scan(step, state, jax.random.split(rest, 300))
        keys, asked = jax.random.split(jax.random.key(5), 400), jnp.repeat(jnp.arange(2), 200)
        return jax.vmap(matcher.sample, (None, 0, 0))(matcher.averaged(state), keys, asked), asked, metrics

    samples, asked, metrics = jax.tree.map(np.asarray, train(jax.random.key(0)))
    real = centres[asked] + 0.5 * cloud(400, seed=9, features=3)
    fresh = centres[asked] + 0.5 * cloud(400, seed=10, features=3)
    for label in range(2):
        floor = w1_exact(fresh[asked == label], real[asked == label])
        assert w1_exact(samples[asked == label], real[asked == label]) < 1.5 * floor
    assert 0.85 < spread(samples, asked, real, asked, 2) < 1.15
    assert {"iterations", "converged", "drift_norm"} <= set(metrics)
    assert metrics["drift_norm"].max() <= 2.0 + 1e-3
    np.testing.assert_allclose(metrics["loss"], metrics["drift_norm"] ** 2 / 2, rtol=1e-4)


@pytest.mark.parametrize(
    ("key", "value"), [("epsilon", 0.0), ("epsilon", -1.0), ("max_iterations", 0), ("thinning", 0)]
)
def test_settings_that_make_no_transport_are_refused(key, value, refused):
    assert f"matching.flow.{key}={value}" in refused(build, settings(**{key: value}), context([1.0]))


def test_a_thinning_that_leaves_classes_unequal_is_refused(refused):
    error = refused(build, settings(batch_size=32, thinning=3), context([0.5, 0.5]))
    assert "matching.flow.thinning=3: " in error and error.endswith("; type --config.matching.batch_size=30")
    build(settings(batch_size=32, thinning=4), context([0.5, 0.5]))
