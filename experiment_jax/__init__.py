"""What any method needs: configs, data, stages and the loop that trains them, runs, evaluation, metrics.

    from experiment_jax import evaluate, load_config, load_run, train

Importing this starts no device computation.
"""

from experiment_jax.config.load import load as load_config
from experiment_jax.errors import UserError
from experiment_jax.evaluation.evaluate import evaluate
from experiment_jax.runs.run import Run, load_run
from experiment_jax.training.loop import Stopped
from experiment_jax.training.train import train

__all__ = ["Run", "Stopped", "UserError", "evaluate", "load_config", "load_run", "train"]
