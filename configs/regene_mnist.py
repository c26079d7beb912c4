"""ReGene on MNIST; the recipe of Fashion-MNIST."""

from regene_jax import sections


def get_config():
    config = sections.experiment("mnist")
    config.judge = "configs/judge_mnist.py"
    config.classifier = sections.classifier()
    config.decoder = sections.decoder()
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


VARIANTS = {"smoke": sections.SMOKE}
