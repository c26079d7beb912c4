"""Evaluates a run: python eval.py --workdir DIR [--step N] [--num_samples N]. The last line is the metrics, as JSON.

Its flags, and all that it does, are in experiment_jax/commands/evaluate.py.
"""

from experiment_jax.commands.evaluate import script

if __name__ == "__main__":
    script()
