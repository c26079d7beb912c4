"""The network of the judges: a small convolutional classifier without residual connections."""

import flax.linen as nn
import jax
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context
from experiment_jax.networks.neutral_classifier import NeutralClassifier
from experiment_jax.networks.norms import group_norm
from experiment_jax.networks.train_state import Descent


class Features(nn.Module):
    """Images `[batch, height, width, channels]` -> features `[batch, features]`.

    Attributes:
        widths: channels of each block; every block but the first halves the image (rounding up).
        convolutions: in each block.
        features: size of the penultimate layer.
        dropout: share of features dropped in training.
    """

    widths: tuple[int, ...]
    convolutions: int
    features: int
    dropout: float

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        x = images
        for block, width in enumerate(self.widths):
            if block:
                x = nn.avg_pool(x, (2, 2), (2, 2), padding="SAME")
            for _ in range(self.convolutions):
                x = nn.silu(group_norm(width)(nn.Conv(width, (3, 3))(x)))
        x = nn.Dense(self.features)(x.reshape(len(x), -1))
        x = nn.silu(nn.LayerNorm()(x))
        return nn.Dropout(self.dropout, deterministic=not train)(x)


def stage(config: ConfigDict, context: Context) -> NeutralClassifier:
    """The stage of such a classifier.

    Args:
        config: widths, convolutions, features, dropout, shift, label_smoothing, optimiser, ema_decay.
        context: see `Context`.

    Raises:
        UserError: a view without labels, or what `classifier` refuses.
    """
    if config.view != "paired":
        raise UserError(
            f"{context.name}.view={config.view}: a classifier needs labels; type --config.{context.name}.view=paired"
        )
    return classifier(config, context)


def classifier(config: ConfigDict, context: Context) -> NeutralClassifier:
    """Such a classifier, whatever its view.

    Raises:
        UserError: widths or features that are not positive, or dropout under pmap.
    """
    checks.widths(config.widths, context.name)
    checks.positive(config, context.name, features=64)
    if context.axis.name is not None and config.dropout:
        raise UserError(
            f"{context.name}.dropout={config.dropout}: under pmap each device would drop what it likes; "
            f"type --config.parallel=jit"
        )
    network = Features(config.widths, config.convolutions, config.features, config.dropout)
    return NeutralClassifier(network, config.features, Descent.of(config, context), config, context)
