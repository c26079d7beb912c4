"""What images without a label add to matching: the setting `matching.labels`.

Of an unpaired latent Z the condition X is not known, but something about it is. A labeller, trained before, gives
P(X = x | Y). What matching does with it:

    pairs      unpaired images are left out, as in LSDM (arXiv 2603.04223): the terms are over the n pairs;
    pseudo     each takes its likeliest class for true (Lee 2013);
    sampled    each takes a class drawn from its probabilities, anew at every step: (X, Z) has the labeller's joint law;
    posterior  each stands at its expected condition E[φ(X) | Y] in one joint transport with all others, β finite;
    marginal   nothing is taken: Σ_x p(x) G(x, ·), the mixture over classes, is matched to the law of all latents.

Samples of G always carry one class, never probabilities. With `posterior` it is drawn from the probabilities of the
row that the sample stands beside, so classes have the shares that the labeller finds in all images. With `marginal`
they have the shares of the pairs.

Where classes overlap the optimum of `posterior` is not the true law, even if the probabilities are exact. A sample of
class x goes where x is likeliest, since ‖φ(x) − E[φ(X) | Y]‖ is less there: the larger β is, the more classes are cut
apart at their borders. `sampled` has no such bias at any β. `benchmarks/posterior_bias.py` measures both.

The pairs may have a term of their own beside that of all latents (`matching.pairs`): within each class.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.data import passes
from experiment_jax.data.split import UNPAIRED, View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, Upstream
from lsdm_jax.condition import expected_phi, is_image
from lsdm_jax.matchers.matcher import ALL_LABELS, Matcher, Term, pair_rows

LABELLED = ("pseudo", "sampled", "posterior")  # what takes a labeller


def view(section: ConfigDict) -> str:
    """The view of a matching section: the pairs; or all images with the labels of the pairs, also for a matcher that
    heeds no label."""
    heeds = section.get(section.matcher, {}).get("conditional", True)
    return "paired" if section.labels == "pairs" and heeds else "mixed"


def relabel(section: ConfigDict, context: Context) -> Callable[[View, Upstream], View] | None:
    """What gives unpaired images labels or probabilities; see `experiment_jax.method.stage.Stage`."""
    if section.labels not in LABELLED:
        return None

    def relabelled(view: View, upstream: Upstream) -> View:
        found = passes.over_images(context.model.posterior, dict(upstream), view.images)
        check_probabilities(found, context)
        given = view.labels != UNPAIRED
        if section.labels == "pseudo":
            likeliest = np.argmax(found, axis=-1)
            return View(view.images, np.where(given, view.labels, likeliest).astype(np.int32))
        certain = np.eye(context.num_classes, dtype=np.float32)[np.maximum(view.labels, 0)]
        return View(view.images, view.labels, np.where(given[:, None], certain, found).astype(np.float32))

    return relabelled


def check_probabilities(found: np.ndarray, context: Context) -> None:
    """Raises UserError where these are not probabilities of the run's classes, `[N, classes]`."""
    if found.ndim != 2 or found.shape[1] != context.num_classes:
        raise UserError(
            f"{context.name}.labels: the labeller knows {found.shape[-1]} classes and the data set has "
            f"{context.num_classes}; train one on this data set"
        )
    if not (np.all(found >= 0) and np.allclose(found.sum(axis=1), 1.0, atol=1e-3)):
        worst = found.sum(axis=1)[np.argmax(np.abs(found.sum(axis=1) - 1.0))]
        raise UserError(
            f"{context.name}.labels: the labeller's probabilities of an image sum to {worst:.3g}, not to 1; "
            f"type --config.{context.name}.labels=pairs"
        )


def draw_labels(key: jax.Array, probabilities: jax.Array) -> jax.Array:
    """A class int32 `[batch]` for each row of probabilities `[batch, classes]`; one of probability 0 never."""
    return jax.random.categorical(key, jnp.log(probabilities), axis=-1).astype(jnp.int32)


