"""A run as an object: the same parameters under other settings."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lsdm_jax.matching
from experiment_jax import UserError, load_run
from experiment_jax.method.stage import Samples, Stage


def constant(config, context):
    """A stage whose every image is `epsilon` plus the frozen shift of its own."""

    def sample(params, keys, condition):
        images = jnp.full((len(keys), *context.image_shape), config.epsilon) + params[context.name]["shift"]
        return Samples.untested(images, images.reshape(len(keys), -1))

    return Stage(init=None, update=constant, averaged=None, finish=None, provides=dict(sample=sample, nfe=0))


@pytest.fixture
def run(finished, monkeypatch):
    monkeypatch.setattr(lsdm_jax.matching, "constant", constant, raising=False)
    run = load_run(finished[1])
    config = run.config.copy_and_resolve_references()
    with config.unlocked():
        config.matching.build = "lsdm_jax.matching:constant"
        config.matching.epsilon = 0.25
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
    for epsilon in (0.25, 0.5, 1.5):
        changed = run.with_settings({"matching.epsilon": epsilon})
        pixels = np.unique(changed.sample([3, 1, 4]).images)
        np.testing.assert_array_equal(pixels, np.round(epsilon * 127.5))
        before, after = jax.tree.leaves(run.model.params), jax.tree.leaves(changed.model.params)
        assert all(one is other for one, other in zip(before, after, strict=True))
        assert changed.config.matching.epsilon == epsilon
        assert (changed.step, changed.workdir, changed.dataset) == (run.step, run.workdir, run.dataset)
    assert run.config.matching.epsilon == 0.25


def test_no_settings_are_the_run_itself(finished):
    run = load_run(finished[1])
    labels = np.arange(7) % 3
    np.testing.assert_array_equal(run.with_settings({}).sample(labels).images, run.sample(labels).images)


def test_only_settings_of_stages_may_change(run):
    for key in ("data.paired", "seed", "evaluation.protocol", "hull.n"):
        with pytest.raises(UserError, match=f"^{key}: belongs to no stage of this run; set one of repr"):
            run.with_settings({key: 1})
    with pytest.raises(UserError, match=r"matching\.epsilom: there is no such setting; did you mean .*epsilon"):
        run.with_settings({"matching.epsilom": 1.0})


def test_a_reloaded_run_knows_which_settings_may_be_none(finished):
    run = load_run(finished[1])
    changed = run.with_settings({"representation.compute": "bfloat16"})
    assert changed.config.representation.compute == "bfloat16"
    assert changed.with_settings({"representation.compute": "None"}).config.representation.compute is None
    again = run.with_settings({"matching.log_epochs": "0.5"}).config.matching
    assert (again.log_epochs, again.log_steps) == (0.5, None)
    with pytest.raises(UserError, match=r"matching\.epsilon=None: expected float"):
        changed.with_settings({"matching.epsilon": None})
    with pytest.raises(UserError, match=r"matching\.log_epochs=often: expected float"):
        changed.with_settings({"matching.log_epochs": "often"})
