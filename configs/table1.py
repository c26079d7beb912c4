"""Table 1 of ReGene (arXiv 2004.07543), all of it under one protocol: ten rivals and five systems of this project.

    python train.py --config configs/table1.py:fashion_mnist --workdir runs/table1 --sweep
    python eval.py --workdir runs/table1 --sweep --extractor judge,vgg16:2500

Every system has the small trunk of encoder and decoder, and about as long to train: on digits (the default) a minute or
two, on `:fashion_mnist`, `:mnist`, `:cifar10` and `:faces64` twelve minutes of one of two busy CPU cores. Losses,
priors and optimisers are the system's own, and learning rates were chosen on validation images of Fashion-MNIST
(`:rates`). Unconditional systems see no label; `:labels` are GANs that do. What was measured: docs/table1.md.
"""

from experiment_jax.config.sections import experiment
from lsdm_jax import sections as lsdm
from regene_jax import sections as regene
from rivals_jax import sections as rivals
from rivals_jax.reported import reported


def get_config():
    config = experiment("table1", "digits", stages=("gan",))
    config.judge = "configs/judge_digits.py"
    config.data.validation = 100
    config.evaluation.protocol = "test_450"
    config.gan = rivals.gan(widths=(64,))
    config.autoencoder = rivals.autoencoder(widths=(64,), latent_size=16)
    config.perceptual = lsdm.perceptual(widths=(32,))
    config.representation = lsdm.representation(
        widths=(64,), latent_size=16, perceptual=3.0, autoencoder=dict(noise=0.1)
    )
    config.classifier = regene.classifier(widths=(32, 64), latent_size=32)
    config.decoder = regene.decoder(widths=(64,), noise=0.1)
    config.sharpening = lsdm.sharpening(adversary=dict(widths=(32,)))
    config.hull = regene.hull(partners="neighbours")
    config.matching = lsdm.matching(noise_size=32, width=256)
    return config


LSDM, REGENE = ("perceptual", "representation", "matching"), ("classifier", "perceptual", "decoder", "hull")
SHARP_LSDM, SHARP_REGENE = (*LSDM[:2], "sharpening", LSDM[2]), (*REGENE[:3], "sharpening", REGENE[3])
SGD = {"autoencoder.optimiser.name": "sgd", "autoencoder.optimiser.learning_rate": 0.1}
SYSTEMS = {
    "ns_gan": rivals.as_gan("ns_gan") | {"gan.optimiser.b1": 0.0, "gan.discriminator.optimiser.b1": 0.0},
    "lsgan": rivals.as_gan("lsgan"),
    "wgan_gp": rivals.as_gan("wgan_gp"),
    "began": rivals.as_gan("began") | {"gan.began.rate": 1e-2},
    "vae": rivals.as_autoencoder("vae", lsdm.PRIOR),
    "cv_vae": rivals.as_autoencoder("cv_vae", lsdm.MIXTURE),
    "wae": rivals.as_autoencoder("wae", lsdm.MIXTURE),
    "rae_sn": rivals.as_autoencoder("rae_sn", lsdm.MIXTURE),
    "two_stage_vae": rivals.as_autoencoder("two_stage_vae", lsdm.SECOND_STAGE),
    "lvpga": rivals.as_autoencoder("lvpga", lsdm.PRIOR, batch_size=64) | SGD,
    "flow": {"method": "lsdm", "stages": LSDM, **lsdm.FLOW},
    "critic": {"method": "lsdm", "stages": LSDM, **lsdm.CRITIC},
    "sharpened_flow": {"method": "lsdm", "stages": SHARP_LSDM, **lsdm.FLOW},
    "regene_neighbours": {"method": "regene", "stages": REGENE},
    "regene_sharpened": {"method": "regene", "stages": SHARP_REGENE, "sharpening.perceptual": 0.3},
}
WITH_LABELS = {
    f"{loss}_labels": SYSTEMS[loss] | {"gan.labels": True, "gan.view": "paired"} for loss in ("ns_gan", "wgan_gp")
}
# Steps of each stage that take twelve minutes of one of two busy cores on 28×28 images.
STEPS = {
    "ns_gan": {"gan": 3700},
    "lsgan": {"gan": 3700},
    "wgan_gp": {"gan": 2200},
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
    "ns_gan_labels": {"gan": 3700},
    "wgan_gp_labels": {"gan": 2200},
}
LVPGA_DELAY = 300  # of these steps
SHARE = {"rates": 0.25, "cifar10": 0.7, "cifar10_jpeg": 0.7, "faces64": 0.18, "celeba64": 0.18}  # of the steps
RATES = (0.25, 1.0, 4.0)  # times all learning rates of a system
# Of RATES, by `fd_gen` on validation images; see docs/table1.md.
CHOSEN = (
    dict.fromkeys(SYSTEMS, 4.0)
    | {"lsgan": 0.25}
    | dict.fromkeys(("wgan_gp", "regene_neighbours", "regene_sharpened"), 1.0)
)


