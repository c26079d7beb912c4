"""A run as one file: its sampler, for programs that have jax alone, or its parameters under readable names.

A sampler is an .npz, whatever its name ends in:

    card                    JSON: what the run is, what each function takes and gives, the names of the parameters
    sample, encode, decode  bytes of what `jax.export` serialised, each a function of (parameters, *batch); of a GAN
                            `sample` alone
    <stage>/<name>/...      the parameters that these functions read

Parameters are arguments of the functions and no part of them: all three share one copy, and a function compiles to the
program that `Run` runs. Batches are of any size.
"""

import importlib.util
import json
from collections.abc import Callable, Sequence
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
from experiment_jax.runs.parameters import named, of_named, read, shapes_of
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
    arrays = named(run.model.params)
    functions = {
        name: (of_named(function, run.model.params), batch) for name, (function, batch) in _functions(run).items()
    }
    shapes = shapes_of(arrays)
    used = set().union(*(read(function, shapes, batch) for function, batch in functions.values()))
    shapes = {name: shape for name, shape in shapes.items() if name in used}
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
    seed = jax.ShapeDtypeStruct((), jnp.uint32)
    condition = jax.ShapeDtypeStruct((b,), jnp.int32)
    if model.degrade is not None:
        condition = jax.ShapeDtypeStruct((b, *run.model.low_shape), jnp.uint8)

    def sample(params: Any, condition: jax.Array, seed: jax.Array) -> jax.Array:
        rows = jnp.arange(condition.shape[0], dtype=jnp.uint32)
        given = condition if model.degrade is None else passes.to_float(condition)
        return run.draw(params, rows, given, jnp.full(1, seed)).images

    def encode(params: Any, images: jax.Array) -> jax.Array:
        return model.encode(params, passes.to_float(images))

    def decode(params: Any, latents: jax.Array) -> jax.Array:
        return passes.to_uint8(model.decode(params, latents))

    if not run.reconstructs:
        return {"sample": (sample, (condition, seed))}
    images = jax.ShapeDtypeStruct((b, *run.dataset.image_shape), jnp.uint8)
    latents = jax.ShapeDtypeStruct((b, model.latent_size), jnp.float32)
    return {"sample": (sample, (condition, seed)), "encode": (encode, (images,)), "decode": (decode, (latents,))}


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
