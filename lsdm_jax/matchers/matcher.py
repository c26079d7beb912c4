"""What a matcher is: how a sampler of latents is trained, or fitted, and drawn from."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Metrics, PyTree
from lsdm_jax.condition import is_image, is_label


@dataclasses.dataclass(frozen=True)
class Matcher:
    """A way to match the law of (condition, latent). Each is a subclass in a file of its own, and a line in ALL.

    Every matcher says how to `sample`. One that is trained has `init`, `update` and `averaged`. One that is fitted in
    one pass, with `steps=0`, has `fit` in their place.

    Attributes:
        config: the stage's section; the matcher's own settings are `config[NAME]`, see `own`.
        context: see `Context`.
        NAME: what `matcher` in the config calls it, and its own settings.
        SETTINGS: its own settings with their defaults.
        IMAGES: whether it takes an image for a condition, too.
        CONDITIONAL: whether samples heed their condition.
        nfe: evaluations of a network that one sample takes.
        fit: (latents `[N, latent]`, labels int32 `[N]`, upstream) -> the sampler's parameters, from all pairs at once,
            on the host. None: the matcher is trained.
    """

    config: ConfigDict
    context: Context

    NAME: ClassVar[str]
    SETTINGS: ClassVar[Mapping[str, Any]] = {}
    IMAGES: ClassVar[bool] = False
    CONDITIONAL: ClassVar[bool] = True
    nfe = 1
    fit = None

    @property
    def own(self) -> ConfigDict:
        """The matcher's own settings."""
        return self.config[self.NAME]

    @property
    def where(self) -> str:
        """How the command line calls the matcher's own settings."""
        return f"{self.context.name}.{self.NAME}"

    def check(self) -> None:
        """Raises UserError for settings that the matcher cannot use."""

    def init(self, key: jax.Array, latents: jax.Array, condition: jax.Array) -> PyTree:
        """The state before the first step; latents `[batch, latent]`, conditions as in `lsdm_jax.condition`."""
        raise TypeError(f"{self.NAME} is fitted, not trained")

    def update(self, state: PyTree, latents: jax.Array, condition: jax.Array, key: jax.Array) -> tuple[PyTree, Metrics]:
        """One step, on the whole batch, whatever the number of devices.

        Where β = ∞ and conditions are labels, the batch holds equally many of each class, sorted by class. With
        `draws` = K each row comes K times, one after another.
        """
        raise TypeError(f"{self.NAME} is fitted, not trained")

    def averaged(self, state: PyTree) -> PyTree:
        """The sampler's parameters."""
        return state.average["params"]

    def sample(self, params: PyTree, key: jax.Array, x: jax.Array) -> jax.Array:
        """One latent `[latent]` for one condition x, from one key."""
        raise TypeError(f"{self.NAME} must say how it samples")


def batch_weights(condition: jax.Array, class_weights: Any, beta: float) -> jax.Array:
    """w `[batch]`, of sum 1: in a stratified batch each class x weighs p(x), in any other all rows weigh the same."""
    if beta != float("inf") or not is_label(condition):
        return jnp.full(len(condition), 1.0 / len(condition))
    return jnp.asarray(class_weights)[condition] * len(class_weights) / len(condition)


def check_beta(config: ConfigDict, context: Context) -> None:
    """Raises UserError where β = ∞ would leave every x of a transport problem with one y."""
    if is_image(context) and config.beta == float("inf"):
        raise UserError(
            f"{context.name}.beta=inf: {config.matcher} would transport to the one y of each image; "
            f"type --config.{context.name}.beta=1.0, or choose critic or energy"
        )
