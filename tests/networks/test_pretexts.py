"""The pretexts: what the network sees, what the loss compares, and that each can be learnt on any number of devices."""

import jax
import numpy as np
import pytest

from experiment_jax.config import sections
from experiment_jax.devices.batch_axis import WHOLE, BatchAxis
from experiment_jax.method.stage import Context, Model
from experiment_jax.networks import augmentation, perceptual, pretexts, self_supervised

STEPS = 100
TRAINED = ("rotations", "contrast")


def config(**changes):
    return sections.perceptual(widths=(4, 8), batch_size=6, optimiser=dict(learning_rate=1e-2), **changes)


def context(shape, axis=WHOLE):
    classes = np.full(10, 0.1, np.float32), np.full(10, 100)
    return Context("perceptual", shape, 10, *classes, STEPS, Model(), axis)


def some(*shape, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, size=shape).astype(np.float32)


def test_each_image_is_turned_by_its_own_number_of_quarters():
    images = some(7, 6, 6, 3)
    turns = np.array([0, 1, 2, 3, 3, 1, 0])
    expected = np.stack([np.rot90(image, count) for image, count in zip(images, turns, strict=True)])
    found = jax.jit(augmentation.turned)(images, turns)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (0.01, 1), (0.25, 4), (0.5, 8), (0.8, 12)])
def test_a_share_of_whole_patches_is_chosen_anew_for_each_image(share, count):
    """Of 3 times 5 patches of 4 times 4 pixels; one where the share is of less."""
    hidden = np.asarray(augmentation.patches(jax.random.key(1), share, 4, some(11, 12, 20, 2), WHOLE))
    blocks = hidden.reshape(11, 3, 4, 5, 4)
    assert hidden.shape == (11, 12, 20, 1)
    assert (blocks.all(axis=(2, 4)) == blocks.any(axis=(2, 4))).all()
    np.testing.assert_array_equal(blocks.any(axis=(2, 4)).sum(axis=(1, 2)), count)
    assert count == 0 or len(np.unique(hidden.reshape(11, -1), axis=0)) > 5


def test_contrast_is_the_formula_of_the_paper():
    first, second, tau = some(5, 3), some(5, 3, seed=1), 0.3
    views = np.concatenate([first, second]).astype(np.float64)
    cosines = views @ views.T / np.outer(np.linalg.norm(views, axis=1), np.linalg.norm(views, axis=1))
    terms, right = [], []
    for i in range(10):
        others = [k for k in range(10) if k != i]
        partner = (i + 5) % 10
        terms.append(np.log(np.exp(cosines[i, others] / tau).sum()) - cosines[i, partner] / tau)
        right.append(max(others, key=lambda k, i=i: cosines[i, k]) == partner)
    value, metrics = pretexts.nt_xent(first, second, tau)
    assert float(value) == pytest.approx(np.mean(terms), rel=1e-5)
    assert float(metrics["accuracy"]) == pytest.approx(np.mean(right))
    assert float(pretexts.nt_xent(7.0 * first, second, tau)[0]) == pytest.approx(np.mean(terms), rel=1e-5)


def test_contrast_has_gradients_where_views_agree_or_vanish():
    views = np.array([[1, 0], [1, 0], [0, 0]], np.float32)
    gradient = jax.grad(lambda x: pretexts.nt_xent(x, x, 0.1)[0])(views)
    assert np.isfinite(gradient).all()


def test_two_views_differ_in_what_the_settings_say():
    still = dict(shift=0.0, light=0.0, noise=0.0, share=0.0)
    images = some(6, 8, 12, 1)
    for change in ({}, {"shift": 0.2}, {"light": 0.3}, {"noise": 0.1}, {"share": 0.5}):
        pretext = pretexts.Contrast(config(contrast=still | change), context((8, 12, 1)))
        first, second = np.split(np.asarray(pretext.pose(images, jax.random.key(0))[0]), 2)
        assert (np.array_equal(first, images) and np.array_equal(second, images)) == (not change)
        assert change == {} or not np.allclose(first, second)
        if "light" in change:
            assert np.ptp(first - images, axis=(1, 2)).max() < 1e-6
        if "share" in change:
            assert set(np.unique((first != images).mean(axis=(1, 2, 3)))) == {0.5}


