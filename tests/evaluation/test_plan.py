"""Options of an evaluation: what they may be."""

import json
from pathlib import Path

import numpy as np
import pytest

from experiment_jax.evaluation.plan import Plan


def test_options_become_plain_values_that_metrics_can_hold():
    plan = Plan(num_samples=np.int64(70), seed=np.int32(3), repeats=np.uint8(2), judge=Path("judges/x"))
    assert json.dumps(plan.marks()) == json.dumps({"evaluation_seed": 3, "repeats": 2})
    assert (plan.num_samples, plan.judge) == (70, "judges/x")
    assert Plan(extractors="judge,vgg16:250").networks() == {"vgg16": 250}
    assert Plan(references=[Path("a.npz"), "b.npz"]).references == ("a.npz", "b.npz")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("num_samples", [0, -1, 70.0, "70", True, 10**12]),
        ("repeats", [0, -1, 2.0, "2", True, None]),
        ("seed", [-1, 0.0, "0", False, None, 2**32]),
        ("protocol", ["test", "test_0", "test_-1", "all_10", "test_1.5k", "", "test_1e3", f"test_{'9' * 30}", 7, b"x"]),
        ("judge", [7, None, b"\\0", ["a"]]),
        ("extractors", [7, None, [7], {"a"}]),
    ],
)
def test_options_that_are_none_are_refused_by_their_name(name, values, refused):
    for value in values:
        assert refused(Plan, **{name: value}).startswith(f"{name}=")
