"""The neutral classifier of MNIST.

    python train.py --config configs/judge_mnist.py --workdir runs/judge_mnist

The shipped judge, judges/mnist, was trained so; eval.py trains one only where the data set is another.
"""

from experiment_jax.config.judges import judge_config, judge_variants


def get_config():
    config = judge_config("mnist")
    config.data.validation = 1000
    return config


VARIANTS = judge_variants(cas_steps=1500)
