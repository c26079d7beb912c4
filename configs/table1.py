"""Table 1 of ReGene (arXiv 2004.07543), all of it under one protocol: ten rivals and five systems of this project.

    python train.py --config configs/table1.py:fashion_mnist --workdir runs/table1 --sweep
    python eval.py --workdir runs/table1 --sweep --extractor judge,vgg16:2500

Every system has the small trunk of encoder and decoder, and about as long to train: on digits (the default) a minute,
on `:fashion_mnist`, `:mnist`, `:cifar10` and `:faces64` twelve minutes of one of two busy CPU cores. Losses, priors and
optimisers are the system's own. Unconditional systems see no label. `:rates` tries three learning rates for each on
Fashion-MNIST, a quarter as long; `:labels` are the GANs that heed labels. What was measured: docs/table1.md.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections as lsdm
from regene_jax import sections as regene
from rivals_jax import sections as rivals
from rivals_jax.reported import reported


def get_config():
    config = experiment("table1", "fashion_mnist", stages=("gan",))
    config.judge = "configs/judge_fashion_mnist.py"
    config.data.validation = 2000
    config.gan = rivals.gan()
    config.autoencoder = rivals.autoencoder()
    config.perceptual = lsdm.perceptual()
    config.representation = lsdm.representation(perceptual=3.0)
    config.classifier = regene.classifier(latent_size=128)
    config.decoder = regene.decoder()
    config.sharpening = lsdm.sharpening()
    config.hull = regene.hull(partners="neighbours")
    config.matching = lsdm.matching()
    return config


def gan(loss, **own):
    return {"method": loss, "stages": ("gan",), "gan.loss": loss} | {f"gan.{key}": value for key, value in own.items()}


def autoencoder(kind, sampler, **own):
    settings = {"method": kind, "stages": ("autoencoder", "matching"), "autoencoder.kind": kind, **sampler}
    return settings | {f"autoencoder.{key}": value for key, value in own.items()}


PRIOR = {"matching.matcher": "prior", "matching.steps": 0}
MIXTURE = {"matching.matcher": "gmm", "matching.steps": 0, "matching.gmm.conditional": False}
SECOND_STAGE = {
    "matching.matcher": "vae",
    "matching.vae.conditional": False,
    "matching.optimiser.learning_rate": 1e-3,
    "matching.optimiser.b1": 0.9,
}
LSDM, REGENE = ("perceptual", "representation", "matching"), ("classifier", "perceptual", "decoder", "hull")
SHARP_LSDM, SHARP_REGENE = (*LSDM[:2], "sharpening", LSDM[2]), (*REGENE[:3], "sharpening", REGENE[3])
SGD = {"autoencoder.optimiser.name": "sgd", "autoencoder.optimiser.learning_rate": 0.1}
SYSTEMS = {
    "ns_gan": gan("ns_gan") | {"gan.optimiser.b1": 0.0, "gan.discriminator.optimiser.b1": 0.0},
    "lsgan": gan("lsgan"),
    "wgan_gp": gan("wgan_gp") | {"gan.discriminator.steps": 5, "gan.batch_size": 320},
    "wgan_gp_one": gan("wgan_gp"),
    "began": gan("began"),
    "vae": autoencoder("vae", PRIOR),
    "cv_vae": autoencoder("cv_vae", MIXTURE),
    "wae": autoencoder("wae", MIXTURE),
    "rae_sn": autoencoder("rae_sn", MIXTURE),
    "two_stage_vae": autoencoder("two_stage_vae", SECOND_STAGE),
    "lvpga": autoencoder("lvpga", PRIOR, batch_size=64) | SGD,
    "flow": {"method": "lsdm", "stages": LSDM, **lsdm.FLOW},
    "critic": {"method": "lsdm", "stages": LSDM, **lsdm.CRITIC},
    "sharpened_flow": {"method": "lsdm", "stages": SHARP_LSDM, **lsdm.FLOW},
    "regene_neighbours": {"method": "regene", "stages": REGENE},
    "regene_sharpened": {"method": "regene", "stages": SHARP_REGENE, "sharpening.perceptual": 0.3},
}
# The learning rates that each system is trained with; of one with several stages, of them all.
RATES = (
    "gan.optimiser",
    "gan.discriminator.optimiser",
    "autoencoder.optimiser",
    "representation.optimiser",
    "classifier.optimiser",
    "decoder.optimiser",
    "matching.optimiser",
)
# Steps of the stages, by system, that take twelve minutes of one of two busy cores at 28×28.
MINUTES = {
    "ns_gan": {"gan": 3700},
    "lsgan": {"gan": 3700},
    "wgan_gp": {"gan": 560},
    "wgan_gp_one": {"gan": 2200},
    "began": {"gan": 2300},
    "vae": {"autoencoder": 4000},
    "cv_vae": {"autoencoder": 3700},
    "wae": {"autoencoder": 3300},
    "rae_sn": {"autoencoder": 3900},
    "two_stage_vae": {"autoencoder": 3000, "matching": 4000},
    "lvpga": {"autoencoder": 2500},
    "flow": {"perceptual": 500, "representation": 1800, "matching": 2400},
    "critic": {"perceptual": 500, "representation": 1800, "matching": 1100},
    "sharpened_flow": {"perceptual": 400, "representation": 1150, "sharpening": 300, "matching": 2000},
    "regene_neighbours": {"classifier": 1100, "perceptual": 400, "decoder": 2600},
    "regene_sharpened": {"classifier": 900, "perceptual": 400, "decoder": 1600, "sharpening": 400},
}
DELAY = 300


def timed(system, share=1.0):
    """A system, and `share` of twelve minutes of steps for each of its stages."""
    steps = {f"{stage}.steps": round(share * count / 20) * 20 for stage, count in MINUTES[system].items()}
    delay = {"autoencoder.lvpga.delay": round(share * DELAY)} if system == "lvpga" else {}
    return SYSTEMS[system] | steps | delay


def sweep(variant):
    if variant == "rates":
        for system in SYSTEMS:
            for factor in (0.25, 1.0, 4.0):
                yield f"{system}-{factor:g}", timed(system, 0.25) | scaled(system, factor)
        return


def scaled(system, factor):
    """The system's learning rates, times a factor."""
    config = get_config()
    config.update_from_flattened_dict({k: v for k, v in SYSTEMS[system].items() if k.endswith("learning_rate")})
    stages = SYSTEMS[system]["stages"]
    own = [place for place in RATES if place.partition(".")[0] in stages]
    own = [place for place in own if place != "matching.optimiser" or "matching" in MINUTES[system]]
    return {f"{place}.learning_rate": factor * read(config, place).learning_rate for place in own}


def read(config, place):
    for name in place.split("."):
        config = config[name]
    return config


VARIANTS = {"rates": {}}
