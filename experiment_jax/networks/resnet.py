"""A classifier of another architecture than the judge's: ResNet-v1 for small images (He et al. 2016, section 4.2).

Depth 56 is the neutral classifier of ReGene's accuracies (arXiv 2004.07543, section 5). It is trained and cached
as the judge is (`experiment_jax.extractors.judges`), with the same augmentation and loss.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context
from experiment_jax.networks.neutral_classifier import NeutralClassifier
from experiment_jax.networks.train_state import Descent

WIDTHS = (16, 32, 64)  # channels of the three levels; the last is the size of the features


class ResNet(nn.Module):
    """`[batch, height, width, channels]` -> `[batch, 64]`: a convolution, three levels of blocks, the mean over pixels.

    Shortcuts have no parameters (the paper's option A): where a level begins, every other pixel is kept and zeros stand
    for the new channels. So ResNet-20 has 0.27 million parameters and ResNet-56 0.85, as in the paper's Table 6.

    Attributes:
        depth: 6m + 2 layers with weights, of which the head is one: m blocks of two convolutions a level.
        axis_name: the mapped axis over which BatchNorm's means are taken; None where the batch is global.
    """

    depth: int
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        norm = functools.partial(nn.BatchNorm, use_running_average=not train, momentum=0.9, axis_name=self.axis_name)
        # Padding on both sides alike, so that strided convolutions and shortcuts look at the same pixels.
        conv = functools.partial(
            nn.Conv, kernel_size=(3, 3), padding=1, use_bias=False, kernel_init=nn.initializers.he_normal()
        )
        x = nn.relu(norm()(conv(WIDTHS[0])(images)))
        for level, width in enumerate(WIDTHS):
            for block in range((self.depth - 2) // 6):
                stride = 2 if level and not block else 1
                y = nn.relu(norm()(conv(width, strides=stride)(x)))
                y = norm()(conv(width)(y))
                x = nn.relu(y + _shortcut(x, width, stride))
        return jnp.mean(x, axis=(1, 2))


def _shortcut(x: jax.Array, width: int, stride: int) -> jax.Array:
    return jnp.pad(x[:, ::stride, ::stride], ((0, 0), (0, 0), (0, 0), (0, width - x.shape[-1])))


def stage(config: ConfigDict, context: Context) -> NeutralClassifier:
    """The stage of a ResNet classifier.

    Args:
        config: depth, shift, label_smoothing, optimiser, ema_decay.
        context: see `Context`.

    Raises:
        UserError: a view without labels, or a depth that is not 6m + 2.
    """
    if config.view != "paired":
        raise UserError(
            f"{context.name}.view={config.view}: a classifier needs labels; type --config.{context.name}.view=paired"
        )
    if config.depth < 8 or config.depth % 6 != 2:
        nearest = 6 * max(round((config.depth - 2) / 6), 1) + 2
        raise UserError(
            f"{context.name}.depth={config.depth}: a ResNet has 6m + 2 layers; "
            f"type --config.{context.name}.depth={nearest}"
        )
    network = ResNet(config.depth, context.axis.name)
    return NeutralClassifier(network, WIDTHS[-1], Descent.of(config, context), config, context)
