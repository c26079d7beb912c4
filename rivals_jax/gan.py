"""The stage that trains a GAN: a generator G of images against a discriminator D. What each minimises is its loss's.

One step is `steps` steps of D, each on its own part of the batch and against G as it is, and then one of G.
"""

import dataclasses
from functools import partial

import flax
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, PyTree, Samples, Stage, Upstream
from experiment_jax.networks import optimiser
from experiment_jax.networks.autoencoder import Decoder, check_sides
from experiment_jax.networks.train_state import Descent, TrainState
from rivals_jax import faithful, networks
from rivals_jax.began import BoundaryEquilibrium
from rivals_jax.gan_loss import GANLoss
from rivals_jax.lsgan import LeastSquares
from rivals_jax.networks import Discriminator, ErrorOfAutoencoder, Features, Generator
from rivals_jax.ns_gan import NonSaturating
from rivals_jax.wgan_gp import GradientPenalty

LOSSES = {"ns_gan": NonSaturating, "lsgan": LeastSquares, "wgan_gp": GradientPenalty, "began": BoundaryEquilibrium}


@flax.struct.dataclass
class State:
    """Both networks; nobody reads D's average. `carried` is what the loss carries from step to step."""

    generator: TrainState
    discriminator: TrainState
    carried: PyTree


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a GAN.

    Args:
        config: loss (a name in LOSSES) and a section of its own settings for each, labels (whether both networks heed
            the class), networks ("small", or "faithful": those of the public code), noise_size, widths and features of
            the small networks, optimiser and ema_decay of G, and a section `discriminator`: steps (of D for each of
            G), optimiser.
        context: see `Context`.

    Raises:
        UserError: an unknown loss or networks, BEGAN with labels, labels that the view does not show, settings that are
            negative, images whose sides cannot be halved often enough, or fewer images in a batch than steps of D.
    """
    name, own = context.name, config.discriminator
    checks.choice(config, name, "loss", LOSSES)
    checks.choice(config, name, "networks", ("small", "faithful"))
    checks.positive(config, name, noise_size=64, features=128)
    checks.at_least(own, f"{name}.discriminator", 1, steps=1)
    checks.at_least(config.wgan_gp, f"{name}.wgan_gp", 0, penalty=10.0)
    checks.at_least(config.began, f"{name}.began", 0, gamma=0.75, rate=1e-3)
    if own.steps > config.batch_size:
        raise UserError(
            f"{name}.batch_size={config.batch_size}: each of {own.steps} steps of D takes a part of it; "
            f"type --config.{name}.batch_size={64 * own.steps}"
        )
    kind = LOSSES[config.loss]
    _check_labels(config, context, kind)
    players = _small(config, context, kind) if config.networks == "small" else _faithful(config, context, kind)
    opponent = Descent(optimiser.build(own.optimiser, context.total_steps), 0.0, context.axis)
    loss = kind(config.get(config.loss, ConfigDict()), context.axis)
    return GAN(loss, *players, Descent.of(config, context), opponent, config, context)


@dataclasses.dataclass(frozen=True)
class GAN(Stage):
    """G and D. For the settings see `stage`."""

    loss: GANLoss
    generator: Generator
    discriminator: Discriminator | ErrorOfAutoencoder
    descent: Descent
    opponent: Descent
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen:
        """Parameters of G, and its running statistics where it has any."""

        generator: PyTree
        statistics: PyTree

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> State:
        first, second = jax.random.split(key)
        images, labels = batch["images"], self._labels(batch)
        noise = jnp.zeros((images.shape[0], self.config.noise_size))
        own = dict(self.generator.init(first, noise, labels))
        other = dict(self.discriminator.init(second, images, labels))
        generator = self.descent.init(own.pop("params"), own)
        return State(generator, self.opponent.init(other.pop("params"), other), self.loss.start())

    def update(self, state: State, batch: Batch, key: jax.Array, upstream: Upstream):
        steps = self.config.discriminator.steps
        for number in range(steps):
            part = {name: rows[number::steps] for name, rows in batch.items()}
            state, scores = self._discriminator_step(state, part, jax.random.fold_in(key, number))
        generator, metrics = self._generator_step(state, part, jax.random.fold_in(key, steps))
        return state.replace(generator=generator), {**metrics, **scores}

    def _discriminator_step(self, state: State, batch: Batch, key: jax.Array):
        first, second = jax.random.split(key)
        real, labels = 0.5 * (batch["images"] + 1.0), self._labels(batch)
        fake, _ = self._generate(state.generator.params, state.generator.statistics, self._noise(batch, first), labels)

        def loss(params: PyTree, statistics: PyTree):
            score = partial(self._score, params, statistics, labels=labels)
            value, metrics = self.loss.of_discriminator(score, real, fake, second, state.carried)
            return value, (statistics, metrics)

        discriminator, metrics = self.opponent.step(state.discriminator, loss)
        state = state.replace(discriminator=discriminator, carried=self.loss.carry(state.carried, metrics))
        norms = ("loss", "gradient_norm", "update_norm", "parameter_norm")
        return state, {f"discriminator_{name}" if name in norms else name: metrics[name] for name in metrics}

    def _generator_step(self, state: State, batch: Batch, key: jax.Array):
        noise, labels, other = self._noise(batch, key), self._labels(batch), state.discriminator
        score = partial(self._score, other.params, other.statistics, labels=labels)

        def loss(params: PyTree, statistics: PyTree):
            fake, statistics = self._generate(params, statistics, noise, labels)
            return self.loss.of_generator(score, fake), (statistics, {})

        return self.descent.step(state.generator, loss)

    def _noise(self, batch: Batch, key: jax.Array) -> jax.Array:
        """z ~ U(−1, 1), `[batch, noise_size]`."""
        draw = partial(jax.random.uniform, minval=-1.0, maxval=1.0)
        return self.context.axis.draw(draw, key, (batch["images"].shape[0], self.config.noise_size))

    def _labels(self, batch: Batch) -> jax.Array | None:
        return batch["labels"] if self.config.labels else None

    def _generate(self, params: PyTree, statistics: PyTree, noise: jax.Array, labels: jax.Array | None):
        """G(z) in [0, 1], and G's statistics, moved by this batch."""
        variables = {"params": params, **statistics}
        return self.generator.apply(variables, noise, labels, mutable=list(statistics))

    def _score(self, params: PyTree, statistics: PyTree, images: jax.Array, labels: jax.Array | None) -> jax.Array:
        """D's scores. Where D has BatchNorm it is by this batch: D is never used but in training."""
        variables = {"params": params, **statistics}
        return self.discriminator.apply(variables, images, labels, mutable=list(statistics))[0]

    def averaged(self, state: State) -> dict[str, PyTree]:
        average = state.generator.average
        return {"generator": average["params"], "statistics": average["statistics"]}

    @property
    def provides(self):
        return dict(sample=self.sample, nfe=1, conditional=bool(self.config.labels))

    def sample(self, params: Upstream, keys: jax.Array, condition: jax.Array) -> Samples:
        own = params[self.context.name]
        draw = partial(jax.random.uniform, shape=(self.config.noise_size,), minval=-1.0, maxval=1.0)
        noise = jax.vmap(draw)(keys)
        labels = condition if self.config.labels else None
        images = self.generator.apply({"params": own.generator, **own.statistics}, noise, labels)
        return Samples.untested(2.0 * images - 1.0, noise)


