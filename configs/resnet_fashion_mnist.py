"""ResNet-56 on Fashion-MNIST: a witness of accuracy, of another architecture than the judge.

    python train.py --config configs/resnet_fashion_mnist.py:cpu --workdir runs/resnet_fashion_mnist

eval.py trains it by itself, once, into the user's cache folder, where a config names it in `witnesses`.
The variant `cpu` is what two CPU cores can train: ResNet-8. It is shipped, judges/fashion_mnist_resnet8.
"""

from experiment_jax.config.judges import resnet_config, resnet_variants


def get_config():
    config = resnet_config("fashion_mnist", shift=2)
    config.data.validation = 1000
    config.data.flips = True
    return config


VARIANTS = resnet_variants(cpu_steps=1500)
