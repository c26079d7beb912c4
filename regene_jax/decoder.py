"""The decoder of ReGene: one f_dec(z*) for all classes, the encoder frozen (arXiv 2004.07543, section 3.2, equation 4).

The loss is a weighted sum of mean absolute error, 1 − SSIM and a perceptual distance. As in section 4.2 the latter two
weigh much at first, for outline and texture, and less later; the first weighs the same throughout.
"""

import dataclasses
from functools import partial

import flax
import jax
from ml_collections import ConfigDict

from experiment_jax.config import checks
from experiment_jax.data import passes
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Batch, Context, PyTree, Stage, Upstream
from experiment_jax.networks import losses
from experiment_jax.networks.autoencoder import Decoder, check_sides
from experiment_jax.networks.train_state import Descent, TrainState


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of the decoder.

    Args:
        config: widths (channels of each level, in the encoder's order), blocks and attention (see
            `networks.autoencoder`), compute, noise (standard deviation of what the latents get in training, in units of
            their root mean square), l1 (a weight), ssim and perceptual (each a pair of weights, at the first step and
            at the last), optimiser, ema_decay.
        context: see `Context`; its model must encode, and provide features where `perceptual` is not (0, 0).

    Raises:
        UserError: no stage before it that encodes, a perceptual loss without features, weights that are not pairs, or
            images whose sides cannot be halved often enough.
    """
    name, model = context.name, context.model
    if model.encode is None:
        raise UserError(f"stages: {name} needs a stage before it that encodes, such as classifier")
    for term in ("ssim", "perceptual"):
        if len(config[term]) != 2:
            raise UserError(f"{name}.{term}={config[term]}: give the first and the last weight, as in (0.5,0.1)")
    if any(config.perceptual) and model.features is None:
        raise UserError(
            f"{name}.perceptual={config.perceptual}: needs a stage before it that provides features; "
            f'type --config.{name}.perceptual="(0.0,0.0)"'
        )
    check_sides(context.image_shape, config.widths, name)
    checks.at_least(config, name, 0, blocks=1)
    deeper = dict(blocks=config.blocks, attention=config.attention, dtype=checks.compute_type(config, name))
    decoder = Decoder(config.widths, context.image_shape, **deeper)
    return DecoderStage(decoder, Descent.of(config, context), config, context)


@dataclasses.dataclass(frozen=True)
class DecoderStage(Stage):
    """f_dec. For the settings see `stage`."""

    decoder: Decoder
    descent: Descent
    config: ConfigDict
    context: Context

    @flax.struct.dataclass
    class Frozen:
        """Parameters of f_dec."""

        decoder: PyTree

    def inputs(self, images: jax.Array, upstream: Upstream) -> Batch:
        """Each image with its latent; as uint8, since the table of them all is kept on the device."""
        return {"latents": self.context.model.encode(upstream, images), "originals": passes.to_uint8(images)}

    def init(self, key: jax.Array, batch: Batch, upstream: Upstream) -> TrainState:
        return self.descent.init(self.decoder.init(key, batch["latents"])["params"])

    def update(self, state: TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        originals, latents = passes.to_float(batch["originals"]), batch["latents"]
        noised = latents + self.config.noise * self.context.axis.draw(jax.random.normal, key, latents.shape)
        weights = self.weights(state.step)
        features = partial(self.context.model.features, upstream) if any(self.config.perceptual) else None

        def loss(params, statistics):
            decoded = self.decoder.apply({"params": params}, noised)
            value, terms = losses.reconstruction(weights, originals, decoded, features)
            return value, (statistics, terms)

        return self.descent.step(state, loss)

    def weights(self, step: jax.Array) -> losses.Weights:
        """w₁ of the absolute error, w₂ of 1 − SSIM and w₃ of the perceptual distance, at this step."""
        progress = step / max(self.context.total_steps - 1, 1)

        def between(first: float, last: float) -> float | jax.Array:
            return first + (last - first) * progress if first or last else 0.0

        return losses.Weights(self.config.l1, between(*self.config.ssim), between(*self.config.perceptual))

    def averaged(self, state: TrainState) -> dict[str, PyTree]:
        return {"decoder": state.average["params"]}

    @property
    def provides(self):
        return dict(decode=self.decode, decoder=self.context.name)

    def decode(self, params: Upstream, latents: jax.Array) -> jax.Array:
        return self.decoder.apply({"params": params[self.context.name].decoder}, latents)
