"""Sharpening: a finished decoder is trained on against an adversary, until decoded images have the law of images.

A decoder that minimises a distance to each image decodes a median of the images that share a latent, and that is a
blur. LSDM matches the laws of latents; here the laws of images are matched in the same way, and what moves is D:

    min_D max_f  E ‖Y − D(E(Y))‖ + w (E f(Y) − E f(D(E(Y))))          (with the link of `networks.adversary`)

E stays as it is, so latents and whatever samples them stay valid. The first term holds D to its originals: where the
mean absolute error has risen by more than a few per cent, w falls.
"""

import dataclasses
from functools import partial

import flax
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.data import passes
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, Metrics, PyTree, Samples, Stage, Upstream
from experiment_jax.networks import losses, optimiser
from experiment_jax.networks.adversary import Adversary, relativistic
from experiment_jax.networks.train_state import Descent, TrainState

CHANGE = 0.01  # the share by which w rises at a step whose error has not risen at all, and falls where it has twice
MEMORY = 0.9  # of the running mean of the error's ratio: it looks back about 10 steps


@flax.struct.dataclass
class State:
    """Both networks, and what holds D to its originals.

    Attributes:
        decoder: D.
        adversary: f; nobody reads its average.
        weight: w, as it is now.
        ratio: running mean of the averaged D's mean absolute error, divided by that of D as it was.
    """

    decoder: TrainState
    adversary: TrainState
    weight: jax.Array
    ratio: jax.Array


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage that trains the decoder of an earlier stage on.

    Args:
        config: weight (the largest w), error_rise (the share by which the mean absolute error may rise before w falls),
            l1 and perceptual (weights of the reconstruction loss, see `networks.losses`), optimiser and ema_decay of D,
            best (the validation metric that chooses the checkpoint), and a section `adversary` of its widths and
            optimiser.
        context: its model encodes, decodes with parameters that were trained, and provides features.

    Raises:
        UserError: no stage before it that does so, a negative setting, no metric to choose the checkpoint by, or images
            that are smaller than the adversary's field of view.
    """
    _check(config, context)
    opponent = Descent(optimiser.build(config.adversary.optimiser, context.total_steps), 0.0, context.axis)
    return Sharpening(Adversary(config.adversary.widths), Descent.of(config, context), opponent, config, context)


@dataclasses.dataclass(frozen=True)
class Sharpening(Stage):
    """D and f. For the settings see `stage`."""

    adversary: Adversary
    descent: Descent
    opponent: Descent
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen:
        """Parameters of D, in the form of the stage that trained it first."""

        decoder: PyTree

    def inputs(self, images: jax.Array, upstream: Upstream) -> Batch:
        """Each image with its latent and its mean absolute error by the decoder as it was, `[batch]`.

        Images are kept as uint8, since the table of them all is kept on the device.
        """
        model = self.context.model
        latents = model.encode(upstream, images)
        error = jnp.mean(jnp.abs(images - model.decode(upstream, latents)), axis=(1, 2, 3))
        return {"latents": latents, "originals": passes.to_uint8(images), "error": error}

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> State:
        adversary = self.opponent.init(self.adversary.init(key, passes.to_float(batch["originals"]))["params"])
        decoder = jax.tree.map(jnp.array, upstream[self.context.model.decoder].decoder)
        return State(self.descent.init(decoder), adversary, jnp.asarray(self.config.weight, jnp.float32), jnp.ones(()))

    def update(self, state: State, batch: Batch, key: jax.Array, upstream: Upstream) -> tuple[State, Metrics]:
        """One step of D and one of f, each against the other as it was before."""
        images, latents = passes.to_float(batch["originals"]), batch["latents"]
        decoder, metrics = self._decoder_step(state, images, latents, upstream)
        adversary, scores = self._adversary_step(state, images, latents, upstream)
        averaged = self.context.model.decode(self._with(upstream, decoder.average["params"]), latents)
        errors = jnp.mean(jnp.abs(images - averaged)), jnp.mean(batch["error"])
        weight, ratio = self._held(state, *self.context.axis.mean(errors))
        metrics = {**metrics, **scores, "adversary_weight": weight, "error_ratio": ratio}
        return State(decoder, adversary, weight, ratio), metrics

    def _decoder_step(self, state: State, images: jax.Array, latents: jax.Array, upstream: Upstream):
        model, weights = self.context.model, losses.Weights(self.config.l1, 0.0, self.config.perceptual)
        features = partial(model.features, upstream)
        score = partial(self._score, state.adversary.params)

        def loss(params: PyTree, statistics: PyTree):
            decoded = model.decode(self._with(upstream, params), latents)
            distance, terms = losses.reconstruction(weights, images, decoded, features)
            against = relativistic(score(decoded) - score(images))
            return distance + state.weight * against, (statistics, {**terms, "against_adversary": against})

        return self.descent.step(state.decoder, loss)

    def _adversary_step(self, state: State, images: jax.Array, latents: jax.Array, upstream: Upstream):
        decoded = self.context.model.decode(self._with(upstream, state.decoder.params), latents)

        def loss(params: PyTree, statistics: PyTree):
            real, other = self._score(params, images), self._score(params, decoded)
            scores = {"score_real": jnp.mean(real), "score_decoded": jnp.mean(other)}
            return relativistic(real - other), (statistics, scores)

        adversary, metrics = self.opponent.step(state.adversary, loss)
        return adversary, {name if name.startswith("score") else f"adversary_{name}": metrics[name] for name in metrics}

    def _score(self, params: PyTree, images: jax.Array) -> jax.Array:
        return self.adversary.apply({"params": params}, images)

    def _held(self, state: State, now: jax.Array, before: jax.Array) -> tuple[jax.Array, jax.Array]:
        """w and the running ratio after a step; the mean absolute errors are of the averaged D and of D as it was.

        w rises where the error has risen by less than `error_rise`, and falls where by more, the faster the farther it
        is from there: with steps of one size it would swing, since an average follows late.

        Not of D in training: a high learning rate alone costs it some per cent, of which nothing is left at the end.
        """
        ratio = MEMORY * state.ratio + (1.0 - MEMORY) * now / before
        room = 1.0 - (ratio - 1.0) / self.config.error_rise
        weight = state.weight * jnp.exp(CHANGE * jnp.clip(room, -1.0, 1.0))
        return jnp.minimum(weight, self.config.weight), ratio

    def _with(self, params: Upstream, decoder: PyTree) -> Upstream:
        """The parameters of the stages before this one, with another D."""
        name = self.context.model.decoder
        return {**params, name: params[name].replace(decoder=decoder)}

    def averaged(self, state: State) -> dict[str, PyTree]:
        return {"decoder": state.decoder.average["params"]}

    @property
    def provides(self):
        sampler = {} if self.context.model.sample is None else {"sample": self.sample}
        return dict(decode=self.decode, decoder=self.context.name, **sampler)

    def decode(self, params: Upstream, latents: jax.Array) -> jax.Array:
        return self.context.model.decode(self._with(params, params[self.context.name].decoder), latents)

    def sample(self, params: Upstream, keys: jax.Array, condition: jax.Array) -> Samples:
        return self.context.model.sample(self._with(params, params[self.context.name].decoder), keys, condition)


def _check(config: ConfigDict, context: Context) -> None:
    """Raises UserError for what cannot be sharpened; see `stage`."""
    name, model, own = context.name, context.model, config.adversary
    if model.decoder is None or model.encode is None:
        raise UserError(
            f"stages: {name} needs a stage before it that trains a decoder, such as representation; "
            f"name that first, or leave {name} out"
        )
    if model.features is None:
        raise UserError(f"stages: {name} needs a stage before it that provides features; name perceptual first")
    checks.at_least(config, name, 0, weight=0.1, l1=1.0, perceptual=3.0)
    checks.positive(config, name, error_rise=0.04)
    if not config.best:
        raise UserError(
            f"{name}.best=: the checkpoint that is best on validation images is kept; "
            f"type --config.{name}.best=recon_frechet"
        )
    checks.widths(own.widths, f"{name}.adversary")
    _check_field(own.widths, context)


def _check_field(widths: tuple[int, ...], context: Context) -> None:
    """Raises UserError where the adversary's deepest maps do not exist, or are smaller than its 3×3 convolutions."""
    height, width, _ = context.image_shape

    def fits(levels: int) -> bool:
        return all(side % 2**levels == 0 and side >= 3 * 2**levels for side in (height, width))

    if fits(len(widths)):
        return
    most = max((levels for levels in range(len(widths)) if fits(levels)), default=0)
    setting = f"{context.name}.adversary.widths"
    advice = f"as in --config.{setting}={widths[:most]}".replace(" ", "") if most else f"leave {context.name} out"
    raise UserError(
        f"{setting}={widths}: {height}x{width} images are smaller than the adversary's field of view, or cannot be "
        f"halved {len(widths)} times; {advice}"
    )
