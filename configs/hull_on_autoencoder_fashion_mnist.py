"""A crossing: convex combinations of LSDM's autoencoder latents.

`fd_gen` 1.069, `fd_recon` 0.447, accuracy 0.890, spread 0.705, recall 0.52: see docs/regene.md.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections as lsdm
from regene_jax import sections as regene


def get_config():
    config = experiment("hull_on_autoencoder", "fashion_mnist", stages=("perceptual", "representation", "hull"))
    config.judge = "configs/judge_fashion_mnist.py"
    config.perceptual = lsdm.perceptual()
    config.representation = lsdm.representation(steps=6000, perceptual=3.0)
    config.hull = regene.hull()
    return config


SMOKE = {key: value for key, value in lsdm.SMOKE_PERCEPTUAL.items() if not key.startswith("matching")}
VARIANTS = {"smoke": SMOKE}
