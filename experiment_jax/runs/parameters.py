"""Which parameters of a run a function of it reads, and how many numbers drawing samples takes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.runs.run import Run


def named(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What stages froze, by names such as `representation/decoder/Conv_0/kernel`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(dict(params))
    return {
        jax.tree_util.keystr(place, simple=True, separator="/"): np.ascontiguousarray(leaf) for place, leaf in leaves
    }


def of_named(function: Callable[..., jax.Array], params: Mapping[str, Any]) -> Callable[..., jax.Array]:
    """function(params, *batch) as one of a dictionary of parameters by name, which may lack those that it does not
    read."""
    structure, names = jax.tree.structure(dict(params)), tuple(named(params))

    def of_named(parameters: Mapping[str, jax.Array], *batch: jax.Array) -> jax.Array:
        return function(structure.unflatten([parameters.get(name) for name in names]), *batch)

    return of_named


def read(
    function: Callable[..., jax.Array], shapes: Mapping[str, jax.ShapeDtypeStruct], batch: Sequence[Any]
) -> set[str]:
    """The names of the parameters that function(parameters by name, *batch) reads."""
    jaxpr = jax.make_jaxpr(function)(dict(shapes), *batch).jaxpr
    used = {id(each) for equation in jaxpr.eqns for each in equation.invars} | {id(each) for each in jaxpr.outvars}
    # Dictionaries are flattened in the order of their sorted keys.
    return {name for name, each in zip(sorted(shapes), jaxpr.invars, strict=False) if id(each) in used}


def shapes_of(arrays: Mapping[str, np.ndarray]) -> dict[str, jax.ShapeDtypeStruct]:
    """Their shapes and types, by the same names."""
    return {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in arrays.items()}


def count(run: Run) -> int:
    """How many float32 numbers drawing a sample reads. A hull's bank of latents is float16, and no parameter."""
    shapes, model = shapes_of(named(run.model.params)), run.model
    keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2))
    condition = jax.ShapeDtypeStruct((2,), jnp.int32)
    if model.degrade is not None:
        condition = jax.ShapeDtypeStruct((2, *run.model.low_shape), jnp.float32)
    sample = of_named(lambda *arguments: model.sample(*arguments).images, model.params)
    found = read(sample, shapes, (keys, condition))
    return sum(math.prod(shapes[name].shape) for name in found if shapes[name].dtype == jnp.float32)
