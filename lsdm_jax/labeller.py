"""Pseudo-labels, the rival of learning from unpaired images: a classifier trained on the pairs labels the rest.

Lee 2013, "Pseudo-label: the simple and efficient semi-supervised learning method": each image gets the class of the
greatest probability, and what is trained on labels takes it for true.
"""

import dataclasses

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.evaluation import judges as judge
from experiment_jax.method.stage import Context, Stage, Upstream


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a labeller, a classifier such as the neutral one, trained on the pairs.

    It gives the model nothing but `label`: no later stage sees its features.

    Args:
        config: widths, convolutions, features, dropout, shift, label_smoothing, optimiser, ema_decay.
        context: see `Context`.
    """
    classifier = judge.stage(config, context)
    encode, classify = classifier.provides["encode"], classifier.provides["classify"]

    def label(params: Upstream, images: jax.Array) -> jax.Array:
        return jnp.argmax(classify(params, encode(params, images)), axis=-1).astype(jnp.int32)

    return dataclasses.replace(classifier, provides=dict(label=label))
