"""What is measured and drawn while a stage trains, on images that it does not train on (never test)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax import metrics, passes, pictures
from experiment_jax.data import Dataset, View
from experiment_jax.stage import Context, Stage, Upstream, stream

PyTree = Any
PER_CLASS = 50
COLUMNS = 10


def measured(stage: Stage, dataset: Dataset) -> tuple[str, ...]:
    """The names of what a watcher measures of this stage; a checkpoint may be chosen by any of them."""
    of = {"decode": ("recon_l1",), "classify": ("accuracy",), "sample": ("w1_latent", "spread")}
    return tuple(
        name for function in of if function in stage.provides for name in of[function] if len(dataset.validation)
    )


def watcher(
    stage: Stage, context: Context, dataset: Dataset, seed: int
) -> Callable[[PyTree, Upstream], tuple[dict[str, float], Mapping[str, np.ndarray]]]:
    """A function of (state, upstream) that finishes the stage on the validation part and measures what it provides.

    The labels of validation images serve to watch, and to choose a checkpoint where a config asks for it; no `update`
    sees them. Without a validation part there are pictures, made of training images, and no metrics.

    Returns:
        (state, upstream) -> (metrics, pictures): `recon_l1` of a decoder, `accuracy` of a classifier, `w1_latent` and
        `spread` of a sampler; "reconstructions" and "samples", uint8 `[height, width, 3]`.
    """
    held_out = len(dataset.validation) > 0
    part = dataset.validation if held_out else dataset.train.take(np.arange(min(len(dataset.train), 500)))
    view = View(part.images, part.labels)
    model = context.model.extend(stage)
    rows = min(dataset.num_classes, 10)
    condition = np.repeat(np.arange(dataset.num_classes, dtype=np.int32), PER_CLASS)
    keys = jax.random.split(stream(seed, context.name, "watch"), len(condition))

    encode = jax.jit(lambda params, images: model.encode(params, passes.to_float(images)))
    decode = jax.jit(lambda params, latents: passes.to_uint8(model.decode(params, latents)))
    classify = jax.jit(lambda params, latents: jnp.argmax(model.classify(params, latents), axis=-1))
    sample = jax.jit(lambda params, keys, condition: model.sample(params, keys, condition))

    def watch(state: PyTree, upstream: Upstream) -> tuple[dict[str, float], dict[str, np.ndarray]]:
        measurements, drawn = {}, {}
        if model.encode is None:
            return measurements, drawn
        params = {**upstream, context.name: stage.finish(state, view, upstream)}
        latents = passes.over(lambda images: encode(params, images), part.images, batch_size=500)
        if "decode" in stage.provides:
            images = passes.over(lambda z: decode(params, z), latents, batch_size=500)
            measurements["recon_l1"] = float(np.mean(np.abs(images.astype(np.float32) - part.images)) / 127.5)
            pairs = pictures.alternate(part.images[: 5 * COLUMNS], images[: 5 * COLUMNS], COLUMNS)
            drawn["reconstructions"] = pictures.grid(pairs)
        if "classify" in stage.provides:
            measurements["accuracy"] = float(np.mean(np.asarray(classify(params, latents)) == part.labels))
        if "sample" in stage.provides:
            samples = sample(params, keys, condition)
            z = np.asarray(samples.latents)
            images = np.asarray(passes.to_uint8(samples.images)).reshape(-1, PER_CLASS, *part.images.shape[1:])
            drawn["samples"] = pictures.grid(images[:rows, :COLUMNS])
            if held_out:
                classes = dataset.num_classes
                measurements["w1_latent"] = float(
                    np.mean(metrics.w1_per_class(z, condition, latents, part.labels, classes))
                )
                measurements["spread"] = metrics.spread(z, condition, latents, part.labels, classes)
        return (measurements if held_out else {}), drawn

    return watch
