"""Super-resolution of CelebA, 16×16 to 64×64: the middle 140×140 pixels, bicubic, σ = 0.01; meant for an accelerator.

    python train.py --config configs/lsdm_sr_celeba.py:few --workdir runs/lsdm_sr_celeba_few

20,000 pairs; `:few` 600. TFDS's `celeb_a` must be prepared; not trained yet, the set was not at hand. Who smiles is the
class, by which only the pairs are balanced, and which the judge tells.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections


def get_config():
    stages = ("perceptual", "representation", "degradation", "regression", "matching")
    config = experiment("lsdm", "celeb_a", stages=stages)
    config.judge = "configs/judge_celeba_smiling64.py"
    config.data.label = "attributes/Smiling"
    config.data.crop, config.data.size = 140, 64
    config.data.paired = 20_000
    config.data.flips = True
    config.perceptual = sections.perceptual(steps=4000, widths=(32, 64, 128))
    config.representation = sections.representation(
        steps=40_000, latent_size=256, widths=(64, 128, 256, 512), perceptual=3.0
    )
    config.degradation = sections.degradation(factor=4, kernel="bicubic", noise=0.01)
    config.regression = sections.regression(steps=20_000, latent_size=256, widths=(64, 128, 256, 512))
    config.matching = sections.matching(**sections.ENERGY, steps=20_000, width=1024, steps_per_dispatch=10)
    return config


FEW = {"data.paired": 600, "matching.condition_noise": 0.3}
VARIANTS = {
    "few": FEW,
    "paired_only": FEW | {"perceptual.view": "paired", "representation.view": "paired"},
    "smoke": sections.SMOKE_PERCEPTUAL | sections.SMOKE_SUPER_RESOLUTION,
}
