"""Super-resolution of faces64 (64×64 RGB; faces and scenes), 16×16 to 64×64, from 600 pairs.

    python train.py --config configs/lsdm_sr_faces64.py:few --workdir runs/lsdm_sr_faces64_few

`:few`, the other images unpaired: `fd_gen` 0.075, `lpips` 0.294, VGG16 270, PSNR 24.2 dB, half an hour on one of two
CPU cores, beside other work. `:few_places`, three quarters of an hour: 0.099, 0.346, 456, 23.6 dB; sharpened 0.094,
0.348, 498, 23.1 dB.
Latents with places reconstruct far better and are sampled worse: docs/natural_images.md. Judge f57f0db22036, 2,000
samples. By an earlier judge `:paired_only` is worse than `:few`. All pairs were not trained.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections


def get_config():
    stages = ("perceptual", "representation", "degradation", "regression", "matching")
    config = experiment("lsdm", "faces64", stages=stages)
    config.judge = "configs/judge_faces64.py"
    config.data.flips = True
    config.evaluation.protocol = "test_2k"
    config.degradation = sections.degradation(factor=4)
    config.perceptual = sections.perceptual(steps=300, widths=(16, 32, 64))
    config.representation = sections.representation(
        batch_size=32, steps=4000, latent_size=128, widths=(16, 32, 64, 128), perceptual=3.0
    )
    config.sharpening = sections.sharpening()
    config.regression = sections.regression(batch_size=32, steps=2000, latent_size=128, widths=(16, 32, 64, 128))
    config.matching = sections.matching(**sections.ENERGY, steps=4000, steps_per_dispatch=10)
    return config


# Noise and steps by the energy score of 400 validation images; the regression's steps are cut likewise, unmeasured.
FEW = {"data.paired": 600, "matching.condition_noise": 0.3, "matching.steps": 200, "regression.steps": 500}
# Latents of 8×8 places, each of which is drawn for the pixels that lie there: many examples of a place in few images,
# so no noise on the condition, small batches and many steps.
PLACES = sections.FACES_PLACES | {
    "data.validation": 1000,
    "regression.latent_shape": (8, 8, 8),
    "regression.widths": (24, 48, 96),
    "regression.width": 64,
    "regression.depth": 4,
    "matching.generator": "convolution",
    "matching.width": 64,
    "matching.depth": 4,
    "matching.steps_per_dispatch": 1,
    "matching.batch_size": 16,
    "matching.steps": 1500,
    "matching.optimiser.learning_rate": 2e-3,
    "matching.condition_noise": 0.0,
    "matching.noise_size": 512,
    "matching.energy.squares": (1, 4),
}
VARIANTS = {
    "few": FEW,
    "few_places": FEW | PLACES,
    "few_places_sharp": FEW
    | PLACES
    | {"stages": ("perceptual", "representation", "sharpening", "degradation", "regression", "matching")},
    # The 600 alone, in every stage, for as many steps.
    "paired_only": FEW | {"perceptual.view": "paired", "representation.view": "paired"},
    "smoke": sections.SMOKE_PERCEPTUAL | sections.SMOKE_SUPER_RESOLUTION,
}
