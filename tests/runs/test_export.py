"""Samplers and parameters as files: the same pixels, also in a process that has jax alone; and what is refused."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import jax
import jax.export
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from experiment_jax import load_config, load_run
from experiment_jax.config.types import from_json, to_json
from experiment_jax.data import load, passes
from experiment_jax.method.build import build
from experiment_jax.method.stage import Model
from experiment_jax.runs import export as exports
from experiment_jax.runs.export import export
from experiment_jax.runs.parameters import named
from experiment_jax.runs.run import Run

PROJECT = Path(__file__).parents[2]
FLATBUFFERS = pytest.mark.skipif(
    importlib.util.find_spec("flatbuffers") is None,
    reason="needs the package flatbuffers, which is not installed: pip install flatbuffers",
)
SHARE = 1e-4  # of pixels that may differ, by one level, where batches have other sizes


def read(path):
    """The card of a file, and its functions with the parameters given."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file}
    card = json.loads(str(arrays["card"]))
    parameters = {name: arrays[name] for name in card["parameters"]}

    def bound(name):
        call = jax.jit(jax.export.deserialize(bytearray(arrays[name])).call)
        return lambda *batch: np.asarray(call(parameters, *batch))

    return card, {name: bound(name) for name in card["functions"]}


def nearly_equal(images, others):
    apart = np.abs(images.astype(int) - others)
    assert images.dtype == others.dtype == np.uint8 and images.shape == others.shape
    assert apart.max(initial=0) <= 1 and (apart > 0).mean() <= SHARE


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """(run, path) of the tiny run and its sampler."""
    run = load_run(finished[1])
    return run, export(run, tmp_path_factory.mktemp("export") / "sampler.bin")


@FLATBUFFERS
def test_the_file_gives_what_the_run_gives(exported):
    run, path = exported
    card, functions = read(path)
    assert set(functions) == {"sample", "encode", "decode"} and card["classes"] == list("0123456789")
    assert card["functions"]["sample"] == {"takes": ["int32[b]", "uint32[]"], "gives": "uint8[b,8,8,1]"}
    assert (card["step"], card["platforms"]) == (4, ["cpu", "cuda", "tpu"])
    assert to_json(from_json(json.dumps(card["config"]))) == to_json(run.config)
    labels = np.arange(23, dtype=np.int32) % 10
    for seed in (0, 5):
        images = functions["sample"](labels, np.uint32(seed))
        np.testing.assert_array_equal(images, run.sample(labels, seed).images)
    np.testing.assert_array_equal(functions["encode"](images), run.encode(images))
    latents = run.encode(images)
    np.testing.assert_array_equal(functions["decode"](latents), run.decode(latents))


@FLATBUFFERS
@pytest.mark.parametrize("size", [1, 7, 600])
def test_a_batch_has_any_size_and_sample_i_depends_on_its_number_alone(size, exported):
    run, path = exported
    labels = np.arange(size, dtype=np.int32) % 10
    nearly_equal(read(path)[1]["sample"](labels, np.uint32(2)), run.sample(np.resize(labels, 700), 2).images[:size])


ALONE = """
import sys
np.save("images.npy", images)
if "latents" in globals():
    assert latents.shape == (16, 3) and decoded.shape == images.shape
print(*{{name.split(".")[0] for name in sys.modules}} & {absent})
"""
ABSENT = {
    "experiment_jax", "lsdm_jax", "regene_jax", "flax", "optax", "orbax", "ml_collections", "safetensors", "ott",
    "PIL", "sklearn", "dm_pix", "tensorflow_datasets",
}  # fmt: skip


@FLATBUFFERS
@pytest.mark.parametrize("document", ["README.md", "docs/use.md"])
def test_the_program_in_the_documentation_samples_with_jax_alone(document, exported, tmp_path):
    run, path = exported
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / document).read_text(), re.DOTALL)
    [program] = [block for block in blocks if "jax.export.deserialize" in block]
    [name] = re.findall(r'np.load\("(.*?)"\)', program)
    (tmp_path / name).symlink_to(path)
    program += ALONE.format(absent=ABSENT)
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
    nearly_equal(np.load(tmp_path / "images.npy"), run.sample([3] * 16, seed=1).images)


def untrained(config):
    """A run of that config whose stages were not trained."""
    dataset, model = load.load(config.data, config.seed), Model()
    for task in build(config, dataset):
        state = jax.jit(lambda task=task, params=model.params: task.initial(task.key, params))()
        frozen = task.stage.finish(state, task.view, model.params)
        model = model.extend(task.stage).bind(**{task.name: frozen})
    return Run(Path("run"), config, model, 0, dataset)


