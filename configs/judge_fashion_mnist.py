"""The neutral classifier of Fashion-MNIST.

    python train.py --config configs/judge_fashion_mnist.py --workdir runs/judge_fashion_mnist

The shipped judge, judges/fashion_mnist, was trained so; eval.py trains one only where the data set is another.
"""

from experiment_jax.config.judges import judge_config, judge_variants


def get_config():
    config = judge_config("fashion_mnist")
    config.data.validation = 1000
    config.data.flips = True
    return config


VARIANTS = judge_variants(cas_steps=1500)
