"""Super-resolution of Fashion-MNIST, 7×7 to 28×28.

    python train.py --config configs/lsdm_sr_fashion_mnist.py --workdir runs/lsdm_sr_fashion_mnist

`fd_gen` 0.248 (L1 regression 1.202, bicubic 13.5), `lpips` 0.117 (0.138, 0.533), PSNR 19.7 dB (21.5, 16.0),
`spread_skill` 0.742: docs/sharpening.md. Without sharpening `fd_gen` 0.533 and `lpips` 0.128, after 37 minutes of one
of two CPU cores: docs/results.md. `:few` and `:paired_only` were not trained.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections


def get_config():
    stages = ("perceptual", "representation", "sharpening", "degradation", "regression", "matching")
    config = experiment("lsdm", "fashion_mnist", stages=stages)
    config.judge = "configs/judge_fashion_mnist.py"
    config.data.validation = 2000  # sharpening chooses its checkpoint by them
    config.degradation = sections.degradation(factor=4)
    config.perceptual = sections.perceptual()
    # Twice the latents of the label-conditional recipe: what the decoder loses is error that no spread accounts for.
    config.representation = sections.representation(steps=6000, latent_size=128, perceptual=3.0)
    config.sharpening = sections.sharpening()
    config.regression = sections.regression(steps=4000, latent_size=128)
    config.matching = sections.matching(**sections.ENERGY, condition_noise=0.1, steps=16_000, steps_per_dispatch=10)
    return config


FEW = {"data.paired": 600}
VARIANTS = {
    "few": FEW,
    "paired_only": FEW | {"perceptual.view": "paired", "representation.view": "paired", "sharpening.view": "paired"},
    "smoke": sections.SMOKE_SHARP | sections.SMOKE_SUPER_RESOLUTION,
}
