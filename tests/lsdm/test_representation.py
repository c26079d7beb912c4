import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from experiment_jax import data, passes, sections
from experiment_jax.errors import UserError
from experiment_jax.stage import Context, Model
from lsdm_jax import representation


def settings(**own):
    defaults = dict(
        kind="autoencoder",
        latent_size=5,
        widths=(6,),
        noise=0.1,
        l1=1.0,
        ssim=0.5,
        perceptual=0.0,
        optimiser=sections.optimiser(learning_rate=2e-3),
        ema_decay=0.9,
    )
    return ConfigDict({**defaults, **own})


def context(shape=(8, 8, 1)):
    return Context("representation", shape, 10, np.full(10, 0.1, np.float32), 20, Model())


@pytest.fixture(scope="module")
def finished():
    """A stage, its frozen part (untrained: latents are standardised whatever the encoder) and its view."""
    dataset = data.load(sections.experiment("lsdm", "digits", stages=()).data, seed=0)
    stage, view = representation.stage(settings(), context()), data.view(dataset, "all")
    batch = {"images": passes.to_float(jnp.asarray(view.images[:20]))}
    return stage, stage.finish(jax.jit(stage.init)(jax.random.key(0), batch, {}), view, {}), view


def test_latents_are_standardised_over_the_whole_view(finished):
    stage, frozen, view = finished
    encode = jax.jit(lambda images: stage.provides["encode"]({"representation": frozen}, passes.to_float(images)))
    latents = passes.over(encode, view.images, batch_size=400).astype(np.float64)
    assert latents.shape == (len(view), 5)
    np.testing.assert_allclose(latents.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(np.mean(latents**2), 1.0, rtol=1e-5)


def test_standardising_moves_latents_and_leaves_reconstructions(finished):
    stage, frozen, view = finished
    images = passes.to_float(jnp.asarray(view.images[:11]))
    other = {**frozen, "mean": frozen["mean"] + 3.0, "scale": frozen["scale"] * 7.0}
    encode, decode = stage.provides["encode"], stage.provides["decode"]
    latents, moved = (jax.jit(encode)({"representation": each}, images) for each in (frozen, other))
    pictures = [jax.jit(decode)({"representation": each}, z) for each, z in ((frozen, latents), (other, moved))]
    assert np.abs(latents - moved).max() > 0.1
    np.testing.assert_allclose(*pictures, atol=1e-4)


def test_bad_settings_are_refused():
    with pytest.raises(UserError, match="choose one of autoencoder"):
        representation.stage(settings(kind="nonsense"), context())
    with pytest.raises(UserError, match="28x28 images cannot be halved 3 times"):
        representation.stage(settings(widths=(4, 6, 8)), context((28, 28, 1)))


def test_a_perceptual_loss_without_features_is_refused():
    with pytest.raises(UserError, match=r"representation\.perceptual=0\.7: needs a stage before it"):
        representation.stage(settings(perceptual=0.7), context())
