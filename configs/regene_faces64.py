"""ReGene on faces64 (64×64 RGB; classes face and scene); meant for an accelerator."""

from experiment_jax.sections import experiment
from regene_jax import sections


def get_config():
    config = experiment("regene", "faces64", stages=("classifier", "decoder", "hull", "acceptance"))
    config.judge = "configs/judge_faces64.py"
    config.data.validation = 1000
    config.data.flips = True
    config.evaluation.protocol = "test_2k"
    config.classifier = sections.classifier(steps=4000, widths=(32, 64, 128, 256), latent_size=256)
    config.decoder = sections.decoder(steps=30_000, widths=(32, 64, 128, 256))
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


VARIANTS = {"smoke": sections.SMOKE}
