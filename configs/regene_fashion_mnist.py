"""ReGene on Fashion-MNIST."""

from experiment_jax.sections import experiment
from regene_jax import sections


def get_config():
    config = experiment("regene", "fashion_mnist", stages=("classifier", "decoder"))
    config.judge = "configs/judge_fashion_mnist.py"
    config.data.validation = 2000
    config.classifier = sections.classifier()
    config.decoder = sections.decoder()
    return config


VARIANTS = {"smoke": sections.SMOKE}
