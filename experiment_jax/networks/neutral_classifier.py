"""Neutral classifiers: a network of features, a linear head, cross-entropy on shifted images. Judges are such."""

import dataclasses

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiment_jax.method.stage import Batch, Context, PyTree, Stage, Upstream
from experiment_jax.networks.augmentation import shifted
from experiment_jax.networks.train_state import Descent, TrainState


@dataclasses.dataclass(frozen=True)
class NeutralClassifier(Stage):
    """Network and head.

    Attributes:
        network: (images, train=…) -> features `[batch, size]`; may hold dropout, and statistics such as BatchNorm's,
            which are averaged as the parameters are.
        size: of the features.
        descent: how both are trained.
        config: shift, label_smoothing.
        context: see `Context`.
    """

    network: nn.Module
    size: int
    descent: Descent
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen:
        """Parameters {"features", "head"}, and the network's statistics by collection."""

        params: PyTree
        statistics: PyTree

    @property
    def head(self) -> nn.Dense:
        return nn.Dense(self.context.num_classes)

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> TrainState:
        first, second = jax.random.split(key)
        statistics = dict(self.network.init(first, batch["images"], train=False))
        features = statistics.pop("params")
        head = self.head.init(second, jnp.zeros((1, self.size)))["params"]
        return self.descent.init({"features": features, "head": head}, statistics)

    def update(self, state: TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        shift_key, dropout_key = jax.random.split(key)
        images = shifted(batch["images"], self.config.shift, shift_key, self.context.axis)
        targets = jax.nn.one_hot(batch["labels"], self.context.num_classes)
        targets = optax.smooth_labels(targets, self.config.label_smoothing)

        def loss(params, statistics):
            logits, statistics = self.trained_logits(params, statistics, images, dropout_key)
            accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == batch["labels"])
            return jnp.mean(optax.softmax_cross_entropy(logits, targets)), (statistics, {"accuracy": accuracy})

        return self.descent.step(state, loss)

    def trained_logits(
        self, params: PyTree, statistics: PyTree, images: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, PyTree]:
        """Logits `[batch, classes]` as in training, with dropout by `key`, and what becomes of the statistics."""
        features, statistics = self.network.apply(
            {"params": params["features"], **statistics},
            images,
            train=True,
            rngs={"dropout": key},
            mutable=list(statistics),
        )
        return self.head.apply({"params": params["head"]}, features), statistics

    def averaged(self, state: TrainState) -> dict[str, PyTree]:
        return state.average

    @property
    def provides(self):
        return dict(encode=self.encode, classify=self.classify, latent_size=self.size)

    def encode(self, params: Upstream, images: jax.Array) -> jax.Array:
        own = params[self.context.name]
        return self.network.apply({"params": own.params["features"], **own.statistics}, images, train=False)

    def classify(self, params: Upstream, latents: jax.Array) -> jax.Array:
        return self.head.apply({"params": params[self.context.name].params["head"]}, latents)
