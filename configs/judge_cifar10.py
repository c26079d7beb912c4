"""The neutral classifier of CIFAR-10.

    python train.py --config configs/judge_cifar10.py --workdir runs/judge_cifar10

eval.py trains it by itself, once, into the user's cache folder.
"""

from experiment_jax.config.judges import judge_config, judge_variants


def get_config():
    config = judge_config("cifar10", steps=20_000, widths=(64, 128, 256), convolutions=2, features=128)
    config.data.validation = 1000
    config.data.flips = True
    return config


VARIANTS = judge_variants(cas_steps=5000)
