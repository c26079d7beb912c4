"""Step 2 of LSDM: a generator of latents, matched to those of images. X is a label or a low-resolution image.

min_G W₁( (X, G(X, η)), (X, E(Y)) ) over the n pairs (arXiv 2603.04223, step 2). The *matcher* says how that distance is
taken, or what stands in for it: one file each in `lsdm_jax/matchers`, one line each in MATCHERS. What images without a
label may add is in `lsdm_jax.unpaired`.
"""

import dataclasses
import math
from functools import partial

import flax
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.data import passes
from experiment_jax.data.split import View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, PyTree, Samples, Stage, Upstream
from experiment_jax.networks import optimiser
from lsdm_jax import unpaired
from lsdm_jax.condition import is_image
from lsdm_jax.matchers import MATCHERS
from lsdm_jax.matchers.generator import OneStepMatcher
from lsdm_jax.matchers.matcher import Matcher, Term, pair_rows
from lsdm_jax.matchers.places import NETWORKS


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a matcher: latents in, a sampler out.

    Args:
        config: matcher (a name in MATCHERS), beta (weight of the condition in the joint cost; inf: one transport
            problem a class), labels (what unpaired images count for, see `lsdm_jax.unpaired`), pairs (of terms of the
            pairs alone: smoothing; of one beside that of all latents: weight and batch_size, its part of the batch),
            draws (how many η each x of a batch gets), condition_noise (standard deviation of the noise on images in
            training, in units of the images' own), what generators share (noise_size, width, depth, optimiser,
            generator, patch, ema_decay), and a section of its own settings for each matcher.
        context: its model must encode and decode; where it degrades, the condition is the low-resolution image.

    Raises:
        UserError: an unknown matcher or one that the condition is not for, a beta that is not positive, no draw, no
            representation before this stage, a view without labels, an optimiser that is not offered, a batch that
            the classes cannot share, or what `unpaired.check` refuses.
    """
    _check(config, context)
    matcher = MATCHERS[config.matcher](config, context)
    matcher.check()
    if matcher.fit is not None:
        return FittedMatching(matcher, config, context)
    optimiser.build(config.optimiser, context.total_steps)  # what it refuses is refused before anything is trained
    stage = Matching(matcher, config, context)
    if stage.strata and (config.batch_size - stage.pairs) % stage.strata:
        nearest = max(round(config.batch_size / stage.strata), 1) * stage.strata
        raise UserError(
            f"{context.name}.batch_size={config.batch_size}: {stage.strata} classes cannot share it; "
            f"type --config.{context.name}.batch_size={nearest}"
        )
    return stage


@dataclasses.dataclass(frozen=True)
class FittedMatching(Stage):
    """A matcher that is fitted in one pass, to mirrored images too where training images are mirrored."""

    matcher: Matcher
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen:
        """The sampler's parameters."""

        sampler: PyTree

    @property
    def relabel(self):
        """What a labeller says of images without a label."""
        return unpaired.relabel(self.config, self.context)

    def finish(self, state: PyTree, view: View, upstream: Upstream) -> Frozen:
        if self.relabel is not None:
            view = self.relabel(view, upstream)
        encode = self.context.model.encode
        variants = [encode, lambda params, images: encode(params, images[:, :, ::-1])][: 1 + self.context.flips]
        latents = [passes.over_images(variant, dict(upstream), view.images) for variant in variants]
        labels = np.tile(view.labels, len(variants))
        return self.Frozen(self.matcher.fit(np.concatenate(latents), labels, upstream))

    @property
    def provides(self):
        return dict(sample=self.sample, nfe=self.matcher.nfe, conditional=self.matcher.conditional)

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
        """Where β = ∞ and latents have a class that is heeded, batches hold equally many of each."""
        by_class = self.matcher.conditional and not is_image(self.context)
        stratified = self.config.beta == float("inf") and by_class
        return self.context.num_classes if stratified and self.config.labels != "marginal" else None

    @property
    def pairs(self) -> int:
        """The rows of the pairs' own term."""
        return pair_rows(self.config)

    def inputs(self, images: jax.Array, upstream: Upstream) -> Batch:
        model = self.context.model
        low = {"low": model.degrade(upstream, images)} if is_image(self.context) else {}
        latents = model.encode(upstream, images)
        return {"latents": latents if model.space is None else model.space(upstream, latents), **low}

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> PyTree:
        return self.matcher.init(key, batch["latents"], self.condition(batch, key, upstream))

    def update(self, state: PyTree, batch: Batch, key: jax.Array, upstream: Upstream):
        batch = self.context.axis.gather(batch)
        terms = self.terms(batch, jax.random.fold_in(key, 0), upstream)
        if self.context.model.space is not None:
            space = partial(self.context.model.space, upstream)
            terms = [term._replace(space=space) for term in terms]
        return self.matcher.update(state, [self._repeated(term) for term in terms], key)

    def _repeated(self, term: Term) -> Term:
        """Each row as often as there are draws."""
        rows = {"latents": term.latents, "condition": term.condition, "known": term.known}
        return term._replace(**jax.tree.map(lambda leaf: jnp.repeat(leaf, self.config.draws, axis=0), rows))

    def terms(self, batch: Batch, key: jax.Array, upstream: Upstream) -> list[Term]:
        """What G is compared with: all latents that the view has and, in a term of their own, those of the pairs."""
        config, count = self.config, self.pairs
        pairs = {name: rows[:count] for name, rows in batch.items()}
        rest = {name: rows[count:] for name, rows in batch.items()}
        if not count:
            return [unpaired.term(config, self.context, rest, self.condition(rest, key, upstream), key)]
        first, second = jax.random.split(key)
        own = self.condition(pairs, first, upstream)
        beta = config.beta if is_image(self.context) else float("inf")
        return [
            unpaired.term(config, self.context, rest, own if is_image(self.context) else rest["labels"], second),
            Term(pairs["latents"], own, beta, None, config.pairs.smoothing, config.pairs.weight, "pairs_"),
        ]

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
    _check_places(config, context, MATCHERS[config.matcher])
    unpaired.check(config, context, MATCHERS[config.matcher])


def _check_places(config: ConfigDict, context: Context, matcher: type[Matcher]) -> None:
    """Raises UserError for a generator or a space that this matcher, or these latents, have not."""
    name = context.name
    checks.choice(config, name, "generator", NETWORKS)
    if config.generator != "dense" and not (matcher.TOKENS and context.model.latent_shape):
        lacks = f"{config.matcher} has no such network" if context.model.latent_shape else "latents have no places"
        raise UserError(f"{name}.generator={config.generator}: {lacks}; type --config.{name}.generator=dense")
    checks.at_least(config, name, 1, patch=1)
    places = context.model.latent_shape[:2]
    if any(side % config.patch for side in places):
        raise UserError(
            f"{name}.patch={config.patch}: {'x'.join(map(str, places))} places are no squares of it; "
            f"type --config.{name}.patch=1"
        )
    tokens = math.prod(places) // config.patch**2
    shares = is_image(context) and config.generator != "dense" and issubclass(matcher, OneStepMatcher)
    if shares and config.noise_size % tokens:
        raise UserError(
            f"{name}.noise_size={config.noise_size}: {tokens} places cannot share it; "
            f"type --config.{name}.noise_size={math.ceil(config.noise_size / tokens) * tokens}"
        )
    if context.model.space is not None and not matcher.SPACES:
        raise UserError(
            f"stages: {config.matcher} takes no distances between points of a space; leave the stage space out, or "
            f"choose one of {', '.join(each for each, other in MATCHERS.items() if other.SPACES)}"
        )