REGENE = {
    "data.validation": 20, "stages": ("classifier", "decoder", "hull", "acceptance"), "decoder.perceptual": (0.0, 0.0),
    "classifier.widths": (4,), "classifier.latent_size": 6, "decoder.widths": (4,), "hull.only_classified": False,
}  # fmt: skip
SUPER_RESOLUTION = {
    "representation.widths": (4,), "matching.width": 8, "matching.noise_size": 2, "degradation.noise": 0.1,
    "stages": ("degradation", "representation", "matching"),
}  # fmt: skip
KINDS = {
    "score": {"matching.matcher": "score", "matching.score.sampling_steps": 3},
    "gmm": {"matching.matcher": "gmm", "matching.steps": 0, "matching.gmm.components": 2},
    "identity": {"representation.kind": "identity", "representation.steps": 0},
}


@FLATBUFFERS
@pytest.mark.parametrize("kind", [*KINDS, "regene", "super-resolution"])
def test_every_kind_of_sampler_is_exported(kind, tiny, tmp_path):
    if kind == "regene":
        run = untrained(load_config("configs/regene_digits.py", REGENE))
    elif kind == "super-resolution":
        run = untrained(load_config("configs/lsdm_sr_digits.py:smoke", SUPER_RESOLUTION))
    else:
        run = untrained(tiny(**{key.replace(".", "__"): value for key, value in KINDS[kind].items()}))
    condition = np.arange(11, dtype=np.int32) % 10
    if run.model.degrade is not None:
        condition = np.asarray(passes.to_uint8(run.observe(run.test.images[:11])))
    card, functions = read(export(run, tmp_path / "sampler"))
    np.testing.assert_array_equal(functions["sample"](condition, np.uint32(3)), run.sample(condition, 3).images)
    left_out = set(named(run.model.params)) - set(card["parameters"])  # what no function reads
    assert left_out == ({"hull/images", "hull/left_out"} if kind == "regene" else set())


def test_parameters_are_written_by_name_with_the_config(finished, tmp_path):
    run = load_run(finished[1])
    path = export(run, tmp_path / "params.safetensors")
    tensors, frozen = load_file(path), run.model.params
    np.testing.assert_array_equal(
        tensors["representation/decoder/Conv_0/kernel"], frozen["representation"].decoder["Conv_0"]["kernel"]
    )
    assert len(tensors) == len(jax.tree.leaves(dict(frozen)))
    with safe_open(path, "numpy") as file:
        about = file.metadata()
    assert to_json(from_json(about["config"])) == to_json(run.config) and about["step"] == "4"
    assert about["method"] == "lsdm" and json.loads(about["classes"]) == list("0123456789")


def test_what_cannot_be_exported_is_one_line_and_nothing_is_written(
    finished, tiny, tmp_path, refused, monkeypatch, tree
):
    run = load_run(finished[1])
    said = refused(export, run, tmp_path)
    assert said == f"--export {tmp_path}: is a folder; name a file in it, as in {tmp_path}/sampler.bin"
    assert "is no path" in refused(export, run, "") and "no scheme is read" in refused(export, run, "gs://a/b.bin")
    dull = untrained(tiny(stages=("representation",)))
    said = refused(export, dull, tmp_path / "sampler.bin")
    assert "does not sample (its stages are representation)" in said and "params.safetensors" in said
    monkeypatch.setattr(exports.importlib.util, "find_spec", lambda name: None)
    assert "type pip install flatbuffers" in refused(export, run, tmp_path / "sampler.bin")
    assert tree(tmp_path) == {}
    assert len(load_file(export(dull, tmp_path / "params.safetensors"))) > 4


@FLATBUFFERS
def test_a_file_that_the_system_refuses_leaves_the_one_that_was_there(script, finished, tmp_path, tree):
    before = tree(finished[1])
    target = tmp_path / "sampler.bin"
    assert script("eval.py", "--workdir", finished[1], "--export", target)[::2] == (
        0,
        f"written: {target}, {target.stat().st_size / 1e6:.2f} MB\n",
    )
    whole = tree(tmp_path)
    for name in ("sampler.bin/below", f"{'x' * 250}.bin"):
        status, output, error = script("eval.py", "--workdir", finished[1], "--export", tmp_path / name)
        assert (status, output, len(error.splitlines())) == (2, "", 1), error
    assert tree(tmp_path) == whole and tree(finished[1]) == before
