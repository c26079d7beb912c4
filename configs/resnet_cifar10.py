"""ResNet-56 on CIFAR-10: a witness of accuracy, of another architecture than the judge.

    python train.py --config configs/resnet_cifar10.py:cpu --workdir runs/resnet_cifar10

eval.py trains it by itself, once, into the user's cache folder, where a config names it in `witnesses`.
The variant `cpu` is what two CPU cores can train: ResNet-8.
"""

from experiment_jax.config.judges import resnet_config, resnet_variants


def get_config():
    config = resnet_config("cifar10")
    config.data.validation = 1000
    config.data.flips = True
    return config


VARIANTS = resnet_variants(cpu_steps=2000)
