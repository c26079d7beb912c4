"""What unpaired images are worth (the claim of arXiv 2603.04223): n pairs and N unpaired images, against two rivals.

    python train.py --config configs/study_unpaired.py:digits --workdir runs/unpaired --sweep --seeds 3
    python eval.py --workdir runs/unpaired --sweep --by fd_gen,recall,fidelity,mae_recon

The rivals, on the same pairs: the pairs alone (N = 0), and pseudo-labels (`matching.view=partly`: a classifier of the
pairs labels the N, and matching takes all labels for true). Every member has the labeller, so that all share it.
`:digits` takes 36 minutes of one CPU core, Fashion-MNIST two hours, trained shortly. Result: docs/unpaired.md.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections

GRID = {"": ((600,), (0, 600, 6000, 59400)), "digits": ((50, 200), (0, 100, 300, 1000)), "smoke": ((100,), (0, 60))}


def get_config():
    config = experiment("lsdm", "fashion_mnist", stages=("labeller", "perceptual", "representation", "matching"))
    config.judge = "configs/judge_fashion_mnist.py"
    config.data.paired = 600
    config.labeller = sections.labeller()
    config.perceptual = sections.perceptual(steps=500)
    config.representation = sections.representation(steps=2000, perceptual=3.0)
    config.matching = sections.matching(steps=1500, critic=dict(smoothing=1.0))
    return config


def sweep(variant):
    """n × N, and each N > 0 also with pseudo-labels."""
    pairs, unpaired = GRID[variant]
    for view in ("paired", "partly"):
        for n in pairs:
            for many in unpaired if view == "paired" else unpaired[1:]:
                name = f"{'unpaired' if view == 'paired' else 'pseudo'}-{n}-{many}"
                yield name, {"matching.view": view, "data.paired": n, "data.unpaired": many}


VARIANTS = {
    "digits": {
        "data.name": "digits",
        "stages": ("labeller", "representation", "matching"),
        "judge": "configs/judge_digits.py",
        "evaluation.protocol": "test_450",
        "labeller.steps": 400,
        "labeller.batch_size": 50,
        "representation.steps": 1000,
        "representation.latent_size": 16,
        "representation.autoencoder.noise": 0.1,
        "representation.perceptual": 0.0,
        **sections.SINKHORN,
        "matching.steps": 1000,
        "matching.sinkhorn.epsilon": 2.0,
        "matching.noise_size": 32,
        "matching.width": 256,
        "matching.critic.smoothing": 0.0,
    },
    "smoke": sections.SMOKE_PERCEPTUAL | {"labeller.steps": 2, "labeller.batch_size": 20},
}
