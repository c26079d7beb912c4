import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from scipy.ndimage import correlate
from skimage.metrics import structural_similarity

from experiment_jax import data, passes, sections
from experiment_jax.errors import UserError
from experiment_jax.ssim import ssim
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
    dataset = data.load(ConfigDict(dict(name="digits", validation=0, paired=None)), seed=0)
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


def test_the_loss_is_the_weighted_sum_of_its_terms():
    images, decoded = (jnp.asarray(each) for each in noisy_pair((16, 16, 3)))
    value, terms = representation.reconstruction_loss(settings(l1=2.0, ssim=0.5), images, decoded)
    np.testing.assert_allclose(terms["l1"], np.abs(images - decoded).mean(), rtol=1e-5)
    np.testing.assert_allclose(value, 2.0 * terms["l1"] + 0.5 * (1 - terms["ssim"]), rtol=1e-5)
    same, _ = representation.reconstruction_loss(settings(), images, images)
    np.testing.assert_allclose(same, 0.0, atol=1e-5)


def test_bad_settings_are_refused():
    with pytest.raises(UserError, match="choose autoencoder"):
        representation.stage(settings(kind="nonsense"), context())
    with pytest.raises(UserError, match="28x28 images cannot be halved 3 times"):
        representation.stage(settings(widths=(4, 6, 8)), context((28, 28, 1)))


# --- SSIM ------------------------------------------------------------------------------------------------------------


def noisy_pair(shape, count=3):
    """Images in [-1, 1] that are smooth in places, and the same with noise."""
    rng = np.random.default_rng(0)
    rows, columns = np.meshgrid(np.linspace(0, 3, shape[0]), np.linspace(0, 5, shape[1]), indexing="ij")
    waves = np.sin(rows[..., None] * columns[..., None] + np.arange(shape[2])) * 0.7
    first = np.clip(waves + 0.1 * rng.normal(size=(count, *shape)), -1, 1)
    return first.astype(np.float32), np.clip(first + 0.3 * rng.normal(size=first.shape), -1, 1).astype(np.float32)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (12, 20, 1)])
def test_ssim_is_that_of_scikit_image(shape):
    first, second = noisy_pair(shape)
    options = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=2.0, channel_axis=-1)
    expected = [structural_similarity(a, b, **options) for a, b in zip(first, second, strict=True)]
    assert np.ptp(expected) > 1e-4 and 0.1 < np.mean(expected) < 0.95
    np.testing.assert_allclose(ssim(first, second), expected, atol=1e-4)


def test_small_images_are_compared_in_a_small_window():
    """Wang et al. 2004, equation 13, with weights w over 7×7 and σ = 0.8, averaged where the window fits."""
    first, second = (each.astype(np.float64)[..., 0] for each in noisy_pair((8, 8, 1)))
    weights = np.exp(-((np.arange(7) - 3.0) ** 2) / (2 * 0.8**2))
    weights = np.outer(weights, weights) / weights.sum() ** 2
    mean = lambda image: correlate(image, weights)[3:-3, 3:-3]  # noqa: E731
    stability, expected = ((0.01 * 2) ** 2, (0.03 * 2) ** 2), []
    for x, y in zip(first, second, strict=True):
        mx, my = mean(x), mean(y)
        vx, vy, vxy = mean(x * x) - mx**2, mean(y * y) - my**2, mean(x * y) - mx * my
        luminance = (2 * mx * my + stability[0]) / (mx**2 + my**2 + stability[0])
        expected.append(np.mean(luminance * (2 * vxy + stability[1]) / (vx + vy + stability[1])))
    found = ssim(*(each[..., None].astype(np.float32) for each in (first, second)))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_an_image_is_wholly_similar_to_itself():
    first, _ = noisy_pair((8, 8, 1))
    np.testing.assert_allclose(ssim(first, first), 1.0, atol=1e-5)


def test_the_perceptual_term_is_added_with_its_weight():
    images, decoded = (jax.random.uniform(jax.random.key(seed), (3, 8, 8, 1)) for seed in (0, 1))
    features = lambda x: [2.0 * x, x[:, ::2]]  # noqa: E731
    value, terms = representation.reconstruction_loss(settings(ssim=0.0, perceptual=0.7), images, decoded, features)
    difference = np.abs(np.asarray(images - decoded))
    expected = (2.0 * difference.mean() + difference[:, ::2].mean()) / 2
    np.testing.assert_allclose(terms["perceptual"], expected, rtol=1e-6)
    np.testing.assert_allclose(value, difference.mean() + 0.7 * expected, rtol=1e-6)


def test_a_perceptual_loss_without_features_is_refused():
    with pytest.raises(UserError, match=r"representation\.perceptual=0\.7: needs a stage before it"):
        representation.stage(settings(perceptual=0.7), context())
