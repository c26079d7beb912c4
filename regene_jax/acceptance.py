"""ReGene's acceptance: of several candidates, the first that the classifier is as sure of as it is of real images.

A latent passes the first test if the head's confidence in the class that was asked for reaches that class's mean
confidence on held-out images; its decoded image passes the second if the same holds once it is encoded again
(arXiv 2004.07543, section 5.2). Held-out images are cut from train, never from test.

Any sampler can stand before this stage: a hull, or a generator matched to the latents.
"""

import dataclasses

import flax
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.data import passes
from experiment_jax.data.split import View
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Model, PyTree, Samples, Stage, Upstream


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of the two tests: held-out images in, a sampler that tests what it draws out (`steps=0`).

    Sample i depends on key i alone, and its cost does not depend on the outcome: `tries` candidates are drawn and put
    to the first test, and the first `decodes` that pass it are decoded and put to the second. The stage's nfe is
    `decodes`, the passes of the decoder that one sample takes; heads, encoders and generators of latents, of which the
    decoder is the dearest by far, are not counted.

    Args:
        config: tries (candidates a sample), decodes (at most so many of them are decoded).
        context: its model must encode, decode, classify and sample.

    Raises:
        UserError: no stages before it that do all four, another view than the held-out images, no tries, or decodes
            that are not among them.
    """
    _check(config, context)
    return Acceptance(config, context)


@dataclasses.dataclass(frozen=True)
class Acceptance(Stage):
    """The two tests. For the settings see `stage`."""

    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen:
        """The confidence that each class must reach, float32 `[classes]`."""

        threshold: jax.Array

    def finish(self, state: PyTree, view: View, upstream: Upstream) -> Frozen:
        return self.Frozen(thresholds(self.context.model, view, upstream, self.context.num_classes))

    @property
    def provides(self):
        return dict(sample=self.sample, nfe=self.config.decodes, tests=True)

    def sample(self, params: Upstream, keys: jax.Array, condition: jax.Array) -> Samples:
        threshold = jnp.asarray(params[self.context.name].threshold)[condition]
        sizes = self.config.tries, self.config.decodes
        return _first_accepted(self.context.model, params, keys, condition, threshold, *sizes)


def thresholds(model: Model, view: View, upstream: Upstream, num_classes: int) -> np.ndarray:
    """Mean confidence of the head in the true class, float32 `[classes]`, over a view's images of each class.

    Images that it gets wrong count too: this is how sure it is of real images, not of those it knows.
    """

    @jax.jit
    def measure(images: jax.Array, labels: jax.Array) -> jax.Array:
        return _confidence(model, upstream, model.encode(upstream, passes.to_float(images)), labels)

    upstream = jax.device_put(dict(upstream))
    confidence = passes.over(measure, view.images, view.labels, batch_size=passes.PASS)
    sums = np.bincount(view.labels, weights=confidence, minlength=num_classes)
    return (sums / np.bincount(view.labels, minlength=num_classes)).astype(np.float32)


def _confidence(model: Model, params: Upstream, latents: jax.Array, labels: jax.Array) -> jax.Array:
    """softmax(f_dis(z))[label], float32 `[batch]`."""
    probabilities = jax.nn.softmax(model.classify(params, latents), axis=-1)
    return jnp.take_along_axis(probabilities, labels[:, None], axis=-1)[:, 0]


def _first_accepted(
    model: Model,
    params: Upstream,
    keys: jax.Array,
    labels: jax.Array,
    threshold: jax.Array,
    tries: int,
    decodes: int,
) -> Samples:
    """For each key the first candidate that passes both tests; failing that, the first that passed one, or the first.

    Everything has a fixed shape and there is no loop: convolutions inside loops are ten times slower on CPU.
    """
    batch = keys.shape[0]

    def confidence(latents: jax.Array) -> jax.Array:
        """Of latents `[candidates, batch, latent]` in the batch's labels: `[candidates, batch]`."""
        flat = latents.reshape(-1, latents.shape[-1])
        return _confidence(model, params, flat, jnp.tile(labels, latents.shape[0])).reshape(-1, batch)

    fold = jax.vmap(jax.vmap(jax.random.fold_in, (0, None)), (None, 0))
    each_key = fold(keys, jnp.arange(tries)).reshape(-1)
    # Only the latents are used, so what the sampler would decode is never computed.
    latents = model.sample(params, each_key, jnp.tile(labels, tries)).latents.reshape(tries, batch, -1)
    passed = confidence(latents) >= threshold
    # Slot r holds the candidate that is the r-th to pass; where there is none, the first of all.
    place = jnp.cumsum(passed.astype(jnp.int32), axis=0) - 1
    slots = jnp.arange(decodes)[:, None, None]
    candidate = jnp.argmax(passed[None] & (place[None] == slots), axis=1)  # [decodes, batch]
    filled = slots[:, 0] <= place[-1]
    latents = jnp.take_along_axis(latents, candidate[..., None], axis=0)
    images = model.decode(params, latents.reshape(decodes * batch, -1))
    again = model.encode(params, images).reshape(decodes, batch, -1)
    both = filled & (confidence(again) >= threshold)
    chosen = jnp.argmax(both, axis=0)  # the first slot where none is accepted
    accepted, column = jnp.any(both, axis=0), jnp.arange(batch)
    # Where none is accepted, testing ended with the last slot's candidate, or with the last of all.
    ended = jnp.where(accepted, candidate[chosen, column], jnp.where(filled[-1], candidate[-1], tries - 1))
    images = images.reshape(decodes, batch, *images.shape[1:])
    return Samples(images[chosen, column], latents[chosen, column], accepted, ended.astype(jnp.int32) + 1)


def _check(config: ConfigDict, context: Context) -> None:
    name, model = context.name, context.model
    needed = ("encode", "decode", "classify", "sample")
    missing = [function for function in needed if getattr(model, function) is None]
    if missing:
        raise UserError(
            f"stages: {name} needs stages before it that encode, decode, classify and sample, such as classifier, "
            f"decoder and hull; none of them can {' or '.join(missing)}"
        )
    if config.view != "validation":
        raise UserError(
            f"{name}.view={config.view}: thresholds need images held out; type --config.{name}.view=validation"
        )
    if config.tries < 1:
        raise UserError(f"{name}.tries={config.tries}: at least one candidate is drawn; type --config.{name}.tries=8")
    if not 1 <= config.decodes <= config.tries:
        fit = min(max(config.decodes, 1), config.tries)
        raise UserError(
            f"{name}.decodes={config.decodes}: at least 1 and at most tries={config.tries}; "
            f"type --config.{name}.decodes={fit}"
        )
