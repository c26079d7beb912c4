"""Perceptual features of VGG-16 (Simonyan & Zisserman 2015) trained on ImageNet, from a file of weights.

The choice of Johnson et al. 2016 and of the ReGene paper. The file is not part of the project and is never fetched: its
path is a setting. Without it the decoder compares images in the trained classifier's own layers.
"""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from safetensors import SafetensorError, safe_open

from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, PyTree, Stage, Upstream

# Convolutions of each block, as (index among the layers of the file, channels in, channels out).
BLOCKS = (
    ((0, 3, 64), (2, 64, 64)),
    ((5, 64, 128), (7, 128, 128)),
    ((10, 128, 256), (12, 256, 256), (14, 256, 256)),
    ((17, 256, 512), (19, 512, 512), (21, 512, 512)),
)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's images in [0, 1]
WHERE = "it is `model.safetensors` of the model timm/vgg16.tv_in1k on Hugging Face"


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage that provides the features relu1_2, relu2_2, relu3_3 and relu4_3; it trains nothing.

    Args:
        config: weights, the path of the file.
        context: its images need sides of at least 8.

    Raises:
        UserError: images that are too small; from `check`, no such file, or one that holds other weights.
    """
    if min(context.image_shape[:2]) < 2 ** (len(BLOCKS) - 1):
        raise UserError(
            f"{context.name}: images of {context.image_shape} are too small for VGG-16; leave the stage out"
        )
    return VGG16(config, context)


@dataclasses.dataclass(frozen=True)
class VGG16(Stage):
    """The convolutions. A finished stage has its weights in the run directory: whoever loads it needs no file."""

    config: ConfigDict
    context: Context
    given = True

    @flax.struct.dataclass
    class Frozen:
        """Kernels and biases, see `load`."""

        weights: PyTree

    @functools.cached_property
    def read(self) -> dict[str, np.ndarray]:
        """The weights in the file that the config names."""
        return load(self.config.weights, f"{self.context.name}.weights")

    def check(self) -> None:
        _ = self.read

    def averaged(self, state: PyTree) -> dict[str, PyTree]:
        """Shapes only: they are compared with those of a stage that is taken from another run."""
        return {"weights": shapes()}

    def finish(self, state: PyTree, view: Any, upstream: Upstream) -> Frozen:
        return self.Frozen(self.read)

    @property
    def provides(self):
        return dict(features=self.features)

    def features(self, params: Upstream, images: jax.Array) -> list[jax.Array]:
        return features(params[self.context.name].weights, images)


def shapes() -> dict[str, jax.ShapeDtypeStruct]:
    """Of the weights, as `load` returns them."""
    found = {}
    for layer, channels_in, channels_out in (convolution for block in BLOCKS for convolution in block):
        found[f"kernel_{layer}"] = jax.ShapeDtypeStruct((3, 3, channels_in, channels_out), jnp.float32)
        found[f"bias_{layer}"] = jax.ShapeDtypeStruct((channels_out,), jnp.float32)
    return found


def load(path: str, setting: str) -> dict[str, np.ndarray]:
    """Kernels `[3, 3, in, out]` as "kernel_<layer>" and biases `[out]` as "bias_<layer>", float32.

    Args:
        path: a safetensors file with PyTorch's names, features.N.weight `[out, in, 3, 3]` and features.N.bias.
        setting: the config key that named it, for messages.

    Raises:
        UserError: no such file, or one that holds other weights.
    """
    if not Path(path).is_file():
        raise UserError(f"{setting}={path}: there is no such file; {WHERE}; type --config.{setting}=PATH")
    try:
        with safe_open(path, framework="numpy") as file:  # without the layers behind the convolutions, most of it
            tensors = {name: file.get_tensor(name) for name in file.keys() if name.startswith("features.")}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{setting}={path}: is not a safetensors file ({error}); {WHERE}") from error
    weights = {}
    for layer, channels_in, channels_out in (convolution for block in BLOCKS for convolution in block):
        for kind, shape in (("weight", (channels_out, channels_in, 3, 3)), ("bias", (channels_out,))):
            name = f"features.{layer}.{kind}"
            found = tensors[name].shape if name in tensors else "absent"
            if found != shape:
                raise UserError(f"{setting}={path}: {name} is {found}, VGG-16's is {shape}; {WHERE}")
        weights[f"kernel_{layer}"] = tensors[f"features.{layer}.weight"].astype(np.float32).transpose(2, 3, 1, 0)
        weights[f"bias_{layer}"] = tensors[f"features.{layer}.bias"].astype(np.float32)
    return weights


def features(weights: Mapping[str, jax.Array], images: jax.Array) -> list[jax.Array]:
    """Images `[batch, height, width, 1 or 3]` in [-1, 1] -> the last activations of each block."""
    x = jnp.broadcast_to(images, (*images.shape[:-1], 3))
    x = ((x + 1.0) / 2.0 - jnp.asarray(MEAN)) / jnp.asarray(DEVIATION)
    maps = []
    for number, block in enumerate(BLOCKS):
        if number:
            x = nn.max_pool(x, (2, 2), (2, 2))
        for layer, *_ in block:
            x = jax.lax.conv_general_dilated(
                x, weights[f"kernel_{layer}"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = nn.relu(x + weights[f"bias_{layer}"])
        maps.append(x)
    return maps
