"""ReGene on scikit-learn's 8×8 digits.

make train CONFIG=regene_digits
"""

from experiment_jax.sections import experiment
from regene_jax import sections


def get_config():
    config = experiment("regene", "digits", stages=("classifier", "decoder", "hull", "acceptance"))
    config.judge = "configs/judge_digits.py"
    config.data.validation = 200
    config.evaluation.protocol = "test_450"
    config.classifier = sections.classifier(steps=600, widths=(32, 64), latent_size=32)
    config.decoder = sections.decoder(steps=2500, noise=0.1)
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


VARIANTS = {"smoke": sections.SMOKE}
