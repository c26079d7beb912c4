"""LSDM on faces64 (64×64 RGB; classes face and scene), label-conditional; meant for an accelerator.

    python train.py --config configs/lsdm_faces64.py:cpu --workdir runs/lsdm_faces64_cpu

The variant `cpu`, 2 cores, 12 minutes beside other work: blurred faces, plainly faces; scenes are colours and horizons.
`fd_gen` 0.107, `fd_recon` 0.083, floor 0.025 (judge 1096ba4a4ea4, 2,000 samples), spread 0.946.
"""

from experiment_jax.config.sections import experiment
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
