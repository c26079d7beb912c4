"""ReGene on MNIST; the recipe of Fashion-MNIST."""

from regene_jax import sections


def get_config():
    config = sections.experiment("mnist")
    config.judge = "configs/judge_mnist.py"
    config.classifier = sections.classifier(steps=2000, latent_size=128)
    config.decoder = sections.decoder(steps=3000)
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


VARIANTS = {"smoke": sections.SMOKE}
