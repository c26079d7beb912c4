"""What unpaired images are worth (the claim of arXiv 2603.04223): n pairs and N unpaired images, used in five ways.

    python train.py --config configs/study_unpaired.py:digits --workdir runs/unpaired --sweep --seeds 3
    python eval.py --workdir runs/unpaired --sweep --by fd_gen,recall,fidelity,mae_recon

Members are named LABELS-n-N, after `matching.labels` (`lsdm_jax.unpaired`): the pairs alone, pseudo-labels, posteriors,
sampled labels, the marginal. `oracle` knows the label of each of the N, and matches class by class; `oracle_joint` in
one problem, as `posterior` does. All rows of a seed on the same images share their representation, and those of as many
pairs their labeller. Result: docs/unpaired.md.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections

GRID = {
    "": ((600,), (59_400,)),
    "sharpened": ((600,), (None,)),  # all others
    "n100": ((100,), (59_900,)),
    "mnist": ((100,), (59_900,)),
    "digits": ((20, 50, 200), (100, 1000, 0)),
    "smoke": ((100,), (60,)),
}
# β and the weight of the pairs' own term were chosen on validation images of Fashion-MNIST: docs/unpaired.md.
OWN_TERM = {"matching.pairs.weight": 1.0}
JOINT = {"matching.beta": 10.0}
WAYS = {
    "pairs": {},
    "pseudo": {},
    "posterior": JOINT,
    "sampled": OWN_TERM,
    "marginal": OWN_TERM,
}
NOBODY_ASKS = {"labeller.steps": 0}  # no matching takes what the labeller says
ALONE = {"pairs": NOBODY_ASKS}  # the only way without unpaired images


def get_config():
    config = experiment("lsdm", "fashion_mnist", stages=("perceptual", "representation", "labeller", "matching"))
    config.judge = "configs/judge_fashion_mnist.py"
    config.evaluation.protocol = "test_2k"
    config.data.paired = 600
    config.labeller = sections.labeller()
    config.sharpening = sections.sharpening()  # of the variant `sharpened`
    config.perceptual = sections.perceptual(steps=500)
    config.representation = sections.representation(steps=2000, perceptual=3.0)
    config.matching = sections.matching(
        matcher="flow",
        steps=1500,
        batch_size=1280,
        steps_per_dispatch=10,
        flow=dict(epsilon=0.3, thinning=2, max_iterations=400),  # 200 are too few at β = 10
        optimiser=dict(learning_rate=1e-3, b1=0.9),
        pairs=dict(smoothing=0.5, batch_size=320),
    )
    return config


def sweep(variant):
    """n × N × ways, what the pairs bring by themselves, and what all labels would."""
    pairs, unpaired = GRID[variant]
    for many in unpaired:
        for n in pairs:
            for way, settings in (ALONE if many == 0 else WAYS).items():
                name = f"{way}-{n}" if many is None else f"{way}-{n}-{many}"
                yield name, {"data.paired": n, "data.unpaired": many, "matching.labels": way} | settings
    all_labels = {"data.paired": None, "data.unpaired": None, "matching.pairs.smoothing": 0.0} | NOBODY_ASKS
    yield "oracle", all_labels
    yield "oracle_joint", all_labels | JOINT


VARIANTS = {
    # With the representation and decoder of lsdm_fashion_mnist.py: a blurred decoder hides what samplers differ in.
    "sharpened": {
        "data.validation": 2000,
        "stages": ("perceptual", "representation", "sharpening", "labeller", "matching"),
        "perceptual.steps": 1000,
        "representation.steps": 5000,
    },
    "n100": {"data.paired": 100},
    "mnist": {"data.paired": 100, "data.name": "mnist", "judge": "configs/judge_mnist.py"},
    "digits": {
        "data.name": "digits",
        "stages": ("representation", "labeller", "matching"),
        "judge": "configs/judge_digits.py",
        "evaluation.protocol": "test_450",
        "labeller.steps": 400,
        "labeller.batch_size": 100,
        "labeller.pairs": 20,
        "representation.steps": 1000,
        "representation.latent_size": 16,
        "representation.autoencoder.noise": 0.1,
        "representation.perceptual": 0.0,
        "matching.steps": 1000,
        "matching.batch_size": 640,
        "matching.noise_size": 32,
        "matching.width": 256,
        "matching.flow.thinning": 1,
        "matching.pairs.smoothing": 0.0,
        "matching.pairs.batch_size": 160,
    },
    "smoke": sections.SMOKE_PERCEPTUAL
    | {"labeller.steps": 2, "labeller.batch_size": 20, "labeller.pairs": 10}
    | {"matching.batch_size": 80, "matching.pairs.batch_size": 40, "matching.steps_per_dispatch": 1},
}
