"""A run as one file: its sampler, for programs that have jax alone, or its parameters under readable names.

A sampler is an .npz, whatever its name ends in:

    card                    JSON: what the run is, what each function takes and gives, the names of the parameters
    sample, encode, decode  bytes of what `jax.export` serialised, each a function of (parameters, *batch)
    <stage>/<name>/...      the parameters that these functions read

Parameters are arguments of the functions and no part of them: all three share one copy, and a function compiles to the
program that `Run` runs. Batches are of any size.
"""

import importlib.util
import json
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export as jax_export
from safetensors.numpy import save

from experiment_jax.config.places import place
from experiment_jax.config.types import to_json
from experiment_jax.data import passes
from experiment_jax.errors import UserError
from experiment_jax.files import replacing
from experiment_jax.runs.run import Run

FORMAT = 1
PLATFORMS = ("cpu", "cuda", "tpu")
PARAMETERS = ".safetensors"
Function = tuple[Callable[..., jax.Array], Sequence[jax.ShapeDtypeStruct]]  # (params, *batch) -> array; the batch


def export(run: Run, path: str | Path) -> Path:
    """Writes a run's parameters where the name ends in .safetensors, else its sampler; returns the path.

    Raises:
        UserError: the path is a folder's; for a sampler a run that does not sample, or no package flatbuffers, which
            `jax.export` writes with. Unwritable: the system refuses the file. Nothing is written.
    """
    target = place(path, "--export")
    if target.is_dir():
        raise UserError(f"--export {path}: is a folder; name a file in it, as in {target / 'sampler.bin'}")
    if target.suffix == PARAMETERS:
        content = save(named(run.model.params), {key: _text(value) for key, value in _about(run).items()})
        with replacing(target) as temporary:
            temporary.write_bytes(content)
        return target
    arrays = _sampler(run)
    with replacing(target) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
    return target


def named(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What stages froze, by names such as `representation/decoder/Conv_0/kernel`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(dict(params))
    return {
        jax.tree_util.keystr(place, simple=True, separator="/"): np.ascontiguousarray(leaf) for place, leaf in leaves
    }


def _sampler(run: Run) -> dict[str, np.ndarray]:
    """The arrays of the file."""
    if run.model.sample is None:
        stages = ", ".join(run.config.stages)
        raise UserError(
            f"--export: the run in {run.workdir} does not sample (its stages are {stages}); take a run that does, or "
            f"write its parameters, as in --export params{PARAMETERS}"
        )
    if importlib.util.find_spec("flatbuffers") is None:
        raise UserError(
            "--export: needs the package flatbuffers, not installed, with which jax.export writes; type "
            "pip install flatbuffers"
        )
    structure, arrays = jax.tree.structure(dict(run.model.params)), named(run.model.params)
    functions = {
        name: (_of_named(function, structure, tuple(arrays)), batch)
        for name, (function, batch) in _functions(run).items()
    }
    shapes = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in arrays.items()}
    read = set().union(*(_read(function, shapes, batch) for function, batch in functions.values()))
    shapes = {name: shape for name, shape in shapes.items() if name in read}
    found = {
        name: jax_export.export(jax.jit(function), platforms=PLATFORMS)(shapes, *batch)
        for name, (function, batch) in functions.items()
    }
    card = {
        **_about(run),
        "platforms": PLATFORMS,
        "functions": {name: _signature(functions[name][1], each) for name, each in found.items()},
        "parameters": list(shapes),
    }
    serialised = {name: np.frombuffer(each.serialize(), np.uint8) for name, each in found.items()}
    return {"card": np.asarray(json.dumps(card)), **serialised, **{name: arrays[name] for name in shapes}}


def _functions(run: Run) -> dict[str, Function]:
    """What a program does with a run, each with the batch that it takes; `b` is any number of rows."""
    model = run.model
    [b] = jax_export.symbolic_shape("b")
    images = jax.ShapeDtypeStruct((b, *run.dataset.image_shape), jnp.uint8)
    latents = jax.ShapeDtypeStruct((b, model.latent_size), jnp.float32)
    seed = jax.ShapeDtypeStruct((), jnp.uint32)
    condition = jax.ShapeDtypeStruct((b,), jnp.int32)
    if model.degrade is not None:
        condition = jax.ShapeDtypeStruct((b, *run.low_shape), jnp.uint8)

    def sample(params: Any, condition: jax.Array, seed: jax.Array) -> jax.Array:
        rows = jnp.arange(condition.shape[0], dtype=jnp.uint32)
        given = condition if model.degrade is None else passes.to_float(condition)
        return run.draw(params, rows, given, jnp.full(1, seed)).images

    def encode(params: Any, images: jax.Array) -> jax.Array:
        return model.encode(params, passes.to_float(images))

    def decode(params: Any, latents: jax.Array) -> jax.Array:
        return passes.to_uint8(model.decode(params, latents))

    return {"sample": (sample, (condition, seed)), "encode": (encode, (images,)), "decode": (decode, (latents,))}


def _of_named(function: Callable[..., jax.Array], structure: Any, names: Sequence[str]) -> Callable[..., jax.Array]:
    """The same function of a dictionary of parameters by name, which may lack those that it does not read."""

    def of_named(parameters: Mapping[str, jax.Array], *batch: jax.Array) -> jax.Array:
        return function(structure.unflatten([parameters.get(name) for name in names]), *batch)

    return of_named


def _read(
    function: Callable[..., jax.Array], shapes: Mapping[str, jax.ShapeDtypeStruct], batch: Sequence[Any]
) -> set[str]:
    """The names of the parameters that the traced function reads."""
    jaxpr = jax.make_jaxpr(function)(dict(shapes), *batch).jaxpr
    used = {id(each) for equation in jaxpr.eqns for each in equation.invars} | {id(each) for each in jaxpr.outvars}
    # Dictionaries are flattened in the order of their sorted keys.
    return {name for name, each in zip(sorted(shapes), jaxpr.invars, strict=False) if id(each) in used}


def _signature(batch: Sequence[Any], exported: jax_export.Exported) -> dict[str, Any]:
    """What a function takes behind the parameters and what it gives, as in `int32[b]`."""
    return {"takes": [f"{each.dtype}[{','.join(map(str, each.shape))}]" for each in batch],
            "gives": str(exported.out_avals[0])}  # fmt: skip


def _about(run: Run) -> dict[str, Any]:
    """What either file says of the run."""
    return {
        "format": FORMAT,
        "method": run.config.method,
        "dataset": run.config.data.name,
        "step": run.step,
        "classes": list(run.dataset.class_names),
        "image_shape": list(run.dataset.image_shape),
        "config": json.loads(to_json(run.config)),
        "versions": {name: metadata.version(name) for name in ("jax", "jaxlib", "numpy")},
    }


def _text(value: Any) -> str:
    """A value as metadata of a .safetensors file, which is text: JSON, unless it is text already."""
    return value if isinstance(value, str) else json.dumps(value)
