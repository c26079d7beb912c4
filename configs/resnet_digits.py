"""ResNet-56 on `digits`: a witness of accuracy, of another architecture than the judge.

    python train.py --config configs/resnet_digits.py:cpu --workdir runs/resnet_digits

eval.py trains it by itself, once, into the user's cache folder, where a config names it in `witnesses`.
The variant `cpu` is what two CPU cores can train: ResNet-8.
"""

from experiment_jax.config.judges import resnet_config, resnet_variants


def get_config():
    config = resnet_config("digits", steps=3000, ema_decay=0.99, shift=1)
    return config


VARIANTS = resnet_variants(cpu_steps=1500)
