"""The training steps that are timed: of each stage its config, the settings that differ, and the sizes of its networks.

Both sides read this, JAX's (`our_steps.py`) and PyTorch's (`torch_steps.py`).
"""

from collections.abc import Mapping
from typing import NamedTuple

from lsdm_jax import sections

CLASSES = 10


class Sizes(NamedTuple):
    """What the networks of all stages are made of.

    Attributes:
        shape: of an image, (height, width, channels).
        count: training images.
        batch: of the stages that see images.
        widths: of encoder and decoder.
        latent: numbers of a latent of LSDM.
        features: widths of the perceptual features.
        classifier: widths of ReGene's classifier.
        code: numbers of a latent of it.
        pairs: the batch of each matcher, which the classes share.
    """

    shape: tuple[int, int, int]
    count: int
    batch: int
    widths: tuple[int, ...]
    latent: int
    features: tuple[int, ...]
    classifier: tuple[int, ...]
    code: int
    pairs: Mapping[str, int]


class Case(NamedTuple):
    """A stage whose step is timed.

    Attributes:
        config: a recipe.
        stage: its stage.
        settings: that differ, by dotted key.
    """

    config: str
    stage: str
    settings: Mapping[str, object]


PAIRS = {"critic": 250, "sinkhorn": 640, "flow": 2560, "score": 500}
FASHION = Sizes((28, 28, 1), 5120, 128, (32, 64), 64, (32, 64), (32, 64, 128), 128, PAIRS)
CIFAR = Sizes(
    (32, 32, 3), 5120, 512, (64, 128, 256), 128, (64, 128, 256), (64, 128, 256, 512), 2048, PAIRS | {"critic": 500}
)
TINY = Sizes((32, 32, 3), 100, 20, (8,), 8, (8,), (8,), 8, {"critic": 20, "sinkhorn": 40, "flow": 80, "score": 20})

IMAGES = "representation", "representation, perceptual", "sharpening", "regene: classifier", "regene: decoder"
MATCHERS = {"critic": {}, "sinkhorn": sections.SINKHORN, "flow": sections.FLOW, "score": sections.SCORE}
LOOPS = "critic", "sinkhorn", "flow"  # whose programs hold loops, in which XLA counts the operations of one pass


def _all(lsdm: Mapping[str, object], regene: Mapping[str, object], recipes: tuple[str, str], pairs: Mapping[str, int]):
    first, second = recipes
    sharpened = {"stages": ("perceptual", "representation", "sharpening", "matching")}
    cases = {
        "representation": Case(first, "representation", {**lsdm, "representation.perceptual": 0.0}),
        "representation, perceptual": Case(first, "representation", lsdm),
        "sharpening": Case(first, "sharpening", {**lsdm, **sharpened}),
    }
    for name, own in MATCHERS.items():
        cases[name] = Case(first, "matching", {**lsdm, **own, "matching.batch_size": pairs[name]})
    cases["regene: classifier"] = Case(second, "classifier", regene)
    cases["regene: decoder"] = Case(second, "decoder", regene)
    return cases


def of_fashion_mnist() -> dict[str, Case]:
    """The stages of the recipes of Fashion-MNIST as they are, by the names of the table; sizes: FASHION."""
    return _all({}, {}, ("configs/lsdm_fashion_mnist.py", "configs/regene_fashion_mnist.py"), PAIRS)


def of_cifar(sizes: Sizes, compute: str, dispatch: int) -> dict[str, Case]:
    """The stages of the recipes of CIFAR with networks that have a twin in PyTorch: no attention, no places, no flips.

    Args:
        sizes: of the networks and batches.
        compute: float32 or bfloat16, of the stages that see images; matching computes in float32.
        dispatch: steps in one call of the compiled program.
    """
    batch = sizes.batch
    lsdm = sections.VECTOR_ON_CPU | {
        "data.flips": False,
        **{f"{stage}.compute": compute for stage in ("perceptual", "representation")},
        **{f"{stage}.steps_per_dispatch": dispatch for stage in ("representation", "sharpening", "matching")},
        "perceptual.widths": sizes.features,
        "representation.batch_size": batch,
        "representation.widths": sizes.widths,
        "representation.latent_size": sizes.latent,
        "sharpening.batch_size": batch,
        "sharpening.adversary.widths": sizes.features,
    }
    regene = {
        "data.flips": False,
        **{f"{stage}.compute": compute for stage in ("classifier", "decoder")},
        **{f"{stage}.steps_per_dispatch": dispatch for stage in ("classifier", "decoder")},
        **{f"{stage}.batch_size": batch for stage in ("classifier", "decoder")},
        "classifier.widths": sizes.classifier,
        "classifier.latent_size": sizes.code,
        "decoder.widths": sizes.widths,
        "decoder.blocks": 0,
        "decoder.attention": False,
    }
    cases = _all(lsdm, regene, ("configs/lsdm_cifar10.py", "configs/regene_cifar10.py"), sizes.pairs)
    steps = {name: {f"{case.stage}.steps_per_dispatch": dispatch} for name, case in cases.items()}
    return {name: case._replace(settings={**case.settings, **steps[name]}) for name, case in cases.items()}
