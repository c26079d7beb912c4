"""The classifier: its shapes, its pooling, BatchNorm's statistics, the scale of its latents."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax.config.sections import experiment
from experiment_jax.data import passes
from experiment_jax.data import split as data
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Model
from regene_jax import classifier, sections


def context(shape=(8, 8, 1)):
    return Context("classifier", shape, 10, np.full(10, 0.1, np.float32), 150, Model())


def settings(**own):
    small = dict(steps=150, widths=(8, 16), latent_size=7, batch_size=50, label_smoothing=0.0, ema_decay=0.9)
    return sections.classifier(**{**small, **own})


@pytest.fixture(scope="module")
def trained():
    """(stage, state, frozen, view) of a hundred and fifty steps on digits."""
    dataset = data.load(experiment("regene", "digits", ()).data, seed=0)
    stage, view = classifier.stage(settings(), context()), data.view(dataset, "paired")
    images, labels = passes.to_float(jnp.asarray(view.images)), jnp.asarray(view.labels)
    update = jax.jit(
        lambda state, index, key: stage.update(state, {"images": images[index], "labels": labels[index]}, key, {})
    )
    state = stage.init(jax.random.key(0), {"images": images[:50], "labels": labels[:50]}, {})
    generator = np.random.default_rng(0)
    for step in range(150):
        state, _ = update(state, generator.integers(0, len(view), 50), jax.random.key(step))
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
    latents = stage.provides["encode"](params, passes.to_float(jnp.asarray(view.images)))
    np.testing.assert_allclose(np.mean(np.square(latents, dtype=np.float64)), 1.0, rtol=1e-4)
    verdicts = np.argmax(stage.provides["classify"](params, latents), axis=-1)
    assert np.mean(verdicts == view.labels) > 0.9


def test_the_head_does_not_feel_the_scale(trained):
    stage, _, frozen, view = trained
    images = passes.to_float(jnp.asarray(view.images[:11]))
    logits = []
    for params in ({"classifier": frozen}, {"classifier": {**frozen, "scale": frozen["scale"] * 5}}):
        logits.append(stage.provides["classify"](params, stage.provides["encode"](params, images)))
    np.testing.assert_allclose(*logits, rtol=1e-3, atol=1e-4)


def test_statistics_move_and_are_averaged_with_the_parameters(trained):
    _, state, frozen, _ = trained
    assert all(float(jnp.abs(leaf).sum()) > 0 for leaf in jax.tree.leaves(state.statistics))
    assert jax.tree.structure(frozen["params"]["statistics"]) == jax.tree.structure(state.statistics)
    variables = {"/".join(map(str, path)) for path, _ in jax.tree_util.tree_leaves_with_path(state.params["encoder"])}
    assert not any("Conv" in name and "bias" in name for name in variables)


def test_a_relu_makes_latents_sparse():
    encoder = classifier.Encoder((4,), 1, 30, "relu")
    images = jax.random.normal(jax.random.key(1), (20, 8, 8, 1))
    (z, _), _ = encoder.init_with_output(jax.random.key(0), images, train=False)
    assert 0.2 < np.mean(np.asarray(z) == 0) < 0.8


def test_bad_settings_are_refused():
    with pytest.raises(UserError, match=r"--config\.classifier\.view=paired"):
        classifier.stage(settings(view="all"), context())
    with pytest.raises(UserError, match="choose one of linear, leaky_relu, relu"):
        classifier.stage(settings(activation="gelu"), context())
    with pytest.raises(UserError, match=r"8x8 images can be halved 1 to 3 times.*widths=\(32,64,128\)"):
        classifier.stage(settings(widths=(4, 4, 4, 4)), context())
