"""The networks of the rivals' public code: how many parameters they have, layer by layer, and what they give."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rivals_jax import faithful

GREY, COLOUR = (28, 28, 1), (32, 32, 3)
BATCH = 2


def made(network, *shape):
    """(number of parameters, shape of the output) for an input `[batch, *shape]`; nothing is computed."""
    given = jax.ShapeDtypeStruct((BATCH, *shape), jnp.float32)
    output, variables = jax.eval_shape(lambda x: network.init_with_output(jax.random.key(0), x), given)
    return sum(np.prod(leaf.shape, dtype=int) for leaf in jax.tree.leaves(variables["params"])), output.shape


def conv(size, inputs, outputs):
    return size * size * inputs * outputs + outputs


def dense(inputs, outputs):
    return (inputs + 1) * outputs


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_infogan_has_two_dense_layers_and_two_convolutions(shape):
    height, width, channels = shape
    deepest = 128 * (height // 4) * (width // 4)
    norms = 2 * (1024 + deepest + 64)
    expected = dense(64, 1024) + dense(1024, deepest) + conv(4, 128, 64) + conv(4, 64, channels)
    assert made(faithful.InfoGANGenerator(shape, norm=False), 64) == (expected, (BATCH, *shape))
    assert made(faithful.InfoGANGenerator(shape, norm=True), 64) == (expected + norms, (BATCH, *shape))
    expected = conv(4, channels, 64) + conv(4, 64, 128) + dense(deepest, 1024)
    assert made(faithful.InfoGANFeatures(norm=False), *shape) == (expected, (BATCH, 1024))
    assert made(faithful.InfoGANFeatures(norm=True), *shape) == (expected + 2 * (128 + 1024), (BATCH, 1024))


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_the_discriminator_of_began_is_an_autoencoder(shape):
    height, width, channels = shape
    deepest = 128 * (height // 4) * (width // 4)
    expected = conv(4, channels, 64) + conv(4, 64, 128) + dense(deepest, 64)
    assert made(faithful.BEGANEncoder(64), *shape) == (expected, (BATCH, 64))
    expected = dense(64, deepest) + conv(4, 128, 64) + conv(4, 64, channels)
    assert made(faithful.BEGANDecoder(shape), 64) == (expected, (BATCH, *shape))


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_ghosh_encode_and_decode_by_four_levels(shape, spectral):
    channels = shape[-1]
    levels = [(channels, 128), (128, 256), (256, 512), (512, 1024)]
    expected = sum(conv(4, *level) + 2 * level[1] for level in levels) + dense(2 * 2 * 1024, 16)
    assert made(faithful.GhoshEncoder(16, spectral), *shape) == (expected, (BATCH, 16))
    expected = dense(16, 8 * 8 * 1024) + 2 * 1024
    expected += sum(conv(4, *level) + 2 * level[1] for level in [(1024, 512), (512, 256)]) + conv(4, 256, channels)
    assert made(faithful.GhoshDecoder(shape, spectral), 16) == (expected, (BATCH, *shape))


def test_images_of_28_pixels_are_padded_with_black_on_all_sides():
    padded = faithful.padded(jnp.ones((1, 28, 28, 1)))
    assert padded.shape == (1, 32, 32, 1) and np.sum(padded == 1.0) == 28 * 28
    np.testing.assert_array_equal(padded[0, 2:30, 2:30, 0], 1.0)
    assert np.sum(padded == -1.0) == 32 * 32 - 28 * 28
    assert faithful.padded(jnp.ones((1, 32, 32, 3))).shape == (1, 32, 32, 3)


def test_dai_and_wipf_encode_by_infogan_without_norms():
    expected = conv(4, 1, 64) + conv(4, 64, 128) + dense(128 * 7 * 7, 1024) + dense(1024, 128)
    assert made(faithful.TwoStageEncoder(128), *GREY) == (expected, (BATCH, 128))


def test_lvpga_has_other_networks_for_colours():
    expected = conv(5, 1, 64) + conv(5, 64, 128) + dense(128 * 7 * 7, 1024) + dense(1024, 64)
    assert made(faithful.PGAEncoder(64), *GREY) == (expected, (BATCH, 64))
    expected = dense(32, 1024) + dense(1024, 128 * 7 * 7) + conv(5, 128, 64) + conv(5, 64, 1)
    assert made(faithful.PGADecoder(GREY), 32) == (expected, (BATCH, *GREY))
    levels = [(3, 64), (64, 128), (128, 256)]
    expected = sum(conv(5, *level) + 2 * level[1] for level in levels) + dense(256 * 4 * 4, 256)
    assert made(faithful.PGAEncoder(256, colour=True), *COLOUR) == (expected, (BATCH, 256))
    expected = dense(128, 256 * 4 * 4) + 2 * 256 + conv(5, 64, 3)
    expected += sum(conv(5, *level) + 2 * level[1] for level in [(256, 128), (128, 64)])
    assert made(faithful.PGADecoder(COLOUR, colour=True), 128) == (expected, (BATCH, *COLOUR))


def test_batch_norm_takes_the_batch_in_training_and_its_running_mean_elsewhere():
    network = faithful.InfoGANFeatures(norm=True)
    images = jax.random.normal(jax.random.key(0), (3, 8, 8, 1))
    variables = network.init(jax.random.key(1), images)
    both, moved = network.apply(variables, images, mutable=["batch_stats"])
    alone = network.apply(variables, images[:1], mutable=["batch_stats"])[0]
    assert not np.allclose(both[:1], alone, atol=1e-3)
    still = network.apply({**variables, **moved}, images)
    np.testing.assert_allclose(still[:1], network.apply({**variables, **moved}, images[:1]), atol=1e-5)
    before, after = (np.asarray(each["batch_stats"]["BatchNorm_0"]["var"]) for each in (variables, moved))
    assert np.all(before == 1.0) and 0 < np.abs(after - before).max() < 2e-3  # decay 0.999
