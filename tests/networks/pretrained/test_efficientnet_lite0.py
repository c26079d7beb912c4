"""EfficientNet-Lite0: its layers against plain ones, and its features against the PyTorch network of its weights."""

import jax
import numpy as np
import pytest

from experiment_jax.networks.pretrained import efficientnet_lite0, weights


@pytest.mark.parametrize("side", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("height", [7, 8])
def test_a_depthwise_convolution_is_one_of_as_many_groups_as_channels(side, stride, height):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(2, height, 11, 4)).astype(np.float32)
    kernel, bias = generator.normal(size=(side, side, 1, 4)).astype(np.float32), np.float32([1, 2, 3, 4])
    expected = jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=4
    )
    found = efficientnet_lite0.depthwise((kernel, bias), x, stride)
    np.testing.assert_allclose(found, expected + bias, rtol=1e-4, atol=1e-5)


def test_batch_norm_is_part_of_kernel_and_bias():
    generator = np.random.default_rng(0)
    kernel = generator.normal(size=(4, 3, 1, 1))
    gain, shift, mean, variance = generator.uniform(0.5, 2, size=(4, 4))
    norm = {"weight": gain, "bias": shift, "running_mean": mean, "running_var": variance}
    held = weights.Held("", {"conv.weight": kernel} | {f"norm.{part}": value for part, value in norm.items()}, "")
    folded, bias = efficientnet_lite0.folded(held, "conv", "norm", 4, 3, 1)
    x = generator.normal(size=3)
    expected = gain * (kernel[:, :, 0, 0] @ x - mean) / np.sqrt(variance + 1e-3) + shift
    np.testing.assert_allclose(x @ folded[0, 0] + bias, expected, rtol=1e-5)


def test_sixteen_blocks_halve_the_sides_five_times():
    blocks = list(efficientnet_lite0.blocks())
    assert len(blocks) == 16 and np.prod([2, *(stride for _, _, stride, *_ in blocks)]) == 32
    assert blocks[0] == (0, 3, 1, 32, 32, 16) and blocks[-1] == (15, 3, 1, 192, 1152, 320)


def test_the_features_are_those_of_the_pytorch_network(installed):
    """efficientnet-lite-pytorch 0.1.0 with the same weights, images of flat squares: norms, and three projections."""
    installed(weights.EFFICIENTNET_LITE0)
    params, digest = efficientnet_lite0.from_package("", "")
    images = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, 3)).astype(np.float32)
    images = images.repeat(8, axis=1).repeat(8, axis=2)
    found = np.asarray(jax.jit(efficientnet_lite0.features)(params, images))
    norms = np.linalg.norm(found, axis=1)
    assert found.shape == (2, 1280) and digest == weights.EFFICIENTNET_LITE0.sha256[:12]
    np.testing.assert_allclose(norms, [10.206358, 8.214061], rtol=1e-4)
    projected = found @ np.random.default_rng(1).normal(size=(1280, 3)) / norms[:, None]
    expected = [[1.906686, 0.019069, 0.218666], [1.527394, 0.196413, 0.323324]]
    np.testing.assert_allclose(projected, expected, atol=1e-4)
