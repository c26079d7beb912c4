"""Step 2 of LSDM: a generator of latents, matched to the pairs alone. X is a label or a low-resolution image.

min_G W₁( (X, G(X, η)), (X, E(Y)) ) over the n pairs (arXiv 2603.04223, step 2). How that distance is taken, or what
stands in for it, is the *matcher*'s matter: one file each under `lsdm_jax/matchers`, one line each in MATCHERS.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config import checks as settings
from experiment_jax.config import load as configs
from experiment_jax.data import passes
from experiment_jax.data.split import UNPAIRED, View
from experiment_jax.devices import placement as parallel
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, Frozen, Samples, Stage, Upstream
from lsdm_jax.condition import is_image, is_label

PyTree = Any

MATCHERS = {
    "critic": "lsdm_jax.matchers.critic:matcher",
    "energy": "lsdm_jax.matchers.energy:matcher",
    "flow": "lsdm_jax.matchers.flow:matcher",
    "gmm": "lsdm_jax.matchers.gmm:matcher",
    "prior": "lsdm_jax.matchers.prior:matcher",
    "score": "lsdm_jax.matchers.score:matcher",
    "sinkhorn": "lsdm_jax.matchers.sinkhorn:matcher",
    "vae": "lsdm_jax.matchers.vae:matcher",
}
IMAGES = ("critic", "energy", "flow", "score", "sinkhorn")  # those that take an image for a condition


@dataclasses.dataclass(frozen=True)
class Matcher:
    """How a sampler of latents is trained, or fitted, and drawn from.

    Attributes:
        init: (key, latents `[batch, latent]`, condition, see `lsdm_jax.condition`) -> state.
        update: (state, latents, condition, key) -> (state, metrics). The batch is global; where β = ∞ and conditions
            are labels it holds equally many of each class, sorted by class; with `draws` = K each row comes K times,
            one after another.
        averaged: state -> params of the sampler.
        sample: (params, key, x, one condition) -> latent `[latent]`, one sample from one key.
        nfe: evaluations of a network that one sample takes.
        fit: (latents `[N, latent]`, labels int32 `[N]`, upstream) -> params of the sampler, all pairs at once on the
            host, in place of `init`, `update` and `averaged`; see `fitted`.
        conditional: whether samples heed their condition.
    """

    init: Callable[[jax.Array, jax.Array, jax.Array], PyTree] | None
    update: Callable[[PyTree, jax.Array, jax.Array, jax.Array], tuple[PyTree, Mapping[str, jax.Array]]] | None
    averaged: Callable[[PyTree], PyTree] | None
    sample: Callable[[PyTree, jax.Array, jax.Array], jax.Array]
    nfe: int
    fit: Callable[[np.ndarray, np.ndarray, Upstream], PyTree] | None = None
    conditional: bool = True

    @classmethod
    def fitted(
        cls,
        fit: Callable[[np.ndarray, np.ndarray, Upstream], PyTree],
        sample: Callable[[PyTree, jax.Array, jax.Array], jax.Array],
        conditional: bool = True,
    ) -> "Matcher":
        """A matcher that trains no network (`steps=0`) and evaluates none to draw."""
        return cls(None, None, None, sample, nfe=0, fit=fit, conditional=conditional)


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a matcher: latents of the pairs in, a one-step sampler out.

    Args:
        config: matcher (a name in MATCHERS), beta (weight of the condition in the joint cost; inf: one transport
            problem a class), draws (η for each x of a batch), condition_noise (deviation of what is put on
            images in training, in units of their own), and what the matcher itself reads.
        context: its model must encode and decode; where it degrades, the condition is the low-resolution image.

    Raises:
        UserError: an unknown matcher or one that the condition is not for, a beta that is not positive, no draw, no
            representation before this stage, a view without labels, or a batch that the classes cannot share.
    """
    _check(config, context)
    matcher = configs.resolve(MATCHERS[config.matcher])(config, context)
    return _trained(matcher, config, context) if matcher.fit is None else _fitted(matcher, context, config.view)


def _check(config: ConfigDict, context: Context) -> None:
    """Raises UserError for what no matcher can use."""
    settings.check_choice(config, context.name, "matcher", MATCHERS)
    settings.check_positive(config, context.name, beta="inf")
    if context.model.encode is None or context.model.decode is None:
        raise UserError(
            f"stages: {context.name} needs a stage before it that encodes and decodes, such as representation"
        )
    if "draws" in config:  # a run older than the setting has one
        settings.check_at_least(config, context.name, 1, draws=4)
    if is_image(context):
        settings.check_at_least(config, context.name, 0, condition_noise=0.1)
        if config.matcher not in IMAGES:
            raise UserError(
                f"{context.name}.matcher={config.matcher}: takes a label for a condition, not an image; choose one of "
                f"{', '.join(IMAGES)}"
            )
    _check_view(config, context)


