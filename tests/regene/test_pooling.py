"""`regene_jax.pooling` against Flax's windowed maxima."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from regene_jax.pooling import max_pool


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("shape", [(3, 7, 5, 2), (2, 6, 8, 3), (1, 2, 3, 1)])
def test_values_and_gradients_are_those_of_windowed_maxima_of_equal_pixels_too(shape, tied):
    generator = np.random.default_rng(0)
    x = generator.normal(size=shape).astype(np.float32)
    x = np.round(x) if tied else x
    values, back = jax.vjp(max_pool, x)
    expected, reference = jax.vjp(lambda x: nn.max_pool(x, (2, 2), (2, 2)), x)
    np.testing.assert_array_equal(values, expected)
    gradient = generator.normal(size=values.shape).astype(np.float32)
    np.testing.assert_array_equal(back(gradient)[0], reference(gradient)[0])


def test_it_can_be_mapped_over_networks():
    x = np.random.default_rng(0).normal(size=(4, 2, 6, 6, 3)).astype(np.float32)
    one_by_one = np.stack([jax.grad(lambda x: (max_pool(x) ** 2).sum())(each) for each in x])
    np.testing.assert_array_equal(jax.vmap(jax.grad(lambda x: (max_pool(x) ** 2).sum()))(x), one_by_one)
