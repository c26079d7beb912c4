"""The `critic` matcher: G minimises the Kantorovich–Rubinstein dual of W₁ between generated and real latents.

W₁(μ, ν) = sup over 1-Lipschitz f of E_μ f − E_ν f. The critic f is a network, held near the constraint by the two-sided
gradient penalty λ E(‖∇f‖ − 1)² at points between real and generated ones (Gulrajani et al. 2017, arXiv 1704.00028).
The penalised optimum is steeper than 1, in one dimension by (F_ν − F_μ) / (2λρ), ρ being the density of the points
between: the estimate is above W₁ and tends to it as λ grows.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiment_jax.config import checks as settings
from experiment_jax.method.stage import Context
from experiment_jax.networks import optimiser, train_state
from experiment_jax.networks.train_state import TrainState
from lsdm_jax.condition import is_label, phi
from lsdm_jax.generator import OneStep
from lsdm_jax.matching import Matcher, batch_weights

PyTree = Any
Metrics = Mapping[str, jax.Array]
Clouds = tuple[jax.Array, jax.Array, jax.Array]  # real, generated, and points between, each [batch, features]
Score = Callable[[jax.Array], jax.Array]  # points [batch, features] -> f [batch], row by row


class Critic(nn.Module):
    """f: points `[batch, features]` -> `[batch]`, `depth` hidden layers of `width` units.

    Smooth, because the penalty differentiates it twice; and row by row, with no norm over features either: dividing by
    the size of the input would bend the slope of 1 that f is to have.
    """

    width: int
    depth: int

    @nn.compact
    def __call__(self, points: jax.Array) -> jax.Array:
        x = points
        for _ in range(self.depth):
            x = nn.silu(nn.Dense(self.width)(x))
        return nn.Dense(1)(x)[:, 0]


@flax.struct.dataclass
class State:
    """Both networks; only the generator's average is ever frozen."""

    generator: TrainState
    critic: TrainState


def dual_value(real: jax.Array, generated: jax.Array, weights: jax.Array) -> jax.Array:
    """Σᵢ wᵢ (f(yᵢ) − f(xᵢ)), at the best 1-Lipschitz f the distance W₁ of the weighted clouds.

    f(y), f(x) and w are `[batch]`, w of sum 1.
    """
    return jnp.sum(weights * (real - generated))


def interpolate(key: jax.Array, real: jax.Array, generated: jax.Array) -> jax.Array:
    """u y + (1 − u) x with u ~ U(0, 1), one for each row of `[batch, features]`."""
    u = jax.random.uniform(key, (len(real), 1))
    return u * real + (1.0 - u) * generated


def gradient_norms(score: Score, points: jax.Array) -> jax.Array:
    """‖∇f‖₂ at each row of `[batch, features]`: `[batch]`, with gradient 0 instead of NaN where it vanishes."""
    gradients = jax.grad(lambda rows: jnp.sum(score(rows)))(points)  # a row moves its own f alone
    return optax.safe_norm(gradients, 1e-12, axis=-1)


def gradient_penalty(norms: jax.Array, weights: jax.Array, one_sided: bool = False) -> jax.Array:
    """Σᵢ wᵢ (‖∇f‖ᵢ − 1)²; one-sided (Petzka et al. 2018), slopes below 1 are free. Norms and weights `[batch]`."""
    excess = jnp.maximum(norms - 1.0, 0.0) if one_sided else norms - 1.0
    return jnp.sum(weights * excess**2)


def critic_loss(
    score: Score, clouds: Clouds, weights: jax.Array, penalty: float, one_sided: bool = False
) -> tuple[jax.Array, Metrics]:
    """λ Σ w (‖∇f‖ − 1)² − Σ w (f(y) − f(x)), and its terms.

    Args:
        score: f.
        clouds: real y, generated x, and the points between at which the slope is measured.
        weights: w `[batch]`, of sum 1, for all three.
        penalty: λ.
        one_sided: see `gradient_penalty`.
    """
    real, generated, between = clouds
    value = dual_value(score(real), score(generated), weights)
    norms = gradient_norms(score, between)
    excess = gradient_penalty(norms, weights, one_sided)
    metrics = {"w1_estimate": value, "critic_gradient_norm": jnp.sum(weights * norms), "penalty": excess}
    return penalty * excess - value, metrics


def critic_step(
    state: TrainState,
    score: Callable[[PyTree, jax.Array], jax.Array],
    clouds: Clouds,
    weights: jax.Array,
    penalty: float,
    descent: optax.GradientTransformation,
    one_sided: bool = False,
) -> tuple[TrainState, Metrics]:
    """One step of the critic by its optimiser `descent`; `score`(params, points) is f; see `critic_loss`."""

    def loss(params, statistics):
        value, metrics = critic_loss(lambda points: score(params, points), clouds, weights, penalty, one_sided)
        return value, (statistics, metrics)

    state, evidence = train_state.descend(state, loss, descent, ema_decay=0.0)  # nobody reads a critic's average
    del evidence["gradient_norm"]  # of the loss by its parameters; `critic_gradient_norm` is the slope of f
    prefixed = {f"critic_{name}": evidence.pop(name) for name in ("loss", "update_norm", "parameter_norm")}
    return state, {**prefixed, **evidence}


def lift(condition: jax.Array, num_classes: int, beta: float) -> jax.Array:
    """What the critic sees of the condition `[batch, k]`: βφ(x); for β = ∞ the label one-hot, or the image as it is."""
    if not settings.is_infinite(beta):
        return beta * phi(condition, num_classes)
    return jax.nn.one_hot(condition, num_classes) if is_label(condition) else condition


