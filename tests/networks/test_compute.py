"""The setting `compute` of a stage: bfloat16 where it pays, float32 where it counts."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from experiment_jax import load_config
from experiment_jax.data import load
from experiment_jax.data.split import Dataset
from experiment_jax.method.build import build
from experiment_jax.runs import directory, reuse

TINY_REGENE = {
    "data.validation": 20,
    "stages": ("classifier", "decoder"),
    "classifier.steps": 4,
    "classifier.batch_size": 16,
    "classifier.widths": (4,),
    "classifier.latent_size": 6,
    "decoder.steps": 4,
    "decoder.batch_size": 16,
    "decoder.widths": (4,),
}


def regene(tiny, **own):
    overrides = {key.replace("__", "."): value for key, value in own.items()}
    return load_config("configs/regene_digits.py", TINY_REGENE | overrides)


def lsdm(tiny, **own):
    return tiny(representation__perceptual=0.0, **own)


CASES = {"representation": lsdm, "classifier": regene, "decoder": regene}


@pytest.fixture(scope="module")
def digits(tiny):
    """Digits, of which 20 are for training."""
    config = tiny()
    dataset = load.load(config.data, config.seed)
    return Dataset(dataset.name, dataset.class_names, dataset.train.take(np.arange(20)), dataset.validation)


class Step(NamedTuple):
    """A step of a stage on 16 images.

    Attributes:
        loss: of the step, and the norm of its gradient: a function, compiled without the optimiser.
        out: shapes and types of the state and the metrics after it.
        program: of the whole step.
    """

    loss: Callable[[], tuple[float, float]]
    out: Any
    program: Any


@pytest.fixture(scope="module")
def step(tiny, digits):
    """`step(stage, compute)` -> a step of that stage; each is traced once."""

    @functools.cache
    def trace(name, compute):
        images = np.random.default_rng(0).uniform(-1, 1, (16, *digits.image_shape)).astype(np.float32)
        batch, upstream = {"labels": np.arange(16, dtype=np.int32) % 10}, {}
        for task in build(CASES[name](tiny, **{f"{name}__compute": compute}), digits):
            inputs = task.stage.inputs
            batch |= {"images": images} if inputs is None else jax.jit(inputs)(images, upstream)
            state = jax.jit(task.stage.init)(jax.random.key(0), batch, upstream)
            if task.name == name:
                arguments = state, batch, jax.random.key(1), upstream
                traced = jax.jit(task.stage.update).trace(*arguments)
                return Step(functools.partial(loss, task.stage.update, arguments), traced.out_info, traced.jaxpr)
            upstream[task.name] = task.stage.finish(state, task.view, upstream)
        raise AssertionError(name)

    return trace


def loss(update, arguments):
    def compute(*arguments):
        metrics = update(*arguments)[1]
        return metrics["loss"], metrics["gradient_norm"]

    return jax.jit(compute)(*arguments)


def operations(jaxpr):
    """Every equation of a program, those of the programs within it too."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jaxprs_in_params(equation.params):
            yield from operations(inner)


@pytest.mark.parametrize("name", list(CASES))
def test_in_bfloat16_all_that_is_kept_is_float32_and_nearly_the_same(name, step):
    whole, half = step(name, None), step(name, "bfloat16")
    kept = {leaf.dtype for leaf in jax.tree.leaves(half.out) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    assert kept == {jnp.dtype("float32")}
    assert jax.tree.map(lambda leaf: leaf.shape, half.out) == jax.tree.map(lambda leaf: leaf.shape, whole.out)
    (expected, expected_norm), (found, norm) = whole.loss(), half.loss()
    np.testing.assert_allclose(found, expected, rtol=0.03)
    np.testing.assert_allclose(norm, expected_norm, rtol=0.1)
    assert found != expected


@pytest.mark.parametrize("name", list(CASES))
def test_convolutions_are_bfloat16_and_sums_and_roots_float32(name, step):
    types = {}
    for equation in operations(step(name, "bfloat16").program.jaxpr):
        types.setdefault(equation.primitive.name, []).append(equation.outvars[0].aval.dtype)
    assert jnp.dtype("bfloat16") in types["conv_general_dilated"]
    for statistic in ("rsqrt", "log", "exp", "abs"):
        assert jnp.dtype("bfloat16") not in types.get(statistic, [])


def test_another_type_is_refused(tiny, digits, refused):
    message = refused(build, tiny(representation__compute="half"), digits)
    assert "compute=half: choose one of float32, bfloat16" in message


def test_a_run_of_one_type_does_not_go_on_in_another(tiny, digits, tmp_path, refused):
    """Nor is a stage that is computed in another type the same stage."""
    config, half = tiny(), tiny(representation__compute="bfloat16")
    directory.write_config(tmp_path, config)
    assert directory.check(tmp_path, config) == []
    assert "compute=None" in refused(directory.check, tmp_path, half)
    read = directory.read_config(tmp_path)
    identities = [reuse.identity(build(each, digits)[0], digits, {}) for each in (config, read, half)]
    assert identities[0] == identities[1] != identities[2]
