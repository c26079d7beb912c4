"""Arrays of images of any type and layout."""

import numpy as np
import pytest

from experiment_jax.data.decoding import with_channels
from experiment_jax.data.image_arrays import as_shape
from experiment_jax.data.npz import as_bytes

GENERATOR = np.random.default_rng(0)
GREY = GENERATOR.integers(0, 256, (11, 5, 4, 1), dtype=np.uint8)
COLOURS = GENERATOR.integers(0, 256, (11, 5, 4, 3), dtype=np.uint8)
OPAQUE = np.full_like(GREY, 255)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.int64, np.float16, np.float32, np.float64])
def test_whole_numbers_of_any_type_are_levels(kind):
    found = as_bytes(COLOURS.astype(kind))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, COLOURS)


def test_truth_values_are_black_and_white():
    np.testing.assert_array_equal(as_bytes(GREY > 99), np.where(GREY > 99, 255, 0))


@pytest.mark.parametrize(
    "images",
    [
        GREY / 255,
        GREY / np.float32(127.5) - 1,
        GREY * 0.999,
        GREY.astype(np.uint16) * 257,
    ],
)
def test_another_scale_is_refused_and_the_line_to_type_makes_the_images(images, refused):
    line = refused(as_bytes, images)
    assert line.startswith(
        f"images hold {images.dtype} from {images.min():g} to {images.max():g}; whole numbers from 0 to"
    )
    typed = line.partition("type ")[2].partition(" where 65535")[0].partition(", or")[0]
    np.testing.assert_array_equal(eval(typed, dict(np=np, images=images)), GREY)


def test_what_is_in_0_to_1_may_be_of_minus_1_to_1(refused):
    line = refused(as_bytes, GREY / 255)
    assert "type np.rint(images * 255)" in line and "np.rint((images + 1) * 127.5) in it where -1 is black" in line


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (np.where(GREY > 250, np.nan, GREY), f"hold {np.sum(GREY > 250)} values of 220 that are NaN or infinite"),
        (np.where(GREY > 250, np.inf, GREY), "NaN or infinite"),
        (np.full_like(GREY, 7), "hold one value, 7, everywhere"),
        ((GREY > 99).astype(np.uint8), "images hold uint8 from 0 to 1; "),
        (GREY.astype(int) - 9, "images hold int64 from -9 to"),
        (GREY.astype(int) * 10**9, "scale and clip them"),
        (GREY[:0], "there are no images"),
        (GREY.astype(complex), "of type complex128"),
        (GREY.astype(str), "of type <U"),
        (GREY.astype("M8[s]"), "of type datetime64[s]"),
    ],
)
def test_what_is_no_image_is_refused(images, reason, refused):
    assert reason in refused(as_bytes, images)


@pytest.mark.parametrize(
    ("images", "shape", "expected"),
    [
        (COLOURS, (5, 4, 3), COLOURS),
        (np.moveaxis(COLOURS, -1, 1), (5, 4, 3), COLOURS),
        (np.concatenate([COLOURS, OPAQUE], axis=-1), (5, 4, 3), COLOURS),
        (GREY, (5, 4, 1), GREY),
        (GREY[..., 0], (5, 4, 1), GREY),
        (GREY[..., 0], (5, 4, 3), np.repeat(GREY, 3, axis=-1)),
        (np.moveaxis(GREY, -1, 1), (5, 4, 1), GREY),
        (np.moveaxis(GREY, -1, 1), (5, 4, 3), np.repeat(GREY, 3, axis=-1)),
        (np.repeat(GREY, 3, axis=-1), (5, 4, 1), GREY),
        (np.concatenate([GREY, OPAQUE], axis=-1), (5, 4, 1), GREY),
        (COLOURS[:, :3, :3], (3, 3, 3), COLOURS[:, :3, :3]),  # as documented, where both layouts are possible
    ],
)
def test_layouts_that_the_shape_of_the_data_set_tells_apart(images, shape, expected):
    np.testing.assert_array_equal(as_shape(images, shape), expected)


@pytest.mark.parametrize(
    ("images", "shape", "reason"),
    [
        (COLOURS, (4, 5, 3), "the data set's are [N, 4, 5, 3]: resize them"),
        (COLOURS, (28, 28, 1), "images are [11, 5, 4, 3]; the data set's are [N, 28, 28, 1]"),
        (GREY.reshape(11, 20), (5, 4, 1), "images are [11, 20]"),
        (GREY[0, ..., 0], (5, 4, 1), "images are [5, 4]"),
        (np.float32(3), (5, 4, 1), "images are []"),
        (COLOURS[:, :3, :3], (3, 3, 1), "images are [11, 3, 3, 3]"),  # either layout
        (COLOURS, (5, 4, 1), "shows colours; the data set's images are grey"),
        (np.concatenate([COLOURS, OPAQUE - 1], axis=-1), (5, 4, 3), "220 of 220 pixels are transparent"),
        (np.concatenate([COLOURS, COLOURS], axis=-1), (5, 4, 3), "6 channels; the data set's images have 3"),
    ],
)
def test_other_shapes_and_colours_are_refused(images, shape, reason, refused):
    assert reason in refused(as_shape, images, shape)


def test_channels_that_differ_by_rounding_are_grey_and_no_more(refused):
    near = np.concatenate([GREY, np.minimum(GREY, 254) + 1, GREY], axis=-1)
    np.testing.assert_allclose(with_channels(near, 1), GREY, atol=1)
    near[3, 2, 1, 0] = near[3, 2, 1, 1] - 2
    assert "shows colours" in refused(with_channels, near, 1)
