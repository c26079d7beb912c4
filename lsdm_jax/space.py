"""Where matching takes its distances: not between latents, but between frozen features of what they decode to.

    φ(z) = (w z, w′ f(D(z)))

f is the model's perceptual features (`networks.perceptual`: learnt from images alone, or VGG-16's), each map averaged
over a few fields and all standardised, so that both parts have the same mean square at w = w′. With w = 0 latents that
decode to images alike in f are not told apart; otherwise laws that agree in φ agree in z.

Matchers stay as they are. The latents of images are taken to points once, before the first step; a generator's samples
by the same φ at every step, and its gradient flows through f and D.
"""

import dataclasses

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.data import passes
from experiment_jax.data.split import View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, PyTree, Stage, Upstream
from experiment_jax.networks.standardisation import Standardisation, moments


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a space; nothing is trained (`steps=0`).

    Args:
        config: latents and features (w and w′), and fields (of a feature map, along each side).
        context: its model encodes, decodes and provides features.

    Raises:
        UserError: no stages before it that do so, w < 0, w′ ≤ 0, or no field.
    """
    name, model = context.name, context.model
    if model.encode is None or model.decode is None or model.features is None:
        raise UserError(
            f"stages: {name} needs stages before it that provide features, encode and decode; "
            f"name perceptual and representation first, or leave {name} out"
        )
    checks.at_least(config, name, 0, latents=1.0)
    checks.positive(config, name, features=1.0, fields=2)
    return Space(config, context)


@dataclasses.dataclass(frozen=True)
class Space(Stage):
    """φ. For the settings see `stage`."""

    config: ConfigDict
    context: Context
    Frozen = Standardisation  # of f(D(z)) over the view

    def finish(self, state: PyTree, view: View, upstream: Upstream) -> Standardisation:
        def seen(params: Upstream, images: jax.Array) -> jax.Array:
            return self._seen(params, self.context.model.encode(params, images))

        return Standardisation(**moments(passes.over_images(seen, dict(upstream), view.images)))

    @property
    def provides(self):
        return dict(space=self.points)

    def points(self, params: Upstream, latents: jax.Array) -> jax.Array:
        """φ(z) `[batch, k]` of latents `[batch, latent]`."""
        features = params[self.context.name].standardise(self._seen(params, latents))
        alike = jnp.sqrt(latents.shape[-1] / features.shape[-1])  # as many numbers as a latent has would weigh
        parts = [self.config.latents * latents] if self.config.latents else []
        return jnp.concatenate([*parts, self.config.features * alike * features], axis=-1)

    def _seen(self, params: Upstream, latents: jax.Array) -> jax.Array:
        """f(D(z)) `[batch, features]`."""
        model = self.context.model
        maps = model.features(params, model.decode(params, latents))
        return jnp.concatenate([averaged(each, self.config.fields) for each in maps], axis=-1)


def averaged(maps: jax.Array, fields: int) -> jax.Array:
    """Means of maps `[batch, height, width, channels]` over fields × fields parts: `[batch, fields² · channels]`; along
    a side that has fewer places, over each place."""
    for axis in (1, 2):
        parts = jnp.array_split(maps, min(fields, maps.shape[axis]), axis)
        maps = jnp.concatenate([jnp.mean(part, axis, keepdims=True) for part in parts], axis)
    return maps.reshape(maps.shape[0], -1)
