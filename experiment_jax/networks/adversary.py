"""An adversary of images: a network that tells real images from decoded ones, and what it and a decoder minimise.

Its score f(Y) is a mean over places, each of which sees a field of some thirty pixels at most. Scores are compared pair
by pair, a real image with the one that was decoded of its latent: the *gap* is f(Y) − f(D(E(Y))). With the relativistic
loss (Jolicoeur-Martineau 2019, arXiv 1807.00734)

    f minimises E log(1 + exp(−gap)),   D minimises E log(1 + exp(gap)).

Without the link, f minimising −E gap and D minimising E gap, this is the Kantorovich–Rubinstein dual of W₁ between the
two laws, which the `critic` matcher takes between latents; and at gap 0 the gradients are the dual's, halved. The dual
needs f of bounded slope, and bounds cost time or quality: a penalty on gradients by images takes ten times as long on
CPU, and spectral norms left a larger distance (docs/sharpening.md). With the link f needs no bound: where it tells a
pair apart already, it gains nothing by being steeper.
"""

import dm_pix as pix
import flax.linen as nn
import jax
import jax.numpy as jnp

from experiment_jax.networks.norms import group_norm


class Adversary(nn.Module):
    """f: images `[batch, height, width, channels]` -> scores `[batch]`.

    Attributes:
        widths: channels of each level; a level halves the sides.
    """

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images
        for level, width in enumerate(self.widths):
            x = nn.Conv(width, (3, 3))(pix.space_to_depth(x, 2))
            x = nn.leaky_relu(group_norm(width)(x) if level else x, 0.2)  # contrast is to be seen at the first
        x = nn.leaky_relu(group_norm(self.widths[-1])(nn.Conv(self.widths[-1], (3, 3))(x)), 0.2)
        return jnp.mean(nn.Conv(1, (3, 3))(x), axis=(1, 2, 3))


def relativistic(gap: jax.Array) -> jax.Array:
    """E log(1 + exp(−gap)) of gaps `[batch]`: what f minimises; D minimises that of −gap."""
    return jnp.mean(jax.nn.softplus(-gap))
