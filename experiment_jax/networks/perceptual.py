"""The stage whose features the perceptual loss compares: a kind a source of features.

rotations   a small network that learns to tell rotations, from images alone (`self_supervised`, `pretexts`)
contrast    the same network, which learns to tell the views of one image from those of others
vgg16       VGG-16 trained on ImageNet (`pretrained.vgg16`); whoever trains on it is not judged by it
classifier  the layers of the run's own classifier, a stage before this one
"""

from functools import partial

from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Stage
from experiment_jax.networks import pretexts, self_supervised
from experiment_jax.networks.pretrained import vgg16


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of the kind that the section names.

    Args:
        config: kind, and the settings of that kind's own factory.
        context: see `Context`.

    Raises:
        UserError: an unknown kind, or what the kind's own factory refuses.
    """
    checks.choice(config, context.name, "kind", tuple(KINDS))
    return KINDS[config.kind](config, context)


class Classifier(Stage):
    """Provides nothing: the features of the classifier before it stay those of the model."""

    given = True
    Frozen = dict


def classifier(config: ConfigDict, context: Context) -> Stage:
    """The features that the model has already.

    Raises:
        UserError: no stage before this one provides features.
    """
    if context.model.features is None:
        raise UserError(
            f"{context.name}.kind=classifier: no stage before {context.name} provides features; "
            f"type --config.{context.name}.kind=rotations"
        )
    return Classifier()


KINDS = {
    "rotations": partial(self_supervised.stage, pretext=pretexts.Rotations),
    "contrast": partial(self_supervised.stage, pretext=pretexts.Contrast),
    "vgg16": vgg16.stage,
    "classifier": classifier,
}
