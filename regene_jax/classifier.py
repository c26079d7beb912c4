"""The classifier of ReGene: f_cls(x) = f_dis(f_enc(x)) (arXiv 2004.07543, section 3.1, equations 1 to 3).

Trained by cross-entropy. Its latents z* = f_enc(x), what the linear head f_dis sees, are the space in which images of a
class are combined.
"""

import dataclasses
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.data import passes
from experiment_jax.data.split import View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, PyTree, Stage, Upstream
from experiment_jax.networks.train_state import Descent, TrainState
from regene_jax.pooling import max_pool

ACTIVATIONS = {"linear": lambda z: z, "leaky_relu": nn.leaky_relu, "relu": nn.relu}


class Encoder(nn.Module):
    """f_enc: images `[batch, height, width, channels]` -> z `[batch, latent_size]`, and one feature map a block.

    VGG-style blocks of convolution, BatchNorm, LeakyReLU and, at a block's end, 2×2 max pooling (section 4.2); the
    feature maps are what enters the pooling.

    Attributes:
        widths: channels of each block; every block halves the sides, rounding down.
        convolutions: in each block.
        latent_size: dimension of z.
        activation: of z, a name in ACTIVATIONS; after a ReLU latents are sparse and starve the decoder.
        axis_name: over which BatchNorm's statistics are taken under pmap.
        dtype: see `checks.compute_type`.
    """

    widths: tuple[int, ...]
    convolutions: int
    latent_size: int
    activation: str
    axis_name: str | None = None
    dtype: Any = None

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> tuple[jax.Array, list[jax.Array]]:
        x, maps = images, []
        for width in self.widths:
            for _ in range(self.convolutions):
                # Without a bias: BatchNorm would take it away again.
                x = nn.Conv(width, (3, 3), use_bias=False, dtype=self.dtype)(x)
                x = nn.BatchNorm(use_running_average=not train, momentum=0.9, axis_name=self.axis_name)(x)
                x = nn.leaky_relu(x)
            maps.append(x)
            x = max_pool(x)
        z = nn.Dense(self.latent_size, dtype=self.dtype)(x.reshape(x.shape[0], -1)).astype(images.dtype)
        return ACTIVATIONS[self.activation](z), maps


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of the classifier.

    Args:
        config: widths, convolutions, latent_size, activation, compute, label_smoothing, optimiser, ema_decay.
        context: see `Context`.

    Raises:
        UserError: a view without labels, an unknown activation, sizes that are not positive, or more blocks than the
            images can be halved.
    """
    if config.view != "paired":
        raise UserError(
            f"{context.name}.view={config.view}: a classifier needs labels; type --config.{context.name}.view=paired"
        )
    checks.choice(config, context.name, "activation", ACTIVATIONS)
    checks.positive(config, context.name, latent_size=64)
    levels = int(np.log2(min(context.image_shape[:2])))
    if not 1 <= len(config.widths) <= levels:
        fit = str((32, 64, 128, 128, 256, 256, 512)[:levels]).replace(" ", "")
        raise UserError(
            f"{context.name}.widths={config.widths}: {context.image_shape[0]}x{context.image_shape[1]} images can be "
            f"halved 1 to {levels} times; give as many widths, as in --config.{context.name}.widths={fit}"
        )
    checks.widths(config.widths, context.name)
    dtype = checks.compute_type(config, context.name)
    sizes = config.widths, config.convolutions, config.latent_size
    encoder = Encoder(*sizes, config.activation, context.axis.name, dtype)
    return Classifier(encoder, Descent.of(config, context), config, context)


@dataclasses.dataclass(frozen=True)
class Classifier(Stage):
    """f_enc and f_dis. For the settings see `stage`.

    Latents are divided by one number, their root mean square over the training images, so that noise on them and
    distances between them have a scale; zeros stay zeros and the head undoes the division.
    """

    encoder: Encoder
    descent: Descent
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen:
        """Parameters of f_enc and f_dis, f_enc's running statistics, and what latents are divided by."""

        encoder: PyTree
        head: PyTree
        statistics: PyTree
        scale: jax.Array

    @property
    def head(self) -> nn.Dense:
        return nn.Dense(self.context.num_classes)

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> TrainState:
        first, second = jax.random.split(key)
        encoder = self.encoder.init(first, batch["images"], train=False)
        head = self.head.init(second, jnp.zeros((1, self.config.latent_size)))
        return self.descent.init({"encoder": encoder["params"], "head": head["params"]}, encoder["batch_stats"])

    def update(self, state: TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        targets = jax.nn.one_hot(batch["labels"], self.context.num_classes)
        targets = optax.smooth_labels(targets, self.config.label_smoothing)

        def loss(params, statistics):
            variables = {"params": params["encoder"], "batch_stats": statistics}
            (z, _), moved = self.encoder.apply(variables, batch["images"], train=True, mutable=["batch_stats"])
            logits = self.head.apply({"params": params["head"]}, z)
            accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == batch["labels"])
            value = jnp.mean(optax.softmax_cross_entropy(logits, targets))
            return value, (moved["batch_stats"], {"accuracy": accuracy})

        return self.descent.step(state, loss)

    def averaged(self, state: TrainState) -> dict[str, PyTree]:
        return {**state.average["params"], "statistics": state.average["statistics"]}

    def finish(self, state: TrainState, view: View, upstream: Upstream) -> Frozen:
        unscaled = self.Frozen(**self.averaged(state), scale=np.ones((), np.float32))
        latents = passes.over_images(lambda own, images: self._apply(own, images)[0], unscaled, view.images)
        return unscaled.replace(scale=np.sqrt(np.mean(latents.astype(np.float64) ** 2)).astype(np.float32))

    @property
    def provides(self):
        own = dict(encode=self.encode, classify=self.classify, features=self.features)
        return own | dict(latent_size=self.config.latent_size)

    def encode(self, params: Upstream, images: jax.Array) -> jax.Array:
        own = params[self.context.name]
        return self._apply(own, images)[0] / own.scale

    def classify(self, params: Upstream, latents: jax.Array) -> jax.Array:
        own = params[self.context.name]
        return self.head.apply({"params": own.head}, latents * own.scale)

    def features(self, params: Upstream, images: jax.Array) -> list[jax.Array]:
        return self._apply(params[self.context.name], images)[1]

    def _apply(self, own: Frozen, images: jax.Array) -> tuple[jax.Array, list[jax.Array]]:
        """z, not yet divided, and the feature maps."""
        return self.encoder.apply({"params": own.encoder, "batch_stats": own.statistics}, images, train=False)
