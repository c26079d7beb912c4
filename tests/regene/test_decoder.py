"""The decoder: its schedule of weights, what it sees, and that it learns to invert."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax.data import passes
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Model
from regene_jax import decoder, sections

MODEL = Model(encode=lambda params, images: images.reshape(len(images), -1)[:, ::2], latent_size=32)


def context(model=MODEL):
    return Context("decoder", (8, 8, 1), 10, np.full(10, 0.1, np.float32), 101, model)


def settings(**own):
    small = dict(widths=(8,), noise=0.0, l1=1.0, ssim=(0.5, 0.1), perceptual=(0.0, 0.0), ema_decay=0.9, steps=101)
    return sections.decoder(**{**small, **own})


def own(config, model=MODEL):
    return decoder.Inverse(None, None, config, context(model))


def test_weights_go_from_the_first_to_the_last_and_the_absolute_error_keeps_its_own():
    inverse = own(settings(l1=2.0, ssim=(0.5, 0.1), perceptual=(0.0, 3.0)))
    for step, ssim, perceptual in ((0, 0.5, 0.0), (50, 0.3, 1.5), (100, 0.1, 3.0)):
        weights = inverse.weights(jnp.asarray(step))
        np.testing.assert_allclose([weights.l1, weights.ssim, weights.perceptual], [2.0, ssim, perceptual], atol=1e-6)
    assert own(settings(ssim=(0.0, 0.0))).weights(jnp.asarray(3)).ssim == 0.0  # not computed at all


def test_it_gets_each_image_beside_its_own_latent():
    images = passes.to_float(jax.random.randint(jax.random.key(0), (5, 8, 8, 1), 0, 256).astype(jnp.uint8))
    inputs = own(settings()).inputs(images, {})
    np.testing.assert_array_equal(passes.to_float(inputs["originals"]), images)
    np.testing.assert_array_equal(inputs["latents"], images.reshape(5, -1)[:, ::2])


def test_it_learns_to_use_the_latents():
    """Its error falls well below that of the best image that ignores the latent, the median of all."""
    stage = decoder.stage(settings(), context())
    slopes, ramp = jax.random.normal(jax.random.key(0), (2, 40)), jnp.linspace(-1.0, 1.0, 8)
    images = jnp.tanh(slopes[0, :, None, None] * ramp[:, None] + slopes[1, :, None, None] * ramp)[..., None]
    ignorant = float(jnp.mean(jnp.abs(images - jnp.median(images, axis=0))))
    batch = stage.inputs(images, {})
    state, update = stage.init(jax.random.key(1), batch, {}), jax.jit(stage.update)
    for step in range(300):
        state, _ = update(state, batch, jax.random.key(step), {})
    frozen = stage.finish(state, None, {})
    decoded = stage.provides["decode"]({"decoder": frozen}, batch["latents"])
    assert decoded.shape == images.shape and float(jnp.mean(jnp.abs(decoded - images))) < 0.5 * ignorant


def test_bad_settings_are_refused():
    with pytest.raises(UserError, match="such as classifier"):
        decoder.stage(settings(), context(Model()))
    with pytest.raises(UserError, match="first and the last weight"):
        decoder.stage(settings(ssim=(0.5,)), context())
    with pytest.raises(UserError, match="needs a stage before it that provides features"):
        decoder.stage(settings(perceptual=(1.0, 0.0)), context())
    with pytest.raises(UserError, match=r"--config\.decoder\.widths"):
        decoder.stage(settings(widths=(4, 4, 4, 4)), context())