def term(config: ConfigDict, context: Context, batch: Batch, condition: jax.Array, key: jax.Array) -> Term:
    """The term of all latents that the view has.

    Args:
        config: the stage's section.
        context: see `Context`.
        batch: latents `[rows, latent]` and, where frozen networks give them, probabilities `[rows, classes]`.
        condition: of the rows; with `marginal`, where conditions are images, those of the pairs.
        key: of the classes that are drawn.
    """
    latents, labels = batch["latents"], config.labels
    if labels == "pairs":
        return Term(latents, condition, config.beta, smoothing=config.pairs.smoothing)
    if labels == "pseudo":
        return Term(latents, condition, config.beta)
    if labels == "marginal":
        if is_image(context):
            return Term(latents, condition[jnp.arange(len(latents)) % len(condition)], beta=0.0)
        shares = jnp.broadcast_to(context.class_weights, (len(latents), context.num_classes))
        return Term(latents, draw_labels(key, shares), beta=0.0)
    if config.beta == float("inf"):  # the batch is drawn by the probabilities of each class, and sorted by class
        each = len(latents) // context.num_classes
        return Term(latents, jnp.repeat(jnp.arange(context.num_classes, dtype=jnp.int32), each))
    drawn = draw_labels(key, batch["probabilities"])
    known = expected_phi(batch["probabilities"]) if labels == "posterior" else None
    return Term(latents, drawn, config.beta, known)


def check(config: ConfigDict, context: Context, matcher: type[Matcher]) -> None:
    """Raises UserError for what cannot be done with unpaired images."""
    name, labels = context.name, config.labels
    checks.choice(config, name, "labels", ALL_LABELS)
    _check_view(config, context)
    if labels not in matcher.LABELS:
        raise UserError(
            f"{name}.labels={labels}: {config.matcher} takes {', '.join(matcher.LABELS)}; "
            f"type --config.{name}.labels={matcher.LABELS[-1]}, or choose another matcher"
        )
    checks.at_least(config.pairs, f"{name}.pairs", 0, weight=1.0, smoothing=0.5)
    if config.pairs.smoothing and not matcher.SMOOTHS:
        raise UserError(
            f"{name}.pairs.smoothing={config.pairs.smoothing}: {config.matcher} has none; "
            f"type --config.{name}.pairs.smoothing=0.0"
        )
    if labels in ("pairs", "pseudo") and config.pairs.weight:
        raise UserError(
            f"{name}.pairs.weight={config.pairs.weight}: with labels={labels} all rows are alike, one term; "
            f"type --config.{name}.pairs.weight=0.0"
        )
    if labels == "pairs":
        return
    if labels in LABELLED and context.model.posterior is None:
        raise UserError(
            f"{name}.labels={labels}: needs a stage before it that labels the rest, such as labeller; "
            f"type --config.{name}.labels=pairs"
        )
    if not is_image(context):
        check_every_class(context, f"{name}.labels={labels}")
    _check_terms(config, context)


def check_every_class(context: Context, setting: str) -> None:
    """Raises UserError where a class has no image with a label; `setting` needs one of each."""
    if context.class_counts.min() == 0:
        raise UserError(
            f"{setting}: class {context.class_counts.argmin()} has no image with a label; give it some, or raise "
            f"data.paired"
        )


def check_pair_rows(rows: int, batch_size: int, context: Context, setting: str) -> None:
    """Raises UserError unless so many rows of a batch can be pairs, equally many of each class; `setting` says it."""
    classes = context.num_classes
    if rows % classes or not 0 < rows < batch_size:
        nearest = max(min(rows, batch_size - 1) // classes, 1) * classes
        raise UserError(
            f"{setting}={rows}: must be a multiple of the {classes} classes and less than batch_size={batch_size}; "
            f"type --config.{setting}={nearest}"
        )


def _check_terms(config: ConfigDict, context: Context) -> None:
    name, labels = context.name, config.labels
    if labels == "posterior" and config.beta == float("inf"):
        raise UserError(
            f"{name}.labels=posterior: needs a finite beta, since what is not certain is of no one class; "
            f"type --config.{name}.beta=10.0, or --config.{name}.labels=sampled"
        )
    if labels == "marginal" and not config.pairs.weight:
        raise UserError(f"{name}.labels=marginal: learns no class without pairs; type --config.{name}.pairs.weight=1.0")
    if pair_rows(config):
        check_pair_rows(config.pairs.batch_size, config.batch_size, context, f"{name}.pairs.batch_size")


def _check_view(config: ConfigDict, context: Context) -> None:
    seen, expected = config.view, view(config)
    own = seen.endswith(":view")  # the section's own choice
    where = f"{context.name}.view={seen}"
    if is_image(context):
        if config.labels in LABELLED:
            raise UserError(
                f"{context.name}.labels={config.labels}: the condition is an image and has no classes; "
                f"type --config.{context.name}.labels=pairs, or marginal"
            )
        if not own and seen not in (expected, "all"):
            raise UserError(
                f"{where}: type --config.{context.name}.view={expected}, or all where every image is a pair"
            )
    elif not own and seen != expected:
        raise UserError(
            f"{where}: matching with labels={config.labels} sees the view {expected}; "
            f"type --config.{context.name}.view={expected}"
        )