def sweep(variant):
    """The systems; of `rates` three times, of `labels` the GANs that heed labels."""
    small = variant in ("", "digits", "labels", "smoke")
    for name, system in (WITH_LABELS if variant == "labels" else SYSTEMS).items():
        if small and "flow" in name:  # 125 images a class are all there are
            system = system | {"matching.flow.thinning": 1, "matching.batch_size": 640}
        if "smoke" in variant:
            yield name, system | smoke(name)
            continue
        told = {"evaluation.reported": reported(name, variant)}
        for rate in RATES if variant == "rates" else (CHOSEN.get(name, 1.0),):
            title = f"{name}-{rate:g}" if variant == "rates" else name
            yield title, system | told | steps(name, SHARE.get(variant, 1.0)) | rates(name, rate)


def steps(name, share):
    """The steps of a system's stages, and when LVPGA's latent terms begin."""
    found = {f"{stage}.steps": round(share * count / 20) * 20 for stage, count in STEPS[name].items()}
    return found | ({"autoencoder.lvpga.delay": round(share * LVPGA_DELAY)} if name == "lvpga" else {})


def rates(name, factor):
    """All learning rates of a system, times a factor; those of features and of sharpening stay."""
    system = {**SYSTEMS, **WITH_LABELS}[name]
    optimisers = [f"{stage}.optimiser" for stage in STEPS[name] if stage not in ("perceptual", "sharpening")]
    optimisers += ["gan.discriminator.optimiser"] if "gan" in STEPS[name] else []
    config, found = get_config(), {}
    for optimiser in optimisers:
        section, key = config, f"{optimiser}.learning_rate"
        for part in optimiser.split("."):
            section = section[part]
        found[key] = factor * system.get(key, section.learning_rate)
    return found


def smoke(name):
    """Two steps of small batches, and matching's of as many rows as the classes can share."""
    found = {f"{stage}.{key}": value for stage in STEPS[name] for key, value in (("steps", 2), ("batch_size", 20))}
    whole = {"matching.steps_per_dispatch": 1, "matching.flow.thinning": 1, "autoencoder.lvpga.delay": 1}
    return found | whole | {"hull.only_classified": False, "evaluation.protocol": "test_100"}


TWO_LEVELS = {
    f"{stage}.widths": (32, 64) for stage in ("gan", "autoencoder", "perceptual", "representation", "decoder")
} | {"classifier.widths": (32, 64, 128), "sharpening.adversary.widths": (32, 64)}
LATENTS = {
    "autoencoder.latent_size": 64,
    "representation.latent_size": 64,
    "representation.autoencoder.noise": 0.05,
    "classifier.latent_size": 128,
    "decoder.noise": 0.05,
    "matching.noise_size": 64,
    "matching.width": 512,
}
FASHION = (
    TWO_LEVELS
    | LATENTS
    | {
        "data.name": "fashion_mnist",
        "data.validation": 2000,
        "judge": "configs/judge_fashion_mnist.py",
        "evaluation.protocol": "test_10k",
    }
)
FOUR_LEVELS = {
    f"{stage}.widths": (16, 32, 64, 128) for stage in ("gan", "autoencoder", "representation", "classifier", "decoder")
} | {"perceptual.widths": (16, 32, 64)}
FACES = FASHION | FOUR_LEVELS | {"evaluation.protocol": "test_2k", "data.flips": True}
CELEBA = FACES | {"data.name": "celeb_a+anime", "data.crop": 140, "data.size": 64, "judge": "configs/judge_celeba64.py"}
VARIANTS = {
    "digits": {},
    "labels": {},
    "fashion_mnist": FASHION,
    "rates": FASHION,
    "mnist": FASHION | {"data.name": "mnist", "judge": "configs/judge_mnist.py"},
    "cifar10": FASHION | {"data.name": "cifar10", "data.flips": True, "judge": "configs/judge_cifar10.py"},
    "cifar10_jpeg": FASHION
    | {"data.name": "cifar10_jpeg", "data.flips": True, "judge": "configs/judge_cifar10_jpeg.py"},
    "faces64": FACES | {"data.name": "faces64", "judge": "configs/judge_faces64.py"},
    "celeba64": CELEBA,
    "smoke": {},
    "celeba64_smoke": CELEBA,
}
