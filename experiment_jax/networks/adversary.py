"""An adversary of images: a network that tells real images from decoded ones, and what it and a decoder minimise.

Its score f(Y) is a mean over places, each of which sees a field of some thirty pixels at most. Scores are compared pair
by pair, a real image with the one that was decoded of its latent: the *gap* is f(Y) − f(D(E(Y))).

dual          f minimises −E gap, and the decoder −E(−gap): the Kantorovich–Rubinstein dual of W₁ between the two
              laws, which the `critic` matcher takes between latents. It needs f of bounded slope, here layers of
              spectral norm 1 (Miyato et al. 2018, arXiv 1802.05957): a penalty on gradients by images takes ten times
              as long on CPU.
relativistic  f minimises E log(1 + exp(−gap)), and the decoder E log(1 + exp(gap)) (Jolicoeur-Martineau 2019, arXiv
              1807.00734). It is the dual through a link: at gap 0 both have the dual's gradients, halved; where f tells
              a pair apart already, a steeper f gains nothing. So f needs no bound.
"""

from collections.abc import Callable

import dm_pix as pix
import flax.linen as nn
import jax
import jax.numpy as jnp

from experiment_jax.networks.norms import group_norm


class Adversary(nn.Module):
    """f: images `[batch, height, width, channels]` -> scores `[batch]`.

    Attributes:
        widths: channels of each level; a level halves the sides.
        spectral: layers of spectral norm 1, in place of GroupNorm.
    """

    widths: tuple[int, ...]
    spectral: bool = False

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images
        for level, width in enumerate(self.widths):
            x = self._layer(pix.space_to_depth(x, 2), width, norm=level > 0)
        x = self._layer(x, self.widths[-1], norm=True)
        return jnp.mean(self._conv(1)(x), axis=(1, 2, 3))

    def _layer(self, x: jax.Array, width: int, norm: bool) -> jax.Array:
        x = self._conv(width)(x)
        return nn.leaky_relu(group_norm(width)(x) if norm and not self.spectral else x, 0.2)

    def _conv(self, width: int) -> Callable[[jax.Array], jax.Array]:
        layer = nn.Conv(width, (3, 3))
        if not self.spectral:
            return layer
        normed = nn.SpectralNorm(layer)
        return lambda x: normed(x, update_stats=self.is_mutable_collection("batch_stats"))


def relativistic(gap: jax.Array) -> jax.Array:
    """E log(1 + exp(−gap)) of gaps `[batch]`."""
    return jnp.mean(jax.nn.softplus(-gap))


def dual(gap: jax.Array) -> jax.Array:
    """−E gap of gaps `[batch]`."""
    return -jnp.mean(gap)


LOSSES = {"relativistic": relativistic, "dual": dual}  # f minimises the loss of the gap, the decoder that of −gap
