"""The generator G(x, η) of step 2: one evaluation, from a condition and noise to a latent. And what trains it."""

import dataclasses
from collections.abc import Sequence
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Metrics, PyTree
from experiment_jax.networks.layers import trunk
from experiment_jax.networks.train_state import Descent, TrainState
from lsdm_jax.condition import ConditionEncoder
from lsdm_jax.matchers.matcher import Matcher, Term
from lsdm_jax.matchers.places import PlacesGenerator


class Generator(nn.Module):
    """G: noise `[batch, noise_size]` and conditions (`lsdm_jax.condition`) -> latents `[batch, latent_size]`.

    Attributes:
        width: units of each hidden layer.
        depth: hidden layers.
        num_classes: labels, where they are the condition, are 0 … num_classes − 1.
        latent_size: dimension of the latent.
    """

    width: int
    depth: int
    num_classes: int
    latent_size: int

    @nn.compact
    def __call__(self, noise: jax.Array, condition: jax.Array) -> jax.Array:
        x = jnp.concatenate([noise, ConditionEncoder(self.num_classes, self.width)(condition)], axis=-1)
        x = trunk(x, self.width, self.depth)
        return nn.Dense(self.latent_size)(x)


@dataclasses.dataclass(frozen=True)
class OneStepMatcher(Matcher):
    """A matcher that trains a generator G(x, η) of one step by gradient descent on `loss`, summed over terms."""

    LABELS: ClassVar[Sequence[str]] = ("pairs", "pseudo", "sampled")
    TOKENS: ClassVar[bool] = True

    @property
    def generator(self) -> Generator | PlacesGenerator:
        """By the settings generator, width and depth of the matching section."""
        config, model = self.config, self.context.model
        sizes = config.width, config.depth, self.context.num_classes
        if config.generator == "dense":
            return Generator(*sizes, model.latent_size)
        return PlacesGenerator(config.generator, *sizes, model.latent_shape, config.patch, model.low_shape)

    @property
    def descent(self) -> Descent:
        return Descent.of(self.config, self.context)

    def draw(self, params: PyTree, key: jax.Array, condition: jax.Array) -> jax.Array:
        """G(x, η) at each x of `condition`: `[batch, latent]`, all from one key."""
        noise = jax.random.normal(key, (len(condition), self.config.noise_size))
        return self.generator.apply({"params": params}, noise, condition)

    def points(self, params: PyTree, term: Term, key: jax.Array) -> jax.Array:
        """What is drawn for each row of a term, in its space: `[rows, k]`."""
        return term.space(self.draw(params, key, term.condition))

    def init(self, key: jax.Array, latents: jax.Array, condition: jax.Array) -> TrainState:
        noise = jnp.zeros((len(condition), self.config.noise_size))
        return self.descent.init(self.generator.init(key, noise, condition)["params"])

    def loss(self, params: PyTree, term: Term, key: jax.Array) -> tuple[jax.Array, Metrics]:
        """The distance that G is trained to make small, and its metrics."""
        raise TypeError(f"{self.NAME} must say what it minimises")

    def update(self, state: TrainState, terms: Sequence[Term], key: jax.Array) -> tuple[TrainState, Metrics]:
        keys = [key, *(jax.random.fold_in(key, number) for number in range(1, len(terms)))]

        def loss(params: PyTree, statistics: PyTree):
            total, metrics = 0.0, {}
            for term, own in zip(terms, keys, strict=True):
                value, found = self.loss(params, term, own)
                total += term.weight * value
                metrics |= {term.name + name: each for name, each in found.items()}
            return total, (statistics, metrics)

        return self.descent.step(state, loss)

    def sample(self, params: PyTree, key: jax.Array, x: jax.Array) -> jax.Array:
        return self.draw(params, key, x[None])[0]
