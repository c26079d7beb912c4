"""Networks of latents with places: a token for each of them, in blocks that mix places and then channels.

How places are mixed is one of MIXINGS: with those around them, by 3×3 convolutions; by dense layers along them
(MLP-Mixer, Tolstikhin et al. 2021, arXiv 2105.01601), few large products of matrices; or by attention.
"""

import math

import dm_pix as pix
import flax.linen as nn
import jax
import jax.numpy as jnp

from experiment_jax.networks import grid

MIXINGS = ("convolution", "mixer", "attention")
NETWORKS = ("dense", *MIXINGS)  # what a matcher's networks may be; dense layers see no places
HEAD = 32  # channels of a head of attention, at least


class Blocks(nn.Module):
    """Tokens `[batch, places, width]`, and what they see `[batch, features]`, or each for itself `[batch, places,
    features]` -> tokens of the same shape.

    Attributes:
        mixing: of places, one of MIXINGS.
        depth: blocks.
        sides: (height, width) of the grid of tokens.
    """

    mixing: str
    depth: int
    sides: tuple[int, int]

    @nn.compact
    def __call__(self, tokens: jax.Array, seen: jax.Array) -> jax.Array:
        places, width = tokens.shape[1:]
        seen = seen if seen.ndim == 3 else seen[:, None]
        for _ in range(self.depth):
            x = nn.LayerNorm()(tokens)
            if self.mixing == "convolution":
                tokens += nn.Conv(width, (3, 3))(x.reshape(-1, *self.sides, width)).reshape(x.shape)
            elif self.mixing == "attention":
                tokens += nn.MultiHeadDotProductAttention(num_heads=_heads(width))(x)
            else:
                x = nn.silu(nn.Dense(2 * places)(jnp.swapaxes(x, 1, 2)))
                tokens += jnp.swapaxes(nn.Dense(places)(x), 1, 2)
            x = nn.LayerNorm()(tokens) + nn.Dense(width)(seen)
            tokens += nn.Dense(width)(nn.silu(nn.Dense(2 * width)(x)))
        return nn.LayerNorm()(tokens)


class PlacesGenerator(nn.Module):
    """G: noise `[batch, noise_size]` and conditions (`lsdm_jax.condition`) -> latents `[batch, latent]`, see `grid`.

    A label and all of the noise are seen by all tokens. Of a low-resolution image a token sees the part that lies where
    it does, and the noise is shared out between places: what is drawn for one part does not depend on where it is.

    Attributes:
        mixing: see `Blocks`.
        width: channels of a token.
        depth: blocks.
        num_classes: labels, where they are the condition, are 0 … num_classes − 1.
        latent_shape: (height, width, channels).
        patch: side of the squares of places that a token is for.
        low_shape: (height, width, channels) of low-resolution images, where they are the condition; (): labels are.
    """

    mixing: str
    width: int
    depth: int
    num_classes: int
    latent_shape: grid.Shape
    patch: int = 1
    low_shape: grid.Shape = ()

    @nn.compact
    def __call__(self, noise: jax.Array, condition: jax.Array) -> jax.Array:
        sides = grid.sides(self.latent_shape, self.patch)
        places = math.prod(sides)
        if self.low_shape:
            low = in_places(condition.reshape(-1, *self.low_shape), sides)
            seen = jnp.concatenate([noise.reshape(len(noise), places, -1), low], axis=-1)
            tokens = nn.Dense(self.width)(seen)
        else:
            seen = jnp.concatenate([noise, jax.nn.one_hot(condition, self.num_classes)], axis=-1)
            tokens = nn.Dense(places * self.width)(seen).reshape(-1, places, self.width)
        tokens = Blocks(self.mixing, self.depth, sides)(tokens, seen)
        tokens = nn.Dense(self.latent_shape[2] * self.patch**2)(tokens)
        return grid.from_tokens(tokens, self.latent_shape, self.patch)


class PlacesCritic(nn.Module):
    """f: points `[batch, features + latent]`, what is known of the condition and a latent, see `grid` -> `[batch]`.

    Attributes:
        mixing: see `Blocks`.
        width: channels of a token.
        depth: blocks.
        latent_shape: (height, width, channels).
        patch: see `PlacesGenerator`.
    """

    mixing: str
    width: int
    depth: int
    latent_shape: grid.Shape
    patch: int = 1

    @nn.compact
    def __call__(self, points: jax.Array) -> jax.Array:
        features = points.shape[-1] - math.prod(self.latent_shape)
        tokens = nn.Dense(self.width)(grid.to_tokens(points[:, features:], self.latent_shape, self.patch))
        place = self.param("place", nn.initializers.normal(0.02), tokens.shape[1:])
        blocks = Blocks(self.mixing, self.depth, grid.sides(self.latent_shape, self.patch))
        tokens = blocks(tokens + place, points[:, :features])
        return nn.Dense(1)(jnp.mean(tokens, axis=1))[:, 0]


def in_places(images: jax.Array, sides: tuple[int, int]) -> jax.Array:
    """Images `[batch, height, width, channels]` -> tokens `[batch, places, features]`, each of its own part of them.

    Images whose sides are no multiple of the grid's are enlarged to the next, linearly.
    """
    pixels = math.ceil(max(side / places for side, places in zip(images.shape[1:3], sides, strict=True)))
    shape = (images.shape[0], *(pixels * places for places in sides), images.shape[-1])
    parts = pix.space_to_depth(jax.image.resize(images, shape, "linear"), pixels)
    return parts.reshape(images.shape[0], math.prod(sides), -1)


def _heads(width: int) -> int:
    """How many heads divide `width`, each of HEAD channels or more."""
    return next(count for count in range(max(width // HEAD, 1), 0, -1) if width % count == 0)
