"""The `critic` matcher: G minimises the Kantorovich–Rubinstein dual of W₁ between generated and real latents.

W₁(μ, ν) = sup over 1-Lipschitz f of E_μ f − E_ν f. The critic f is a network, held near the constraint by the two-sided
gradient penalty λ E(‖∇f‖ − 1)² at points between real and generated ones (Gulrajani et al. 2017, arXiv 1704.00028).
The penalised optimum is steeper than 1, in one dimension by (F_ν − F_μ) / (2λρ), ρ being the density of the points
between: the estimate is above W₁ and tends to it as λ grows.
"""

import dataclasses
from collections.abc import Callable, Sequence

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from experiment_jax.config import checks
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Metrics, PyTree
from experiment_jax.networks import optimiser
from experiment_jax.networks.train_state import Descent, TrainState
from lsdm_jax.condition import is_label, phi
from lsdm_jax.matchers.generator import OneStepMatcher
from lsdm_jax.matchers.matcher import Term, blur
from lsdm_jax.matchers.places import NETWORKS, PlacesCritic

Clouds = tuple[jax.Array, jax.Array, jax.Array]  # real, generated, and points between, each [batch, features]
Score = Callable[[jax.Array], jax.Array]  # points [batch, features] -> f [batch], row by row
ScoreOf = Callable[[PyTree, jax.Array], jax.Array]  # the same, of the critic's parameters and points


