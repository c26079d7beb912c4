"""The classifier: its shapes, its pooling, BatchNorm's statistics, the scale of its latents."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax.config.sections import experiment
from experiment_jax.data import load, passes
from experiment_jax.data import split as data
from experiment_jax.method.stage import Context, Model
from regene_jax import classifier, sections

STEPS = 60


def context(shape=(8, 8, 1)):
    weights, counts = np.full(10, 0.1, np.float32), np.full(10, 100)
    return Context("classifier", shape, 10, weights, counts, STEPS, Model())


def settings(**own):
    small = dict(steps=STEPS, widths=(8, 16), latent_size=7, batch_size=50, label_smoothing=0.0, ema_decay=0.9)
    return sections.classifier(**{**small, **own})


@pytest.fixture(scope="module")
def trained():
    """(stage, state, frozen, view) of some steps on digits."""
    dataset = load.load(experiment("regene", "digits", ()).data, seed=0)
    own = settings(optimiser=dict(learning_rate=1e-2))
    stage, view = classifier.stage(own, context()), data.view(dataset, "paired")
    images = np.asarray(passes.to_float(view.images))
    update = jax.jit(lambda state, batch, key: stage.update(state, batch, key, {})[0])
    batch = {"images": images[:50], "labels": view.labels[:50]}
    state = jax.jit(lambda key, batch: stage.init(key, batch, {}))(jax.random.key(0), batch)
    generator = np.random.default_rng(0)
    for step in range(STEPS):
        index = generator.integers(0, len(view), 50)
        state = update(state, {"images": images[index], "labels": view.labels[index]}, jax.random.key(step))
    return stage, state, stage.finish(state, view, {}), view


@pytest.mark.parametrize(
    ("shape", "widths"), [((28, 28, 1), (4, 5, 6)), ((11, 12, 3), (4, 5)), ((64, 64, 3), (4,) * 6)]
)
def test_images_of_every_size_become_latents_and_maps(shape, widths):
    encoder = classifier.Encoder(widths, 2, 7, "linear")
    images = jax.ShapeDtypeStruct((3, *shape), jnp.float32)
    (z, maps), _ = jax.eval_shape(lambda x: encoder.init_with_output(jax.random.key(0), x, train=False), images)
    assert z.shape == (3, 7)
    expected = [(3, shape[0] // 2**level, shape[1] // 2**level, width) for level, width in enumerate(widths)]
    assert [level.shape for level in maps] == expected


def test_it_learns_and_its_latents_have_unit_scale(trained):
    stage, _, frozen, view = trained
    params = {"classifier": frozen}
    latents = passes.over_images(stage.encode, params, view.images)
    np.testing.assert_allclose(np.mean(np.square(latents, dtype=np.float64)), 1.0, rtol=1e-4)
    verdicts = np.argmax(stage.provides["classify"](params, latents), axis=-1)
    assert np.mean(verdicts == view.labels) > 0.9


def test_the_head_does_not_feel_the_scale(trained):
    stage, _, frozen, view = trained
    images = passes.to_float(view.images[:11])
    logits = []
    for own in (frozen, frozen.replace(scale=frozen.scale * 5)):
        params = {"classifier": own}
        logits.append(stage.provides["classify"](params, jax.jit(stage.provides["encode"])(params, images)))
    np.testing.assert_allclose(*logits, rtol=1e-3, atol=1e-4)


def test_statistics_move_and_are_averaged_with_the_parameters(trained):
    _, state, frozen, _ = trained
    assert all(np.abs(leaf).sum() > 0 for leaf in jax.tree.leaves(state.statistics))
    assert jax.tree.structure(frozen.statistics) == jax.tree.structure(state.statistics)
    jax.tree.map(np.testing.assert_array_equal, frozen.statistics, state.average["statistics"])
    variables = {"/".join(map(str, path)) for path, _ in jax.tree_util.tree_leaves_with_path(state.params["encoder"])}
    assert not any("Conv" in name and "bias" in name for name in variables)


def test_a_relu_makes_latents_sparse():
    encoder = classifier.Encoder((4,), 1, 30, "relu")
    images = np.random.default_rng(1).normal(size=(20, 8, 8, 1)).astype(np.float32)
    (z, _), _ = jax.jit(lambda key: encoder.init_with_output(key, images, train=False))(jax.random.key(0))
    assert 0.2 < np.mean(np.asarray(z) == 0) < 0.8


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (dict(view="all"), r"--config\.classifier\.view=paired"),
        (dict(activation="gelu"), "choose one of linear, leaky_relu, relu"),
        (dict(widths=(4, 4, 4, 4)), r"8x8 images can be halved 1 to 3 times.*widths=\(32,64,128\)"),
    ],
)
def test_bad_settings_are_refused(own, message, refused):
    assert re.search(message, refused(classifier.stage, settings(**own), context()))
