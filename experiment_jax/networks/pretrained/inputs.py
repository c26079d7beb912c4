"""Images as networks trained on ImageNet expect them."""

import jax
import jax.numpy as jnp

from experiment_jax.errors import UserError

SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)


def coloured(images: jax.Array) -> jax.Array:
    """Images `[batch, height, width, 1 or 3]` -> `[batch, height, width, 3]`; grey is repeated.

    Raises:
        UserError: another number of channels.
    """
    if images.shape[-1] not in (1, 3):
        raise UserError(f"images of {images.shape[-1]} channels: networks trained on ImageNet take 1 or 3; give those")
    return jnp.broadcast_to(images, (*images.shape[:-1], 3))


def resized(images: jax.Array, side: int) -> jax.Array:
    """Images `[batch, height, width, channels]`, floats -> `[batch, side, side, channels]`.

    Bilinear, centres of pixels at halves; where sides shrink, over the wider triangle that avoids aliasing.
    """
    return jax.image.resize(images, (len(images), side, side, images.shape[-1]), "bilinear")


def scaled(images: jax.Array) -> jax.Array:
    """Images `[batch, height, width, 1 or 3]` in [-1, 1] -> the inputs of VGG-16 and AlexNet, `[…, 3]`.

    The scaling of LPIPS. It is that of torchvision, mean (0.485, 0.456, 0.406) and deviation (0.229, 0.224, 0.225) of
    images in [0, 1], written for images in [-1, 1]: 2 · mean − 1, and 2 · deviation.
    """
    return (coloured(images) - jnp.asarray(SHIFT)) / jnp.asarray(SCALE)
