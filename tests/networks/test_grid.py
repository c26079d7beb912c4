"""Latents with places: their layout, what each place sees, blocks, and shapes that do not fit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax.networks import grid
from experiment_jax.networks.autoencoder import Decoder, Encoder
from experiment_jax.networks.blocks import Attention, Residual

SHAPE = (3, 5, 2)
IMAGE = (12, 20, 3)  # two levels leave 3×5 places


def maps():
    return np.random.default_rng(0).normal(size=(7, *SHAPE)).astype(np.float32)


def test_vectors_are_written_channel_by_channel_and_read_back():
    vectors = grid.to_vectors(maps())
    assert vectors.shape == (7, 30)
    np.testing.assert_array_equal(vectors[:, :15], maps()[..., 0].reshape(7, 15))
    np.testing.assert_array_equal(grid.to_maps(vectors, SHAPE), maps())
    np.testing.assert_array_equal(grid.to_tokens(vectors, SHAPE), maps().reshape(7, 15, 2))
    np.testing.assert_array_equal(grid.from_tokens(grid.to_tokens(vectors, SHAPE), SHAPE), vectors)


def test_a_token_may_be_for_a_square_of_places():
    shape = (4, 6, 2)
    vectors = np.random.default_rng(0).normal(size=(7, 48)).astype(np.float32)
    tokens = grid.to_tokens(vectors, shape, 2)
    assert tokens.shape == (7, 6, 8)
    square = np.asarray(grid.to_maps(vectors, shape))[:, 2:4, 4:6]
    np.testing.assert_array_equal(np.sort(tokens[:, 5]), np.sort(square.reshape(7, 8)))
    np.testing.assert_array_equal(grid.from_tokens(tokens, shape, 2), vectors)


def test_several_numbers_a_coordinate_come_as_blocks():
    """So that the mean of q(z | Y) is the first half of an encoder's output, with places as without."""
    both = np.concatenate([maps(), -maps()], axis=-1)
    first, second = jnp.split(grid.to_vectors(both), 2, axis=-1)
    np.testing.assert_array_equal(first, grid.to_vectors(maps()))
    np.testing.assert_array_equal(second, -first)


def test_a_place_of_the_latent_sees_and_changes_only_what_is_around_it():
    """With spectral norms, since GroupNorm's means are over all places."""
    shape, images = (8, 8, 3), np.random.default_rng(1).uniform(-1, 1, (1, 64, 64, 1)).astype(np.float32)
    encoder = Encoder((4, 6, 8), 8 * 8 * 3, shape, spectral=True)
    decoder = Decoder((4, 6, 8), (64, 64, 1), shape, spectral=True)
    variables = jax.jit(encoder.init)(jax.random.key(0), images)
    encode = jax.jit(lambda images: encoder.apply(variables, images))
    latents = encode(images)
    parameters = jax.jit(decoder.init)(jax.random.key(1), latents)
    decode = jax.jit(lambda latents: decoder.apply(parameters, latents))
    decoded = decode(latents)
    assert latents.shape == (1, 192) and decoded.shape == images.shape
    changed = images.copy()
    changed[0, :8, :8] *= -1.0  # what the place in the corner covers
    moved = np.abs(grid.to_maps(encode(changed) - latents, shape))[0].max(axis=-1)
    assert moved[0, 0] > 0 and moved[4:, 4:].max() == 0
    other = np.array(grid.to_maps(latents, shape))
    other[0, 0, 0] += 3.0
    seen = np.abs(decode(grid.to_vectors(other)) - decoded)[0, ..., 0]
    assert seen[:8, :8].max() > 0 and seen[40:, 40:].max() == 0


@pytest.mark.parametrize("block", [Residual(), Attention()])
def test_blocks_begin_as_the_identity_and_can_be_trained(block):
    images = maps()[..., :1].repeat(6, axis=-1) + np.arange(6, dtype=np.float32)
    out, variables = jax.jit(block.init_with_output)(jax.random.key(0), images)
    np.testing.assert_array_equal(out, images)
    gradients = jax.jit(jax.grad(lambda params: jnp.sum(block.apply(params, images) ** 2)))(variables)
    assert any(np.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradients))


def test_attention_lets_the_deepest_places_see_each_other():
    images = np.random.default_rng(1).uniform(-1, 1, (1, *IMAGE)).astype(np.float32)
    encoder = Encoder((4, 6), 30, SHAPE, attention=True)
    variables = jax.jit(encoder.init)(jax.random.key(0), images)
    again = jax.tree.map(lambda leaf: leaf + 0.3, variables)  # no longer the identity
    changed = images.copy()
    changed[0, :4, :4] *= -1.0
    encode = jax.jit(lambda images: encoder.apply(again, images))
    moved = np.abs(encode(changed) - encode(images))
    assert (grid.to_maps(moved, SHAPE)[0].max(axis=-1) > 0).all()


@pytest.mark.parametrize("shape", [(4, 4, 2), (3, 5), (3, 5, 0), (5, 3, 2), (12, 20, 3)])
def test_a_shape_that_does_not_fit_the_sides_names_one_that_does(shape, refused):
    error = refused(grid.check, shape, IMAGE, (4, 6), "representation")
    assert '--config.representation.latent_shape="(3,5,' in error and "3x5 places of 12x20 images" in error


def test_shapes_that_fit():
    grid.check((), IMAGE, (4, 6), "representation")
    grid.check((3, 5, 2), IMAGE, (4, 6), "representation")
    assert grid.latent_size((3, 5, 2), 64) == 30 and grid.latent_size((), 64) == 64
