"""LSDM on Fashion-MNIST, label-conditional."""

from experiment_jax.config import experiment, stage


def get_config():
    config = experiment("lsdm", "fashion_mnist", stages=("perceptual", "representation", "matching"))
    config.judge = "configs/judge_fashion_mnist.py"
    config.perceptual = stage(
        "experiment_jax.perceptual:stage",
        view="all",
        batch_size=128,
        steps=1000,
        optimiser=dict(learning_rate=2e-3),
        widths=(32, 64),
    )
    config.representation = stage(
        "lsdm_jax.representation:stage",
        view="all",
        batch_size=128,
        steps=4000,
        optimiser=dict(learning_rate=2e-3),
        kind="autoencoder",
        latent_size=64,
        widths=(32, 64),
        noise=0.05,
        l1=1.0,
        ssim=0.2,
        perceptual=1.0,
    )
    config.matching = stage(
        "lsdm_jax.matching:stage",
        view="paired",
        batch_size=640,
        steps=4000,
        optimiser=dict(learning_rate=1e-3),
        matcher="sinkhorn",
        beta=float("inf"),
        epsilon=5.0,
        max_iterations=200,
        threshold=1e-2,
        noise_size=64,
        width=512,
        depth=3,
    )
    return config


VARIANTS = {
    "smoke": {
        "perceptual.steps": 1,
        "perceptual.batch_size": 20,
        "representation.steps": 2,
        "representation.batch_size": 20,
        "matching.steps": 2,
        "matching.batch_size": 20,
        "evaluation.protocol": "test_100",
    }
}
