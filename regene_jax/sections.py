"""Sections of a config for ReGene's stages: each setting with its default, so that a recipe names only what differs."""

from typing import Any

from ml_collections import ConfigDict

from experiment_jax.config import sections
from experiment_jax.config.sections import optional, stage
from experiment_jax.config.sections import sharpening as sharpening  # recipes name all of ReGene's sections here

# A few steps of small batches: enough to see that a recipe runs on its data.
SMOKE = {
    "classifier.steps": 2,
    "classifier.batch_size": 20,
    "decoder.steps": 2,
    "decoder.batch_size": 20,
    "hull.only_classified": False,  # after two steps there are classes that it never sees
    "evaluation.protocol": "test_100",
}

SMOKE_SHARP = SMOKE | {"sharpening.steps": 2, "sharpening.batch_size": 20}
# Of recipes for accelerators, whose networks are large and whose dispatches hold many steps.
FEW_IMAGES = {"data.paired": 200, "data.unpaired": 0, "data.validation": 100}
PLAIN_STEPS = {
    **{f"{stage}.steps_per_dispatch": 1 for stage in ("classifier", "decoder", "sharpening")},
    **{f"{stage}.compute": "float32" for stage in ("classifier", "decoder")},
}
SMOKE_ACCELERATED = SMOKE_SHARP | FEW_IMAGES | PLAIN_STEPS

# The paper's figures, for `eval.py --figures`; see `regene_jax.figures`.
FIGURES = tuple(
    f"regene_jax.figures:{name}" for name in ("accuracies", "combinations", "closest", "mixing", "latent_spaces")
)

# Perceptual features of VGG-16 in place of the classifier's own.
VGG16 = {"perceptual.kind": "vgg16"}


def experiment(dataset: str) -> ConfigDict:
    """The part of a config that all of ReGene's recipes share; the recipe adds the other sections and the judge."""
    config = sections.experiment(
        "regene", dataset, stages=("classifier", "perceptual", "decoder", "hull", "acceptance")
    )
    config.perceptual = sections.perceptual(kind="classifier")
    config.data.validation = 2000  # the thresholds of `acceptance` are measured on them
    config.evaluation.figures = FIGURES
    config.evaluation.autoencoder = ""  # a run whose latents figure 3 compares with the classifier's
    return config


def classifier(**own: Any) -> ConfigDict:
    """f_enc and f_dis; see `regene_jax.classifier`."""
    settings = dict(
        view="paired",
        batch_size=128,
        steps=4000,
        optimiser=dict(learning_rate=2e-3, weight_decay=1e-3),
        widths=(32, 64, 128),  # channels of each block; a block halves the sides
        convolutions=1,  # in each block
        latent_size=64,
        activation="linear",  # of the latents: linear, leaky_relu or relu
        label_smoothing=0.0,
        compute=optional(str),  # of convolutions and matrices: float32 (None) or bfloat16; parameters stay float32
    )
    return stage("regene_jax.classifier:stage", **settings | own)


def decoder(**own: Any) -> ConfigDict:
    """f_dec; see `regene_jax.decoder`."""
    settings = dict(
        view="all",
        batch_size=128,
        steps=6000,
        optimiser=dict(learning_rate=2e-3),
        widths=(32, 64),  # channels of each level; a level doubles the sides
        blocks=0,  # residual blocks at each level
        attention=False,  # between the places of the deepest level
        compute=optional(str),  # of convolutions and matrices: float32 (None) or bfloat16; parameters stay float32
        noise=0.05,  # on the latents in training, in units of their scale
        l1=1.0,
        ssim=(0.5, 0.1),  # the first weight and the last
        perceptual=(1.0, 0.3),  # likewise
    )
    return stage("regene_jax.decoder:stage", **settings | own)


def hull(**own: Any) -> ConfigDict:
    """Combinations of a class's latents; see `regene_jax.hull`. Nothing is trained."""
    settings = dict(
        view="paired",
        batch_size=500,
        steps=0,
        only_classified=True,  # combine only latents that the head classifies as their label, as Lemma 1 assumes
        n=2,  # latents a combination
        weights="uniform",  # 1/n each; or "ratio" or "dirichlet"
        ratio=(),  # the n shares, where weights are "ratio"
        alpha=1.0,  # concentration, where weights are "dirichlet"
        partners="random",  # of the class; or "neighbours": an anchor and n - 1 of its k nearest in latent space
        k=20,
    )
    return stage("regene_jax.hull:stage", **settings | own)


def acceptance(**own: Any) -> ConfigDict:
    """Two tests of confidence; see `regene_jax.acceptance`. Nothing is trained."""
    settings = dict(
        view="validation",
        batch_size=500,
        steps=0,
        tries=16,  # candidates for a sample, at most
        decodes=4,  # of them decoded for the second test, at most
    )
    return stage("regene_jax.acceptance:stage", **settings | own)
