"""Step 2 of LSDM: a generator of latents, matched to the pairs alone. X is a label or a low-resolution image.

min_G W₁( (X, G(X, η)), (X, E(Y)) ) over the n pairs (arXiv 2603.04223, step 2). The *matcher* says how that distance is
taken, or what stands in for it: one file each in `lsdm_jax/matchers`, one line each in MATCHERS.
"""

import dataclasses

import flax
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.data import passes
from experiment_jax.data.split import UNPAIRED, View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, PyTree, Samples, Stage, Upstream
from experiment_jax.networks import optimiser
from lsdm_jax.condition import is_image
from lsdm_jax.matchers import MATCHERS
from lsdm_jax.matchers.matcher import Matcher


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a matcher: latents of the pairs in, a sampler out.

    Args:
        config: matcher (a name in MATCHERS), beta (weight of the condition in the joint cost; inf: one transport
            problem a class), draws (how many η each x of a batch gets), condition_noise (standard deviation of the
            noise on images in training, in units of the images' own), what generators share (noise_size, width,
            depth, optimiser, ema_decay), and a section of its own settings for each matcher.
        context: its model must encode and decode; where it degrades, the condition is the low-resolution image.

    Raises:
        UserError: an unknown matcher or one that the condition is not for, a beta that is not positive, no draw, no
            representation before this stage, a view without labels, an optimiser that is not offered, or a batch that
            the classes cannot share.
    """
    _check(config, context)
    matcher = MATCHERS[config.matcher](config, context)
    matcher.check()
    if matcher.fit is not None:
        return FittedMatching(matcher, config, context)
    optimiser.build(config.optimiser, context.total_steps)  # what it refuses is refused before anything is trained
    stage = Matching(matcher, config, context)
    if stage.strata and config.batch_size % stage.strata:
        nearest = max(round(config.batch_size / stage.strata), 1) * stage.strata
        raise UserError(
            f"{context.name}.batch_size={config.batch_size}: {stage.strata} classes cannot share it; "
            f"type --config.{context.name}.batch_size={nearest}"
        )
    return stage


@dataclasses.dataclass(frozen=True)
class FittedMatching(Stage):
    """A matcher that is fitted in one pass over the pairs."""

    matcher: Matcher
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen:
        """The sampler's parameters."""

        sampler: PyTree

    @property
    def relabel(self):
        """With the view `partly`: the labels of the pairs, and pseudo-labels of all other images."""
        return self._pseudo_labels if self.config.view == "partly" else None

    def _pseudo_labels(self, view: View, upstream: Upstream) -> View:
        given = passes.over_images(self.context.model.label, dict(upstream), view.images)
        return View(view.images, np.where(view.labels == UNPAIRED, given, view.labels).astype(np.int32))

    def finish(self, state: PyTree, view: View, upstream: Upstream) -> Frozen:
        latents = passes.over_images(self.context.model.encode, dict(upstream), view.images)
        return self.Frozen(self.matcher.fit(latents, view.labels, upstream))

    @property
    def provides(self):
        return dict(sample=self.sample, nfe=self.matcher.nfe, conditional=self.matcher.CONDITIONAL)

    def sample(self, params: Upstream, keys: jax.Array, condition: jax.Array) -> Samples:
        model = self.context.model
        seen = model.embed(params, condition) if is_image(self.context) else condition
        sampler = params[self.context.name].sampler
        latents = jax.vmap(self.matcher.sample, in_axes=(None, 0, 0))(sampler, keys, seen)
        images = model.decode(params, latents)
        if model.project is not None:
            images = model.project(params, images, condition)
        return Samples.untested(images, latents)


@dataclasses.dataclass(frozen=True)
class Matching(FittedMatching):
    """A matcher that is trained step by step."""

    @property
    def strata(self) -> int | None:
        """Where β = ∞ and conditions are labels, batches hold equally many of each class."""
        stratified = self.config.beta == float("inf") and not is_image(self.context)
        return self.context.num_classes if stratified else None

    def inputs(self, images: jax.Array, upstream: Upstream) -> Batch:
        model = self.context.model
        low = {"low": model.degrade(upstream, images)} if is_image(self.context) else {}
        return {"latents": model.encode(upstream, images), **low}

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> PyTree:
        return self.matcher.init(key, batch["latents"], self.condition(batch, key, upstream))

    def update(self, state: PyTree, batch: Batch, key: jax.Array, upstream: Upstream):
        batch = self.context.axis.gather(batch)
        rows = batch["latents"], self.condition(batch, jax.random.fold_in(key, 0), upstream)
        return self.matcher.update(state, *(jnp.repeat(each, self.config.draws, axis=0) for each in rows), key)

    def condition(self, batch: Batch, key: jax.Array, upstream: Upstream) -> jax.Array:
        """X of the batch: labels, or low-resolution images as networks see them.

        The degradation's noise is drawn anew at every step. `condition_noise` comes on top: without it networks learn
        few pairs by heart (Ho et al. 2022, arXiv 2106.15282, section 4).
        """
        if not is_image(self.context):
            return batch["labels"]
        model = self.context.model
        first, second = jax.random.split(key)
        low = model.noise(upstream, batch["low"], jax.random.split(first, len(batch["low"])))
        embedded = model.embed(upstream, low)
        return embedded + self.config.condition_noise * jax.random.normal(second, embedded.shape)

    def averaged(self, state: PyTree) -> dict[str, PyTree]:
        return {"sampler": self.matcher.averaged(state)}

    def finish(self, state: PyTree, view: View, upstream: Upstream) -> FittedMatching.Frozen:
        return self.Frozen(**self.averaged(state))


def _check(config: ConfigDict, context: Context) -> None:
    """Raises UserError for what no matcher can use."""
    checks.choice(config, context.name, "matcher", MATCHERS)
    checks.positive(config, context.name, beta="inf")
    checks.at_least(config, context.name, 1, draws=4, noise_size=64, width=512, depth=3)
    if context.model.encode is None or context.model.decode is None:
        raise UserError(
            f"stages: {context.name} needs a stage before it that encodes and decodes, such as representation"
        )
    if is_image(context):
        checks.at_least(config, context.name, 0, condition_noise=0.1)
        if not MATCHERS[config.matcher].IMAGES:
            raise UserError(
                f"{context.name}.matcher={config.matcher}: takes a label for a condition, not an image; choose one of "
                f"{', '.join(name for name, each in MATCHERS.items() if each.IMAGES)}"
            )
    _check_view(config, context)


def _check_view(config: ConfigDict, context: Context) -> None:
    setting = f"{context.name}.view={config.view}"
    if is_image(context):
        if config.view not in ("paired", "all"):
            raise UserError(f"{setting}: type --config.{context.name}.view=paired, or all where every image is a pair")
        return
    if config.view not in ("paired", "partly"):
        raise UserError(f"{setting}: matching needs labels; type --config.{context.name}.view=paired")
    if config.view == "partly" and context.model.label is None:
        raise UserError(
            f"{setting}: needs a stage before it that labels the rest, such as labeller; "
            f"type --config.{context.name}.view=paired"
        )
