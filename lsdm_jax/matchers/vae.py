"""The `vae` matcher: a second variational autoencoder, of latents, given the condition.

The second stage of Dai & Wipf 2019 (arXiv 1903.05789, section 3): where a first stage has found the manifold of the
images, a second over its latents, with as many coordinates, finds their law. Here it is given the condition x:
q(u | z, x) = N(μ, σ²) and p(z | u, x) = N(G(x, u), γ² I) with γ learnt, u ~ N(0, I); with `conditional=False` it is
given none, as in the paper. The first stage may be any representation.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp

from experiment_jax.method.stage import Metrics, PyTree
from experiment_jax.networks.train_state import TrainState
from lsdm_jax.matchers.generator import Generator, OneStepMatcher
from lsdm_jax.matchers.matcher import Term


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


@dataclasses.dataclass(frozen=True)
class VAEMatcher(OneStepMatcher):
    """A VAE of latents: G decodes u, whose dimension is the stage's `noise_size`."""

    NAME = "vae"

    @property
    def conditional(self) -> bool:
        return self.own.conditional

    def seen(self, condition: jax.Array) -> jax.Array:
        """The condition as both networks see it: where it is not to be heeded, the same for all."""
        return condition if self.conditional else jnp.zeros_like(condition)

    @property
    def posterior(self) -> Generator:
        """(z, x) -> μ, log σ²."""
        return Generator(self.config.width, self.config.depth, self.context.num_classes, 2 * self.config.noise_size)

    def init(self, key: jax.Array, latents: jax.Array, condition: jax.Array) -> TrainState:
        first, second = jax.random.split(key)
        noise = jnp.zeros((len(condition), self.config.noise_size))
        params = {
            "generator": self.generator.init(first, noise, condition)["params"],
            "posterior": self.posterior.init(second, latents, condition)["params"],
            "log_gamma": jnp.zeros(()),
        }
        return self.descent.init(params)

    def loss(self, params: PyTree, term: Term, key: jax.Array) -> tuple[jax.Array, Metrics]:
        latents, condition = term.latents, self.seen(term.condition)
        encoded = self.posterior.apply({"params": params["posterior"]}, latents, condition)
        mu, log_variance = jnp.split(encoded, 2, axis=-1)
        u = mu + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mu.shape)
        decoded = self.generator.apply({"params": params["generator"]}, u, condition)
        return evidence_bound(latents, decoded, mu, log_variance, params["log_gamma"])

    def sample(self, params: PyTree, key: jax.Array, x: jax.Array) -> jax.Array:
        """G(x, u) + γ ε: a draw of the model's law, not of its means."""
        first, second = jax.random.split(key)
        u = jax.random.normal(first, (1, self.config.noise_size))
        decoded = self.generator.apply({"params": params["generator"]}, u, self.seen(x[None]))[0]
        return decoded + jnp.exp(params["log_gamma"]) * jax.random.normal(second, decoded.shape)
