"""The `vae` matcher: a second variational autoencoder, of latents, given the condition.

The second stage of Dai & Wipf 2019 (arXiv 1903.05789, section 3): where a first stage has found the manifold of the
images, a second over its latents, with as many coordinates, finds their law. Here it is given the condition x:
q(u | z, x) = N(μ, σ²) and p(z | u, x) = N(G(x, u), γ² I) with γ learnt, u ~ N(0, I). The first stage may be any
representation.
"""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.method.stage import Context
from experiment_jax.networks import optimiser, train_state
from lsdm_jax.generator import Generator
from lsdm_jax.matching import Matcher

PyTree = Any
Metrics = Mapping[str, jax.Array]


def evidence_bound(
    z: jax.Array, decoded: jax.Array, mu: jax.Array, log_variance: jax.Array, log_gamma: jax.Array
) -> tuple[jax.Array, Metrics]:
    """−log p(z) ≤ ½ ‖z − G‖²/γ² + d log γ + ½ d log 2π + KL( N(μ, σ²) ‖ N(0, I) ), a mean over rows, and its terms.

    Args:
        z: latents `[batch, d]`.
        decoded: G(x, u) `[batch, d]` at u ~ N(μ, σ²).
        mu: μ `[batch, noise]`.
        log_variance: log σ² `[batch, noise]`.
        log_gamma: log γ, scalar.
    """
    square = jnp.mean(jnp.sum((z - decoded) ** 2, axis=-1))
    likelihood = 0.5 * square * jnp.exp(-2.0 * log_gamma) + z.shape[-1] * (log_gamma + 0.5 * math.log(2.0 * math.pi))
    kl = jnp.mean(0.5 * jnp.sum(mu**2 + jnp.exp(log_variance) - 1.0 - log_variance, axis=-1))
    return likelihood + kl, {"kl": kl, "gamma": jnp.exp(log_gamma), "square_error": square}


def matcher(config: ConfigDict, context: Context) -> Matcher:
    """The matcher; `config` gives noise_size (of u), width, depth, optimiser, ema_decay."""
    size, classes = context.model.latent_size, context.num_classes
    generator = Generator(config.width, config.depth, classes, size)  # (u, x) -> G
    posterior = Generator(config.width, config.depth, classes, 2 * config.noise_size)  # (z, x) -> μ, log σ²
    descent = optimiser.build(config.optimiser, context.total_steps)

    def init(key: jax.Array, latents: jax.Array, labels: jax.Array) -> train_state.TrainState:
        first, second = jax.random.split(key)
        params = {
            "generator": generator.init(first, jnp.zeros((len(labels), config.noise_size)), labels)["params"],
            "posterior": posterior.init(second, latents, labels)["params"],
            "log_gamma": jnp.zeros(()),
        }
        return train_state.create(params, descent)

    def update(state: train_state.TrainState, latents: jax.Array, labels: jax.Array, key: jax.Array):
        def loss(params, statistics):
            encoded = posterior.apply({"params": params["posterior"]}, latents, labels)
            mu, log_variance = jnp.split(encoded, 2, axis=-1)
            u = mu + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mu.shape)
            decoded = generator.apply({"params": params["generator"]}, u, labels)
            value, metrics = evidence_bound(latents, decoded, mu, log_variance, params["log_gamma"])
            return value, (statistics, metrics)

        return train_state.descend(state, loss, descent, config.ema_decay)

    def sample(params: PyTree, key: jax.Array, label: jax.Array) -> jax.Array:
        """G(x, u) + γ ε: a draw of the model's law, not of its means."""
        first, second = jax.random.split(key)
        u = jax.random.normal(first, (1, config.noise_size))
        decoded = generator.apply({"params": params["generator"]}, u, label[None])[0]
        return decoded + jnp.exp(params["log_gamma"]) * jax.random.normal(second, (size,))

    return Matcher(init, update, lambda state: state.average["params"], sample, nfe=1)
