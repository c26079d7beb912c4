"""Super-resolution of scikit-learn's digits, 4×4 to 8×8.

    make train CONFIG=lsdm_sr_digits

Two minutes of one CPU core. PSNR 18.8 dB (L1 regression 20.2, bicubic 13.4), `fd_gen` 0.185 (0.140, 10.8),
`spread_skill` 0.70.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections


def get_config():
    config = experiment("lsdm", "digits", stages=("representation", "degradation", "regression", "matching"))
    config.judge = "configs/judge_digits.py"
    config.data.validation = 100
    config.evaluation.protocol = "test_450"
    config.degradation = sections.degradation(factor=2)
    config.representation = sections.representation(steps=1500, latent_size=16, autoencoder=dict(noise=0.1))
    config.regression = sections.regression(steps=1500, width=256, latent_size=16)
    # Noise and steps were chosen by the energy score of 100 validation images: 1,247 pairs are soon learnt by heart.
    config.matching = sections.matching(
        **sections.ENERGY, condition_noise=0.3, steps=1000, steps_per_dispatch=10, noise_size=16, width=256
    )
    return config


FEW = {"data.paired": 100, "matching.condition_noise": 0.6, "matching.steps": 200}
VARIANTS = {
    "few": FEW,
    "paired_only": FEW | {"representation.view": "paired"},
    "smoke": sections.SMOKE_SUPER_RESOLUTION,
}
