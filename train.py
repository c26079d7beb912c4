"""Trains a config: python train.py --config configs/NAME.py[:VARIANT] [--config.a.b=VALUE ...] --workdir DIR

Its flags, and all that it does, are in experiment_jax/commands/train.py.
"""

from experiment_jax.commands.train import script

if __name__ == "__main__":
    script()
