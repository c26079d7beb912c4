"""Trains a config: python train.py --config configs/NAME.py[:VARIANT] [--config.a.b=VALUE ...] --workdir DIR

Its flags are in experiment_jax/commands/train_flags.py, what it does in experiment_jax/commands/train.py.
"""

from experiment_jax.commands.scripts import train

if __name__ == "__main__":
    train()
