"""A classifier of another architecture than the judge's: ResNet-v1 for small images (He et al. 2016, section 4.2).

Depth 56 is the neutral classifier of ReGene's accuracies (arXiv 2004.07543, section 5). It is trained and cached
as the judge is (`experiment_jax.evaluation.judges`), with the same augmentation and loss.
"""

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.config import sections
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Stage
from experiment_jax.networks import classifier

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


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a ResNet classifier.

    Args:
        config: depth, shift, label_smoothing, optimiser, ema_decay.
        context: see `Context`.

    Raises:
        UserError: a depth that is not 6m + 2.
    """
    if config.depth < 8 or config.depth % 6 != 2:
        nearest = 6 * max(round((config.depth - 2) / 6), 1) + 2
        raise UserError(
            f"{context.name}.depth={config.depth}: a ResNet has 6m + 2 layers; "
            f"type --config.{context.name}.depth={nearest}"
        )
    return classifier.stage(ResNet(config.depth, context.axis_name), WIDTHS[-1], config, context)


def resnet_config(dataset: str, **own: Any) -> ConfigDict:
    """A ResNet's config: every setting with its default, so that `configs/resnet_NAME.py` names only what differs."""
    config = sections.experiment("judge", dataset, stages=("classifier",))
    settings = dict(
        view="paired",
        batch_size=128,
        steps=64_000,
        optimiser=dict(name="sgd", learning_rate=0.1, b1=0.9, weight_decay=1e-4, clip=0.0),
        depth=56,
        shift=4,
        label_smoothing=0.0,
    )
    config.classifier = sections.stage("experiment_jax.networks.resnet:stage", **settings | own)
    return config


def variants(cpu_steps: int) -> dict[str, dict[str, Any]]:
    """A ResNet's variants: `smoke`; `cpu`, which two cores can train, `cpu_steps` long; and `cas`, see the judge's."""
    return {
        "smoke": {"classifier.depth": 8, "classifier.steps": 2, "classifier.batch_size": 20},
        "cpu": {"classifier.depth": 8, "classifier.steps": cpu_steps},
        "cas": {"data.validation": 0},
    }
