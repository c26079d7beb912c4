"""Validation: what is measured and drawn while a stage trains, on images that it does not train on (never test)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.data import passes
from experiment_jax.data.lazy_images import slices
from experiment_jax.data.split import Dataset, Split, View
from experiment_jax.drawing import pictures
from experiment_jax.errors import UserError
from experiment_jax.method.build import Task
from experiment_jax.method.stage import Model, Upstream, stream
from experiment_jax.metrics import frechet, restoration, transport
from experiment_jax.metrics import latents as latent_metrics

PyTree = Any
Measured = tuple[dict[str, float], dict[str, np.ndarray]]  # metrics and pictures, by name
# (params, latents of the images) -> metrics of samples and a picture of them
OfSamples = Callable[[PyTree, np.ndarray | None], tuple[dict[str, float], np.ndarray]]
PER_CLASS = 50
COLUMNS = 10


def names(task: Task, dataset: Dataset) -> tuple[str, ...]:
    """The names of the metrics that validation gives for a task; a checkpoint may be chosen by any of them."""
    model = task.context.model.extend(task.stage)
    if not len(dataset.validation) or model.encode is None:
        return ()
    by_label = model.degrade is None
    of_samples = ("w1_latent", "spread") if by_label else ("energy", "spread_skill", "psnr", "lr_consistency")
    of_samples = of_samples if model.conditional else ()
    of_decoder = ("recon_l1",) if task.context.model.features is None else ("recon_l1", "recon_frechet")
    given = {"decode": of_decoder, "classify": ("accuracy",), "sample": of_samples}
    return tuple(name for function in given if function in task.stage.provides for name in given[function])


def check_best(task: Task, dataset: Dataset) -> None:
    """Raises UserError where the best checkpoint is to be chosen by something that is not measured."""
    name, trained = task.section.best.removeprefix("-"), task.schedule.total > 0
    known = names(task, dataset) if trained else ()
    if name and name not in known:
        advice = f"choose one of {', '.join(known)}" if known else f"type --config.{task.name}.best="
        if trained and not len(dataset.validation):
            advice = f"that needs validation images: type --config.data.validation={10 * dataset.num_classes}"
        raise UserError(f"{task.name}.best={task.section.best}: is not measured; {advice}")


def check_validation_part(task: Task, dataset: Dataset) -> None:
    """Raises UserError where the validation part is too small for what is measured of a task.

    The within-class spread takes two images of each class; the scale of a representation takes two images.
    """
    measured, labels, classes = names(task, dataset), dataset.validation.labels, dataset.num_classes
    counts = np.bincount(labels[(labels >= 0) & (labels < classes)], minlength=classes)
    if "spread" in measured and counts.sum() < len(labels):
        reason = "class by class, and some of its images have no class"
    elif "spread" in measured and counts.min() < 2:
        label = dataset.class_names[counts.argmin()]
        reason = f"by two images of each class or more, and class {label} has {counts.min()}"
    elif "recon_l1" in measured and len(labels) < 2:
        reason = "by two images or more"
    else:
        return
    raise UserError(
        f"data.validation={len(labels)}: {task.name} is measured {reason}; "
        f"type --config.data.validation={2 * classes}, or 0 to measure nothing"
    )


MEASURED = {"decode", "classify", "sample"}  # what a stage may provide that validation looks at


def validation(task: Task, dataset: Dataset) -> Callable[[PyTree, Upstream], Measured]:
    """A function of (state, upstream) that finishes the stage on the validation part and measures what it provides.

    The labels of validation images serve to measure, and to choose a checkpoint where a config asks for it; no `update`
    sees them. Without a validation part there are pictures, made of training images, and no metrics.

    Returns:
        (state, upstream) -> (metrics, pictures): `recon_l1` of a decoder and, in the features of the run's own stage,
        `recon_frechet`; `accuracy` of a classifier; `w1_latent` and `spread` of a sampler, or, where that starts from
        low-resolution images, `energy` (score, of latents), `spread_skill`, `psnr` and `lr_consistency`;
        "reconstructions" and "samples", uint8 `[height, width, 3]`.
    """
    stage, name = task.stage, task.name
    held_out = len(dataset.validation) > 0
    part = dataset.validation if held_out else dataset.train.take(np.arange(min(len(dataset.train), 500)))
    view = View(part.images, part.labels)
    model = task.context.model.extend(stage)
    key = stream(task.seed, name, "watch")

    encode = jax.jit(lambda params, images: model.encode(params, passes.to_float(images)))
    decode = jax.jit(lambda params, latents: passes.to_uint8(model.decode(params, latents)))
    texture = texture_distance(model)
    classify = jax.jit(lambda params, latents: jnp.argmax(model.classify(params, latents), axis=-1))
    of_samples: OfSamples = (
        _of_labels(model, part, dataset.num_classes, key, held_out and model.conditional and model.encode is not None)
        if model.degrade is None
        else _of_images(model, part, key)
    )

    def validate(state: PyTree, upstream: Upstream) -> Measured:
        measured, drawn = {}, {}
        if not MEASURED & set(stage.provides):
            return measured, drawn
        params = {**upstream, name: stage.finish(state, view, upstream)}
        if model.encode is None:  # a GAN: there are pictures, and no latents to measure
            return measured, ({"samples": of_samples(params, None)[1]} if "sample" in stage.provides else {})
        latents = passes.over(lambda images: encode(params, images), part.images, batch_size=passes.PASS)
        if "decode" in stage.provides:
            images = passes.over(lambda z: decode(params, z), latents, batch_size=passes.PASS)
            measured["recon_l1"] = float(np.mean(np.abs(images.astype(np.float32) - part.images)) / 127.5)
            pairs = pictures.alternate(part.images[: 5 * COLUMNS], images[: 5 * COLUMNS], COLUMNS)
            drawn["reconstructions"] = pictures.grid(pairs)
            if held_out and model.features is not None:
                measured["recon_frechet"] = texture(params, part.images, images)
        if "classify" in stage.provides:
            measured["accuracy"] = float(np.mean(np.asarray(classify(params, latents)) == part.labels))
        if "sample" in stage.provides:
            found, drawn["samples"] = of_samples(params, latents)
            measured |= found
        return (measured if held_out else {}), drawn

    return validate


def texture_distance(model: Model) -> Callable[[PyTree, Any, np.ndarray], float]:
    """A function of (params, images, reconstructions), both uint8: the Fréchet distance in the model's feature maps.

    It is a mean over the levels of maps. Each place of a map is a point, so few images are enough, and what is compared
    is texture, wherever it is.
    """

    @partial(jax.jit, static_argnums=2)
    def of_level(params: PyTree, batch: jax.Array, level: int) -> jax.Array:
        found = model.features(params, passes.to_float(batch))[level]
        return found.reshape(-1, found.shape[-1])

    def moments(params: PyTree, images: Any, level: int) -> frechet.Moments:
        return frechet.moments(np.asarray(of_level(params, batch, level)) for batch in slices(images, passes.PASS))

    def distance(params: PyTree, images: Any, decoded: np.ndarray) -> float:
        one = jax.ShapeDtypeStruct((1, *images.shape[1:]), jnp.float32)
        levels = range(len(jax.eval_shape(model.features, params, one)))
        pairs = [[moments(params, each, level) for each in (images, decoded)] for level in levels]
        return float(np.mean([frechet.frechet_distance(*pair) for pair in pairs]))

    return distance


def _of_labels(model: Model, part: Split, num_classes: int, key: jax.Array, measures: bool) -> OfSamples:
    """Samples of every class, a row each; their W₁ to the latents of `part`, and spread."""
    condition = np.repeat(np.arange(num_classes, dtype=np.int32), PER_CLASS)
    sample = jax.jit(lambda params, keys: model.sample(params, keys, condition))

    def measure(params: PyTree, latents: np.ndarray | None) -> tuple[dict[str, float], np.ndarray]:
        samples = sample(params, jax.random.split(key, len(condition)))
        images = np.asarray(passes.to_uint8(samples.images)).reshape(-1, PER_CLASS, *part.images.shape[1:])
        picture = pictures.grid(images[:10, :COLUMNS])
        if not measures:
            return {}, picture
        clouds = np.asarray(samples.latents), condition, latents, part.labels, num_classes
        w1 = float(np.mean(transport.w1_per_class(*clouds)))
        return {"w1_latent": w1, "spread": latent_metrics.spread(*clouds)}, picture

    return measure


def _of_images(model: Model, part: Split, key: jax.Array) -> OfSamples:
    """Samples of each image of `part` from its low resolution: how near they come to both; and, one below the other,
    low resolutions, two samples each, and the true images."""
    images = part.images[:500]  # in one batch

    @jax.jit
    def draw(params: PyTree, key: jax.Array):
        noises, draws = jax.random.split(key)
        low = model.degrade(params, passes.to_float(images))
        keys = jax.random.split(draws, len(images))
        samples = model.sample(params, keys, model.noise(params, low, jax.random.split(noises, len(images))))
        return low, model.degrade(params, samples.images) - low, passes.to_uint8(samples.images), samples.latents

    def measure(params: PyTree, latents: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
        first, second = (jax.device_get(draw(params, jax.random.fold_in(key, number))) for number in range(2))
        low, missed, samples, _ = first
        low = passes.to_uint8(jax.image.resize(low, images.shape, "nearest"))
        shown = np.resize(np.arange(len(images)), COLUMNS)
        rows = [np.asarray(row)[shown] for row in (low, samples, second[2], images)]
        pixels = np.stack([samples, second[2]]).astype(np.float64)
        measured = {
            "spread_skill": restoration.spread_skill(pixels, images.astype(np.float64)),
            "energy": restoration.energy_score(np.stack([first[3], second[3]]), latents[: len(images)]),
            "psnr": float(np.mean(restoration.psnr(samples, images))),
            "lr_consistency": restoration.root_mean_square(missed),
        }
        return measured, pictures.grid(np.stack(rows))

    return measure
