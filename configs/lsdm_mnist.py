"""LSDM on MNIST, label-conditional; the recipe of Fashion-MNIST."""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections


def get_config():
    config = experiment("lsdm", "mnist", stages=("perceptual", "representation", "matching"))
    config.judge = "configs/judge_mnist.py"
    config.perceptual = sections.perceptual()
    config.representation = sections.representation(latent_size=32, perceptual=3.0)
    config.matching = sections.matching()
    return config


FEW = {"data.paired": 600}
VARIANTS = {
    "few": FEW,
    "paired_only": FEW | {"perceptual.view": "paired", "representation.view": "paired"},
    "smoke": sections.SMOKE_PERCEPTUAL,
}
