"""LSDM on Fashion-MNIST, label-conditional.

    python train.py --config configs/lsdm_fashion_mnist.py:flow --workdir runs/lsdm_fashion_mnist_flow

Two CPU cores: 27 minutes, by the rates of the stages; one core, the other one busy: 41 to 48.
`fd_gen` 0.189, `fd_recon` 0.129, accuracy 0.889, spread 0.993; with 600 labels (`:few`, 11 minutes of one core for its
matching) 0.246, 0.130, 0.883, 0.994: docs/sharpening.md. The other variants were measured without sharpening,
`critic` (the default): 0.534, 0.448, 0.891, 0.933; all rows: docs/results.md; how they came about, and what was missed:
docs/fashion_mnist.md.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections


def get_config():
    config = experiment("lsdm", "fashion_mnist", stages=("perceptual", "representation", "sharpening", "matching"))
    config.judge = "configs/judge_fashion_mnist.py"
    config.data.validation = 2000  # sharpening chooses its checkpoint by them
    config.perceptual = sections.perceptual()
    config.representation = sections.representation(steps=5000, perceptual=3.0)
    config.sharpening = sections.sharpening()
    config.labeller = sections.labeller()  # of the variant `few`
    config.matching = sections.matching(steps=9000)
    return config


SINKHORN = sections.SINKHORN | {"matching.steps": 2000}
# 60 labelled images a class; the other 59,400 are unpaired, and matching uses them too.
FEW = sections.POSTERIOR | {"data.paired": 600}
# Matching sees the 600 alone, as in the paper. Smoothing and steps were chosen on validation images.
FEW_PAIRS = {"data.paired": 600, "matching.pairs.smoothing": 1.0, "matching.steps": 2500}
# So does every stage, for as many steps.
PAIRED_ONLY = FEW_PAIRS | {"perceptual.view": "paired", "representation.view": "paired", "sharpening.view": "paired"}
VARIANTS = {
    "sinkhorn": SINKHORN,
    # ε and thinning were chosen on validation images; the steps take 18 minutes on one core.
    "flow": sections.FLOW | {"matching.steps": 16_000},
    "score": sections.SCORE | {"matching.steps": 80_000},
    "few": FEW,
    "few_pairs": FEW_PAIRS,
    "few_pairs_sinkhorn": FEW_PAIRS | SINKHORN,
    "paired_only": PAIRED_ONLY,
    "paired_only_sinkhorn": PAIRED_ONLY | SINKHORN,
    "smoke": sections.SMOKE_SHARP,
}
