import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from experiment_jax.config import sections
from experiment_jax.method.stage import Context, Model
from experiment_jax.metrics.latents import spread
from experiment_jax.metrics.transport import w1_exact
from lsdm_jax.matchers import score
from lsdm_jax.matchers.matcher import Term

SIGMAS = np.array([0.01, 0.3, 1.0, 2.0, 50.0])


def build(shares=(0.5, 0.5), steps=1, **own):
    """The matcher; `own` are its own settings."""
    defaults = dict(
        sampling_steps=20,
        guidance=0.0,
        label_dropout=0.2,
        sigma_data=1.0,
        sigma_mean=-0.5,
        sigma_std=1.2,
        sigma_min=0.01,
        sigma_max=20.0,
    )
    section = ConfigDict(
        dict(
            score={**defaults, **own},
            beta=float("inf"),
            generator="dense",
            patch=1,
            width=64,
            depth=2,
            optimiser=sections.optimiser(learning_rate=5e-3),
            ema_decay=0.98,
        )
    )
    shares = np.asarray(shares, np.float32)
    context = Context("matching", (8, 8, 1), len(shares), shares, 100 * shares, steps, Model(latent_size=3))
    matcher = score.ScoreMatcher(section, context)
    matcher.check()
    return matcher


def initial(matcher):
    return matcher.averaged(jax.jit(matcher.init)(jax.random.key(0), jnp.zeros((4, 3)), jnp.zeros(4, int)))


# --- the parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [1.0, 0.5])
def test_what_the_network_sees_and_is_asked_for_has_unit_variance(data):
    c = score.precondition(SIGMAS, data)
    np.testing.assert_allclose(c.scale**2 * (data**2 + SIGMAS**2), 1.0, rtol=1e-5)
    asked = (1 - c.skip) ** 2 * data**2 + c.skip**2 * SIGMAS**2  # of y − c_skip (y + n)
    np.testing.assert_allclose(asked / c.out**2, 1.0, rtol=1e-4)
    np.testing.assert_allclose(c.weight * c.out**2, 1.0, rtol=1e-5)
    np.testing.assert_allclose(c.level, np.log(SIGMAS) / 4, rtol=1e-5)


def test_normal_latents_leave_the_network_nothing_to_do():
    """E[y | y + n] of y ~ N(0, σ_data²) is c_skip (y + n), by least squares over many draws."""
    y, n = np.random.default_rng(0).normal(size=(2, 200_003)) * np.array([[0.5], [0.7]])
    slope = np.sum(y * (y + n)) / np.sum((y + n) ** 2)
    np.testing.assert_allclose(score.precondition(np.float32(0.7), 0.5).skip, slope, rtol=0.01)


def test_the_schedule_is_even_in_the_seventh_root_and_ends_in_nothing():
    sigmas = np.asarray(score.schedule(11, 0.01, 20.0))
    np.testing.assert_allclose(sigmas[[0, 10, 11]], [20.0, 0.01, 0.0], rtol=1e-4)
    np.testing.assert_allclose(np.diff(sigmas[:-1] ** (1 / 7), 2), 0.0, atol=1e-6)
    assert sigmas.shape == (12,) and np.all(np.diff(sigmas) < 0)
    np.testing.assert_allclose(score.schedule(1, 0.01, 20.0), [20.0, 0.0], rtol=1e-6)


def test_the_sampler_follows_the_flow_of_a_normal_law_with_an_error_of_second_order():
    """D of N(m, s²) is (s² z + σ² m)/(s² + σ²), and z(0) = m + (z(σ) − m) s/√(s² + σ²)."""
    mean, deviation, start = jnp.array([0.5, -1.0, 2.0]), 0.7, jnp.array([30.0, -10.0, 5.0])
    denoise = lambda z, s: (deviation**2 * z + s**2 * mean) / (deviation**2 + s**2)  # noqa: E731
    exact = mean + (start - mean) * deviation / np.sqrt(deviation**2 + 20.0**2)
    found = [score.integrate(denoise, start, score.schedule(k, 0.001, 20.0)) for k in (40, 80, 160)]
    errors = np.array([np.linalg.norm(each - exact) for each in found])
    assert errors[0] < 0.02
    np.testing.assert_allclose(errors[:-1] / errors[1:], 4.0, atol=0.8)


def test_two_steps_are_those_of_euler():
    denoise = lambda z, s: jnp.sin(z) + s  # noqa: E731
    z = jnp.array([3.0, 1.0, 2.0])
    middle = z + (1.0 - 4.0) * (z - denoise(z, 4.0)) / 4.0
    found = score.integrate(denoise, z, jnp.array([4.0, 1.0, 0.0]))
    np.testing.assert_allclose(found, denoise(middle, 1.0), rtol=1e-5)


