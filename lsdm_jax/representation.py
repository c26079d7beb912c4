"""Step 1 of LSDM: a latent space learnt from all images, paired or not.

min_{E, D} ‖Y − D(E(Y))‖ over every image Y (arXiv 2603.04223, step 1); no label is seen.
"""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax import optimiser, parallel, passes, ssim, train_state
from experiment_jax.data import View
from experiment_jax.errors import UserError
from experiment_jax.stage import Batch, Context, Frozen, Stage, Upstream
from lsdm_jax.autoencoder import Decoder, Encoder, check_sides


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a representation.

    Latents are standardised as E(Y) -> (E(Y) − mean) / scale, with the mean of each coordinate and one scale for all of
    them, so that the mean square of a coordinate is 1 and the geometry stays that of the decoder: distances, transport
    plans and the decoder's Lipschitz constant change by one factor only.

    Args:
        config: kind ("autoencoder"), latent_size, widths, noise (standard deviation of what the decoder's inputs get
            in training, in units of the latents' own scale), l1 and ssim (weights of the loss), optimiser, ema_decay.
        context: see `Context`.

    Raises:
        UserError: an unknown kind, or images whose sides cannot be halved often enough.
    """
    if config.kind != "autoencoder":
        raise UserError(f"representation.kind={config.kind}: choose autoencoder")
    check_sides(context.image_shape, config.widths)
    encoder = Encoder(config.widths, config.latent_size)
    decoder = Decoder(config.widths, context.image_shape)
    descent = optimiser.build(config.optimiser, context.total_steps)

    def init(key: jax.Array, batch: Batch, upstream: Upstream) -> train_state.TrainState:
        first, second = jax.random.split(key)
        params = {
            "encoder": encoder.init(first, batch["images"])["params"],
            "decoder": decoder.init(second, jnp.zeros((1, config.latent_size)))["params"],
        }
        return train_state.create(params, descent)

    def update(state: train_state.TrainState, batch: Batch, key: jax.Array, upstream: Upstream):
        images = batch["images"]

        def loss(params, statistics):
            latents = encoder.apply({"params": params["encoder"]}, images)
            scale = _scale(latents, context.axis_name)
            # Noise in units of the latents' scale: the encoder cannot drown it by making latents large.
            noised = latents + config.noise * scale * jax.random.normal(key, latents.shape)
            value, terms = reconstruction_loss(config, images, decoder.apply({"params": params["decoder"]}, noised))
            return value, (statistics, {**terms, "latent_scale": scale})

        return train_state.descend(state, loss, descent, config.ema_decay, context.axis_name)

    def averaged(state: train_state.TrainState):
        return state.average["params"]

    def finish(state: train_state.TrainState, view: View, upstream: Upstream) -> Frozen:
        params = averaged(state)
        apply = jax.jit(lambda images: encoder.apply({"params": params["encoder"]}, passes.to_float(images)))
        latents = passes.over(apply, view.images, batch_size=500).astype(np.float64)
        mean = latents.mean(axis=0)
        scale = np.sqrt(np.mean((latents - mean) ** 2))
        return {"params": params, "mean": mean.astype(np.float32), "scale": scale.astype(np.float32)}

    def encode(params, images: jax.Array) -> jax.Array:
        own = params[context.name]
        return (encoder.apply({"params": own["params"]["encoder"]}, images) - own["mean"]) / own["scale"]

    def decode(params, latents: jax.Array) -> jax.Array:
        own = params[context.name]
        return decoder.apply({"params": own["params"]["decoder"]}, latents * own["scale"] + own["mean"])

    return Stage(
        init=init,
        update=update,
        averaged=averaged,
        finish=finish,
        provides=dict(encode=encode, decode=decode, latent_size=config.latent_size),
    )


def reconstruction_loss(
    config: ConfigDict, images: jax.Array, decoded: jax.Array
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """l1 · mean |Y − D| + ssim · (1 − SSIM(Y, D)) and its terms; both `[batch, height, width, channels]` in [-1, 1]."""
    terms = {"l1": jnp.mean(jnp.abs(images - decoded))}
    value = config.l1 * terms["l1"]
    if config.ssim:
        terms["ssim"] = jnp.mean(ssim.ssim(images, decoded))
        value += config.ssim * (1.0 - terms["ssim"])
    return value, terms


def _scale(latents: jax.Array, axis_name: str | None) -> jax.Array:
    """√ of the mean square of the centred latents `[batch, latent]`, over the global batch."""
    mean = parallel.mean(jnp.mean(latents, axis=0), axis_name)
    return jnp.sqrt(parallel.mean(jnp.mean((latents - mean) ** 2), axis_name))
