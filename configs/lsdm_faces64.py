"""LSDM on faces64 (64×64 RGB; classes face and scene), label-conditional; meant for an accelerator."""

from experiment_jax.sections import experiment
from lsdm_jax import sections


def get_config():
    config = experiment("lsdm", "faces64", stages=("perceptual", "representation", "matching"))
    config.judge = "configs/judge_faces64.py"
    config.data.flips = True
    config.evaluation.protocol = "test_2k"
    config.perceptual = sections.perceptual(steps=2000, widths=(32, 64, 128))
    config.representation = sections.representation(
        steps=20_000, latent_size=128, widths=(32, 64, 128, 256), perceptual=3.0
    )
    config.matching = sections.matching(steps=10_000, noise_size=128)
    return config


VARIANTS = {
    "few": {"data.paired": 600},
    # What two CPU cores can train in a quarter of an hour.
    "cpu": {
        "perceptual.steps": 300,
        "perceptual.widths": (16, 32, 64),
        "representation.steps": 4000,
        "representation.batch_size": 32,
        "representation.widths": (16, 32, 64, 128),
        "matching.steps": 3000,
        "matching.noise_size": 64,
    },
    "smoke": sections.SMOKE_PERCEPTUAL,
}
