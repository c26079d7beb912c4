"""Extractors: fixed networks that anybody can have, in whose features distances are taken beside the judge's.

Their names go into the names of metrics, `fd_gen_vgg16`: the same images, number and split give the same figure
everywhere. Who trained on a network is not judged by it, see `trained_on`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from experiment_jax.data import passes
from experiment_jax.errors import UserError
from experiment_jax.extractors.extractor import Extractor
from experiment_jax.networks.pretrained import efficientnet_lite0, inception, inputs, vgg16

PyTree = Any


def find(name: str, inception_weights: str = "") -> Extractor:
    """An extractor by its name.

    Args:
        name: one of `ALL`.
        inception_weights: the path of Inception's weights.

    Raises:
        UserError: another name, or its weights are not there or not its own.
    """
    if name not in ALL:
        raise UserError(f"--extractor {name}: choose of {', '.join(ALL)}")
    return ALL[name](inception_weights)


def trained_on(config: ConfigDict) -> set[str]:
    """Names of the extractors that a run trains on, as a perceptual loss; they do not judge it."""
    sections = (config[name] for name in config.stages)
    kinds = {section.kind for section in sections if section.build == "experiment_jax.networks.perceptual:stage"}
    return kinds & ALL.keys()


def _vgg16(_: str) -> Extractor:
    """relu4_3, mean over places."""

    def features(params: PyTree, images: jax.Array) -> jax.Array:
        x = inputs.resized(passes.to_float(images), 64)
        return jnp.mean(vgg16.features(params, x)[-1], axis=(1, 2))

    params, digest = vgg16.from_package("--extractor vgg16", "leave --extractor vgg16 out")
    return Extractor("vgg16", digest, 512, _bilinear(64), _in_batches(jax.jit(features), params, 50))


def _efficientnet_lite0(_: str) -> Extractor:
    """The features before its logits."""

    def features(params: PyTree, images: jax.Array) -> jax.Array:
        x = inputs.resized(images.astype(jnp.float32), efficientnet_lite0.SIDE)
        return efficientnet_lite0.features(params, x)

    name = "efficientnet_lite0"
    params, digest = efficientnet_lite0.from_package(f"--extractor {name}", f"leave --extractor {name} out")
    size, side = efficientnet_lite0.FEATURES, efficientnet_lite0.SIDE
    return Extractor(name, digest, size, _bilinear(side), _in_batches(jax.jit(features), params, 10))


def _inception(path: str) -> Extractor:
    """The features before its logits: Fréchet distances in them are FID."""
    if not path:
        raise UserError("--extractor inception: needs its weights; type --inception_weights PATH")
    params, digest = inception.load(path)
    compiled, resize = jax.jit(inception.features), "bilinear to 299x299 as TensorFlow 1 does"
    return Extractor("inception", digest, 2048, resize, _in_batches(compiled, params, inception.BATCH))


ALL: dict[str, Callable[[str], Extractor]] = {
    "vgg16": _vgg16,
    "efficientnet_lite0": _efficientnet_lite0,
    "inception": _inception,
}


def _bilinear(side: int) -> str:
    return f"bilinear to {side}x{side} (jax.image.resize)"


def _in_batches(compiled: Callable[[PyTree, jax.Array], jax.Array], params: PyTree, size: int) -> Callable:
    """`compiled(params, images)` over any number of images, `size` at a time: few, so that a CPU's caches hold them."""
    params = jax.device_put(params)

    def features(images: Any) -> np.ndarray:
        if images.dtype != np.uint8:
            raise ValueError(f"an extractor takes images uint8, not {images.dtype}: scaled ones have other features")
        return passes.over(lambda batch: compiled(params, batch), images, batch_size=size)

    return features
