import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from experiment_jax import load_config
from experiment_jax.config import sections
from experiment_jax.data.split import View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Model
from experiment_jax.method.task import plan
from lsdm_jax import matching

LATENT, CLASSES = 3, 5
NAMES = sorted(matching.MATCHERS)
FITTED = ("gmm", "prior")  # in one pass; they train nothing


@pytest.fixture(autouse=True)
def lenient_promotion():
    """ott promotes ranks inside, so a strict suite must not hold it to our rule."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


def settings(**own):
    """A section that every matcher can read."""
    defaults = dict(
        matcher="sinkhorn",
        view="paired",
        batch_size=20,
        beta=float("inf"),
        draws=2,
        epsilon=1.0,
        max_iterations=50,
        threshold=1e-2,
        thinning=2,
        sampling_steps=5,
        guidance=1.0,
        label_dropout=0.1,
        sigma_data=1.0,
        sigma_mean=-0.5,
        sigma_std=1.2,
        sigma_min=0.01,
        sigma_max=10.0,
        penalty=10.0,
        one_sided=False,
        smoothing=0.0,
        critic_steps=2,
        critic_width=8,
        critic_depth=1,
        critic_optimiser=sections.optimiser(),
        components=2,
        covariance_floor=1e-3,
        noise_size=4,
        width=8,
        depth=1,
        optimiser=sections.optimiser(),
        ema_decay=0.9,
    )
    return ConfigDict({**defaults, **own})


def context(**model):
    """After a representation that folds 2×2 grey images, less their last pixel, into latents."""
    functions = dict(
        encode=lambda params, images: images.reshape(len(images), -1)[:, :LATENT],
        decode=lambda params, z: jnp.pad(z, ((0, 0), (0, 1))).reshape(-1, 2, 2, 1),
        latent_size=LATENT,
    )
    weights = np.full(CLASSES, 1 / CLASSES, np.float32)
    return Context("matching", (2, 2, 1), CLASSES, weights, 10, Model(**{**functions, **model}))


def batch():
    latents = jax.random.normal(jax.random.key(3), (20, LATENT))
    return {"latents": latents, "labels": jnp.repeat(jnp.arange(CLASSES), 4)}


def test_an_unknown_matcher_is_refused_with_the_known_ones():
    with pytest.raises(UserError, match=f"matching.matcher=sinkhron: choose one of {', '.join(matching.MATCHERS)}"):
        matching.stage(settings(matcher="sinkhron"), context())


@pytest.mark.parametrize("name", ["flow", "score"])
@pytest.mark.parametrize("recipe", ["digits", "fashion_mnist"])
def test_the_variants_named_as_a_matcher_choose_it_and_can_be_built(recipe, name):
    section = load_config(f"configs/lsdm_{recipe}.py:{name}").matching
    assert section.matcher == name and section.batch_size % CLASSES == 0
    assert plan(section, 1000).total > 0
    matching.stage(section, context())


@pytest.mark.parametrize("missing", ["encode", "decode"])
def test_a_stage_that_encodes_and_decodes_must_come_first(missing):
    with pytest.raises(UserError, match="stages: matching needs a stage before it that encodes and decodes"):
        matching.stage(settings(), context(**{missing: None}))


def test_a_view_without_labels_is_refused():
    with pytest.raises(UserError, match=r"type --config\.matching\.view=paired"):
        matching.stage(settings(view="all"), context())


@pytest.mark.parametrize(("given", "advised"), [(22, 20), (23, 25), (1, 5)])
def test_a_batch_that_the_classes_cannot_share_is_refused_with_the_nearest_that_they_can(given, advised):
    with pytest.raises(UserError, match=f"5 classes cannot share it; type --config.matching.batch_size={advised}$"):
        matching.stage(settings(batch_size=given), context())


def test_a_finite_beta_takes_any_batch_and_any_order():
    assert matching.stage(settings(batch_size=22, beta=1.0), context()).strata is None
    assert matching.stage(settings(), context()).strata == CLASSES


def test_latents_are_encoded_once_and_not_at_every_step():
    images = jnp.arange(12.0).reshape(3, 2, 2, 1)
    np.testing.assert_array_equal(matching.stage(settings(), context()).inputs(images, {})["latents"][1], [4, 5, 6])


@pytest.mark.parametrize("name", [name for name in NAMES if name not in FITTED])
@pytest.mark.parametrize("beta", [float("inf"), 2.0])
def test_every_matcher_keeps_the_form_of_its_state_and_reports_scalars(name, beta):
    stage = matching.stage(settings(matcher=name, beta=beta), context())
    state = jax.eval_shape(stage.init, jax.random.key(0), batch(), {})
    after, metrics = jax.eval_shape(stage.update, state, batch(), jax.random.key(1), {})
    assert after == state
    assert {"loss", "gradient_norm", "update_norm", "parameter_norm"} <= set(metrics)
    assert all(value.shape == () for value in metrics.values())


def test_the_model_is_told_what_a_sample_costs():
    assert matching.stage(settings(matcher="critic"), context()).provides["nfe"] == 1
    assert matching.stage(settings(matcher="score"), context()).provides["nfe"] == 10  # 5 steps, guided


@pytest.mark.parametrize("name", NAMES)
def test_one_key_makes_one_sample_whatever_the_batch(name):
    stage = matching.stage(settings(matcher=name), context())
    state = jax.jit(stage.init, static_argnums=2)(jax.random.key(0), batch(), None)
    images = np.random.default_rng(0).integers(0, 256, (20, 2, 2, 1), dtype=np.uint8)
    params = {"matching": stage.finish(state, View(images, np.repeat(np.arange(CLASSES), 4)), {})}
    sample = jax.jit(lambda keys, labels: stage.provides["sample"](params, keys, labels))
    keys, labels = jax.random.split(jax.random.key(7), 11), jnp.arange(11) % CLASSES
    whole, part = sample(keys, labels), sample(keys[4:7], labels[4:7])
    assert whole.images.shape == (11, 2, 2, 1) and whole.latents.shape == (11, LATENT) and whole.accepted.all()
    np.testing.assert_allclose(part.latents, whole.latents[4:7], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(part.images, whole.images[4:7], rtol=1e-5, atol=1e-6)
    other = sample(keys.at[0].set(keys[1]), labels).latents
    np.testing.assert_array_equal(other[1:], whole.latents[1:])
    assert np.abs(other[0] - whole.latents[0]).max() > 1e-4
