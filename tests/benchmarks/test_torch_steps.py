"""PyTorch's side of the training steps runs, in both types; that its networks are ours is tested in `test_twins.py`."""

import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -r requirements-bench.txt")
pytest.importorskip("geomloss", reason="geomloss is not installed: pip install -r requirements-bench.txt")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import cases  # noqa: E402
import our_steps  # noqa: E402
import torch_steps  # noqa: E402

STEPS = [(name, "float32") for name in cases.of_fashion_mnist() if name != "sharpening"] + [
    (name, "bfloat16") for name in cases.IMAGES if name != "sharpening"
]


@pytest.mark.parametrize(("name", "compute"), STEPS)
def test_a_step_has_a_finite_loss(name, compute):
    step = torch_steps.theirs(name, our_steps.dataset(cases.TINY), cases.TINY, compute)(lambda function: function)
    assert all(torch.isfinite(step()) for _ in range(2))
