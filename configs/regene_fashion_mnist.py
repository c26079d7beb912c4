"""ReGene on Fashion-MNIST.

python train.py --config configs/regene_fashion_mnist.py --workdir runs/regene_fashion_mnist
"""

from experiment_jax.sections import experiment
from regene_jax import sections


def get_config():
    config = experiment("regene", "fashion_mnist", stages=("classifier", "decoder", "hull", "acceptance"))
    config.judge = "configs/judge_fashion_mnist.py"
    config.data.validation = 2000
    config.classifier = sections.classifier()
    config.decoder = sections.decoder()
    config.hull = sections.hull()
    config.acceptance = sections.acceptance()
    return config


NEIGHBOURS = {"hull.partners": "neighbours"}
UNTESTED = {"stages": ("classifier", "decoder", "hull")}  # every combination, whatever the classifier thinks of it
VARIANTS = {
    "n3": {"hull.n": 3},
    "n5": {"hull.n": 5},
    "untested": UNTESTED,
    "neighbours": NEIGHBOURS,
    "neighbours_untested": NEIGHBOURS | UNTESTED,
    "smoke": sections.SMOKE,
}
