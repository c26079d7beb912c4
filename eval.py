"""Evaluates a run: python eval.py --workdir DIR [--step N] [--num_samples N]. The last line is the metrics, as JSON.

Its flags are in experiment_jax/commands/evaluate_flags.py, what it does in experiment_jax/commands/evaluate.py.
"""

from experiment_jax.commands.scripts import evaluate

if __name__ == "__main__":
    evaluate()