def blur(key: jax.Array, points: jax.Array, smoothing: float) -> jax.Array:
    """Points `[batch, features]` with Gaussian noise of standard deviation σ: draws from their law ∗ N(0, σ²I).

    Between laws blurred alike, W₁ still vanishes only where the laws agree, and few points stand for theirs much better
    (Goldfeld et al. 2020, arXiv 2002.01012): exact W₁ to few points rewards samples that contract towards them.
    """
    return points if settings.is_off(smoothing) else points + smoothing * jax.random.normal(key, points.shape)


def stratified(key: jax.Array, condition: jax.Array, real: jax.Array, generated: jax.Array):
    """β = ∞: f(x, ·) is a function of z for each x, and row i of both clouds is of condition i.

    Args:
        key: of the points between.
        condition: `[batch, k]`, see `lift`.
        real: latents `[batch, latent]`.
        generated: latents `[batch, latent]`.

    Returns:
        What makes f(x, z) a function of the points that the slope is measured over, here z; and the three clouds.
    """
    within = lambda z: jnp.concatenate([condition, z], axis=-1)  # noqa: E731
    return within, (real, generated, interpolate(key, real, generated))


def joint(key: jax.Array, condition: jax.Array, real: jax.Array, generated: jax.Array):
    """Finite β: f is a function of the pair (βφ(x), z), its slope that over the pair; see `stratified`.

    The points between join independent pairs, so that they cross from class to class, as joint transport may.
    """
    order, fractions = jax.random.split(key)
    real, generated = (jnp.concatenate([condition, z], axis=-1) for z in (real, generated))
    partners = jax.random.permutation(order, generated, axis=0)
    return (lambda pair: pair), (real, generated, interpolate(fractions, real, partners))


@dataclasses.dataclass(frozen=True)
class Game:
    """min_G max_f: what does not change in training. `descents` are the optimisers of G and of f; for the rest see
    `matcher`."""

    sampler: OneStep
    critic: Critic
    descents: tuple[optax.GradientTransformation, optax.GradientTransformation]
    config: ConfigDict
    context: Context

    def init(self, key: jax.Array, latents: jax.Array, condition: jax.Array) -> State:
        first, second = jax.random.split(key)
        points = jnp.concatenate([lift(condition, self.context.num_classes, self.config.beta), latents], axis=-1)
        params = self.sampler.init(first, condition), self.critic.init(second, points)["params"]
        return State(*(train_state.create(*each) for each in zip(params, self.descents, strict=True)))

    def problem(self, params: PyTree, latents: jax.Array, condition: jax.Array, key: jax.Array):
        """The critic's problem at the generator `params`: f as (params, points) -> `[batch]`, and the clouds."""
        noise_key, between_key, *blurs = jax.random.split(key, 4)
        lifted = lift(condition, self.context.num_classes, self.config.beta)
        setting = stratified if settings.is_infinite(self.config.beta) else joint
        clouds = latents, self.sampler.draw(params, noise_key, condition)
        real, generated = (blur(key, z, self.config.smoothing) for key, z in zip(blurs, clouds, strict=True))
        points, clouds = setting(between_key, lifted, real, generated)
        return (lambda params, rows: self.critic.apply({"params": params}, points(rows))), clouds

    def update(self, state: State, latents: jax.Array, condition: jax.Array, key: jax.Array) -> tuple[State, Metrics]:
        weights = batch_weights(condition, self.context.class_weights, self.config.beta)
        descent, critic_descent = self.descents

        def criticise(critic: TrainState, key: jax.Array):
            score, clouds = self.problem(state.generator.params, latents, condition, key)
            slope = self.config.penalty, critic_descent, self.config.one_sided
            return critic_step(critic, score, clouds, weights, *slope)

        keys = jax.random.split(key, self.config.critic_steps + 1)
        critic, found = jax.lax.scan(criticise, state.critic, keys[1:])

        def loss(params, statistics):
            score, (real, generated, _) = self.problem(params, latents, condition, keys[0])
            f = functools.partial(score, critic.params)
            return dual_value(f(real), f(generated), weights), (statistics, {})

        generator, evidence = train_state.descend(state.generator, loss, descent, self.config.ema_decay)
        return State(generator, critic), {**evidence, **jax.tree.map(lambda steps: steps[-1], found)}


def matcher(config: ConfigDict, context: Context) -> Matcher:
    """The matcher.

    One batch serves all critic steps of an update, each with its own noise and points between: any batch that the
    classes can share will do, and where pairs are few it may be all of them. A larger batch shows the critic more data.

    Args:
        config: beta, penalty (λ), one_sided (whether slopes below 1 are free), smoothing (σ, see `blur`), critic_steps
            (to each step of the generator), critic_width, critic_depth, critic_optimiser, and for the generator
            noise_size, width, depth, optimiser, ema_decay.
        context: see `Context`.

    Raises:
        UserError: no critic step, a penalty that is not positive, or a negative smoothing.
    """
    settings.check_at_least(config, context.name, 1, critic_steps=3)
    settings.check_positive(config, context.name, penalty=10.0)
    settings.check_at_least(config, context.name, 0, smoothing=1.0)
    descents = (
        optimiser.build(config.optimiser, context.total_steps),
        optimiser.build(config.critic_optimiser, context.total_steps * config.critic_steps),
    )
    sampler = OneStep.build(config, context)
    game = Game(sampler, Critic(config.critic_width, config.critic_depth), descents, config, context)
    return Matcher(game.init, game.update, lambda state: state.generator.average["params"], sampler.sample, nfe=1)
