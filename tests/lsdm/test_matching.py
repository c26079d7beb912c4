import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax import load_config, train
from experiment_jax.config.durations import schedule
from experiment_jax.data.split import View
from experiment_jax.method.stage import Context, Model
from experiment_jax.training.logger import read_metrics
from lsdm_jax import matching, sections

LATENT, CLASSES = 3, 5
NAMES = sorted(matching.MATCHERS)
FITTED = ("gmm", "prior")  # in one pass; they train nothing


@pytest.fixture(autouse=True)
def lenient_promotion():
    """ott promotes ranks inside, so a strict suite must not hold it to our rule."""
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        yield


SMALL = dict(
    matcher="sinkhorn",
    batch_size=20,
    draws=2,
    sinkhorn=dict(epsilon=1.0, max_iterations=50),
    flow=dict(epsilon=1.0, max_iterations=50, thinning=2),
    score=dict(sampling_steps=5, guidance=1.0, sigma_min=0.01, sigma_max=10.0),
    critic=dict(steps=2, width=8, depth=1),
    gmm=dict(components=2),
    noise_size=4,
    width=8,
    depth=1,
)


def settings(**own):
    """A section that every matcher can read."""
    return sections.matching(**{**SMALL, **own})


def context(**model):
    """After a representation that folds 2×2 grey images, less their last pixel, into latents."""
    functions = dict(
        encode=lambda params, images: images.reshape(len(images), -1)[:, :LATENT],
        decode=lambda params, z: jnp.pad(z, ((0, 0), (0, 1))).reshape(-1, 2, 2, 1),
        latent_size=LATENT,
    )
    weights, counts = np.full(CLASSES, 1 / CLASSES, np.float32), np.full(CLASSES, 4)
    return Context("matching", (2, 2, 1), CLASSES, weights, counts, 10, Model(**{**functions, **model}))


def batch():
    latents = jax.random.normal(jax.random.key(3), (20, LATENT))
    return {"latents": latents, "labels": jnp.repeat(jnp.arange(CLASSES), 4)}


def test_an_unknown_matcher_is_refused_with_the_known_ones(refused):
    error = refused(matching.stage, settings(matcher="sinkhron"), context())
    assert f"matching.matcher=sinkhron: choose one of {', '.join(matching.MATCHERS)}" in error


@pytest.mark.parametrize("name", ["flow", "score"])
@pytest.mark.parametrize("recipe", ["digits", "fashion_mnist"])
def test_the_variants_named_as_a_matcher_choose_it_and_can_be_built(recipe, name):
    section = load_config(f"configs/lsdm_{recipe}.py:{name}").matching
    assert section.matcher == name and section.batch_size % CLASSES == 0
    assert schedule(section, 1000).total > 0
    matching.stage(section, context())


@pytest.mark.parametrize("missing", ["encode", "decode"])
def test_a_stage_that_encodes_and_decodes_must_come_first(missing, refused):
    error = refused(matching.stage, settings(), context(**{missing: None}))
    assert "stages: matching needs a stage before it that encodes and decodes" in error


def test_a_view_without_labels_is_refused(refused):
    assert "type --config.matching.view=paired" in refused(matching.stage, settings(view="all"), context())


@pytest.mark.parametrize(("given", "advised"), [(22, 20), (23, 25), (1, 5)])
def test_a_batch_that_the_classes_cannot_share_is_refused_with_the_nearest_that_they_can(given, advised, refused):
    error = refused(matching.stage, settings(batch_size=given), context())
    assert error.endswith(f"5 classes cannot share it; type --config.matching.batch_size={advised}")


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


def test_the_model_knows_what_a_sample_costs():
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


@pytest.mark.parametrize(("epsilon", "warnings"), [(2.0, 0), (1e-6, 1)])
def test_plans_that_have_not_converged_are_warned_of_once(epsilon, warnings, tiny, one, tmp_path, caplog):
    config = tiny(matching__sinkhorn__epsilon=epsilon)
    train(config, tmp_path, one)
    shares = [row["converged"] for row in read_metrics(tmp_path) if "converged" in row]
    assert len(shares) == 4 and (min(shares) == 1.0 if warnings == 0 else max(shares) < 0.5)
    said = [record.getMessage() for record in caplog.records if "had converged" in record.getMessage()]
    assert len(said) == warnings
    for line in said:
        assert line.startswith("matching: at step 1 only ")
        assert line.endswith("raise the matcher's epsilon or max_iterations")
