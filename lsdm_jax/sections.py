"""Sections of a config for LSDM's stages: every setting with its default, so that a recipe names only what differs."""

from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from experiment_jax.config.sections import optimiser, optional, stage
from experiment_jax.config.sections import perceptual as perceptual  # recipes name all of LSDM's sections here
from experiment_jax.config.sections import sharpening as sharpening
from lsdm_jax.settings import KINDS, MATCHERS

# A few steps of small batches: enough to see that a recipe runs on its data.
SMOKE = {
    "representation.steps": 2,
    "representation.batch_size": 20,
    "matching.steps": 2,
    "matching.batch_size": 20,
    "evaluation.protocol": "test_100",
}
SMOKE_SUPER_RESOLUTION = SMOKE | {"regression.steps": 2, "regression.batch_size": 20, "matching.steps_per_dispatch": 1}
SMOKE_PERCEPTUAL = SMOKE | {"perceptual.steps": 2, "perceptual.batch_size": 20}
SMOKE_SHARP = SMOKE_PERCEPTUAL | {"sharpening.steps": 2, "sharpening.batch_size": 20}
# Of recipes for accelerators: float32, steps one by one, and dense networks in matching.
ON_CPU = {
    **{f"{stage}.compute": "float32" for stage in ("perceptual", "representation")},
    **{f"{stage}.steps_per_dispatch": 1 for stage in ("perceptual", "representation", "sharpening", "matching")},
    "representation.blocks": 0,
    "representation.attention": False,
    "matching.generator": "dense",
    "matching.critic.network": "dense",
    "matching.ema_decay": 0.999,
}
# The same with a vector of 128 numbers in place of places, and no sharpening.
VECTOR_ON_CPU = ON_CPU | {
    "stages": ("perceptual", "representation", "matching"),
    "data.validation": 0,
    "perceptual.steps": 300,
    "perceptual.batch_size": 128,
    "perceptual.widths": (16, 32, 64),
    "representation.latent_shape": (),
    "representation.latent_size": 128,
    "matching.batch_size": 250,
    "matching.width": 512,
    "matching.depth": 3,
    "matching.noise_size": 64,
    "matching.critic.width": 512,
    "matching.critic.depth": 3,
}
# A mixture of normal laws for each class: fitted, not trained; of latents with places the best sampler for its time.
MIXTURES = {
    "matching.matcher": "gmm",
    "matching.steps": 0,
    "matching.gmm.components": 50,
    "matching.gmm.covariance_floor": 3e-3,
    "matching.gmm.iterations": 0,
}
# Latents of faces64 with places, the same for both recipes, so that one may take them from a run of the other.
FACES_PLACES = {
    "perceptual.compute": "float32",
    "representation.compute": "float32",
    "representation.latent_size": 64,
    "perceptual.steps": 500,
    "perceptual.batch_size": 64,
    "perceptual.widths": (24, 48, 96),
    "representation.latent_shape": (8, 8, 8),
    "representation.upsampling": "repeat",
    "representation.steps": 4000,
    "representation.batch_size": 32,
    "representation.widths": (24, 48, 96),
    "representation.optimiser.learning_rate": 1e-3,
    "representation.ema_decay": 0.995,
    "sharpening.steps": 800,
    "sharpening.batch_size": 32,
    "sharpening.adversary.widths": (32, 64, 64),
}
FEW_IMAGES = {"data.paired": 200, "data.unpaired": 0, "data.validation": 100}
PLAIN_STEPS = {key: value for key, value in ON_CPU.items() if key.endswith(("compute", "dispatch"))}
SMOKE_ACCELERATED = SMOKE_SHARP | FEW_IMAGES | PLAIN_STEPS

