import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_collections import ConfigDict
from PIL import Image
from scipy import linalg

from experiment_jax.data.split import View
from experiment_jax.method.stage import Context, Model
from lsdm_jax import condition, degradation


def stage(shape=(12, 20, 3), **own):
    section = ConfigDict(dict(factor=4, kernel="area", noise=0.0, project=True) | own)
    context = Context("degradation", shape, 2, np.full(2, 0.5, np.float32), np.full(2, 20), 0, Model())
    return degradation.stage(section, context)


def images(count=7, shape=(12, 20, 3), seed=0):
    return jax.random.uniform(jax.random.key(seed), (count, *shape), minval=-1.0, maxval=1.0)


def reduced(full, **own):
    return stage(full.shape[1:], **own).provides["degrade"]({}, jnp.asarray(full))


def test_area_is_the_mean_of_each_block():
    full = np.asarray(images())
    expected = [[full[:, i : i + 4, j : j + 4].mean(axis=(1, 2)) for j in range(0, 20, 4)] for i in range(0, 12, 4)]
    np.testing.assert_allclose(reduced(full), np.moveaxis(expected, 2, 0), atol=1e-6)


@pytest.mark.parametrize("factor", [2, 4])
def test_bicubic_is_pillows(factor):
    full = np.asarray(images(3, (12, 20, 1)))
    size = (20 // factor, 12 // factor)
    expected = [np.asarray(Image.fromarray(image[..., 0]).resize(size, Image.Resampling.BICUBIC)) for image in full]
    np.testing.assert_allclose(reduced(full, factor=factor, kernel="bicubic")[..., 0], expected, atol=1e-5)


@settings(deadline=None)  # the first example compiles
@given(st.floats(-3, 3), st.floats(-3, 3), st.sampled_from(degradation.KERNELS))
def test_the_degradation_is_linear_and_keeps_constants(a, b, kernel):
    def reduce(full):
        return reduced(full, kernel=kernel)

    first, second = images(2, seed=1), images(2, seed=2)
    mixed = reduce(a * first + b * second)
    np.testing.assert_allclose(mixed, a * reduce(first) + b * reduce(second), atol=1e-4)
    np.testing.assert_allclose(reduce(jnp.full((1, 8, 8, 1), a)), jnp.full((1, 2, 2, 1), a), atol=1e-5)


@pytest.mark.parametrize("kernel", degradation.KERNELS)
def test_what_is_projected_degrades_to_the_condition_and_differs_by_an_interpolation(kernel):
    provides = stage((12, 20, 1), kernel=kernel).provides
    start, low = np.asarray(images(3, (12, 20, 1))), np.asarray(images(3, (3, 5, 1), seed=1))
    moved = np.asarray(provides["project"]({}, start, low))
    np.testing.assert_allclose(provides["degrade"]({}, moved), low, atol=1e-5)
    np.testing.assert_allclose(provides["project"]({}, moved, low), moved, atol=1e-5)
    # Least squares by SciPy: the difference is cubic interpolation of some small image.
    basis = np.eye(15, dtype=np.float32).reshape(15, 3, 5, 1)
    smooth = np.asarray(jax.image.resize(basis, (15, 12, 20, 1), "cubic")).reshape(15, 240).T
    difference = (moved - start).reshape(3, 240).T
    left = difference - smooth @ linalg.lstsq(smooth, difference)[0]
    np.testing.assert_allclose(left, 0.0, atol=1e-4)
    assert "project" not in stage(project=False).provides


@pytest.mark.parametrize("kernel", degradation.KERNELS)
def test_a_compiled_function_may_be_the_first_to_ask(kernel):
    def moved(stage, full, low):
        return stage.provides["project"]({}, full, low), stage.provides["degrade"]({}, full)

    arguments = images(3, (12, 20, 1)), images(3, (3, 5, 1), seed=1)
    first, second = stage((12, 20, 1), kernel=kernel), stage((12, 20, 1), kernel=kernel)
    compiled = jax.jit(lambda *arrays: moved(first, *arrays))(*arguments)
    for found, expected in zip(compiled, moved(second, *arguments), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_projecting_a_constant_makes_the_constant_that_is_asked_for():
    project = stage((12, 20, 1)).provides["project"]
    moved = project({}, jnp.full((1, 12, 20, 1), -0.3), jnp.full((1, 3, 5, 1), 0.8))
    np.testing.assert_allclose(moved, 0.8, atol=1e-5)


def test_noise_has_its_deviation_and_a_key_for_each_image():
    noise = stage(noise=0.25).provides["noise"]
    low = jnp.zeros((900, 3, 5, 3))
    keys = jax.random.split(jax.random.key(3), 900)
    noised = noise({}, low, keys)
    assert abs(float(jnp.std(noised)) - 0.25) < 0.25 * 4 / np.sqrt(2 * noised.size)
    np.testing.assert_array_equal(noise({}, low[4:7], keys[4:7]), noised[4:7])
    np.testing.assert_array_equal(stage().provides["noise"]({}, low, keys), low)


def test_two_conditions_are_on_average_one_apart():
    made = stage()
    full = np.random.default_rng(0).integers(0, 256, (40, 12, 20, 3), dtype=np.uint8)
    params = {"degradation": made.finish({}, View(full, None), {})}
    low = made.provides["degrade"](params, full / 127.5 - 1.0)
    embedded = made.provides["embed"](params, low)
    np.testing.assert_allclose(np.mean(embedded, axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(np.mean(embedded**2), 1.0, rtol=1e-4)
    phi = np.asarray(condition.phi(embedded, 2))
    apart = np.mean(np.sum((phi[:, None] - phi[None]) ** 2, axis=-1))  # over all pairs, an image with itself too
    np.testing.assert_allclose(apart, 1.0, rtol=1e-4)
    labels = np.asarray(condition.phi(jnp.asarray([0, 1]), 2))
    np.testing.assert_allclose(np.linalg.norm(labels[0] - labels[1]), 1.0, rtol=1e-6)


@pytest.mark.parametrize(("factor", "advised"), [(3, 2), (8, 2), (1, 2), (0, 2)])
def test_a_factor_that_does_not_divide_the_sides_is_refused_with_those_that_do(factor, advised, refused):
    error = refused(stage, factor=factor)
    assert f"factor={factor}: " in error and f" 2, 4 do; type --config.degradation.factor={advised}" in error


def test_images_that_nothing_divides_are_refused(refused):
    assert "crop the images" in refused(stage, shape=(11, 12, 1))


def test_an_unknown_kernel_and_negative_noise_are_refused(refused):
    assert "choose one of area, bicubic" in refused(stage, kernel="lanczos")
    assert "give 0 or more" in refused(stage, noise=-0.1)
