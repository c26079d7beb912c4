"""A run as an object: the same parameters under other settings."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

import lsdm_jax.matching
from experiment_jax import evaluate, load_run
from experiment_jax.method.stage import Context, Samples, Stage


@dataclasses.dataclass(frozen=True)
class Constant(Stage):
    """A stage whose every image is `beta` plus the frozen shift of its own."""

    config: ConfigDict
    context: Context
    update = None

    @property
    def provides(self):
        return dict(sample=self.sample, nfe=0)

    def sample(self, params, keys, condition):
        images = jnp.full((len(keys), *self.context.image_shape), self.config.beta)
        images = images + params[self.context.name]["shift"]
        return Samples.untested(images, images.reshape(len(keys), -1))


@pytest.fixture
def run(finished, monkeypatch):
    # A config names factories among the project's modules; this one is there for the length of a test.
    monkeypatch.setattr(lsdm_jax.matching, "constant", Constant, raising=False)
    run = load_run(finished[1])
    config = run.config.copy_and_resolve_references()
    with config.unlocked():
        config.matching.build = "lsdm_jax.matching:constant"
        config.matching.beta = 0.25
        config.matching.steps = 0
    frozen = {**run.model.params, "matching": {"shift": jnp.float32(-1.0)}}
    return dataclasses.replace(run, config=config, model=dataclasses.replace(run.model, params=frozen))


def test_parameters_are_put_on_the_device_once_and_functions_compiled_once(finished):
    run = load_run(finished[1])
    traced = []

    def counted(name):
        def function(*arguments):
            traced.append(name)
            return getattr(run.model, name)(*arguments)

        return function

    names = ("encode", "decode", "sample")
    model = dataclasses.replace(run.model, **{name: counted(name) for name in names})
    counting = dataclasses.replace(run, model=model)
    for _ in range(3):
        latents = counting.encode(counting.test.images)
        assert counting.decode(latents).shape == counting.test.images.shape
        counting.over(model.encode)(np.zeros((450, 8, 8, 1), np.float32))  # what is defined once is compiled once
        counting.sample(np.arange(7), seed=1)
    assert sorted(traced) == ["decode", "encode", "encode", "sample"]
    leaves = zip(jax.tree.leaves(counting.params), jax.tree.leaves(counting.params), strict=True)
    assert all(isinstance(one, jax.Array) and one is other for one, other in leaves)


def test_other_settings_meet_the_same_frozen_parameters(run):
    for beta in (0.25, 0.5, 1.5):
        changed = run.with_settings({"matching.beta": beta})
        pixels = np.unique(changed.sample([3, 1, 4]).images)
        np.testing.assert_array_equal(pixels, np.round(beta * 127.5))
        before, after = jax.tree.leaves(run.model.params), jax.tree.leaves(changed.model.params)
        assert all(one is other for one, other in zip(before, after, strict=True))
        assert changed.config.matching.beta == beta
        assert (changed.step, changed.workdir, changed.dataset) == (run.step, run.workdir, run.dataset)
    assert run.config.matching.beta == 0.25


def test_no_settings_are_the_run_itself(finished):
    run = load_run(finished[1])
    labels = np.arange(7) % 3
    np.testing.assert_array_equal(run.with_settings({}).sample(labels).images, run.sample(labels).images)


def test_only_settings_of_stages_may_change(run, refused):
    for key in ("data.paired", "seed", "evaluation.protocol", "hull.n"):
        message = refused(run.with_settings, {key: 1})
        assert message.startswith(f"{key}: belongs to no stage of this run; set one of repr")
    message = refused(run.with_settings, {"matching.sinkhorn.epsilom": 1.0})
    assert "matching.sinkhorn.epsilom: there is no such setting; did you mean " in message
    assert message.endswith("matching.sinkhorn.epsilon?")


def test_a_reloaded_run_knows_which_settings_may_be_none(finished, refused):
    run = load_run(finished[1])
    changed = run.with_settings({"representation.compute": "bfloat16"})
    assert changed.config.representation.compute == "bfloat16"
    assert changed.with_settings({"representation.compute": "None"}).config.representation.compute is None
    again = run.with_settings({"matching.log_epochs": "0.5"}).config.matching
    assert (again.log_epochs, again.log_steps) == (0.5, None)
    message = refused(changed.with_settings, {"matching.sinkhorn.epsilon": None})
    assert "matching.sinkhorn.epsilon=None: expected float" in message
    message = refused(changed.with_settings, {"matching.log_epochs": "often"})
    assert "matching.log_epochs=often: expected float" in message


@pytest.mark.parametrize("condition", [None, [], [-1], [10], [0.5], [True], ["3"], [[1, 2]], [np.nan], 3])
def test_a_run_samples_for_labels_of_its_own_and_for_nothing_else(condition, finished, refused):
    run = load_run(finished[1])
    for draw in (run.sample, run.sample_latents):
        assert refused(draw, condition).startswith("condition: ")


@pytest.mark.parametrize("seed", [None, -1, 2**32, 0.0, True, "0"])
def test_seeds_are_whole_numbers_of_32_bits(seed, finished, refused):
    run = load_run(finished[1])
    for call in (partial(run.sample, [3]), partial(run.sample_latents, [3]), partial(evaluate, run, num_samples=70)):
        assert refused(call, seed=seed).startswith("seed=")
    np.testing.assert_array_equal(run.sample([3], seed=2**32 - 1).images, run.sample([3], seed=2**32 - 1).images)


@pytest.mark.parametrize("step", [-1, 2.0, True, "4", 3, 2**70])
def test_a_step_is_one_that_is_saved(step, finished, refused):
    assert refused(load_run, finished[1], step).startswith("--step")
    assert load_run(finished[1], np.int64(4)).step == 4
