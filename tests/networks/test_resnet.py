"""ResNet-v1 for small images: its size, its geometry, and the statistics of its BatchNorm."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import correlate

from experiment_jax import load_config, train
from experiment_jax.config.judges import resnet_config
from experiment_jax.devices.batch_axis import WHOLE, BatchAxis
from experiment_jax.extractors import judges
from experiment_jax.method.stage import Context, Model
from experiment_jax.networks import resnet

SHAPE = (11, 12, 3)


def build(depth=8, shape=SHAPE, axis=WHOLE):
    config = resnet_config("digits", depth=depth, steps=10, shift=0)
    weights, counts = np.full(10, 0.1, np.float32), np.full(10, 100)
    context = Context("classifier", shape, 10, weights, counts, 10, Model(), axis)
    return resnet.stage(config.classifier, context)


@pytest.fixture(scope="module")
def batch():
    generator = np.random.default_rng(0)
    images = generator.normal(size=(6, *SHAPE)).astype(np.float32)
    return {"images": images, "labels": generator.integers(0, 10, 6).astype(np.int32)}


@pytest.fixture(scope="module")
def stepped(batch):
    """(stage, its first state, the state after one step)."""
    stage = build()
    first = jax.jit(stage.init)(jax.random.key(0), batch, {})
    return stage, first, jax.jit(stage.update)(first, batch, jax.random.key(1), {})[0]


@pytest.fixture(scope="module")
def encode(stepped):
    """(frozen, images) -> features, of six images or of fewer beside which are zeros."""
    provided = jax.jit(stepped[0].provides["encode"])

    def pad_and_encode(frozen, images):
        padded = np.concatenate([images, np.zeros((6 - len(images), *SHAPE), np.float32)])
        return np.asarray(provided({"classifier": frozen}, padded))[: len(images)]

    return pad_and_encode


def named(tree):
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in jax.tree.leaves_with_path(tree)
    }


# Of CIFAR networks with ten classes and shortcuts without parameters; 0.27 and 0.85 million in He et al., Table 6.
@pytest.mark.parametrize(("depth", "count"), [(20, 269_722), (32, 464_154), (56, 853_018)])
def test_the_parameters_are_as_many_as_in_the_paper(depth, count):
    shape = (32, 32, 3)
    like = {"images": jax.ShapeDtypeStruct((2, *shape), jnp.float32)}
    params = jax.eval_shape(build(depth, shape).init, jax.random.key(0), like, {}).params
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count


def test_weighted_layers_are_as_many_as_the_depth_and_none_before_batchnorm_has_a_bias(stepped):
    leaves = named(stepped[1].params)
    assert sum(name.endswith("kernel") for name in leaves) == 8
    assert [name for name in leaves if "Conv" in name and name.endswith("bias")] == []


def test_blocks_that_add_nothing_leave_every_fourth_pixel_of_the_first_convolution(stepped, encode, batch):
    stage, first, _ = stepped
    features = {
        name: jax.tree.map(np.zeros_like, layer) if name.startswith("Conv") and name != "Conv_0" else layer
        for name, layer in first.params["features"].items()
    }
    frozen = stage.finish(first, None, {}).replace(params={**first.params, "features": features})
    found = encode(frozen, batch["images"])
    # Running mean 0 and variance 1, as at the start; an image at a time, with zeros around it.
    kernel = np.asarray(first.params["features"]["Conv_0"]["kernel"], np.float64)
    padded = np.pad(np.asarray(batch["images"], np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    stem = np.stack([[correlate(image, kernel[..., c], "valid")[..., 0] for c in range(16)] for image in padded])
    expected = np.maximum(stem / np.sqrt(1 + 1e-5), 0)[:, :, ::4, ::4].mean(axis=(2, 3))
    np.testing.assert_allclose(found[:, :16], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[:, 16:], np.zeros((6, 48)))


def test_a_step_moves_the_statistics_a_tenth_of_the_way_and_they_are_averaged(stepped, batch):
    _, first, state = stepped
    kernel = first.params["features"]["Conv_0"]["kernel"]
    padding = [(1, 1), (1, 1)]
    convolve = partial(jax.lax.conv_general_dilated, window_strides=(1, 1), padding=padding)
    stem = np.asarray(convolve(batch["images"], kernel, dimension_numbers=("NHWC", "HWIO", "NHWC")))
    moved = state.statistics["batch_stats"]["BatchNorm_0"]
    np.testing.assert_allclose(moved["mean"], 0.1 * stem.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(moved["var"], 0.9 + 0.1 * stem.var(axis=(0, 1, 2)), rtol=1e-4)
    before, now, average = (named(tree) for tree in (first.statistics, state.statistics, state.average["statistics"]))
    for name in before:
        assert np.abs(now[name] - before[name]).max() > 0, name
        # The moving average of the first step has decay 1/10.
        np.testing.assert_allclose(average[name], 0.1 * before[name] + 0.9 * now[name], rtol=1e-5, atol=1e-6)


def test_the_frozen_network_uses_the_averaged_statistics_and_sees_images_one_by_one(stepped, encode, batch):
    stage, _, state = stepped
    frozen = stage.finish(state, None, {})
    assert frozen.params is state.average["params"] and frozen.statistics is state.average["statistics"]
    whole = encode(frozen, batch["images"])
    assert whole.shape == (6, 64)
    np.testing.assert_allclose(encode(frozen, batch["images"][2:4]), whole[2:4], rtol=1e-4, atol=1e-5)
    other = jax.tree.map(lambda leaf: leaf + 0.5, frozen.statistics)
    assert not np.allclose(encode(frozen.replace(statistics=other), batch["images"]), whole)


def test_under_a_mapped_axis_the_statistics_are_of_the_global_batch(stepped, batch):
    _, first, whole = stepped
    update = build(axis=BatchAxis("devices")).update
    halves = jax.tree.map(lambda leaf: leaf.reshape(2, 3, *leaf.shape[1:]), batch)
    mapped = jax.vmap(lambda part: update(first, part, jax.random.key(1), {})[0].statistics, axis_name="devices")
    found, expected = named(jax.jit(mapped)(halves)), named(whole.statistics)
    for name, leaf in expected.items():
        np.testing.assert_allclose(found[name][0], leaf, rtol=1e-4, atol=1e-5, err_msg=name)
        np.testing.assert_array_equal(found[name][0], found[name][1])


@pytest.mark.parametrize(("depth", "nearest"), [(57, 56), (54, 56), (18, 20), (2, 8), (-10, 8)])
def test_other_depths_are_refused_with_the_nearest_that_is_one(depth, nearest, refused):
    message = refused(build, depth)
    assert message.startswith(f"classifier.depth={depth}: ")
    assert message.endswith(f" type --config.classifier.depth={nearest}")
    assert build(nearest)


def test_a_judge_without_batchnorm_freezes_its_parameters_alone():
    frozen = judges.find("configs/judge_digits.py", load_config("configs/judge_digits.py").data, train).model.params[
        "classifier"
    ]
    assert frozen.statistics == {} and frozen.params.keys() == {"features", "head"}
