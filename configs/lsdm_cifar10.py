"""LSDM on CIFAR-10, label-conditional; meant for an accelerator.

The variant `jpeg` takes `cifar10_jpeg`, the same images after lossy compression: its results are not CIFAR-10 results.

    python train.py --config configs/lsdm_cifar10.py:jpeg_cpu --workdir runs/lsdm_cifar10_jpeg_cpu

`jpeg_cpu`, 2 cores, 20 minutes beside other work: colours and layouts of scenes, hardly any object. `fd_gen` 5.73,
`fd_recon` 3.64, floor 0.03, accuracy 0.300 (reconstructions 0.528, real 0.825), spread 0.967 (judge 14fcd7760599,
10,000 samples).
"""

from experiment_jax.config.sections import experiment
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
