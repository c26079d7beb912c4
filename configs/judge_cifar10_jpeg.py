"""The neutral classifier of `cifar10_jpeg`, CIFAR-10 after lossy compression.

    python train.py --config configs/judge_cifar10_jpeg.py --workdir runs/judge_cifar10_jpeg

The shipped judge, judges/cifar10_jpeg, was trained so; eval.py trains one only where the data set is another.
"""

from experiment_jax.config.judges import judge_config, judge_variants


def get_config():
    config = judge_config("cifar10_jpeg", widths=(32, 64, 128, 128))
    config.data.validation = 1000
    config.data.flips = True
    return config


VARIANTS = judge_variants(cas_steps=1500)
