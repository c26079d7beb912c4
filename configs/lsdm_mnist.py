"""LSDM on MNIST, label-conditional; the recipe of Fashion-MNIST, with nothing tuned.

    python train.py --config configs/lsdm_mnist.py:flow --workdir runs/lsdm_mnist_flow

`fd_gen` 0.033, `fd_recon` 0.001, accuracy 0.985: docs/sharpening.md.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections


def get_config():
    config = experiment("lsdm", "mnist", stages=("perceptual", "representation", "sharpening", "matching"))
    config.judge = "configs/judge_mnist.py"
    config.data.validation = 2000
    config.perceptual = sections.perceptual()
    config.representation = sections.representation(steps=5000, perceptual=3.0)
    config.sharpening = sections.sharpening()
    config.labeller = sections.labeller()  # of the variant `few`
    config.matching = sections.matching(steps=9000)
    return config


PAIRS = {"data.paired": 600}
VARIANTS = {
    "flow": sections.FLOW | {"matching.steps": 16_000},
    "few": sections.POSTERIOR | PAIRS,
    "paired_only": PAIRS | {"perceptual.view": "paired", "representation.view": "paired", "sharpening.view": "paired"},
    "smoke": sections.SMOKE_SHARP,
}
