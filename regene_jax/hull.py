"""ReGene's sampler: convex combinations of the latents of a class's images, decoded.

Lemma 1 (arXiv 2004.07543) is of points that the head classifies alike, so the *bank* of latents to combine holds only
those that it classifies as their label, in the precision in which they are stored. See `regene_jax.combinations`.
"""

import dataclasses
import logging
import math
from collections.abc import Sequence

import flax
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.data import passes
from experiment_jax.data.split import View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, PyTree, Samples, Stage, Upstream
from regene_jax.combinations import Bank, Weights, build_bank, combine

log = logging.getLogger(__name__)


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a hull: labelled images in, a sampler out; nothing is trained (`steps=0`).

    Args:
        config: n (members a combination), weights ("uniform", "ratio", "dirichlet"), ratio (n shares) and alpha (of
            the Dirichlet law) for those, partners ("random", or "neighbours": an anchor and n − 1 of its k nearest), k,
            and only_classified: whether to combine only latents that the head classifies as their label.
        context: its model must encode and decode; where it does not classify, as after an autoencoder, all latents are
            combined.

    Raises:
        UserError: any setting that makes no convex combinations, no stage before it that encodes and decodes, a view
            without labels, or a class with too few members; from `finish` too, if too few are classified as themselves.
    """
    _check(config, context)
    return Hull(config, context)


@dataclasses.dataclass(frozen=True)
class Hull(Stage):
    """The bank of latents and what is drawn from it. For the settings see `stage`."""

    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen(Bank):
        """The bank, and how many latents of each class, int32 `[classes]`, were left out of it."""

        left_out: jax.Array | None = None

    def finish(self, state: PyTree, view: View, upstream: Upstream) -> Frozen:
        name, classes = self.context.name, self.context.num_classes
        latents, kept = self._encoded(view, dict(upstream))
        counts, members = (np.bincount(labels, minlength=classes) for labels in (view.labels, view.labels[kept]))
        left_out = (counts - members).astype(np.int32)
        log.info("%s: %d of %d latents left out, not classified as their label", name, left_out.sum(), len(view))
        for label in np.flatnonzero((counts > 0) & (members == 0)):
            raise UserError(
                f"{name}: the head classifies none of the {counts[label]} images of class {label} as that; train the "
                f"classifier for longer, as in --config.classifier.epochs=20, in another --workdir, or combine all "
                f"latents: --config.{name}.only_classified=False"
            )
        _check_members(self.config, name, members)
        k = self.config.k if self.config.partners == "neighbours" else None
        bank = build_bank(latents[kept], view.labels[kept], classes, k)
        images = np.flatnonzero(kept).astype(np.int32)[bank.images]  # among all of the view's
        return self.Frozen(bank.latents, images, bank.starts, bank.counts, bank.neighbours, left_out)

    def _encoded(self, view: View, upstream: Upstream) -> tuple[np.ndarray, np.ndarray]:
        """Latents float16 `[N, latent]` of a view, and bool `[N]`: which the head classifies as their label."""
        model = self.context.model
        encode = lambda params, images: model.encode(params, images).astype(jnp.float16)  # noqa: E731
        latents = passes.over_images(encode, upstream, view.images)
        if not np.isfinite(latents).all():
            raise UserError(
                f"{self.context.name}: latents exceed 65504, what float16 holds; train the encoder with a lower "
                f"learning rate"
            )
        if model.classify is None or not self.config.only_classified:
            return latents, np.ones(len(view), bool)
        classify = jax.jit(lambda z: jnp.argmax(model.classify(upstream, z.astype(jnp.float32)), axis=-1))
        return latents, passes.over(classify, latents, batch_size=passes.PASS) == view.labels

    @property
    def provides(self):
        return dict(sample=self.sample, nfe=1)  # one pass of the decoder

    def sample(self, params: Upstream, keys: jax.Array, condition: jax.Array) -> Samples:
        latents = combine(params[self.context.name], weights_of(self.config), keys, condition)
        return Samples.untested(self.context.model.decode(params, latents), latents)


def weights_of(config: ConfigDict) -> Weights:
    """The law of the weights that a hull's section describes."""
    return Weights(config.n, config.weights, tuple(config.ratio), config.alpha)


def _check(config: ConfigDict, context: Context) -> None:
    """Raises UserError for what can be refused before anything is trained."""
    name, n = context.name, config.n
    if context.model.encode is None or context.model.decode is None:
        raise UserError(f"stages: {name} needs stages before it that encode and decode, such as classifier and decoder")
    if context.model.latent_shape:
        raise UserError(
            f"stages: {name} combines vectors, and the latents of the stages before it have places, "
            f'{context.model.latent_shape}; type --config.representation.latent_shape="()"'
        )
    if config.view != "paired":
        raise UserError(f"{name}.view={config.view}: a hull needs labels; type --config.{name}.view=paired")
    if n < 2:
        raise UserError(f"{name}.n={n}: a combination has two members or more; type --config.{name}.n=2")
    for setting, known in (("weights", ("uniform", "ratio", "dirichlet")), ("partners", ("random", "neighbours"))):
        checks.choice(config, name, setting, known)
    if config.weights == "ratio" and not _is_convex(config.ratio, n):
        example = str((*[round(1 / n, 2)] * (n - 1), round(1 - (n - 1) * round(1 / n, 2), 2))).replace(" ", "")
        raise UserError(
            f"{name}.ratio={config.ratio}: give n={n} numbers that are not negative and sum to 1, as in "
            f"--config.{name}.ratio={example}"
        )
    if config.weights == "dirichlet" and not 0 < config.alpha < math.inf:
        raise UserError(f"{name}.alpha={config.alpha}: must be positive and finite; type --config.{name}.alpha=1.0")
    if config.partners == "neighbours" and config.k < n - 1:
        raise UserError(f"{name}.k={config.k}: n={n} needs {n - 1} neighbours; type --config.{name}.k={n - 1}")
    _check_members(config, name, context.class_counts)


def _is_convex(ratio: Sequence[float], n: int) -> bool:
    numbers = all(isinstance(share, int | float) for share in ratio)
    return numbers and len(ratio) == n and min(ratio) >= 0 and math.isclose(sum(ratio), 1, abs_tol=1e-6)


def _check_members(config: ConfigDict, name: str, members: np.ndarray) -> None:
    """Raises UserError where the smallest class, of members int `[classes]`, is too small for n or k."""
    label = int(np.argmin(members))
    least = int(members[label])
    if least < config.n:
        advice = f"type --config.{name}.n={least}" if least >= 2 else "give more labels with --config.data.paired=None"
        raise UserError(f"{name}.n={config.n}: class {label} has {least} members to combine; {advice}")
    if config.partners == "neighbours" and least <= config.k:
        raise UserError(
            f"{name}.k={config.k}: class {label} has {least} members, each with {least - 1} others; "
            f"type --config.{name}.k={least - 1}"
        )
