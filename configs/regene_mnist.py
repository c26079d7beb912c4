"""ReGene on MNIST; the recipe of Fashion-MNIST."""

from experiment_jax.sections import experiment
from regene_jax import sections


def get_config():
    config = experiment("regene", "mnist", stages=("classifier", "decoder", "hull", "acceptance"))
    config.judge = "configs/judge_mnist.py"
    config.data.validation = 2000
    config.classifier = sections.classifier()
    config.decoder = sections.decoder()
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


VARIANTS = {"smoke": sections.SMOKE}
