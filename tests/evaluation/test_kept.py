"""Which kept evaluations are used again."""

import numpy as np
import pytest

from experiment_jax.evaluation import kept, sample_row

JUDGES = {"judge": "abc", "witness_resnet8": "def"}
KEPT = {"protocol": "test_90", "accuracy_gen": 0.5, "fd_gen": 1.0, **JUDGES}


def test_an_evaluation_fits_the_protocol_and_judges_that_it_was_made_with():
    assert kept.fits(KEPT, "test_90", JUDGES)
    assert not kept.fits({}, "test_90", JUDGES)
    assert not kept.fits(KEPT, "test_1k", JUDGES)
    for others in ({"judge": "xyz"}, {"witness_resnet8": "xyz"}, {"witness_resnet56": "def"}):
        assert not kept.fits(KEPT, "test_90", JUDGES | others)
    assert not kept.fits(KEPT, "test_90", {"judge": "abc"})


@pytest.mark.parametrize(
    ("asked", "lacking", "having"),
    [
        ({"with_cas": True}, {}, {"cas": 0.5}),
        ({"repeats": 3}, {"repeats": 2}, {"repeats": 3}),
        ({"repeats": 3}, {}, {"repeats": 5}),
        ({"extractors": ("judge", "vgg16")}, {"fd_gen_vgg19": 1.0}, {"fd_gen_vgg16": 1.0}),
    ],
)
def test_an_evaluation_must_hold_what_is_asked_for_and_may_hold_more(asked, lacking, having):
    assert not kept.fits(KEPT | lacking, "test_90", JUDGES, **asked)
    assert kept.fits(KEPT | having, "test_90", JUDGES, **asked)
    assert kept.fits(KEPT | having, "test_90", JUDGES)


def test_a_run_that_heeds_no_labels_has_no_cas_to_wait_for():
    without = {key: value for key, value in KEPT.items() if key != "accuracy_gen"}
    assert kept.fits(without, "test_90", JUDGES, with_cas=True)


def test_an_option_that_is_not_known_is_measured_anew():
    assert not kept.fits(KEPT, "test_90", JUDGES, something="new")
    assert kept.fits(KEPT, "test_90", JUDGES, something=None, another=())


def test_what_fits_is_not_measured_again_and_its_row_is_drawn_once(evaluated, copied, tree):
    run, metrics = evaluated
    judges = {"judge": metrics["judge"], **{key: metrics[key] for key in metrics if key.startswith("witness_")}}

    def never(*arguments, **options):
        raise AssertionError("measured again")

    for _ in range(2):
        found, row = kept.measured(copied, run.config, never, judges, num_samples=90)
        assert found == metrics
    np.testing.assert_array_equal(row, sample_row.of_run(run))
    before = tree(copied)
    asked = []
    kept.measured(copied, run.config, lambda run, **options: asked.append(options) or {}, judges, num_samples=120)
    assert asked == [{"protocol": None, "num_samples": 120}] and tree(copied) == before
