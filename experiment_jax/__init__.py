"""What any method needs: configs, data, stages and the loop that trains them, runs, evaluation, metrics.

    from experiment_jax import evaluate, load_config, load_run, train

Importing this starts no device computation. JAX, and all else that takes seconds to import, is imported with the first
name that needs it, so that the commands read what was typed before that.
"""

import importlib
from typing import Any

NAMES = {  # where each is
    "Run": "experiment_jax.runs.run:Run",
    "Stopped": "experiment_jax.errors:Stopped",
    "UserError": "experiment_jax.errors:UserError",
    "evaluate": "experiment_jax.evaluation.evaluate:evaluate",
    "load_config": "experiment_jax.config.load:load",
    "load_run": "experiment_jax.runs.run:load_run",
    "train": "experiment_jax.training.train:train",
}
__all__ = ["Run", "Stopped", "UserError", "evaluate", "load_config", "load_run", "train"]


def __getattr__(name: str) -> Any:
    if name not in NAMES:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    module, _, own = NAMES[name].partition(":")
    return getattr(importlib.import_module(module), own)


def __dir__() -> list[str]:
    return sorted({*globals(), *NAMES})