class Critic(nn.Module):
    """f: points `[batch, features]` -> `[batch]`, `depth` hidden layers of `width` units.

    Smooth, because the penalty differentiates it twice. There is no BatchNorm, because rows must not mix, and no
    LayerNorm, because it would distort the slope that the penalty holds near 1.
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
    score: ScoreOf,
    clouds: Clouds,
    weights: jax.Array,
    penalty: float,
    descent: Descent,
    one_sided: bool = False,
) -> tuple[TrainState, Metrics]:
    """One step of the critic; see `critic_loss`."""

    def loss(params, statistics):
        value, metrics = critic_loss(lambda points: score(params, points), clouds, weights, penalty, one_sided)
        return value, (statistics, metrics)

    state, metrics = descent.step(state, loss)
    del metrics["gradient_norm"]  # of the loss by its parameters; `critic_gradient_norm` is the slope of f
    prefixed = {f"critic_{name}": metrics.pop(name) for name in ("loss", "update_norm", "parameter_norm")}
    return state, {**prefixed, **metrics}


def lift(condition: jax.Array, num_classes: int, beta: float) -> jax.Array:
    """What the critic sees of the condition `[batch, k]`: βφ(x); for β = ∞ the label one-hot, or the image as it is."""
    if beta != float("inf"):
        return beta * phi(condition, num_classes)
    return jax.nn.one_hot(condition, num_classes) if is_label(condition) else condition


def stratified(key: jax.Array, condition: jax.Array, real: jax.Array, generated: jax.Array):
    """β = ∞: for each x, f(x, ·) is a function of z, and its slope is that over z alone.

    Args:
        key: of the points between.
        condition: of row i of both clouds, `[batch, k]`, see `lift`.
        real: latents `[batch, latent]`.
        generated: latents `[batch, latent]`.

    Returns:
        A function from points to what f takes, here from z to (x, z); and the three clouds, here of z.
    """

    def within(z: jax.Array) -> jax.Array:
        return jnp.concatenate([condition, z], axis=-1)

    return within, (real, generated, interpolate(key, real, generated))


def joint(key: jax.Array, conditions: tuple[jax.Array, jax.Array], real: jax.Array, generated: jax.Array):
    """Finite β: f is a function of the pair (βφ(x), z), its slope that over the pair; see `stratified`.

    `conditions` are those of the real and of the generated latents. The points between join independent pairs, so that
    they cross from class to class, as joint transport may.
    """
    order, fractions = jax.random.split(key)
    real, generated = (jnp.concatenate(pair, axis=-1) for pair in zip(conditions, (real, generated), strict=True))
    partners = jax.random.permutation(order, generated, axis=0)
    return (lambda pair: pair), (real, generated, interpolate(fractions, real, partners))


@dataclasses.dataclass(frozen=True)
class CriticMatcher(OneStepMatcher):
    """G and the critic f are trained in turn, min_G max_f: f estimates W₁, and G lowers the estimate.

    One batch serves all critic steps of an update; each step draws its own noise and its own points between. Where
    pairs are few, a batch may hold all of them. A larger batch shows the critic more data.
    """

    NAME = "critic"
    IMAGES = True
    LABELS = ("pairs", "pseudo", "posterior", "sampled")
    SMOOTHS = True
    SPACES = True

    def check(self) -> None:
        checks.at_least(self.own, self.where, 1, steps=3, width=512, depth=3)
        checks.positive(self.own, self.where, penalty=10.0)
        self._check_network()
        if self.config.pairs.weight:
            raise UserError(
                f"{self.context.name}.pairs.weight={self.config.pairs.weight}: the critic has one problem; "
                f"type --config.{self.context.name}.pairs.weight=0.0"
            )
        optimiser.build(self.own.optimiser, self.context.total_steps)

    def _check_network(self) -> None:
        """Raises UserError for a network of tokens where points are not latents with places."""
        model, name = self.context.model, self.own.network
        checks.choice(self.own, self.where, "network", NETWORKS)
        if name != "dense" and (not model.latent_shape or model.space is not None):
            lacks = "latents have no places" if not model.latent_shape else "points of a space have no places"
            raise UserError(f"{self.where}.network={name}: {lacks}; type --config.{self.where}.network=dense")

    @property
    def critic(self) -> Critic | PlacesCritic:
        """By the settings network, width and depth of the critic's own section."""
        own = self.own
        if own.network == "dense":
            return Critic(own.width, own.depth)
        return PlacesCritic(own.network, own.width, own.depth, self.context.model.latent_shape, self.config.patch)

    @property
    def critic_descent(self) -> Descent:
        steps = self.context.total_steps * self.own.steps
        return Descent(optimiser.build(self.own.optimiser, steps), ema_decay=0.0)  # nobody reads a critic's average

    def init(self, key: jax.Array, latents: jax.Array, condition: jax.Array) -> State:
        first, second = jax.random.split(key)
        points = jnp.concatenate([lift(condition, self.context.num_classes, self.config.beta), latents], axis=-1)
        critic = self.critic_descent.init(self.critic.init(second, points)["params"])
        return State(super().init(first, latents, condition), critic)

    def problem(self, params: PyTree, term: Term, key: jax.Array) -> tuple[ScoreOf, Clouds]:
        """The critic's problem at the generator `params`: f, and the clouds."""
        noise_key, between_key, *blurs = jax.random.split(key, 4)
        clouds = term.latents, self.points(params, term, noise_key)
        real, generated = (blur(key, z, term.smoothing) for key, z in zip(blurs, clouds, strict=True))
        lifted = lift(term.condition, self.context.num_classes, term.beta)
        if term.beta == float("inf"):
            points, clouds = stratified(between_key, lifted, real, generated)
        else:
            known = lifted if term.known is None else term.beta * term.known
            points, clouds = joint(between_key, (known, lifted), real, generated)
        return (lambda params, rows: self.critic.apply({"params": params}, points(rows))), clouds

    def update(self, state: State, terms: Sequence[Term], key: jax.Array) -> tuple[State, Metrics]:
        (term,) = terms
        weights = term.weights(self.context.class_weights)
        slope = self.own.penalty, self.critic_descent, self.own.one_sided

        def criticise(critic: TrainState, key: jax.Array):
            score, clouds = self.problem(state.generator.params, term, key)
            return critic_step(critic, score, clouds, weights, *slope)

        keys = jax.random.split(key, self.own.steps + 1)
        unrolled = self.own.network == "convolution"  # whose weights take 100 times as long within a loop on CPU
        critic, found = jax.lax.scan(criticise, state.critic, keys[1:], unroll=unrolled)

        def loss(params, statistics):
            score, (real, generated, _) = self.problem(params, term, keys[0])
            return dual_value(score(critic.params, real), score(critic.params, generated), weights), (statistics, {})

        generator, metrics = self.descent.step(state.generator, loss)
        return State(generator, critic), {**metrics, **jax.tree.map(lambda steps: steps[-1], found)}

    def averaged(self, state: State) -> PyTree:
        return super().averaged(state.generator)
