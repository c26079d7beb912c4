"""What is measured and drawn while a stage trains, on images that it does not train on (never test)."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax import metrics
from experiment_jax.data import passes
from experiment_jax.data.split import Dataset, Split, View
from experiment_jax.drawing import pictures
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Model, Stage, Upstream, stream

PyTree = Any
# (params, latents of the images, whether to measure) -> metrics and a picture of samples
Look = Callable[[PyTree, np.ndarray, bool], tuple[dict[str, float], np.ndarray]]
PER_CLASS = 50
COLUMNS = 10


def measured(stage: Stage, context: Context, dataset: Dataset) -> tuple[str, ...]:
    """The names of what a watcher measures of this stage; a checkpoint may be chosen by any of them."""
    sampled = (
        ("w1_latent", "spread")
        if context.model.degrade is None
        else ("energy", "spread_skill", "psnr", "lr_consistency")
    )
    of = {"decode": ("recon_l1",), "classify": ("accuracy",), "sample": sampled}
    if not len(dataset.validation) or context.model.extend(stage).encode is None:
        return ()
    return tuple(name for function in of if function in stage.provides for name in of[function])


def check(stage: Stage, context: Context, dataset: Dataset) -> None:
    """Raises UserError where the validation part is too small for what a watcher measures of this stage.

    The within-class spread takes two images of each class; the scale of a representation takes two images.
    """
    names, labels, classes = measured(stage, context, dataset), dataset.validation.labels, dataset.num_classes
    counts = np.bincount(labels[(labels >= 0) & (labels < classes)], minlength=classes)
    if "spread" in names and counts.sum() < len(labels):
        reason = "class by class, and some of its images have no class"
    elif "spread" in names and counts.min() < 2:
        label = dataset.class_names[counts.argmin()]
        reason = f"by two images of each class or more, and class {label} has {counts.min()}"
    elif "recon_l1" in names and len(labels) < 2:
        reason = "by two images or more"
    else:
        return
    raise UserError(
        f"data.validation={len(labels)}: {context.name} is measured {reason}; "
        f"type --config.data.validation={2 * classes}, or 0 to measure nothing"
    )


def watcher(
    stage: Stage, context: Context, dataset: Dataset, seed: int
) -> Callable[[PyTree, Upstream], tuple[dict[str, float], Mapping[str, np.ndarray]]]:
    """A function of (state, upstream) that finishes the stage on the validation part and measures what it provides.

    The labels of validation images serve to watch, and to choose a checkpoint where a config asks for it; no `update`
    sees them. Without a validation part there are pictures, made of training images, and no metrics.

    Returns:
        (state, upstream) -> (metrics, pictures): `recon_l1` of a decoder, `accuracy` of a classifier, `w1_latent` and
        `spread` of a sampler, or, where that starts from low-resolution images, `energy` (score, of latents),
        `spread_skill`, `psnr` and `lr_consistency`; "reconstructions" and "samples", uint8 `[height, width, 3]`.
    """
    held_out = len(dataset.validation) > 0
    part = dataset.validation if held_out else dataset.train.take(np.arange(min(len(dataset.train), 500)))
    view = View(part.images, part.labels)
    model = context.model.extend(stage)
    key = stream(seed, context.name, "watch")

    encode = jax.jit(lambda params, images: model.encode(params, passes.to_float(images)))
    decode = jax.jit(lambda params, latents: passes.to_uint8(model.decode(params, latents)))
    classify = jax.jit(lambda params, latents: jnp.argmax(model.classify(params, latents), axis=-1))
    look = _of_labels(model, part, dataset.num_classes, key) if model.degrade is None else _of_images(model, part, key)

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
            found, drawn["samples"] = look(params, latents, held_out)
            measurements |= found
        return (measurements if held_out else {}), drawn

    return watch


def _of_labels(model: Model, part: Split, num_classes: int, key: jax.Array) -> Look:
    """Samples of every class, a row each; their W₁ to the latents of `part`, and spread."""
    condition = np.repeat(np.arange(num_classes, dtype=np.int32), PER_CLASS)
    sample = jax.jit(lambda params, keys: model.sample(params, keys, condition))

    def look(params: PyTree, latents: np.ndarray, measure: bool) -> tuple[dict[str, float], np.ndarray]:
        samples = sample(params, jax.random.split(key, len(condition)))
        images = np.asarray(passes.to_uint8(samples.images)).reshape(-1, PER_CLASS, *part.images.shape[1:])
        picture = pictures.grid(images[:10, :COLUMNS])
        if not measure:
            return {}, picture
        clouds = np.asarray(samples.latents), condition, latents, part.labels, num_classes
        w1 = float(np.mean(metrics.w1_per_class(*clouds)))
        return {"w1_latent": w1, "spread": metrics.spread(*clouds)}, picture

    return look


def _of_images(model: Model, part: Split, key: jax.Array) -> Look:
    """Samples of each image of `part` from its low resolution: how near they come to both; and, one below the other,
    low resolutions, two samples each, and the true images."""

    def draw(params: PyTree, key: jax.Array, images: jax.Array):
        noises, draws = jax.random.split(key)
        low = model.degrade(params, passes.to_float(images))
        keys = jax.random.split(draws, len(images))
        samples = model.sample(params, keys, model.noise(params, low, jax.random.split(noises, len(images))))
        return low, model.degrade(params, samples.images) - low, passes.to_uint8(samples.images), samples.latents

    draw = jax.jit(draw)
    images = part.images[:500]  # in one batch

    def look(params: PyTree, latents: np.ndarray, measure: bool) -> tuple[dict[str, float], np.ndarray]:
        first, second = (jax.device_get(draw(params, jax.random.fold_in(key, number), images)) for number in range(2))
        low, missed, samples, _ = first
        low = passes.to_uint8(jax.image.resize(low, images.shape, "nearest"))
        rows = [
            np.asarray(row)[np.resize(np.arange(len(images)), COLUMNS)] for row in (low, samples, second[2], images)
        ]
        pixels = np.stack([samples, second[2]]).astype(np.float64)
        measurements = {
            "spread_skill": metrics.spread_skill(pixels, images.astype(np.float64)),
            "energy": metrics.energy_score(np.stack([first[3], second[3]]), latents[: len(images)]),
            "psnr": float(np.mean(metrics.psnr(samples, images))),
            "lr_consistency": metrics.root_mean_square(missed),
        }
        return measurements, pictures.grid(np.stack(rows))

    return look