@pytest.mark.parametrize("kind", TRAINED)
def test_training_lowers_the_loss_and_features_halve_the_sides(kind):
    mild = dict(light=0.05, noise=0.05, share=0.0)
    stage = perceptual.stage(config(kind=kind, contrast=mild), context((12, 12, 1)))
    # Stripes, brighter at the top, each image with its own period: turned, hidden and other images can be told.
    rows = np.arange(12, dtype=np.float32)[:, None, None]
    images = [0.5 * np.sin(rows * period) - 0.08 * rows + np.zeros((12, 12, 1)) for period in range(1, 7)]
    batch = {"images": (np.stack(images) + 0.01 * some(6, 12, 12, 1)).astype(np.float32)}
    state = jax.jit(lambda key: stage.init(key, batch, {}))(jax.random.key(0))
    update = jax.jit(lambda state, key: stage.update(state, batch, key, {}))
    losses = []
    for step in range(STEPS):
        state, metrics = update(state, jax.random.key(step))
        losses.append(float(metrics["loss"]))
    assert np.mean(losses[-10:]) < 0.75 * np.mean(losses[:10]), losses
    frozen = stage.finish(state, None, {})
    features = jax.jit(stage.provides["features"])({"perceptual": frozen}, batch["images"])
    assert [level.shape for level in features] == [(6, 6, 6, 4), (6, 3, 3, 8)]


@pytest.mark.parametrize("kind", (pretexts.Rotations, pretexts.Contrast))
def test_loss_and_gradient_of_a_batch_on_four_devices_are_those_on_one(kind):
    """Of a linear map w in place of network and head."""
    images, key = some(8, 8, 8, 1), jax.random.key(5)
    w = some(64, 4, seed=1)

    def loss(w, pretext, batch):
        seen, answer = pretext.pose(batch, key)
        return pretext.loss(seen.reshape(len(seen), -1) @ w, answer)[0]

    def step(batch, axis=WHOLE):
        return axis.mean(jax.value_and_grad(loss)(w, kind(config(), context((8, 8, 1), axis)), batch))

    axis = BatchAxis("batch")
    four = jax.pmap(lambda batch: step(batch, axis), axis.name, devices=jax.devices()[:4])
    for found, expected in zip(four(images.reshape(4, 2, 8, 8, 1)), jax.jit(step)(images), strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-4, atol=1e-6)


def test_images_that_are_not_square_are_learnt_from():
    stage, batch = perceptual.stage(config(kind="contrast"), context((8, 12, 3))), {"images": some(3, 8, 12, 3)}

    @jax.jit
    def first(key):
        return stage.update(stage.init(key, batch, {}), batch, key, {})[1]

    metrics = first(jax.random.key(0))
    assert np.isfinite(float(metrics["loss"])) and float(metrics["gradient_norm"]) > 0


WRONG = [
    (dict(temperature=0.0), "as in --config.perceptual.contrast.temperature=0.2"),
    (dict(noise=-1.0), "as in --config.perceptual.contrast.noise=0.1"),
    (dict(share=1.0), "as in --config.perceptual.contrast.share=0.25"),
]


@pytest.mark.parametrize(("own", "says"), WRONG)
def test_settings_that_leave_nothing_to_learn_are_refused(own, says, refused):
    assert says in refused(perceptual.stage, config(kind="contrast", contrast=own), context((12, 12, 1)))


def test_only_square_images_are_turned(refused):
    message = refused(perceptual.stage, config(), context((12, 16, 1)))
    assert "12x16 images cannot be turned; type --config.perceptual.kind=contrast" in message
    assert self_supervised.stage(config(kind="contrast"), context((12, 16, 1)), pretexts.Contrast)
