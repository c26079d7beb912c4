"""Full passes, pixels as floats, and what is read ahead."""

import jax.numpy as jnp
import numpy as np

from experiment_jax.data import passes
from experiment_jax.data.lazy_images import Feed


def test_what_is_read_ahead_is_read_once_and_in_order():
    read = []
    feed = Feed(lambda step: read.append(step) or np.full(2, step), lambda rows: rows, total=12, stride=2)
    assert [int(feed(step)[0]) for step in range(0, 12, 2)] == list(range(0, 12, 2))
    assert sorted(read) == list(range(0, 12, 2))
    assert [int(feed(step)[0]) for step in (4, 6)] == [4, 6]  # from anywhere


def test_passes_count_each_row_once():
    seen = []

    def function(rows):
        seen.append(rows.shape)
        return {"double": 2 * rows, "sum": rows.sum(axis=1)}

    rows = np.arange(33.0).reshape(11, 3)
    results = passes.over(function, rows, batch_size=4)
    np.testing.assert_array_equal(results["double"], 2 * rows)
    np.testing.assert_array_equal(results["sum"], rows.sum(axis=1))
    assert seen == [(4, 3)] * 3


def test_pixels_survive_the_way_to_floats_and_back():
    pixels = np.arange(256, dtype=np.uint8)
    floats = passes.to_float(pixels)
    assert floats.dtype == jnp.float32 and float(floats[0]) == -1.0 and float(floats[255]) == 1.0
    np.testing.assert_array_equal(passes.to_uint8(floats), pixels)
    np.testing.assert_array_equal(passes.to_uint8(jnp.array([-2.0, 3.0])), [0, 255])
