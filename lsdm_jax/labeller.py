"""A labeller: what learns from the pairs and from all other images, and says what is known of their class.

Two classifiers see an image differently and err differently. One is of latents, in closed form
(`lsdm_jax.kernel_classifier`). The other is a network of images, the judges' in shape. Of the rows of a batch the first
have a label x, the others have none. With two changes of each image y, a weak one and a strong one, the network's

    loss = mean over pairs of −log p(x | weak(y))
           + consistency · mean over the others of 1[max q̃ ≥ threshold] · −log p(argmax q̃ | strong(y)),

    q̃ ∝ q(y) · shares of the classes among the pairs / their running mean in q,

q(y) being the normalised geometric mean of what the averaged network says of weak(y) and the classifier of latents says
of y. What both are sure of the network is to say at the strong change (FixMatch: Sohn et al. 2020, arXiv 2001.07685;
co-training: Blum & Mitchell 1998), with the classes as frequent as they are (distribution alignment: Berthelot et al.
2020, arXiv 1911.09785). With consistency=0 the network sees the pairs alone, with steps=0 there is none, with
latents=false it is alone; its likeliest class is then the pseudo-label of Lee 2013.

The product of both is brought to a temperature that some pairs, held out of both, find (Guo et al. 2017, arXiv
1706.04599).
"""

import dataclasses

import flax
import jax
import jax.numpy as jnp
import numpy as np
import optax
import scipy.special
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.data import passes
from experiment_jax.data.split import UNPAIRED, View, choose
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, PyTree, Stage, Upstream
from experiment_jax.networks import convolutional
from experiment_jax.networks.augmentation import shifted, varied
from experiment_jax.networks.neutral_classifier import NeutralClassifier
from experiment_jax.networks.train_state import TrainState
from lsdm_jax import consistency, kernel_classifier, unpaired


def stage(config: ConfigDict, context: Context) -> "Labeller":
    """The stage of a labeller.

    Args:
        config: of the network widths, convolutions, features, dropout; shift (of the weak change, in pixels) and
            strong (the other change, see `augmentation.varied`); pairs (how many rows of a batch have a label),
            consistency, threshold, latents (whether there is a classifier of latents), held_out (share of the
            pairs that find the temperature), label_smoothing, optimiser, ema_decay.
        context: see `Context`.

    Raises:
        UserError: another view, a class without a pair, numbers out of range, or what `convolutional.classifier`
            refuses.
    """
    name = context.name
    unpaired.check_every_class(context, name)
    if config.view != "mixed":
        raise UserError(f"{name}.view={config.view}: sees all images; type --config.{name}.view=mixed")
    checks.at_least(config, name, 0, consistency=1.0, threshold=0.8, held_out=0.1)
    checks.below(config, name, "threshold", 1, 0.8)
    checks.below(config, name, "held_out", 1, 0.1)
    for setting, example in (("shift", 0.1), ("light", 0.1), ("noise", 0.1), ("share", 0.1)):
        checks.at_least(config.strong, f"{name}.strong", 0, **{setting: example})
    if config.latents:
        _check_latents(config, context)
    elif not context.total_steps:
        raise UserError(f"{name}.steps=0: nothing would know a class; type --config.{name}.latents=true")
    unpaired.check_pair_rows(config.pairs, config.batch_size, context, f"{name}.pairs")
    return Labeller(convolutional.classifier(config, context), config, context)


def _check_latents(config: ConfigDict, context: Context) -> None:
    """Raises UserError where there are no latents, or too few pairs for a classifier of them."""
    advice = f"type --config.{context.name}.latents=false"
    if context.model.encode is None:
        raise UserError(
            f"{context.name}.latents=true: needs a representation before this stage; put {context.name} after it in "
            f"stages, or {advice}"
        )
    fewest = int(context.class_counts.min())
    if fewest - int(config.held_out * fewest) < 2:
        raise UserError(
            f"{context.name}.latents=true: class {context.class_counts.argmin()} has {fewest} images with a label, too "
            f"few to learn from latents; {advice}"
        )