# The `sinkhorn` matcher wants larger batches than the `critic`, and momentum.
SINKHORN = {
    "matching.matcher": "sinkhorn",
    "matching.batch_size": 640,
    "matching.optimiser.learning_rate": 1e-3,
    "matching.optimiser.b1": 0.9,
}
# So does `flow`, which bears a lower ε because its own term is taken to a second batch.
FLOW = {
    "matching.matcher": "flow",
    "matching.batch_size": 2560,
    "matching.flow.thinning": 4,
    "matching.steps_per_dispatch": 10,
    "matching.flow.epsilon": 0.3,
    "matching.optimiser.learning_rate": 1e-3,
    "matching.optimiser.b1": 0.9,
}
# Few labels: every latent takes part, by what a stage `labeller` knows of its class; chosen in docs/unpaired.md.
POSTERIOR = FLOW | {
    "stages": ("perceptual", "representation", "sharpening", "labeller", "matching"),
    "matching.steps": 4000,
    "matching.labels": "posterior",
    "matching.beta": 10.0,
    "matching.batch_size": 1280,
    "matching.flow.thinning": 2,
    "matching.flow.max_iterations": 400,
}
SCORE = {
    "matching.matcher": "score",
    "matching.batch_size": 500,
    "matching.steps_per_dispatch": 10,
    "matching.optimiser.learning_rate": 1e-3,
    "matching.optimiser.b1": 0.9,
}
# For images as conditions: the matcher that needs no classes, as arguments of `matching`.
ENERGY = dict(matcher="energy", batch_size=256, draws=2, optimiser=dict(learning_rate=1e-3))
# The `critic`, in a recipe made for `sinkhorn`.
CRITIC = {
    "matching.matcher": "critic",
    "matching.batch_size": 250,
    "matching.optimiser.learning_rate": 5e-4,
    "matching.optimiser.b1": 0.0,
}
# What draws latents without labels: the law that they were trained towards, a mixture, a second VAE.
PRIOR = {"matching.matcher": "prior", "matching.steps": 0}
MIXTURE = {"matching.matcher": "gmm", "matching.steps": 0, "matching.gmm.conditional": False}
SECOND_STAGE = {
    "matching.matcher": "vae",
    "matching.vae.conditional": False,
    "matching.optimiser.learning_rate": 1e-3,
    "matching.optimiser.b1": 0.9,
}
# What a representation may be, and what may sample its latents: members of a sweep, `vae-gmm` and so on.
REPRESENTATIONS = {
    "autoencoder": {"representation.kind": "autoencoder"},
    "vae": {"representation.kind": "vae"},
    "wae": {"representation.kind": "wae"},
    "rae": {"representation.kind": "rae"},
    "identity": {"representation.kind": "identity", "representation.steps": 0},
}
SAMPLERS = {
    "prior": PRIOR,
    "gmm": {"matching.matcher": "gmm", "matching.steps": 0},
    "vae": {"matching.matcher": "vae", "matching.optimiser.learning_rate": 1e-3, "matching.optimiser.b1": 0.9},
    "critic": CRITIC,
}
CROSSINGS = {
    f"{kind}-{sampler}": {**of_kind, **of_sampler}
    for kind, of_kind in REPRESENTATIONS.items()
    for sampler, of_sampler in SAMPLERS.items()
}


def representation(**own: Any) -> ConfigDict:
    """Step 1; see `lsdm_jax.representation`."""
    settings = dict(
        view="all",
        batch_size=128,
        steps=4000,
        optimiser=dict(learning_rate=2e-3),
        kind="autoencoder",  # or vae, wae, rae; identity, with steps=0: latents are the pixels
        **{name: _own(settings, own.pop(name, {})) for name, settings in KINDS.items()},
        latent_size=64,
        latent_shape=(),  # (height, width, channels) of a latent with places; then latent_size is their product
        widths=(32, 64),  # channels of each level; a level halves the sides
        blocks=0,  # residual blocks at each level
        attention=False,  # between the places of the deepest level
        upsampling="unfold",  # or repeat: how the decoder doubles the sides, see `experiment_jax.networks.autoencoder`
        compute=optional(str),  # of convolutions and matrices: float32 (None) or bfloat16; parameters stay float32
        l1=1.0,
        ssim=0.0,
        perceptual=0.0,
    )
    return stage("lsdm_jax.representation:stage", **settings | own)


