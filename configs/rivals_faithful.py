"""The rivals of Table 1 with the networks, losses and optimisers of their public code; meant for an accelerator.

    python train.py --config configs/rivals_faithful.py --workdir runs/rivals_faithful --sweep

On MNIST; `:fashion_mnist` and `:cifar10` take the settings that the code has for those. Images are in [−1, 1] where the
code has [0, 1], which changes nothing but the first layer's scale; Fashion-MNIST takes MNIST's settings where the code
has none. What differs: a step is one of G with all steps of D before it, learning rates stay where the code halves them
on a plateau, samples come from the average of G over its last thousand steps or so, and Dai & Wipf's two rates of
stage 2 are one. Results of these networks that two CPU cores could train are in no table.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections as lsdm
from rivals_jax import sections as rivals


def get_config():
    config = experiment("table1", "mnist", stages=("gan",))
    config.judge = "configs/judge_mnist.py"
    config.gan = rivals.gan(networks="faithful", steps=15_625)
    config.autoencoder = rivals.autoencoder(networks="faithful", batch_size=100, latent_size=16)
    config.matching = lsdm.matching(width=1024)
    for section in (config.gan.optimiser, config.gan.discriminator.optimiser, config.autoencoder.optimiser):
        section.schedule, section.warmup_percent = "constant", 0.0
    return config


def gan(loss, rate, b1, steps_of_d=1):
    """By Lucic et al.: 20 epochs, of which G moves at every `steps_of_d`-th step."""
    own = rivals.as_gan(loss, steps=15_625 // steps_of_d, batch_size=64 * steps_of_d)
    own["gan.discriminator.steps"] = steps_of_d
    for optimiser in ("gan.optimiser", "gan.discriminator.optimiser"):
        own |= {f"{optimiser}.learning_rate": rate, f"{optimiser}.b1": b1}
    return own


def autoencoder(kind, sampler, rate, epochs=100, **own):
    schedule = {"autoencoder.optimiser.learning_rate": rate, "autoencoder.epochs": float(epochs)}
    return rivals.as_autoencoder(kind, sampler, **own) | schedule


SECOND_STAGE = lsdm.SECOND_STAGE | {
    "matching.epochs": 800.0,
    "matching.batch_size": 64,
    "matching.optimiser.learning_rate": 1e-4,
}
SGD = {"autoencoder.optimiser.name": "sgd"}
SYSTEMS = {
    "ns_gan": gan("ns_gan", 5e-5, 0.0),
    "lsgan": gan("lsgan", 2e-4, 0.5),
    "wgan_gp": gan("wgan_gp", 1e-4, 0.5, 5),
    "began": gan("began", 1e-4, 0.5, 5),
    "vae": autoencoder("vae", lsdm.PRIOR, 1e-4),
    "cv_vae": autoencoder("cv_vae", lsdm.MIXTURE, 1e-4),
    "wae": autoencoder("wae", lsdm.MIXTURE, 1e-3),
    "rae_sn": autoencoder("rae_sn", lsdm.MIXTURE, 5e-4),
    "two_stage_vae": autoencoder("two_stage_vae", SECOND_STAGE, 1e-4, 400, latent_size=64, batch_size=64),
    "lvpga": autoencoder("lvpga", lsdm.PRIOR, 0.1, 600, latent_size=32, batch_size=64) | SGD,
}
CIFAR10 = {
    "ns_gan": {"gan.steps": 78_125},
    "lsgan": {"gan.steps": 78_125},
    "wgan_gp": {"gan.steps": 15_625},
    "began": {"gan.steps": 15_625},
    "vae": {"autoencoder.latent_size": 128, "autoencoder.vae.kl": 0.024},
    "cv_vae": {"autoencoder.latent_size": 128, "autoencoder.cv_vae.kl": 9e-4, "autoencoder.epochs": 70.0},
    "wae": {"autoencoder.latent_size": 128, "autoencoder.wae.mmd": 6e-3, "autoencoder.epochs": 70.0},
    "rae_sn": {"autoencoder.latent_size": 128, "autoencoder.rae_sn.l2": 0.03},
    "two_stage_vae": {},
    "lvpga": {
        "autoencoder.latent_size": 128,
        "autoencoder.epochs": 400.0,
        "autoencoder.optimiser.learning_rate": 0.2,
        "autoencoder.lvpga.latent": 0.03,
        "autoencoder.lvpga.logdet": 0.015,
        "autoencoder.lvpga.kl": 0.05,
        "autoencoder.lvpga.likelihood": 0.02,
    },
}


def sweep(variant):
    for name, system in SYSTEMS.items():
        system = system | (CIFAR10[name] if variant == "cifar10" else {})
        if variant == "smoke":
            system = {key: value for key, value in system.items() if not key.endswith("epochs")}
            system |= {f"{stage}.steps": 20 for stage in system["stages"] if system.get(f"{stage}.steps", 1)}
            if "autoencoder" in system["stages"]:  # whose transposed convolutions take a CPU seconds an image
                system |= {"autoencoder.batch_size": 2, "data.paired": 100, "data.unpaired": 0}
        yield name, system


VARIANTS = {
    "fashion_mnist": {"data.name": "fashion_mnist", "judge": "configs/judge_fashion_mnist.py"},
    "cifar10": {"data.name": "cifar10", "judge": "configs/judge_cifar10.py"},
    "smoke": {"evaluation.protocol": "test_100"},
}