def test_the_last_step_is_a_denoising():
    z = jnp.array([3.0, 1.0, 2.0])
    np.testing.assert_allclose(score.integrate(lambda z, s: jnp.sin(z) + s, z, jnp.array([2.0, 0.0])), jnp.sin(z) + 2.0)


# --- the matcher -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("guidance", "branches"), [(0.0, 1), (1.5, 2)])
def test_nfe_counts_the_evaluations_of_a_sample(guidance, branches, monkeypatch):
    counted, precondition = [], score.precondition

    def counting(*arguments):
        jax.debug.callback(lambda: counted.append(1))
        return precondition(*arguments)

    matcher = build(guidance=guidance, sampling_steps=7)
    params = initial(matcher)
    monkeypatch.setattr(score, "precondition", counting)
    matcher.sample(params, jax.random.key(0), jnp.int32(1)).block_until_ready()
    jax.effects_barrier()
    assert len(counted) == matcher.nfe == 7 * branches


def test_guidance_goes_from_no_label_through_the_label_and_on():
    """Of one step, the sample is D + w (D − D of no label) itself."""

    def sample(guidance, label):
        matcher = build(guidance=guidance, sampling_steps=1, sigma_max=1.0)
        return matcher.sample(initial(matcher), jax.random.key(4), jnp.int32(label))

    given, free = sample(0.0, 1), sample(0.0, 2)
    assert np.abs(given - free).max() > 0.01
    for guidance in (0.5, 2.0):
        np.testing.assert_allclose(sample(guidance, 1), given + guidance * (given - free), rtol=1e-4, atol=1e-5)


def trained(centres, shares, per_class, **own):
    """Samples of class 0, of class 1 and of no label `[3, 300, 3]`, after training on N(centre, ½² I) of each class."""
    matcher = build(shares, steps=600, **own)
    labels = np.repeat(np.arange(2), per_class)

    @jax.jit
    def train(key):
        def step(state, key):
            data, model = jax.random.split(key)
            latents = centres[labels] + 0.5 * jax.random.normal(data, (len(labels), 3))
            return matcher.update(state, [Term(latents, labels)], model)

        state = matcher.init(key, jnp.zeros((len(labels), 3)), labels)
        state, _ = jax.lax.scan(step, state, jax.random.split(key, 600))
        keys = jax.random.split(jax.random.key(5), 900).reshape(3, 300)
        draw = jax.vmap(jax.vmap(matcher.sample, (None, 0, None)), (None, 0, 0))
        return draw(matcher.averaged(state), keys, jnp.arange(3))

    return np.asarray(train(jax.random.key(0)))


def test_training_finds_the_law_of_each_class_and_the_mixture_where_no_label_is_given():
    """Stratified batches hold equally many of both classes; their shares are 0.8 and 0.2."""
    centres = np.array([[1.5, 0.0, 0.0], [-1.5, 0.0, 1.0]], np.float32)
    samples = trained(centres, [0.8, 0.2], per_class=64)
    noise = np.random.default_rng(1).normal(size=(2, 2, 300, 3)) * 0.5
    real, fresh = noise + centres[:, None]
    for label in range(2):
        assert w1_exact(samples[label], real[label]) < 1.4 * w1_exact(fresh[label], real[label])
    asked = np.repeat(np.arange(2), 300)
    assert 0.85 < spread(samples[:2].reshape(600, 3), asked, real.reshape(600, 3), asked, 2) < 1.15
    assert abs(np.mean(samples[2, :, 0] > 0) - 0.8) < 0.1


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        (dict(sampling_steps=0), "sampling_steps=0: give 1 or more, as in --config.matching.score.sampling_steps=50"),
        (dict(sigma_data=0.0), "sigma_data=0.0"),
        (dict(sigma_min=-1.0), "sigma_min=-1.0"),
        (dict(sigma_min=30.0), "sigma_min=30.0: give less than 20.0"),
        (dict(guidance=-0.5), "guidance=-0.5"),
        (dict(label_dropout=1.0), "label_dropout=1.0: give less than 1"),
        (
            dict(label_dropout=0.0, guidance=1.0),
            "guidance=1.0: needs label_dropout; type --config.matching.score.label_dropout=0.1",
        ),
    ],
)
def test_settings_that_make_no_diffusion_are_refused(own, reason, refused):
    assert f"matching.score.{reason}" in refused(build, **own)


def test_labels_need_not_be_dropped_where_nothing_is_guided():
    assert build(label_dropout=0.0).nfe == 20
