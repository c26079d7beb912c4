"""EfficientNet-Lite0 (Tan & Le 2019, the version for phones) trained on ImageNet: an extractor of features.

Blocks of a 1×1 convolution that widens, a depthwise one and a 1×1 one that narrows, ReLU6 between, no squeezing.
BatchNorm is part of the kernels and biases here. XLA's CPU backend computes depthwise convolutions one channel at a
time, so they are written as sums of shifted products.
"""

from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.networks.pretrained import inputs, weights

# Repetitions, side of the depthwise kernel, stride of the first, how much it widens, channels out.
BLOCKS = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, FEATURES, SIDE = 32, 1280, 224
EPSILON = 1e-3  # of BatchNorm
Params = Mapping[str, tuple[jax.Array, jax.Array]]  # a kernel `[side, side, in, out]` and a bias `[out]`


def blocks() -> Iterator[tuple[int, int, int, int, int, int]]:
    """Each block's number, side of the depthwise kernel, stride, channels in, inside and out."""
    number, channels_in = 0, STEM
    for times, side, stride, widening, channels_out in BLOCKS:
        for repetition in range(times):
            yield number, side, 1 if repetition else stride, channels_in, widening * channels_in, channels_out
            number, channels_in = number + 1, channels_out


def from_package(asked: str, instead: str) -> tuple[Params, str]:
    """Kernels and biases by the names that the file gives kernels, and the digest of the file.

    For the arguments and errors see `weights.read`.
    """
    held, digest = weights.read(weights.EFFICIENTNET_LITE0, asked, instead)
    return {name: folded(held, name, *rest) for name, *rest in _convolutions()}, digest


def _convolutions() -> Iterator[tuple[str, str, int, int, int]]:
    """The name of each convolution and of its BatchNorm, channels out, channels in a group, and side of the kernel."""
    yield "_conv_stem", "_bn0", STEM, 3, 3
    for number, side, _, channels_in, inside, channels_out in blocks():
        name = f"_blocks.{number}."
        if inside != channels_in:
            yield f"{name}_expand_conv", f"{name}_bn0", inside, channels_in, 1
        yield f"{name}_depthwise_conv", f"{name}_bn1", inside, 1, side
        yield f"{name}_project_conv", f"{name}_bn2", channels_out, inside, 1
    yield "_conv_head", "_bn1", FEATURES, BLOCKS[-1][-1], 1


def folded(held: weights.Held, name: str, norm: str, channels_out: int, channels_in: int, side: int):
    """A convolution k and its BatchNorm, γ (k ∗ x − μ) / √(σ² + ε) + β, as one kernel and one bias."""
    kernel = held.take(f"{name}.weight", channels_out, channels_in, side, side).transpose(2, 3, 1, 0)
    gain, shift, mean, variance = (
        held.take(f"{norm}.{part}", channels_out) for part in ("weight", "bias", "running_mean", "running_var")
    )
    gain = gain / np.sqrt(variance + np.float32(EPSILON))
    return kernel * gain, shift - mean * gain


def features(params: Params, images: jax.Array) -> jax.Array:
    """Images `[batch, height, width, 1 or 3]`, floats in [0, 255] -> means over places `[batch, 1280]`.

    The network was trained on images of 224×224; any size is computed as it comes.
    """
    kernel, bias = params["_conv_stem"]
    x = (inputs.coloured(images) - 127.0) / 128.0
    x = jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    x = _relu6(x + bias)
    for number, _, stride, channels_in, _, channels_out in blocks():
        before, name = x, f"_blocks.{number}."
        if f"{name}_expand_conv" in params:
            x = _relu6(_dense(params[f"{name}_expand_conv"], x))
        x = _relu6(depthwise(params[f"{name}_depthwise_conv"], x, stride))
        x = _dense(params[f"{name}_project_conv"], x)
        if channels_in == channels_out:
            x = x + before
    return jnp.mean(_relu6(_dense(params["_conv_head"], x)), axis=(1, 2))


def _relu6(x: jax.Array) -> jax.Array:
    return jnp.clip(x, 0.0, 6.0)


def _dense(layer: tuple[jax.Array, jax.Array], x: jax.Array) -> jax.Array:
    kernel, bias = layer
    return x @ kernel[0, 0] + bias


def depthwise(layer: tuple[jax.Array, jax.Array], x: jax.Array, stride: int) -> jax.Array:
    """A kernel `[side, side, 1, channels]` over x `[batch, height, width, channels]`, padded as TensorFlow's "SAME"."""
    kernel, bias = layer
    side = len(kernel)
    places = [-(-size // stride) for size in x.shape[1:3]]
    missing = [max((n - 1) * stride + side - size, 0) for n, size in zip(places, x.shape[1:3], strict=True)]
    padded = jnp.pad(x, ((0, 0), *((each // 2, each - each // 2) for each in missing), (0, 0)))
    rows, columns = ([slice(k, k + (n - 1) * stride + 1, stride) for k in range(side)] for n in places)
    return bias + sum(padded[:, rows[i], columns[j]] * kernel[i, j, 0] for i in range(side) for j in range(side))
