"""Small sweeps, as config files."""

import shutil
from pathlib import Path

import pytest

from experiment_jax import load_config
from experiment_jax.config.types import flat
from experiment_jax.sweep.members import define, read
from experiment_jax.sweep.train import train_members

SHIPPED = Path(__file__).resolve().parents[2] / "configs" / "lsdm_digits.py"
CONFIG = """
import runpy
from experiment_jax.config.load import override

def get_config():
    config = runpy.run_path({shipped!r})["get_config"]()
    override(config, {settings!r})
    return config
{sweep}
"""
# A matcher that is traced in no time, and few real images to compare with.
QUICK = {"matching.matcher": "energy", "matching.draws": 2, "evaluation.protocol": "test_90"}
TWO = """
yield "low", {"matching.optimiser.learning_rate": 1e-3}
yield "high", {"matching.optimiser.learning_rate": 3e-3}
"""


def write(folder, config, body, overrides):
    """The path of a config file whose config is `config`, overridden, and whose `sweep()` has that body; "": none."""
    shipped = flat(load_config(str(SHIPPED)))
    changed = {key: value for key, value in flat(config).items() if value is not None and value != shipped[key]}
    settings = changed | QUICK | overrides
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    sweep = f"\ndef sweep():\n{lines}" if body else ""
    path = folder / "small.py"
    path.write_text(CONFIG.format(shipped=str(SHIPPED), settings=settings, sweep=sweep))
    return str(path)


@pytest.fixture
def swept(tiny, tmp_path):
    """`swept("yield …", key__name=value)` -> the path of a tiny config with that body of `sweep()`; "": without."""

    def config(body, **overrides):
        return write(tmp_path, tiny(), body, {key.replace("__", "."): value for key, value in overrides.items()})

    return config


@pytest.fixture(scope="session")
def trained_two(tiny, tmp_path_factory, one):
    """The directory of a finished sweep of two learning rates, "low" and "high", for tests that do not write to it."""
    folder = tmp_path_factory.mktemp("two")
    workdir = folder / "sweep"
    assert (
        train_members(define(write(folder, tiny(), TWO, {}), {}, workdir, seeds=None, members=True), devices=one) == []
    )
    return workdir


@pytest.fixture
def two(trained_two, tmp_path):
    """A copy of that sweep, as `read` finds it."""
    return read(shutil.copytree(trained_two, tmp_path / "sweep"))
