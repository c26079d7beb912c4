"""The `score` matcher: a diffusion model of the latents (LDM, arXiv 2112.10752), the many-step rival of one-step ones.

Denoising score matching as in EDM (Karras et al. 2022, arXiv 2206.00364). With y a latent, n ~ N(0, σ²I) and
ln σ ~ N(P_mean, P_std²), a network F behind the preconditioning of their table 1 learns

    D(z; σ, x) = c_skip(σ) z + c_out(σ) F(c_in(σ) z; c_noise(σ), x),   min E λ(σ) ‖D(y + n; σ, x) − y‖²,

and samples follow dz/dσ = (z − D(z; σ, x))/σ from σ_max down to 0, deterministic after the first noise. Guidance is D +
w (D − D_∅): D_∅ is D without the condition, and w = 0 is no guidance (Ho & Salimans 2022, arXiv 2207.12598, eq. 6).
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from experiment_jax.config import checks
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Metrics, PyTree
from experiment_jax.networks import grid
from experiment_jax.networks.layers import trunk
from experiment_jax.networks.train_state import TrainState
from lsdm_jax.condition import ConditionEncoder
from lsdm_jax.matchers.generator import OneStepMatcher
from lsdm_jax.matchers.matcher import Term
from lsdm_jax.matchers.places import Blocks

Denoise = Callable[[jax.Array, jax.Array], jax.Array]  # (z [latent], σ) -> D [latent]

RHO = 7.0  # of the steps in σ: the larger, the more of them at small σ
FREQUENCIES = 16


class Network(nn.Module):
    """F: scaled latents `[batch, latent_size]`, c_noise `[batch]` and conditions -> `[batch, latent_size]`.

    Of the generator's size and shape, with the noise level in place of noise. Where `given` `[batch]` is 0 and not 1,
    the network does not see the row's condition.

    Attributes:
        width: units of each hidden layer.
        depth: hidden layers.
        num_classes: labels, where they are the condition, are 0 … num_classes − 1.
        latent_size: dimension of the latent.
        mixing: see `lsdm_jax.matchers.places`; "dense": layers that know no places.
        latent_shape: (height, width, channels) of latents with places.
        patch: see `lsdm_jax.matchers.places`.
    """

    width: int
    depth: int
    num_classes: int
    latent_size: int
    mixing: str = "dense"
    latent_shape: grid.Shape = ()
    patch: int = 1

    @nn.compact
    def __call__(self, scaled: jax.Array, level: jax.Array, condition: jax.Array, given: jax.Array) -> jax.Array:
        angles = level[:, None] * jnp.geomspace(0.5, 16.0, FREQUENCIES)
        encoded = given[:, None] * ConditionEncoder(self.num_classes, self.width)(condition)
        seen = jnp.concatenate([jnp.sin(angles), jnp.cos(angles), encoded], axis=-1)
        if self.mixing == "dense":
            x = trunk(jnp.concatenate([scaled, seen], axis=-1), self.width, self.depth)
            return nn.Dense(self.latent_size)(x)
        own = nn.Dense(self.width)(grid.to_tokens(scaled, self.latent_shape, self.patch))
        places = nn.Dense(own.shape[1] * self.width)(seen).reshape(own.shape)
        tokens = Blocks(self.mixing, self.depth, grid.sides(self.latent_shape, self.patch))(own + places, seen)
        channels = self.latent_shape[2] * self.patch**2
        return grid.from_tokens(nn.Dense(channels)(tokens), self.latent_shape, self.patch)


class Preconditioning(NamedTuple):
    """The columns of EDM's table 1 at some σ, and the weight λ of the loss; each of σ's shape."""

    skip: jax.Array
    out: jax.Array
    scale: jax.Array  # c_in
    level: jax.Array  # c_noise
    weight: jax.Array


def precondition(sigma: jax.Array, data: float) -> Preconditioning:
    """So that F's input and its target have unit variance at every σ, and λ c_out² = 1; `data` is σ_data."""
    total = sigma**2 + data**2
    return Preconditioning(
        skip=data**2 / total,
        out=sigma * data / jnp.sqrt(total),
        scale=1.0 / jnp.sqrt(total),
        level=jnp.log(sigma) / 4.0,
        weight=total / (sigma * data) ** 2,
    )


def schedule(steps: int, smallest: float, largest: float) -> jax.Array:
    """σ₀ = largest > … > σ_{k−1} = smallest > σ_k = 0: `[steps + 1]`, evenly spaced in σ^(1/ρ) (EDM, eq. 5)."""
    ramp = jnp.linspace(0.0, 1.0, steps) if steps > 1 else jnp.zeros(1)
    roots = largest ** (1 / RHO) + ramp * (smallest ** (1 / RHO) - largest ** (1 / RHO))
    return jnp.append(roots**RHO, 0.0)


