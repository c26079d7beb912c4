"""Sweeps: one config trained many times, with other settings or other seeds, and what came of each."""

from experiment_jax.sweep.evaluate import evaluate
from experiment_jax.sweep.members import Sweep, command_lines, plan, read
from experiment_jax.sweep.train import train_members, train_together

__all__ = ["Sweep", "command_lines", "evaluate", "plan", "read", "train_members", "train_together"]
