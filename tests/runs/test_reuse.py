"""What the identity of a stage depends on, and what it does not."""

import jax
import pytest

from experiment_jax import load_config
from experiment_jax.data import split as data
from experiment_jax.devices import placement as parallel
from experiment_jax.method import build as method
from experiment_jax.runs import reuse

DIGESTS = {"representation": "1", "degradation": "2", "regression": "3"}  # what the stages before it froze


def identity(stage="matching", **overrides):
    """The identity of a stage of super-resolution, the stages before it being frozen alike."""
    changed = {key.replace("__", "."): value for key, value in overrides.items()}
    config = load_config("configs/lsdm_sr_digits.py:smoke", {"data.validation": 20, **changed})
    dataset = data.load(config.data, config.seed)
    [part] = [part for part in method.build(config, dataset) if part.name == stage]
    before = {name: DIGESTS[name] for name in config.stages[: config.stages.index(stage)]}
    return reuse.identity(method.job(part, config, parallel.mesh(jax.devices()[:1])), dataset, before)


@pytest.mark.parametrize(
    "changed",
    [
        {"degradation__noise": 0.1},
        {"degradation__project": False},
        {"representation__kind": "vae"},
        {"representation__widths": (8, 16)},
        {"matching__condition_noise": 0.1},
        {"matching__steps": 3},
        {"data__flips": True},
        {"seed": 1},
    ],
)
def test_what_decides_a_stage_or_the_functions_before_it_is_in_its_identity(changed):
    assert identity(**changed) != identity()


@pytest.mark.parametrize(
    "changed",
    [
        {
            "matching__log_steps": 3,
            "matching__keep": 7,
            "matching__profile": (1, 2),
            "matching__checkpoint_percent": 9.0,
        },
        {"matching__from_run": "runs/other", "degradation__from_run": "runs/other"},
        {"degradation__log_epochs": 3.0, "representation__checkpoint_steps": 1, "representation__keep": 9},
        # Of a stage before it, what was trained with is in what was frozen.
        {"representation__steps": 3, "representation__optimiser.learning_rate": 0.5, "representation__batch_size": 10},
        {"evaluation__protocol": "test_90", "judge": "configs/judge_digits.py:smoke"},
    ],
)
def test_what_decides_neither_is_not(changed):
    assert identity(**changed) == identity()


def test_where_the_best_checkpoint_is_kept_the_moments_of_checkpoints_decide():
    often = dict(matching__checkpoint_steps=1)
    assert identity(matching__best="energy", **often) != identity(matching__best="energy")
    assert identity(matching__best="energy", matching__log_steps=1) == identity(matching__best="energy")


def test_an_earlier_stage_does_not_know_those_after_it():
    for stage, changed in (("representation", {"degradation__noise": 0.1}), ("degradation", {"matching__width": 9})):
        assert identity(stage, **changed) == identity(stage)
    assert identity("degradation", degradation__noise=0.1) != identity("degradation")
