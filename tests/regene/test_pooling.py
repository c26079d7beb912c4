"""`regene_jax.pooling` against Flax's windowed maxima."""

import functools

import flax.linen as nn
import jax
import numpy as np
import pytest

from regene_jax.pooling import max_pool


def windowed(x):
    return nn.max_pool(x, (2, 2), (2, 2))


@functools.partial(jax.jit, static_argnums=0)
def value_and_gradient(pool, x, gradient):
    value, back = jax.vjp(pool, x)
    return value, back(gradient)[0]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shape", [(3, 7, 5, 2), (2, 6, 8, 3), (1, 2, 3, 1)])
def test_values_and_gradients_are_those_of_windowed_maxima_of_equal_pixels_too(shape, tied):
    generator = np.random.default_rng(0)
    x = generator.normal(size=shape).astype(np.float32)
    x = np.round(x) if tied else x
    batch, height, width, channels = shape
    gradient = generator.normal(size=(batch, height // 2, width // 2, channels)).astype(np.float32)
    found, expected = (value_and_gradient(pool, x, gradient) for pool in (max_pool, windowed))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_it_can_be_mapped_over_networks():
    x = np.random.default_rng(0).normal(size=(4, 2, 6, 6, 3)).astype(np.float32)
    slope = jax.grad(lambda x: (max_pool(x) ** 2).sum())
    one_by_one = np.stack([*map(jax.jit(slope), x)])
    np.testing.assert_array_equal(jax.jit(jax.vmap(slope))(x), one_by_one)
