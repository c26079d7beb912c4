"""LPIPS: its arithmetic with random weights, and its numbers against those of the package `lpips`."""

import jax
import numpy as np
import pytest

from experiment_jax.networks.pretrained import alexnet, inputs, lpips, weights

# By lpips 0.1.4, LPIPS(net="alex", pnet_rand=True), its trunk filled from the same file; of the pairs below.
PUBLISHED = {
    "noise": [0.1071035, 0.120583, 0.0969679],
    "coarse": [0.2221978, 0.2200702, 0.266665],
    "mixed": [0.0015835, 0.0018184, 0.0015525],
    "grey": [0.2411246, 0.1998709, 0.2081893],
    "sides": [0.9491749, 0.9908578],
}
measure = jax.jit(lpips.lpips)


def images(count=3, height=64, width=64):
    """Two sets of images of noise, and two of flat squares of 8×8 pixels."""
    generator = np.random.default_rng(0)
    noise = generator.uniform(-1, 1, (2, count, height, width, 3)).astype(np.float32)
    coarse = generator.uniform(-1, 1, (2, count, height // 8, width // 8, 3)).astype(np.float32)
    return noise, coarse.repeat(8, axis=2).repeat(8, axis=3)


@pytest.fixture(scope="module")
def params():
    """Random weights; those of a layer's channels are positive, as fitted ones are."""
    generator, found = np.random.default_rng(0), {}
    for number, (side, _, _, channels_in, channels_out, _) in enumerate(alexnet.LAYERS):
        kernel = generator.normal(size=(side, side, channels_in, channels_out)) / np.sqrt(side**2 * channels_in / 2)
        found[f"kernel_{number}"] = kernel.astype(np.float32)
        found[f"bias_{number}"] = generator.normal(size=channels_out).astype(np.float32) * 0.1
        found[f"linear_{number}"] = generator.uniform(size=channels_out).astype(np.float32)
    return found


def test_it_is_zero_of_equal_images_symmetric_and_one_number_a_pair(params):
    (first, second), _ = images(2, 32, 40)
    distance = measure(params, first, second)
    assert distance.shape == (2,) and float(distance.min()) > 0.01
    np.testing.assert_allclose(distance, measure(params, second, first), rtol=1e-5)
    np.testing.assert_allclose(distance[1:], measure(params, first[1:], second[1:]), rtol=1e-4)
    np.testing.assert_array_equal(measure(params, first, first), 0)


def test_it_is_the_weighted_sum_of_squares_between_directions(params):
    (first, second), _ = images(2, 32, 40)
    layers, expected = jax.jit(lambda images: alexnet.features(params, inputs.scaled(images))), 0.0
    for number in range(len(alexnet.LAYERS)):
        maps = [np.asarray(layers(each)[number], float) for each in (first, second)]
        one, other = (each / (np.linalg.norm(each, axis=-1, keepdims=True) + 1e-10) for each in maps)
        own = ((one - other) ** 2 * params[f"linear_{number}"]).sum(axis=-1).mean(axis=(1, 2))
        alone = {name: leaf * (name == f"linear_{number}" or "linear" not in name) for name, leaf in params.items()}
        np.testing.assert_allclose(measure(alone, first, second), own, rtol=1e-4)
        expected = expected + own
    np.testing.assert_allclose(measure(params, first, second), expected, rtol=1e-4)


def test_the_numbers_are_those_of_the_package_lpips(installed):
    installed(weights.ALEXNET)
    params, digest = lpips.from_package("", "")
    noise, coarse = images()
    pairs = {"noise": noise, "coarse": coarse, "grey": coarse[..., :1]}
    pairs["mixed"] = coarse[0], coarse[0] + np.float32(0.1) * noise[0]
    found = {name: measure(params, *pair) for name, pair in pairs.items()}
    sides = images(2, 48, 72)
    found["sides"] = measure(params, sides[0][0], sides[1][1])
    assert digest == weights.ALEXNET.sha256[:12]
    for name, expected in PUBLISHED.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-4, err_msg=name)
