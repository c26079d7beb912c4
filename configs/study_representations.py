"""Representations × samplers: {autoencoder, VAE, WAE, RAE, pixels} × {prior, mixture, VAE on latents, critic}.

    python train.py --config configs/study_representations.py --workdir runs/representations --sweep
    python eval.py --workdir runs/representations --sweep --by fd_gen,recall

On digits, 21 minutes of one CPU core; `:fashion_mnist`, trained shortly, 42 minutes of two. Each representation is
trained once for its four samplers. Results: docs/representations.md.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections


def get_config():
    config = experiment("lsdm", "digits", stages=("representation", "matching"))
    config.judge = "configs/judge_digits.py"
    config.data.validation = 100
    config.evaluation.protocol = "test_450"
    config.perceptual = sections.perceptual()
    config.representation = sections.representation(steps=1500, latent_size=16, autoencoder=dict(noise=0.1))
    config.matching = sections.matching(steps=2500, noise_size=32, width=256)
    return config


def sweep(variant):
    for name, overrides in sections.CROSSINGS.items():
        # Ten full covariances of 784 pixels a class take scikit-learn an hour on one core; one takes seconds.
        alone = {"matching.gmm.components": 1} if (variant, name) == ("fashion_mnist", "identity-gmm") else {}
        yield name, overrides | alone


VARIANTS = {
    "fashion_mnist": {
        "data.name": "fashion_mnist",
        "data.validation": 0,
        "stages": ("perceptual", "representation", "matching"),
        "judge": "configs/judge_fashion_mnist.py",
        "evaluation.protocol": "test_10k",
        "perceptual.steps": 500,
        "representation.steps": 1200,
        "representation.latent_size": 64,
        "representation.autoencoder.noise": 0.05,
        "representation.perceptual": 3.0,
        "matching.steps": 1200,
        "matching.noise_size": 64,
        "matching.width": 512,
    },
    "smoke": sections.SMOKE,
}
