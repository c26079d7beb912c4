"""The features that FID is taken in (Heusel et al. 2017, arXiv 1706.08500): Inception's, with a file of its weights.

Images are resized and scaled as TensorFlow 1 and torch-fidelity do. The file is not part of the project and is never
fetched: docs/fid.md says where it is.
"""

import functools
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError
from safetensors.numpy import load_file

from experiment_jax.config.places import place
from experiment_jax.errors import UserError
from experiment_jax.files import sha256
from experiment_jax.networks.pretrained.inception_network import FEATURES, SIZE, Inception

log = logging.getLogger(__name__)

PyTree = Any
BATCH = 32  # images a call, which then takes about 1 GB
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"  # of the published file of weights
EPSILON = 1e-3  # of the batch norms
SETTING = "--inception_weights"
WHERE = "docs/fid.md says where pt_inception-2015-12-05-6726825d.pth is"


def features(params: PyTree, images: jax.Array) -> jax.Array:
    """Images uint8 `[batch, height, width, 1 or 3]` -> pooled features float32 `[batch, 2048]`.

    Args:
        params: what `load` returns.
        images: of any size, the same for all.

    Raises:
        ValueError: images that are not uint8; scaled ones would give other features.
        UserError: images with another number of channels.
    """
    if images.dtype != jnp.uint8:
        raise ValueError(f"Inception takes images uint8, not {images.dtype}")
    return Inception().apply({"params": params}, (resize(images) - 128.0) / 128.0)


def resize(images: jax.Array, size: int = SIZE) -> jax.Array:
    """Images `[batch, height, width, 1 or 3]` -> float32 `[batch, size, size, 3]`, in their range.

    Bilinear as in TensorFlow 1: pixel j lies at s = j · width / size, between the source's pixels floor(s) and
    floor(s) + 1, of which the last stands for what is beyond it. Centres are not aligned and nothing is smoothed, so
    `jax.image.resize` gives other images. Images of this size stay as they are.

    Raises:
        UserError: images with another number of channels.
    """
    if images.shape[-1] not in (1, 3):
        raise UserError(f"Inception takes grey or colour images, not {images.shape[-1]} channels; convert them to RGB")
    x = images.astype(jnp.float32)
    for axis in (2, 1):
        last = x.shape[axis] - 1
        # In float32, as TensorFlow has it: where s should be whole, rounding decides which pixels it lies between.
        position = np.arange(size, dtype=np.float32) * np.float32(x.shape[axis] / size)
        lower = position.astype(np.int32)
        share = (position - lower.astype(np.float32)).reshape(-1, *(1,) * (3 - axis))
        below, above = jnp.take(x, lower, axis), jnp.take(x, np.minimum(lower + 1, last), axis)
        x = below + (above - below) * share
    return jnp.broadcast_to(x, (*x.shape[:-1], 3))


def load(path: str) -> tuple[PyTree, str]:
    """Parameters for `features`, on the host, and the first 12 hex digits of the file's sha256.

    A batch norm is an affine map once its statistics are fixed, so it is folded into the convolution before it.
    A file whose hash is not the published one is used, with a warning that names the hash.

    Args:
        path: the published .pth, or a .safetensors file with the same names of tensors.

    Raises:
        UserError: no such file, one that cannot be read, or one that holds other weights: the first tensor that is
            absent or has another shape is named.
    """
    path = str(place(path, SETTING))
    if not Path(path).is_file():
        raise UserError(f"{SETTING} {path}: there is no such file; {WHERE}")
    tensors = _safetensors(path) if Path(path).suffix == ".safetensors" else _state_dict(path)
    for name, shape in shapes().items():
        found = tensors[name].shape if name in tensors else "absent"
        if found != shape:
            raise UserError(f"{SETTING} {path}: {name} is {found}, that of FID's Inception {shape}; {WHERE}")
    digest = sha256(Path(path))
    if digest != SHA256:
        log.warning(
            "%s %s: its sha256 %s is not that of the published file, %s…: compare its numbers with those of the same "
            "digest only. (A converted file has a digest of its own.)",
            *(SETTING, path, digest, SHA256[:12]),
        )
    return unflatten_dict({layer: _folded(tensors, ".".join(layer)) for layer in _layers()}), digest[:12]


def shapes() -> dict[str, tuple[int, ...]]:
    """Of the tensors that a file of weights must hold, by name, in PyTorch's layout `[out, in, height, width]`."""
    found = {}
    for layer, (height, width, channels_in, channels_out) in _layers().items():
        name = ".".join(layer)
        found[f"{name}.conv.weight"] = (channels_out, channels_in, height, width)
        for kind in ("weight", "bias", "running_mean", "running_var"):
            found[f"{name}.bn.{kind}"] = (channels_out,)
    # Features do not need it, but torchvision's Inception has tensors of the same names and shapes except this one.
    return found | {"fc.weight": (1008, FEATURES)}


@functools.cache
def _layers() -> dict[tuple[str, ...], tuple[int, ...]]:
    """Path of each convolution -> shape of its kernel `(height, width, in, out)`."""
    image = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32)
    params = jax.eval_shape(Inception().init, jax.random.key(0), image)["params"]
    return {path[:-1]: leaf.shape for path, leaf in flatten_dict(params).items() if path[-1] == "kernel"}


def _safetensors(path: str) -> dict[str, np.ndarray]:
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{SETTING} {path}: is not a safetensors file ({error}); {WHERE}") from error


def _state_dict(path: str) -> dict[str, np.ndarray]:
    """The tensors in a .pth, read by PyTorch's restricted unpickler, which runs no code of the file."""
    try:
        import torch
    except ImportError as error:
        raise UserError(
            f"{SETTING} {path}: only PyTorch reads this file; type pip install torch, or convert it to .safetensors on "
            "another machine as docs/fid.md says"
        ) from error
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        return {name: each.float().numpy() for name, each in state.items() if isinstance(each, torch.Tensor)}
    except Exception as error:  # a broken file makes the reader raise almost anything
        raise UserError(f"{SETTING} {path}: is not a state dict ({type(error).__name__}); {WHERE}") from error


def _folded(tensors: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    """Kernel `[height, width, in, out]` and bias `[out]` of a convolution and the batch norm behind it, float32."""
    weight, bias, mean, variance = (
        tensors[f"{name}.bn.{kind}"].astype(np.float64) for kind in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / np.sqrt(variance + EPSILON)
    kernel = tensors[f"{name}.conv.weight"].transpose(2, 3, 1, 0) * scale
    return {"kernel": kernel.astype(np.float32), "bias": (bias - mean * scale).astype(np.float32)}
