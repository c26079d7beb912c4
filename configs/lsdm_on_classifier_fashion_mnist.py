"""A crossing: LSDM's matcher over the latents of ReGene's classifier, decoded by ReGene's decoder.

`fd_gen` 0.818, `fd_recon` 0.552, accuracy 0.911, spread 0.940, recall 0.28: see docs/regene.md.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections as lsdm
from regene_jax import sections as regene


def get_config():
    config = experiment("lsdm_on_classifier", "fashion_mnist", stages=("classifier", "decoder", "matching"))
    config.judge = "configs/judge_fashion_mnist.py"
    config.data.validation = 2000
    config.classifier = regene.classifier(steps=2000, latent_size=128)
    config.decoder = regene.decoder(steps=3000)
    config.matching = lsdm.matching(steps=4000)
    return config


SMOKE = {key: value for key, value in regene.SMOKE.items() if not key.startswith("hull")}
VARIANTS = {"smoke": SMOKE | {"matching.steps": 2, "matching.batch_size": 20}}
