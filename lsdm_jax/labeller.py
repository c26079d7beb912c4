"""Pseudo-labels, the rival of learning from unpaired images: a classifier trained on the pairs labels the rest.

Lee 2013, "Pseudo-label: the simple and efficient semi-supervised learning method": each image gets the class of the
greatest probability, and what is trained on labels takes it for true.
"""

import dataclasses

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.method.stage import Context, Upstream
from experiment_jax.networks import convolutional
from experiment_jax.networks.neutral_classifier import NeutralClassifier


def stage(config: ConfigDict, context: Context) -> "Labeller":
    """The stage of a labeller, a classifier with the judges' network, trained on the pairs.

    Args:
        config: widths, convolutions, features, dropout, shift, label_smoothing, optimiser, ema_decay.
        context: see `Context`.
    """
    classifier = convolutional.stage(config, context)
    return Labeller(classifier.network, classifier.size, classifier.descent, config, context)


@dataclasses.dataclass(frozen=True)
class Labeller(NeutralClassifier):
    """It gives the model nothing but `label`: no later stage sees its features."""

    @property
    def provides(self):
        return dict(label=self.label)

    def label(self, params: Upstream, images: jax.Array) -> jax.Array:
        return jnp.argmax(self.classify(params, self.encode(params, images)), axis=-1).astype(jnp.int32)
