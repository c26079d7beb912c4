"""The decoder: its schedule of weights, what it sees, and that it learns to invert."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax.data import passes
from experiment_jax.method.stage import Context, Model
from regene_jax import decoder, sections

MODEL = Model(encode=lambda params, images: images.reshape(len(images), -1)[:, ::2], latent_size=32)
LATE = 101  # steps, so that the schedule's middle is step 50


def context(model=MODEL, steps=LATE):
    weights, counts = np.full(10, 0.1, np.float32), np.full(10, 100)
    return Context("decoder", (8, 8, 1), 10, weights, counts, steps, model)


def settings(**own):
    small = dict(widths=(8,), noise=0.0, l1=1.0, ssim=(0.5, 0.1), perceptual=(0.0, 0.0), ema_decay=0.9, steps=LATE)
    return sections.decoder(**{**small, **own})


def test_weights_go_from_the_first_to_the_last_and_the_absolute_error_keeps_its_own():
    model = Model(encode=MODEL.encode, latent_size=32, features=lambda params, images: [images])
    stage = decoder.stage(settings(l1=2.0, ssim=(0.5, 0.1), perceptual=(0.0, 3.0)), context(model))
    for step, ssim, perceptual in ((0, 0.5, 0.0), (50, 0.3, 1.5), (100, 0.1, 3.0)):
        weights = stage.weights(jnp.asarray(step))
        np.testing.assert_allclose([weights.l1, weights.ssim, weights.perceptual], [2.0, ssim, perceptual], atol=1e-6)
    without = decoder.stage(settings(ssim=(0.0, 0.0)), context())
    assert without.weights(jnp.asarray(3)).ssim == 0.0  # not computed at all


def test_it_gets_each_image_beside_its_own_latent():
    images = passes.to_float(jnp.asarray(np.random.default_rng(0).integers(0, 256, (5, 8, 8, 1)), jnp.uint8))
    inputs = decoder.stage(settings(), context()).inputs(images, {})
    np.testing.assert_array_equal(passes.to_float(inputs["originals"]), images)
    np.testing.assert_array_equal(inputs["latents"], images.reshape(5, -1)[:, ::2])


def test_it_learns_to_use_the_latents():
    """Its error falls well below that of the best image that ignores the latent, the median of all."""
    steps = 60
    stage = decoder.stage(settings(optimiser=dict(learning_rate=1e-2)), context(steps=steps))
    slopes, ramp = np.random.default_rng(0).normal(size=(2, 40)), np.linspace(-1.0, 1.0, 8)
    images = np.tanh(slopes[0, :, None, None] * ramp[:, None] + slopes[1, :, None, None] * ramp)[..., None]
    images = images.astype(np.float32)
    ignorant = np.mean(np.abs(images - np.median(images, axis=0)))
    batch = stage.inputs(images, {})
    state = jax.jit(lambda key: stage.init(key, batch, {}))(jax.random.key(1))
    update = jax.jit(lambda state, key: stage.update(state, batch, key, {})[0])
    for step in range(steps):
        state = update(state, jax.random.key(step))
    frozen = stage.finish(state, None, {})
    decoded = jax.jit(stage.provides["decode"])({"decoder": frozen}, batch["latents"])
    assert decoded.shape == images.shape and np.mean(np.abs(decoded - images)) < 0.5 * ignorant


@pytest.mark.parametrize(
    ("own", "model", "message"),
    [
        ({}, Model(), "such as classifier"),
        (dict(ssim=(0.5,)), MODEL, "first and the last weight"),
        (dict(perceptual=(1.0, 0.0)), MODEL, "needs a stage before it that provides features"),
        (dict(widths=(4, 4, 4, 4)), MODEL, r"--config\.decoder\.widths"),
    ],
)
def test_bad_settings_are_refused(own, model, message, refused):
    assert re.search(message, refused(decoder.stage, settings(**own), context(model)))