def _check_labels(config: ConfigDict, context: Context, kind: type[GANLoss]) -> None:
    name = context.name
    if config.labels and kind.AUTOENCODES:
        raise UserError(f"{name}.labels=True: {config.loss} has no discriminator of labels; choose ns_gan or wgan_gp")
    if config.labels and config.view != "paired":
        raise UserError(f"{name}.view={config.view}: does not show labels; type --config.{name}.view=paired")


def _classes(config: ConfigDict, context: Context) -> int:
    return context.num_classes if config.labels else 0


def _small(config: ConfigDict, context: Context, kind: type[GANLoss]):
    """G and D of the trunk that all systems share."""
    check_sides(context.image_shape, config.widths, context.name)
    classes = _classes(config, context)
    generator = Generator(Decoder(config.widths, context.image_shape), classes)
    if kind.AUTOENCODES:
        parts = networks.small_autoencoder(config.widths, context.image_shape, config.noise_size)
        return generator, ErrorOfAutoencoder(**parts)
    return generator, Discriminator(Features(config.widths, config.features), classes)


def _faithful(config: ConfigDict, context: Context, kind: type[GANLoss]):
    """G and D of Lucic et al."""
    shape, axis, classes = context.image_shape, context.axis.name, _classes(config, context)
    faithful.check_sides(shape, 4, context.name)
    generator = Generator(faithful.InfoGANGenerator(shape, norm=True, axis_name=axis), classes)
    if kind.AUTOENCODES:
        encoder, decoder = faithful.BEGANEncoder(config.noise_size), faithful.BEGANDecoder(shape)
        return generator, ErrorOfAutoencoder(encoder, decoder)
    norm = config.loss in ("ns_gan", "lsgan")
    return generator, Discriminator(faithful.InfoGANFeatures(norm, axis_name=axis), classes)
