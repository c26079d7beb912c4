"""LSDM on scikit-learn's 8×8 digits, label-conditional; the first thing a newcomer runs."""

from experiment_jax.config import experiment, stage


def get_config():
    config = experiment("lsdm", "digits", stages=("representation", "matching"))
    config.judge = "configs/judge_digits.py"
    config.data.validation = 100
    config.evaluation.protocol = "test_450"
    config.representation = stage(
        "lsdm_jax.representation:stage",
        view="all",
        batch_size=128,
        steps=1500,
        optimiser=dict(learning_rate=2e-3),
        kind="autoencoder",
        latent_size=16,
        widths=(32, 64),
        noise=0.1,
        l1=1.0,
        ssim=0.0,
        perceptual=0.0,
    )
    config.matching = stage(
        "lsdm_jax.matching:stage",
        view="paired",
        batch_size=640,
        steps=2500,
        optimiser=dict(learning_rate=1e-3),
        matcher="sinkhorn",
        beta=float("inf"),
        epsilon=2.0,  # lower: truer digits and less spread
        max_iterations=200,
        threshold=1e-2,
        noise_size=32,
        width=256,
        depth=3,
    )
    return config


VARIANTS = {
    "few": {"data.paired": 100},  # 10 labelled images a class; the other 1,147 are unpaired
    "smoke": {
        "representation.steps": 2,
        "representation.batch_size": 20,
        "matching.steps": 2,
        "matching.batch_size": 20,
        "evaluation.protocol": "test_100",
    },
}
