"""The `score` matcher: a diffusion model of the latents (LDM, arXiv 2112.10752), the many-step rival of one-step ones.

Denoising score matching as in EDM (Karras et al. 2022, arXiv 2206.00364). With y a latent, n ~ N(0, σ²I) and
ln σ ~ N(P_mean, P_std²), a network F behind the preconditioning of their table 1 learns

    D(z; σ, x) = c_skip(σ) z + c_out(σ) F(c_in(σ) z; c_noise(σ), x),   min E λ(σ) ‖D(y + n; σ, x) − y‖²,

and samples follow dz/dσ = (z − D(z; σ, x))/σ from σ_max down to 0, deterministic after the first noise. Guidance is D +
w (D − D_∅), w = 0 being none and D_∅ told no condition (Ho & Salimans 2022, arXiv 2207.12598, eq. 6).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.config import checks as settings
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context
from experiment_jax.networks import optimiser, train_state
from lsdm_jax.condition import Told
from lsdm_jax.matching import Matcher, batch_weights

PyTree = Any
Denoise = Callable[[jax.Array, jax.Array], jax.Array]  # (z [latent], σ) -> D [latent]

RHO = 7.0  # of the steps in σ: the larger, the more of them at small σ
FREQUENCIES = 16


class Network(nn.Module):
    """F: scaled latents `[batch, latent_size]`, c_noise `[batch]` and conditions -> `[batch, latent_size]`.

    Of the generator's size and shape, with the noise level in place of noise. Where `told` `[batch]` is 0 and not 1,
    the row is told no condition.

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
    def __call__(self, scaled: jax.Array, level: jax.Array, condition: jax.Array, told: jax.Array) -> jax.Array:
        angles = level[:, None] * jnp.geomspace(0.5, 16.0, FREQUENCIES)
        told = told[:, None] * Told(self.num_classes, self.width)(condition)
        x = jnp.concatenate([scaled, jnp.sin(angles), jnp.cos(angles), told], axis=-1)
        for _ in range(self.depth):
            x = nn.silu(nn.LayerNorm()(nn.Dense(self.width)(x)))
        return nn.Dense(self.latent_size)(x)


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

    A step is z ← (σ′/σ) z + (1 − σ′/σ) D̃, which with D̃ = D is Euler's; D̃ = D + b (D − D₋), with D₋ of the step before
    and b half the ratio of the two steps in ln σ, makes it of second order for no further evaluation. The first step
    and the last, to σ = 0, are Euler's.

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


def matcher(config: ConfigDict, context: Context) -> Matcher:
    """The matcher.

    Args:
        config: sigma_data (root mean square of a latent's coordinate: 1 for a representation that standardises its
            latents, and what the preconditioning wants within a factor of 2 or so), sigma_mean and sigma_std (of ln σ
            in training), sigma_min and sigma_max (where sampling ends and begins), sampling_steps, guidance (w),
            label_dropout (share of the batch that is told no condition), width, depth, optimiser, ema_decay; beta only
            says whether batches are stratified.
        context: see `Context`.

    Raises:
        UserError: no sampling step, scales that are not positive or not in order, a guidance that is negative or was
            not trained for.
    """
    _check(config, context.name)
    network = Network(config.width, config.depth, context.num_classes, context.model.latent_size)
    descent = optimiser.build(config.optimiser, context.total_steps)
    guided = not settings.is_off(config.guidance)

    def init(key: jax.Array, latents: jax.Array, condition: jax.Array) -> train_state.TrainState:
        row = latents[:, 0]
        return train_state.create(network.init(key, latents, row, condition, row)["params"], descent)

    def denoise(params: PyTree, z: jax.Array, sigma: jax.Array, condition: jax.Array, told: jax.Array) -> jax.Array:
        """D: z `[batch, latent]`, σ `[batch]`, conditions, and `[batch]` 0 where they are not told."""
        c = precondition(sigma, config.sigma_data)
        found = network.apply({"params": params}, c.scale[:, None] * z, c.level, condition, told)
        return c.skip[:, None] * z + c.out[:, None] * found

    def update(state: train_state.TrainState, latents: jax.Array, condition: jax.Array, key: jax.Array):
        levels, noises, drops = jax.random.split(key, 3)
        rows = latents.shape[:1]
        sigma = jnp.exp(config.sigma_mean + config.sigma_std * jax.random.normal(levels, rows))
        noised = latents + sigma[:, None] * jax.random.normal(noises, latents.shape)
        told = 1.0 - jax.random.bernoulli(drops, config.label_dropout, rows).astype(jnp.float32)
        weights = batch_weights(condition, context.class_weights, config.beta)

        def loss(params, statistics):
            squares = jnp.mean((denoise(params, noised, sigma, condition, told) - latents) ** 2, axis=-1)
            return jnp.sum(weights * precondition(sigma, config.sigma_data).weight * squares), (statistics, {})

        return train_state.descend(state, loss, descent, config.ema_decay)

    def sample(params: PyTree, key: jax.Array, x: jax.Array) -> jax.Array:
        def guide(z: jax.Array, sigma: jax.Array) -> jax.Array:
            given = denoise(params, z[None], sigma[None], x[None], jnp.ones(1))[0]
            if not guided:
                return given
            free = denoise(params, z[None], sigma[None], x[None], jnp.zeros(1))[0]
            return given + config.guidance * (given - free)

        start = config.sigma_max * jax.random.normal(key, (network.latent_size,))
        return integrate(guide, start, schedule(config.sampling_steps, config.sigma_min, config.sigma_max))

    nfe = config.sampling_steps * (2 if guided else 1)
    return Matcher(init, update, lambda state: state.average["params"], sample, nfe)


def _check(config: ConfigDict, stage: str) -> None:
    settings.check_at_least(config, stage, 1, sampling_steps=50)
    settings.check_positive(config, stage, sigma_data=1.0, sigma_std=1.2, sigma_min=0.005, sigma_max=80.0)
    settings.check_at_least(config, stage, 0, guidance=1.0, label_dropout=0.1)
    settings.check_below(config, stage, "label_dropout", 1, 0.1)
    settings.check_below(config, stage, "sigma_min", config.sigma_max, 0.005)
    if settings.is_off(config.label_dropout) and not settings.is_off(config.guidance):
        raise UserError(
            f"{stage}.guidance={config.guidance}: needs label_dropout; type --config.{stage}.label_dropout=0.1"
        )