def integrate(denoise: Denoise, z: jax.Array, sigmas: jax.Array) -> jax.Array:
    """The flow dz/dσ = (z − D(z; σ))/σ by the multistep DPM-Solver++(2M) (Lu et al. 2022, arXiv 2211.01095).

    A step is z ← (σ′/σ) z + (1 − σ′/σ) D̃. With D̃ = D it is Euler's. With D̃ = D + b (D − D₋) it is of second order and
    takes no further evaluation: D₋ is D of the step before, and b is half the ratio of the two steps in ln σ. The first
    step and the last, to σ = 0, are Euler's.

    Args:
        denoise: D, evaluated once a step.
        z: `[latent]`, at the first σ.
        sigmas: `[steps + 1]`, falling, the last 0.
    """
    lengths = -jnp.diff(jnp.log(sigmas[:-1]))
    bends = jnp.zeros(len(sigmas) - 1).at[1:-1].set(lengths[1:] / (2.0 * lengths[:-1]))

    def step(carry: tuple[jax.Array, jax.Array], at: tuple[jax.Array, ...]):
        (z, before), (sigma, following, bend) = carry, at
        denoised = denoise(z, sigma)
        kept = following / sigma
        return (kept * z + (1.0 - kept) * (denoised + bend * (denoised - before)), denoised), None

    return jax.lax.scan(step, (z, jnp.zeros_like(z)), (sigmas[:-1], sigmas[1:], bends))[0][0]


@dataclasses.dataclass(frozen=True)
class ScoreMatcher(OneStepMatcher):
    """A diffusion model of the latents: F is trained to denoise them, and a sample evaluates F many times.

    β only says whether batches are stratified.
    """

    NAME = "score"
    IMAGES = True

    def check(self) -> None:
        own, where = self.own, self.where
        checks.at_least(own, where, 1, sampling_steps=50)
        checks.positive(own, where, sigma_data=1.0, sigma_std=1.2, sigma_min=0.005, sigma_max=80.0)
        checks.at_least(own, where, 0, guidance=1.0, label_dropout=0.1)
        checks.below(own, where, "label_dropout", 1, 0.1)
        checks.below(own, where, "sigma_min", own.sigma_max, 0.005)
        if own.guidance and not own.label_dropout:
            raise UserError(
                f"{where}.guidance={own.guidance}: needs label_dropout; type --config.{where}.label_dropout=0.1"
            )

    @property
    def network(self) -> Network:
        config, model = self.config, self.context.model
        places = config.generator, model.latent_shape, config.patch
        return Network(config.width, config.depth, self.context.num_classes, model.latent_size, *places)

    @property
    def nfe(self) -> int:
        return self.own.sampling_steps * (2 if self.own.guidance else 1)

    def init(self, key: jax.Array, latents: jax.Array, condition: jax.Array) -> TrainState:
        row = latents[:, 0]
        return self.descent.init(self.network.init(key, latents, row, condition, row)["params"])

    def denoise(
        self, params: PyTree, z: jax.Array, sigma: jax.Array, condition: jax.Array, given: jax.Array
    ) -> jax.Array:
        """D: z `[batch, latent]`, σ `[batch]`, conditions, and `[batch]` 0 where they are not seen."""
        c = precondition(sigma, self.own.sigma_data)
        found = self.network.apply({"params": params}, c.scale[:, None] * z, c.level, condition, given)
        return c.skip[:, None] * z + c.out[:, None] * found

    def loss(self, params: PyTree, term: Term, key: jax.Array) -> tuple[jax.Array, Metrics]:
        """λ(σ) ‖D(y + n; σ, x) − y‖², a mean over coordinates and the weighted batch."""
        own, latents, rows = self.own, term.latents, term.latents.shape[:1]
        levels, noises, drops = jax.random.split(key, 3)
        sigma = jnp.exp(own.sigma_mean + own.sigma_std * jax.random.normal(levels, rows))
        noised = latents + sigma[:, None] * jax.random.normal(noises, latents.shape)
        given = 1.0 - jax.random.bernoulli(drops, own.label_dropout, rows).astype(jnp.float32)
        weights = term.weights(self.context.class_weights)
        squares = jnp.mean((self.denoise(params, noised, sigma, term.condition, given) - latents) ** 2, axis=-1)
        return jnp.sum(weights * precondition(sigma, own.sigma_data).weight * squares), {}

    def sample(self, params: PyTree, key: jax.Array, x: jax.Array) -> jax.Array:
        own = self.own

        def guided(z: jax.Array, sigma: jax.Array) -> jax.Array:
            seen = self.denoise(params, z[None], sigma[None], x[None], jnp.ones(1))[0]
            if not own.guidance:
                return seen
            free = self.denoise(params, z[None], sigma[None], x[None], jnp.zeros(1))[0]
            return seen + own.guidance * (seen - free)

        start = own.sigma_max * jax.random.normal(key, (self.context.model.latent_size,))
        return integrate(guided, start, schedule(own.sampling_steps, own.sigma_min, own.sigma_max))