def degradation(**own: Any) -> ConfigDict:
    """What makes low-resolution images of images; see `lsdm_jax.degradation`."""
    settings = dict(view="all", batch_size=1, steps=0, factor=4, kernel="area", noise=0.0, project=True)
    return stage("lsdm_jax.degradation:stage", **settings | own)


def regression(**own: Any) -> ConfigDict:
    """The rival of samples of high-resolution images; see `lsdm_jax.regression`."""
    settings = dict(
        view="paired",
        batch_size=128,
        steps=4000,
        optimiser=dict(learning_rate=1e-3),
        width=512,
        depth=3,
        latent_size=64,
        latent_shape=(),  # as of `representation`
        widths=(32, 64),
    )
    return stage("lsdm_jax.regression:stage", **settings | own)


def labeller(**own: Any) -> ConfigDict:
    """What says of images without a label what is known of their class; see `lsdm_jax.labeller`."""
    settings = dict(
        view="mixed",
        batch_size=250,
        pairs=50,  # rows of a batch that have a label
        steps=1000,
        optimiser=dict(learning_rate=2e-3, weight_decay=1e-3),
        widths=(32, 64),
        convolutions=1,
        features=64,
        dropout=0.3,
        shift=1,  # of the weak change, in pixels
        strong=dict(shift=0.1, light=0.1, noise=0.0, share=0.1) | own.pop("strong", {}),
        consistency=1.0,  # weight of the images without a label; 0: the pairs alone
        threshold=0.8,  # of the greatest probability at the weak change, from which on an image counts
        latents=True,  # a classifier of latents, in closed form, beside the network
        held_out=0.1,  # share of the pairs that find the temperature of the probabilities
        label_smoothing=0.0,
    )
    return stage("lsdm_jax.labeller:stage", **settings | own)


def space(**own: Any) -> ConfigDict:
    """Where matching takes its distances, other than between latents; see `lsdm_jax.space`."""
    settings = dict(view="all", batch_size=1, steps=0, latents=1.0, features=1.0, fields=2)
    return stage("lsdm_jax.space:stage", **settings | own)


def matching(**own: Any) -> ConfigDict:
    """Step 2; see `lsdm_jax.matching`. Each matcher's own settings are a section of its name."""
    settings = dict(
        view="lsdm_jax.unpaired:view",  # as `labels` says: the pairs, or all images
        batch_size=250,
        steps=4000,
        optimiser=dict(learning_rate=5e-4, b1=0.0),
        matcher="critic",
        beta=float("inf"),  # weight of the condition in the joint cost; inf: one transport problem a class
        labels="pairs",  # what images without a label add: nothing; or pseudo, posterior, sampled, marginal
        # Terms of the pairs alone: noise on them and on samples; of one beside that of all latents, its weight and part
        # of the batch.
        pairs=dict(smoothing=0.0, weight=0.0, batch_size=320) | own.pop("pairs", {}),
        draws=1,  # η for each x of a batch
        condition_noise=0.0,  # on low-resolution images in training, in units of their own standard deviation
        noise_size=64,  # dimension of η
        generator="dense",  # or convolution, mixer, attention, of latents with places: see `lsdm_jax.matchers.places`
        patch=1,  # side of the squares of places that are a token of such networks
        width=512,  # of the generator's layers
        depth=3,
        **{name: _own(settings, own.pop(name, {})) for name, settings in MATCHERS.items()},
    )
    return stage("lsdm_jax.matching:stage", **settings | own)


def _own(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> ConfigDict:
    """The own section of a matcher or kind, with changes; an optimiser in it gets all settings of optimisers."""
    rows = {**settings, **changes}
    return ConfigDict({key: optimiser(**value) if key == "optimiser" else value for key, value in rows.items()})
