"""What neutral classifiers share: features of a network, a linear head, cross-entropy on shifted images."""

import dataclasses
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiment_jax.data.split import View
from experiment_jax.devices import placement as parallel
from experiment_jax.method.stage import Batch, Context, Frozen, Stage, Upstream
from experiment_jax.networks import optimiser, train_state
from experiment_jax.networks.train_state import TrainState


def stage(network: nn.Module, size: int, config: ConfigDict, context: Context) -> Stage:
    """The stage of a classifier.

    Args:
        network: (images, train=…) -> features `[batch, size]`; may hold dropout, and statistics such as BatchNorm's,
            which are averaged as the parameters are.
        size: of the features.
        config: shift, label_smoothing, optimiser, ema_decay.
        context: see `Context`.
    """
    descent = optimiser.build(config.optimiser, context.total_steps)
    own = Classifier(network, nn.Dense(context.num_classes), size, descent, config, context)
    return Stage(
        init=own.init,
        update=own.update,
        averaged=lambda state: state.average["params"],
        finish=own.finish,
        provides=dict(encode=own.encode, classify=own.classify, latent_size=size),
    )


@dataclasses.dataclass(frozen=True)
class Classifier:
    """Network and head, and what does not change in training; for the settings see `stage`."""

    network: nn.Module
    head: nn.Dense
    size: int
    descent: optax.GradientTransformation
    config: ConfigDict
    context: Context

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> TrainState:
        first, second = jax.random.split(key)
        statistics = dict(self.network.init(first, batch["images"], train=False))
        features = statistics.pop("params")
        head = self.head.init(second, jnp.zeros((1, self.size)))["params"]
        return train_state.create({"features": features, "head": head}, self.descent, statistics)

    def update(self, state: TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        shift_key, dropout_key = jax.random.split(key)
        images = shifted(batch["images"], self.config.shift, shift_key, self.context.axis_name)
        targets = jax.nn.one_hot(batch["labels"], self.context.num_classes)
        targets = optax.smooth_labels(targets, self.config.label_smoothing)

        def loss(params, statistics):
            variables = {"params": params["features"], **statistics}
            features, statistics = self.network.apply(
                variables, images, train=True, rngs={"dropout": dropout_key}, mutable=list(statistics)
            )
            logits = self.head.apply({"params": params["head"]}, features)
            accuracy = jnp.mean(jnp.argmax(logits, axis=-1) == batch["labels"])
            return jnp.mean(optax.softmax_cross_entropy(logits, targets)), (statistics, {"accuracy": accuracy})

        return train_state.descend(state, loss, self.descent, self.config.ema_decay, self.context.axis_name)

    def finish(self, state: TrainState, view: View, upstream: Upstream) -> Frozen:
        """The averages; "statistics" only where the network has any."""
        return {name: value for name, value in state.average.items() if value}

    def encode(self, params: Upstream, images: jax.Array) -> jax.Array:
        own = params[self.context.name]
        variables = {"params": own["params"]["features"], **own.get("statistics", {})}
        return self.network.apply(variables, images, train=False)

    def classify(self, params: Upstream, latents: jax.Array) -> jax.Array:
        return self.head.apply({"params": params[self.context.name]["params"]["head"]}, latents)


def shifted(images: jax.Array, shift: int, key: jax.Array, axis_name: str | None = None) -> jax.Array:
    """Each image `[batch, height, width, channels]` moved by up to `shift` pixels either way, its edges repeated.

    `axis_name` is that of the stage's context.
    """
    if not shift:
        return images
    height, width, channels = images.shape[1:]
    padded = jnp.pad(images, ((0, 0), (shift, shift), (shift, shift), (0, 0)), mode="edge")
    moves = partial(jax.random.randint, minval=0, maxval=2 * shift + 1)
    offsets = parallel.draw(moves, key, (len(images), 2), axis_name)
    crop = jax.vmap(lambda image, at: jax.lax.dynamic_slice(image, (at[0], at[1], 0), (height, width, channels)))
    return crop(padded, offsets)
