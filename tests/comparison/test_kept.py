"""Which kept evaluations are used again."""

import numpy as np
import pytest

from experiment_jax.comparison import kept, sample_row
from experiment_jax.evaluation.plan import Plan


@pytest.fixture(scope="session")
def fits(evaluated):
    """`fits({changes of the metrics}, option=…)` -> whether the run's evaluation, changed so, is what is asked for."""
    run, metrics = evaluated
    return lambda changes, **asked: kept.fits(metrics | changes, run.config, Plan(**dict(num_samples=90) | asked))


def test_an_evaluation_fits_the_protocol_judge_and_witnesses_that_it_was_made_with(fits, evaluated):
    assert fits({}) and not kept.fits({}, evaluated[0].config, Plan(num_samples=90))
    assert not fits({}, num_samples=120) and not fits({}, protocol="validation_1k") and not fits({}, seed=1)
    for others in ({"judge": "0" * 12}, {"witness_resnet8": "0" * 12}, {"protocol": "test_1k"}):
        assert not fits(others)


@pytest.mark.parametrize(
    ("asked", "lacking", "having"),
    [
        ({"with_cas": True}, {}, {"cas": 0.5}),
        ({"repeats": 3}, {"repeats": 2}, {"repeats": 3}),
        ({"extractors": ("vgg16",)}, {"extractors": "inception"}, {"extractors": "vgg16"}),
    ],
)
def test_an_evaluation_must_hold_what_is_asked_for_and_may_hold_more(fits, asked, lacking, having):
    assert not fits(lacking, **asked)
    assert fits(having, **asked) and fits(having)


def test_a_run_that_heeds_no_labels_has_no_cas_to_wait_for(evaluated):
    run, metrics = evaluated
    without = {key: value for key, value in metrics.items() if key != "accuracy_gen"}
    assert kept.fits(without, run.config, Plan(num_samples=90, with_cas=True))


def test_what_fits_is_not_measured_again_and_its_row_is_drawn_once(evaluated, copied, tree):
    run, metrics = evaluated

    def never(*arguments, **options):
        raise AssertionError("measured again")

    for _ in range(2):
        found, row = kept.measured(copied, run.config, Plan(num_samples=90), never)
        assert found == metrics
    np.testing.assert_array_equal(row, sample_row.of_run(run))
    before, asked = tree(copied), []
    kept.measured(copied, run.config, Plan(num_samples=120), lambda run, **options: asked.append(options) or {})
    assert asked[0]["num_samples"] == 120 and asked[0]["protocol"] is None and tree(copied) == before
