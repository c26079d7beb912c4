"""The setting `compute` of a stage: bfloat16 where it pays, float32 where it counts."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax import load_config
from experiment_jax.data import split as data
from experiment_jax.devices.placement import mesh
from experiment_jax.errors import UserError
from experiment_jax.method.build import build, job
from experiment_jax.runs import directory as run_directory
from experiment_jax.runs import reuse

TINY_REGENE = {
    "data.validation": 20,
    "stages": ("classifier", "decoder"),
    "classifier.steps": 4,
    "classifier.batch_size": 16,
    "classifier.widths": (4, 8),
    "classifier.latent_size": 6,
    "decoder.steps": 4,
    "decoder.batch_size": 16,
    "decoder.widths": (4,),
}


@pytest.fixture(scope="module")
def digits(tiny):
    config = tiny()
    return data.load(config.data, config.seed)


def stepped(config, dataset, name):
    """A stage's state and metrics after a step on 16 images, and the step's program."""
    images = np.random.default_rng(0).uniform(-1, 1, (16, *dataset.image_shape)).astype(np.float32)
    batch, upstream = {"labels": np.arange(16, dtype=np.int32) % 10}, {}
    for part in build(config, dataset):
        inputs = part.stage.inputs
        batch |= {"images": images} if inputs is None else inputs(images, upstream)
        state = jax.jit(part.stage.init)(jax.random.key(0), batch, upstream)
        if part.name == name:
            arguments = state, batch, jax.random.key(1), upstream
            return *jax.jit(part.stage.update)(*arguments), jax.make_jaxpr(part.stage.update)(*arguments)
        upstream[part.name] = part.stage.finish(state, part.view, upstream)
    raise AssertionError(name)


def operations(jaxpr):
    """Every equation of a program, those of the programs within it too."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.core.jaxprs_in_params(equation.params):
            yield from operations(inner)


CASES = {
    "representation": lambda tiny, **own: tiny(representation__perceptual=0.0, **own),
    "classifier": lambda tiny, **own: load_config(
        "configs/regene_digits.py", TINY_REGENE | {k.replace("__", "."): v for k, v in own.items()}
    ),
}
CASES["decoder"] = CASES["classifier"]


@pytest.mark.parametrize("name", list(CASES))
def test_in_bfloat16_all_that_is_kept_is_float32_and_nearly_the_same(name, tiny, digits):
    (state, metrics, _), (half, halved, _) = (
        stepped(CASES[name](tiny, **{f"{name}__compute": compute}), digits, name) for compute in (None, "bfloat16")
    )
    kept = {leaf.dtype for leaf in jax.tree.leaves((half, halved)) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    assert kept == {jnp.dtype("float32")}
    assert jax.tree.map(jnp.shape, half) == jax.tree.map(jnp.shape, state)
    np.testing.assert_allclose(halved["loss"], metrics["loss"], rtol=0.03)
    np.testing.assert_allclose(halved["gradient_norm"], metrics["gradient_norm"], rtol=0.1)
    assert halved["loss"] != metrics["loss"]


@pytest.mark.parametrize("name", list(CASES))
def test_convolutions_are_bfloat16_and_sums_and_roots_float32(name, tiny, digits):
    program = stepped(CASES[name](tiny, **{f"{name}__compute": "bfloat16"}), digits, name)[2]
    types = {}
    for equation in operations(program.jaxpr):
        types.setdefault(equation.primitive.name, []).append(equation.outvars[0].aval.dtype)
    assert jnp.dtype("bfloat16") in types["conv_general_dilated"]
    for statistic in ("rsqrt", "log", "exp", "abs"):
        assert jnp.dtype("bfloat16") not in types.get(statistic, [])


def test_another_type_is_refused(tiny, digits):
    with pytest.raises(UserError, match="compute=half: choose one of float32, bfloat16"):
        build(tiny(representation__compute="half"), digits)


def test_a_run_from_before_the_setting_goes_on(tiny, digits, tmp_path):
    """Neither its config nor the identity of its stages nor a judge's fingerprint knows it."""
    config = tiny()
    run_directory.write_config(tmp_path, config)
    path = tmp_path / "config.json"
    older = json.loads(path.read_text())
    del older["representation"]["compute"]
    path.write_text(json.dumps(older))
    assert run_directory.check(tmp_path, config) == []
    with pytest.raises(UserError, match="compute=None"):
        run_directory.check(tmp_path, tiny(representation__compute="bfloat16"))
    read = run_directory.read_config(tmp_path)
    identities = [
        reuse.identity(job(build(each, digits)[0], each, mesh(jax.devices()[:1])), digits, {})
        for each in (config, read, tiny(representation__compute="bfloat16"))
    ]
    assert identities[0] == identities[1] != identities[2]
