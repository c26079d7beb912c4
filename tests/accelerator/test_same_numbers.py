"""The default device computes what the CPU does in float32: steps, samples, a metric, transport, an exported sampler.

On a machine without an accelerator both are the CPU. Products of matrices are taken in float32 here
(`jax.default_matmul_precision`); what an accelerator rounds by default is its own affair, but in one test.
"""

import functools
import importlib.util
import json
import os
import sys
from pathlib import Path

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax import load_run, train
from experiment_jax.metrics import frechet
from experiment_jax.runs.export import export
from experiment_jax.training import batches
from experiment_jax.training.step import train_step
from lsdm_jax import transport

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import cases
import our_steps

pytestmark = pytest.mark.accelerator

TOLERANCE = 1e-3  # relative, of a step's metrics and of gradients: float32, sums in another order
ROUNDED = 3e-2  # the same where products are taken as the device does by default: TF32 keeps 10 bits
SIZES = cases.TINY._replace(widths=(4,), features=(4,), classifier=(4,), latent=4, code=4)
SMALL = {"matching.width": 8, "matching.depth": 1, "matching.critic.width": 8, "matching.critic.depth": 1}
STAGES = tuple(name for name in (*cases.IMAGES, *cases.MATCHERS) if name != "representation")
POINTS = 64, 256, 1024, 4096, 8192  # the last by blocks
STAGES_ON_CPU = "representation, perceptual", "regene: classifier"
LARGEST_ON_CPU = 64


def cpu():
    return jax.devices("cpu")[0]


def both(function, *arguments):
    """What a function gives on the default device, and on the CPU."""
    compiled = jax.jit(function)
    on_default = compiled(*jax.device_put(arguments, jax.devices()[0]))
    return jax.device_get(on_default), jax.device_get(compiled(*jax.device_put(arguments, cpu())))


@pytest.fixture(scope="module")
def known():
    """What stages froze that several tests have in common, and the images that they saw."""
    return our_steps.dataset(SIZES), {}


def stepped(name, known, precision):
    """The metrics of a stage's first step on both devices, from one state."""
    data, frozen = known
    case = cases.of_cifar(SIZES, "float32", 1)[name]
    small = SMALL if case.stage == "matching" else {}
    with jax.default_device(cpu()):
        config = our_steps.configured(case._replace(settings={**case.settings, **small}))
        task, upstream = next(pair for pair in our_steps.stages(config, data, frozen) if pair[0].name == case.stage)
        state = jax.jit(functools.partial(task.initial, upstream=upstream))(task.key)
        common = task.key, np.int32(0), batches.table(task.view, task.stage.inputs, task.flips, upstream), upstream
        given = jax.device_get((state, task.indices(0)[0], np.int32(0))), common
    with jax.default_matmul_precision(precision):
        return both(
            lambda state, rows, step, common: train_step(task, state, rows, step, common)[1], *given[0], given[1]
        )


def same(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name in expected:
        if "iterations" not in name:  # which come by tens
            np.testing.assert_allclose(found[name], expected[name], tolerance, tolerance, err_msg=name)


@pytest.mark.parametrize("name", STAGES)
def test_a_step_has_the_metrics_of_the_cpu(known, name):
    if "TEST_ON_ACCELERATOR" not in os.environ and name not in STAGES_ON_CPU:
        pytest.skip("its step is for an accelerator: among all tests the CPU would be compared with itself")
    same(*stepped(name, known, "float32"), TOLERANCE)


def test_a_step_as_the_device_rounds_has_nearly_the_metrics_of_the_cpu(known):
    if jax.default_backend() == "cpu":
        pytest.skip("the CPU rounds nothing by default")
    same(*stepped("representation, perceptual", known, None), ROUNDED)


@pytest.mark.parametrize("points", POINTS)
def test_transport_has_the_value_and_gradient_of_the_cpu(points):
    if jax.default_backend() == "cpu" and points > LARGEST_ON_CPU:
        pytest.skip(f"more than {LARGEST_ON_CPU} points are for an accelerator: the CPU would be compared with itself")
    x, y = np.random.default_rng(0).standard_normal((2, points, 16), dtype=np.float32)

    def divergence(x, y):
        return transport.divergence(x, y + 0.3, epsilon=1.0, max_iterations=100, threshold=1e-2)[0]

    (value, slope), (expected, slope_expected) = both(jax.value_and_grad(divergence), x, y)
    np.testing.assert_allclose(value, expected, TOLERANCE, TOLERANCE)
    assert np.linalg.norm(slope - slope_expected) <= TOLERANCE * np.linalg.norm(slope_expected)


def nearly_equal(images, others):
    """Of uint8 images: a pixel in a hundred may differ, by one level."""
    apart = np.abs(np.asarray(images, int) - np.asarray(others, int))
    assert np.shape(images) == np.shape(others) and apart.max() <= 1 and (apart > 0).mean() <= 1e-2


@pytest.fixture(scope="module")
def runs(tiny, one, tmp_path_factory):
    """A run of untrained networks twice, its parameters on the default device and on the CPU; and labels."""
    workdir = tmp_path_factory.mktemp("runs") / "run"
    train(tiny(representation__steps=0, matching__steps=0), workdir, one)
    runs = [load_run(workdir) for _ in range(2)]
    with jax.default_device(cpu()):
        assert runs[1].params
    return *runs, np.arange(20, dtype=np.int32) % 10


def test_samples_are_those_of_the_cpu(runs):
    run, other, labels = runs
    with jax.default_matmul_precision("float32"):
        samples = run.sample(labels, seed=1)
        with jax.default_device(cpu()):
            expected = other.sample(labels, seed=1)
    np.testing.assert_allclose(samples.latents, expected.latents, TOLERANCE, TOLERANCE)
    nearly_equal(samples.images, expected.images)


def test_a_frechet_distance_is_that_of_the_cpu(runs):
    run, other, _ = runs

    def distance(run):
        latents = run.encode(run.dataset.train.images[:60])
        return frechet.frechet_distance(frechet.moments([latents[:30]]), frechet.moments([latents[30:]]))

    with jax.default_matmul_precision("float32"):
        found = distance(run)
        with jax.default_device(cpu()):
            assert found == pytest.approx(distance(other), rel=1e-2) and found > 0


@pytest.mark.skipif(importlib.util.find_spec("flatbuffers") is None, reason="needs the package flatbuffers")
def test_an_exported_sampler_draws_what_it_draws_on_the_cpu(runs, tmp_path):
    with jax.default_matmul_precision("float32"):
        path = export(runs[0], tmp_path / "sampler.bin")
    with np.load(path) as file:
        arrays = {name: file[name] for name in file}
    parameters = {name: arrays[name] for name in json.loads(str(arrays["card"]))["parameters"]}
    sample = jax.export.deserialize(bytearray(arrays["sample"])).call
    nearly_equal(*both(sample, parameters, runs[2], jnp.uint32(1)))
