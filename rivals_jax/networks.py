"""The small networks that all systems share: this project's encoder and decoder, and what GANs make of them.

Images are in [0, 1] here; `experiment_jax.networks.autoencoder` has them in [−1, 1].
"""

from typing import Any

import dm_pix as pix
import flax.linen as nn
import jax
import jax.numpy as jnp

from experiment_jax.networks import autoencoder
from experiment_jax.networks.norms import group_norm

LEAK = 0.2


class Generator(nn.Module):
    """G: noise `[batch, noise_size]` -> images `[batch, height, width, channels]` in [0, 1].

    Attributes:
        network: maps noise, with the labels one-hot behind it where there are any, to images in [−1, 1].
        num_classes: labels are 0 … num_classes − 1; 0: G heeds none.
    """

    network: nn.Module
    num_classes: int = 0

    @nn.compact
    def __call__(self, noise: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        if self.num_classes:
            noise = jnp.concatenate([noise, jax.nn.one_hot(labels, self.num_classes)], axis=-1)
        return 0.5 * (self.network(noise) + 1.0)


class Discriminator(nn.Module):
    """D: images `[batch, height, width, channels]` in [0, 1] -> scores `[batch]`.

    With labels y a score is w · h + ⟨v_y, h⟩ of the features h of an image, a projection onto a vector v_y that is
    learnt for each class (Miyato & Koyama 2018, arXiv 1802.05637, eq. 3).

    Attributes:
        network: maps images in [−1, 1] to features h `[batch, features]`.
        num_classes: see `Generator`.
    """

    network: nn.Module
    num_classes: int = 0

    @nn.compact
    def __call__(self, images: jax.Array, labels: jax.Array | None = None) -> jax.Array:
        h = self.network(2.0 * images - 1.0)
        scores = nn.Dense(1)(h)[:, 0]
        if self.num_classes:
            scores += jnp.sum(nn.Embed(self.num_classes, h.shape[-1])(labels) * h, axis=-1)
        return scores


class ErrorOfAutoencoder(nn.Module):
    """L(x) = mean |x − D(x)| of images `[batch, height, width, channels]` in [0, 1]: `[batch]`.

    Attributes:
        encoder: maps images in [−1, 1] to latents.
        decoder: maps latents to images in [−1, 1].
    """

    encoder: nn.Module
    decoder: nn.Module

    def __call__(self, images: jax.Array, labels: None = None) -> jax.Array:
        decoded = 0.5 * (self.decoder(self.encoder(2.0 * images - 1.0)) + 1.0)
        return jnp.mean(jnp.abs(images - decoded), axis=(1, 2, 3))


class Features(nn.Module):
    """The trunk of the small D: images `[batch, height, width, channels]` -> features `[batch, features]`.

    It mirrors the decoder: a level halves the sides, and one more convolution sees the deepest level. Norms are of one
    image each, so that a slope by one image has no part of another, as WGAN-GP needs it.

    Attributes:
        widths: channels of each level.
        features: units of the last layer.
    """

    widths: tuple[int, ...]
    features: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        x = images
        for level, width in enumerate(self.widths):
            x = nn.Conv(width, (3, 3))(pix.space_to_depth(x, 2))
            x = nn.leaky_relu(group_norm(width)(x) if level else x, LEAK)  # contrast is to be seen at the first
        x = nn.leaky_relu(group_norm(self.widths[-1])(nn.Conv(self.widths[-1], (3, 3))(x)), LEAK)
        return nn.leaky_relu(nn.Dense(self.features)(x.reshape(x.shape[0], -1)), LEAK)


class Autoencoder(nn.Module):
    """E and D of one system, for images in [0, 1].

    Attributes:
        encoder: maps images in [−1, 1] to numbers `[batch, outputs · latent]`.
        decoder: maps latents `[batch, latent]` to images in [−1, 1].
    """

    encoder: nn.Module
    decoder: nn.Module

    def encode(self, images: jax.Array) -> jax.Array:
        return self.encoder(2.0 * images - 1.0)

    def decode(self, latents: jax.Array) -> jax.Array:
        return 0.5 * (self.decoder(latents) + 1.0)

    @nn.compact
    def log_gamma(self) -> jax.Array:
        """The logarithm of a deviation that is learnt, for whoever asks for it."""
        return self.param("log_gamma", nn.initializers.zeros, ())


def small_autoencoder(
    widths: tuple[int, ...], image_shape: tuple[int, int, int], outputs: int, spectral: bool = False
) -> dict[str, Any]:
    """`encoder` and `decoder`.

    Args:
        widths: channels of each level.
        image_shape: (height, width, channels).
        outputs: how many numbers the encoder gives.
        spectral: see `autoencoder.Decoder`; of both networks.
    """
    encoder = autoencoder.Encoder(widths, outputs, spectral=spectral)
    return dict(encoder=encoder, decoder=autoencoder.Decoder(widths, image_shape, spectral=spectral))