@dataclasses.dataclass(frozen=True)
class Labeller(Stage):
    """See the module.

    Attributes:
        classifier: its network, with a head.
        config: the stage's section.
        context: see `Context`.
    """

    classifier: NeutralClassifier
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen:
        """The network's parameters, the classifier of latents (or {}), and the temperature, a scalar."""

        params: PyTree
        kernel: kernel_classifier.Fitted
        temperature: jax.Array

    @property
    def pairs(self) -> int:
        """How many rows of a batch have a label."""
        return self.config.pairs

    def relabel(self, view: View, upstream: Upstream) -> View:
        """The view without the labels that are held out, and with what the classifier of latents says."""
        labels = view.labels.copy()
        labels[self._held_out(view.labels)] = UNPAIRED
        if not self.config.latents:
            return View(view.images, labels)
        latents = passes.over_images(self.context.model.encode, dict(upstream), view.images)
        fitted = self._fit(latents, labels)
        found = passes.over(jax.jit(lambda z: kernel_classifier.logits(fitted, z)), latents, batch_size=passes.PASS)
        return View(view.images, labels, scipy.special.softmax(found, axis=-1))

    def _fit(self, latents: np.ndarray, labels: np.ndarray) -> kernel_classifier.Fitted:
        given = labels != UNPAIRED
        return kernel_classifier.fit(latents[given], labels[given], self.context.num_classes)

    def _held_out(self, labels: np.ndarray) -> np.ndarray:
        """Indices of the pairs that find the temperature: equally many of each class, and fewer than it has.

        Without a network there are none, since the classifier of latents is calibrated by itself.
        """
        classes, share = self.context.num_classes, self.config.held_out if self.trains else 0.0
        fewest = np.bincount(labels[labels != UNPAIRED], minlength=classes).min()
        return choose(labels, int(share * fewest), classes, seed=0)

    @property
    def trains(self) -> bool:
        """Whether there is a network."""
        return self.context.total_steps > 0

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> TrainState:
        state = self.classifier.init(key, batch, upstream)
        shares = jnp.asarray(self.context.class_weights)
        return self.classifier.descent.init(state.params, {"found": shares})

    def update(self, state: TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        axis, count, own = self.context.axis, self.config.pairs, self.config
        weak_key, strong_key, dropout = jax.random.split(key, 3)
        weak = axis.gather(shifted(batch["images"], own.shift, weak_key, axis))
        labels = axis.gather(batch["labels"])[:count]
        targets = optax.smooth_labels(jax.nn.one_hot(labels, self.context.num_classes), own.label_smoothing)
        # A batch has as many pairs of each class; classes count by their shares.
        weights = jnp.asarray(self.context.class_weights)[labels] * self.context.num_classes
        seen = [weak[:count]]
        if own.consistency:
            patch = 2 ** (len(own.widths) - 1)
            strong = varied(batch["images"], own.strong, patch, strong_key, axis)
            seen.append(axis.gather(strong)[count:])
            said = jax.nn.softmax(self.logits(state.average["params"], weak[count:]), axis=-1)
            if "probabilities" in batch:
                said = consistency.agreed(said, axis.gather(batch["probabilities"])[count:])

        def loss(params, statistics):
            logits = self.classifier.trained_logits(params, {}, jnp.concatenate(seen), dropout)[0]
            given, others = logits[:count], logits[count:]
            value = jnp.mean(weights * optax.softmax_cross_entropy(given, targets))
            metrics = {"accuracy": jnp.mean(jnp.argmax(given, axis=-1) == labels)}
            if own.consistency:
                aligned = consistency.align(said, statistics["found"], self.context.class_weights)
                inconsistent, sure = consistency.loss(others, aligned, own.threshold)
                value += own.consistency * inconsistent
                metrics |= {"inconsistency": inconsistent, "sure": sure}
                found = 0.99 * statistics["found"] + 0.01 * jnp.mean(said, axis=0)
                statistics = {"found": found}
            return value, (statistics, metrics)

        return self.classifier.descent.step(state, loss)

    def logits(self, params: PyTree, images: jax.Array) -> jax.Array:
        """`[batch, classes]`, at temperature 1 and without dropout."""
        features = self.classifier.network.apply({"params": params["features"]}, images, train=False)
        return self.classifier.head.apply({"params": params["head"]}, features)

    def averaged(self, state: TrainState) -> dict[str, PyTree]:
        return {"params": state.average["params"]}

    def finish(self, state: TrainState, view: View, upstream: Upstream) -> Frozen:
        params, kernel = self.averaged(state)["params"], {}
        held_out = self._held_out(view.labels)
        if self.config.latents:
            rows = np.setdiff1d(np.flatnonzero(view.labels != UNPAIRED), held_out)
            latents = passes.over_images(self.context.model.encode, dict(upstream), view.images.take(rows, axis=0))
            kernel = self._fit(latents, view.labels[rows])
        frozen = self.Frozen(params, kernel, np.ones((), np.float32))
        if not len(held_out):
            return frozen
        params = {**upstream, self.context.name: frozen}
        scores = passes.over_images(self.scores, params, view.images.take(held_out, axis=0))
        degree, _ = kernel_classifier.temperature(scores, view.labels[held_out])
        return frozen.replace(temperature=np.float32(degree))

    @property
    def provides(self):
        """Nothing but probabilities: no later stage sees its features."""
        return dict(posterior=self.posterior)

    def scores(self, params: Upstream, images: jax.Array) -> jax.Array:
        """The sum of what both say, log P up to a constant, `[batch, classes]`; before the temperature."""
        own, found = params[self.context.name], 0.0
        if self.trains:
            found += jax.nn.log_softmax(self.logits(own.params, images), axis=-1)
        if self.config.latents:
            found += kernel_classifier.logits(own.kernel, self.context.model.encode(params, images))
        return found

    def posterior(self, params: Upstream, images: jax.Array) -> jax.Array:
        return jax.nn.softmax(self.scores(params, images) / params[self.context.name].temperature, axis=-1)
