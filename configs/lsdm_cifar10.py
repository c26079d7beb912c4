"""LSDM on CIFAR-10, label-conditional; meant for an accelerator.

The variant `jpeg` takes `cifar10_jpeg`, the same images after lossy compression: its results are not CIFAR-10 results.
"""

from experiment_jax.sections import experiment
from lsdm_jax import sections


def get_config():
    config = experiment("lsdm", "cifar10", stages=("perceptual", "representation", "matching"))
    config.judge = "configs/judge_cifar10.py"
    config.data.flips = True
    config.perceptual = sections.perceptual(steps=4000, widths=(64, 128, 256))
    config.representation = sections.representation(
        steps=40_000, latent_size=128, widths=(64, 128, 256), perceptual=3.0
    )
    config.matching = sections.matching(steps=20_000, noise_size=128)
    return config


JPEG = {"data.name": "cifar10_jpeg", "judge": "configs/judge_cifar10_jpeg.py"}
# What two CPU cores can train in half an hour.
CPU = {
    "perceptual.steps": 300,
    "perceptual.widths": (16, 32, 64),
    "representation.steps": 6000,
    "representation.batch_size": 64,
    "representation.widths": (32, 64, 128),
    "matching.steps": 4000,
    "matching.noise_size": 64,
}
VARIANTS = {
    "jpeg": JPEG,
    "jpeg_cpu": JPEG | CPU,
    "smoke": sections.SMOKE_PERCEPTUAL,
    "jpeg_smoke": JPEG | sections.SMOKE_PERCEPTUAL,
}