def _trained(matcher: Matcher, config: ConfigDict, context: Context) -> Stage:
    """The stage of a matcher that is trained step by step."""
    draws = config.get("draws", 1)
    strata = context.num_classes if settings.is_infinite(config.beta) and not is_image(context) else None
    if strata and config.batch_size % strata:
        nearest = max(round(config.batch_size / strata), 1) * strata
        raise UserError(
            f"{context.name}.batch_size={config.batch_size}: {strata} classes cannot share it; "
            f"type --config.{context.name}.batch_size={nearest}"
        )
    model = context.model

    def inputs(images: jax.Array, upstream: Upstream) -> Mapping[str, jax.Array]:
        low = {"low": model.degrade(upstream, images)} if is_image(context) else {}
        return {"latents": model.encode(upstream, images), **low}

    def condition(batch: Batch, key: jax.Array, upstream: Upstream) -> jax.Array:
        """X of the batch. Of an image the degradation's noise is drawn anew at every step, and more is put on what
        networks see of it, which would else learn few pairs by heart (Ho et al. 2022, arXiv 2106.15282, section 4)."""
        if not is_image(context):
            return batch["labels"]
        first, second = jax.random.split(key)
        low = model.noise(upstream, batch["low"], jax.random.split(first, len(batch["low"])))
        embedded = model.embed(upstream, low)
        return embedded + config.condition_noise * jax.random.normal(second, embedded.shape)

    def init(key: jax.Array, batch: Batch, upstream: Upstream) -> PyTree:
        return matcher.init(key, batch["latents"], condition(batch, key, upstream))

    def update(state: PyTree, batch: Batch, key: jax.Array, upstream: Upstream):
        own = parallel.gather(batch, context.axis_name)
        rows = own["latents"], condition(own, jax.random.fold_in(key, 0), upstream)
        return matcher.update(state, *(jnp.repeat(each, draws, axis=0) for each in rows), key)

    return Stage(
        init=init,
        update=update,
        averaged=matcher.averaged,
        finish=lambda state, view, upstream: {"params": matcher.averaged(state)},
        provides=_sampler(matcher, context, "params"),
        inputs=inputs,
        strata=strata,
        relabel=partial(_relabel, context) if config.view == "partly" else None,
    )


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


def _relabel(context: Context, view: View, upstream: Upstream) -> View:
    """All images of a view: the labels of the pairs, and pseudo-labels of the rest."""
    label = jax.jit(lambda params, images: context.model.label(params, passes.to_float(images)))
    given = passes.over(partial(label, jax.device_put(dict(upstream))), view.images, batch_size=500)
    labels = np.where(view.labels == UNPAIRED, given, view.labels).astype(np.int32)
    return View(view.images, labels)


def _fitted(matcher: Matcher, context: Context, view: str) -> Stage:
    """The stage of a matcher that is fitted in one pass over the pairs."""

    def finish(state: PyTree, view: View, upstream: Upstream) -> Frozen:
        encode = jax.jit(lambda params, images: context.model.encode(params, passes.to_float(images)))
        latents = passes.over(partial(encode, jax.device_put(dict(upstream))), view.images, batch_size=500)
        return {"fitted": matcher.fit(latents, view.labels, upstream)}

    stage = Stage.untrained(finish, _sampler(matcher, context, "fitted"))
    return dataclasses.replace(stage, relabel=partial(_relabel, context) if view == "partly" else None)


def _sampler(matcher: Matcher, context: Context, part: str) -> dict[str, Any]:
    """What a matcher's stage adds to the model; `part` of what the stage freezes is the matcher's params."""

    def sample(params: Upstream, keys: jax.Array, condition: jax.Array) -> Samples:
        told = context.model.embed(params, condition) if is_image(context) else condition
        latents = jax.vmap(matcher.sample, in_axes=(None, 0, 0))(params[context.name][part], keys, told)
        images = context.model.decode(params, latents)
        if context.model.project is not None:
            images = context.model.project(params, images, condition)
        return Samples.untested(images, latents)

    return dict(sample=sample, nfe=matcher.nfe, conditional=matcher.conditional)


def batch_weights(condition: jax.Array, class_weights: Any, beta: float) -> jax.Array:
    """w `[batch]`: a stratified batch holds equally many of each class, which weigh p(x); any other is as drawn."""
    if not settings.is_infinite(beta) or not is_label(condition):
        return jnp.full(len(condition), 1.0 / len(condition))
    return jnp.asarray(class_weights)[condition] * len(class_weights) / len(condition)


def check_beta(config: ConfigDict, context: Context) -> None:
    """Raises UserError where β = ∞ would leave every x of a transport problem with one y."""
    if is_image(context) and settings.is_infinite(config.beta):
        raise UserError(
            f"{context.name}.beta=inf: {config.matcher} would transport to the one y of each image; "
            f"type --config.{context.name}.beta=1.0, or choose critic or energy"
        )
