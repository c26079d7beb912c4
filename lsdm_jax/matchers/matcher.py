"""What a matcher is: how a sampler of latents is trained, or fitted, and drawn from."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Metrics, PyTree
from lsdm_jax.condition import is_image, is_label, phi

ALL_LABELS = ("pairs", "pseudo", "posterior", "sampled", "marginal")  # what `matching.labels` may be


class Term(NamedTuple):
    """One comparison of the generator's samples with latents.

    Where β = ∞ and conditions are labels, a term holds equally many of each class, sorted by class. With `draws` = K
    each row comes K times, one after another.

    Attributes:
        latents: of images, `[rows, latent]`; where distances are taken in a space of their own, points `[rows, k]`.
        condition: at which the generator draws, one for each row; see `lsdm_jax.condition`.
        beta: weight of the condition in the joint cost; ∞: one problem a class.
        known: φ `[rows, k]` of what is known of the latents' own conditions; None: row i has condition i.
        smoothing: standard deviation of noise on latents and samples, so that few points do not stand apart.
        weight: in the sum of all terms.
        name: prefix of its metrics.
        space: what takes the generator's samples to where `latents` are.
    """

    latents: jax.Array
    condition: jax.Array
    beta: float = float("inf")
    known: jax.Array | None = None
    smoothing: float = 0.0
    weight: float = 1.0
    name: str = ""
    space: Callable[[jax.Array], jax.Array] = lambda latents: latents

    def places(self, num_classes: int) -> tuple[jax.Array, jax.Array]:
        """φ of the samples' conditions and of the latents', each `[rows, k]`."""
        asked = phi(self.condition, num_classes)
        return asked, asked if self.known is None else self.known

    def weights(self, class_weights: Any) -> jax.Array:
        """Of each row, see `batch_weights`."""
        return batch_weights(self.condition, class_weights, self.beta)


@dataclasses.dataclass(frozen=True)
class Matcher:
    """A way to match the law of (condition, latent). Each is a subclass in a file of its own, and a line in ALL.

    Every matcher says how to `sample`. One that is trained has `init`, `update` and `averaged`. One that is fitted in
    one pass, with `steps=0`, has `fit` in their place.

    Attributes:
        config: the stage's section; the matcher's own settings are `config[NAME]`, see `own`.
        context: see `Context`.
        NAME: what `matcher` in the config calls it, and its own settings, see `lsdm_jax.settings`.
        IMAGES: whether it takes an image for a condition, too.
        LABELS: what `matching.labels` may be.
        SMOOTHS: whether it heeds a term's smoothing.
        SPACES: whether it takes distances in a term's space.
        TOKENS: whether its networks may be those of `matchers.places`.
        conditional: whether samples heed their condition.
        nfe: evaluations of a network that one sample takes.
        fit: (latents `[N, latent]`, labels int32 `[N]`, upstream) -> the sampler's parameters, from all of them at
            once, on the host. None: the matcher is trained.
    """

    config: ConfigDict
    context: Context

    NAME: ClassVar[str]
    IMAGES: ClassVar[bool] = False
    LABELS: ClassVar[Sequence[str]] = ("pairs", "pseudo")
    SMOOTHS: ClassVar[bool] = False
    SPACES: ClassVar[bool] = False
    TOKENS: ClassVar[bool] = False
    conditional = True
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

    def update(self, state: PyTree, terms: Sequence[Term], key: jax.Array) -> tuple[PyTree, Metrics]:
        """One step on the terms of a batch, the whole of it, whatever the number of devices."""
        raise TypeError(f"{self.NAME} is fitted, not trained")

    def averaged(self, state: PyTree) -> PyTree:
        """The sampler's parameters."""
        return state.average["params"]

    def sample(self, params: PyTree, key: jax.Array, x: jax.Array) -> jax.Array:
        """One latent `[latent]` for one condition x, from one key."""
        raise TypeError(f"{self.NAME} must say how it samples")


def pair_rows(section: ConfigDict) -> int:
    """How many rows of a batch, the first, are for a term of the pairs beside that of all latents."""
    return section.pairs.batch_size if section.pairs.weight else 0


def batch_weights(condition: jax.Array, class_weights: Any, beta: float) -> jax.Array:
    """w `[batch]`, of sum 1: in a stratified batch each class x weighs p(x), in any other all rows weigh the same."""
    if beta != float("inf") or not is_label(condition):
        return jnp.full(len(condition), 1.0 / len(condition))
    return jnp.asarray(class_weights)[condition] * len(class_weights) / len(condition)


def blur(key: jax.Array, points: jax.Array, smoothing: float) -> jax.Array:
    """Points `[batch, features]` with Gaussian noise of standard deviation σ: draws from their law ∗ N(0, σ²I).

    Between laws blurred alike, W₁ still vanishes only where the laws agree, and few points stand for theirs much better
    (Goldfeld et al. 2020, arXiv 2002.01012): exact W₁ to few points rewards samples that contract towards them.
    """
    return points + smoothing * jax.random.normal(key, points.shape) if smoothing else points


def check_beta(config: ConfigDict, context: Context) -> None:
    """Raises UserError where β = ∞ would leave every x of a transport problem with one y."""
    if is_image(context) and config.beta == float("inf"):
        raise UserError(
            f"{context.name}.beta=inf: {config.matcher} would transport to the one y of each image; "
            f"type --config.{context.name}.beta=1.0, or choose critic or energy"
        )
