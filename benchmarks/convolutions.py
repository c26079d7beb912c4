"""The 3×3 convolutions of the shipped networks, forward and by input and kernel, next to PyTorch's.

    python benchmarks/convolutions.py

What explains the ratios of `training_step.py`: they are most of a convolutional step. Batches of 128, float32, CPU.
"""

import functools
import os
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import table  # of this folder
import torch
from clock import milliseconds  # of this folder
from flax import linen as nn
from machine import machine

from experiment_jax.devices import cpu

BATCH = 128
LAYERS = {  # of each network: side, channels in and out, as often as they come
    "Encoder": ((14, 4, 32), (7, 128, 64)),
    "Decoder": ((7, 64, 64), (7, 64, 128), (14, 32, 4)),
    "Classifier": ((28, 1, 32), (14, 32, 64), (7, 64, 128)),
}


def pairs(side: int, channels: int, width: int) -> list[list[Callable[[], object]]]:
    """[ours, theirs] of the convolution, of its gradient by its input, and by its kernel."""
    generator = np.random.default_rng(0)
    x, dy = (generator.standard_normal((BATCH, side, side, c), dtype=np.float32) for c in (channels, width))
    kernel = generator.standard_normal((3, 3, channels, width), dtype=np.float32)
    layer = nn.Conv(width, (3, 3), use_bias=False)

    def forward(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return layer.apply({"params": {"kernel": kernel}}, x)

    def by_input(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> jax.Array:
        return jax.vjp(lambda x: forward(x, kernel), x)[1](dy)[0]

    def by_kernel(x: jax.Array, kernel: jax.Array, dy: jax.Array) -> jax.Array:
        return jax.vjp(lambda kernel: forward(x, kernel), kernel)[1](dy)[0]

    ours = [
        functools.partial(jax.jit(function), *(jnp.asarray(each) for each in arguments))
        for function, arguments in ((forward, (x, kernel)), (by_input, (x, kernel, dy)), (by_kernel, (x, kernel, dy)))
    ]
    x, dy = (torch.tensor(each).permute(0, 3, 1, 2).contiguous() for each in (x, dy))
    kernel = torch.tensor(kernel).permute(3, 2, 0, 1).contiguous()
    theirs = [
        functools.partial(torch.conv2d, x, kernel, padding=1),
        functools.partial(torch.nn.grad.conv2d_input, x.shape, kernel, dy, padding=1),
        functools.partial(torch.nn.grad.conv2d_weight, x, kernel.shape, dy, padding=1),
    ]
    return [list(pair) for pair in zip(ours, theirs, strict=True)]


def main() -> None:
    cpu.keep_freed_pages()
    cpu.convolve_on_all_cores()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    print(f"{machine()}, torch {torch.__version__}; each cell: PyTorch / ours (ours, ms)\n")
    table.head("network", "convolution", "forward", "by input", "by kernel")
    for network, layers in LAYERS.items():
        for side, channels, width in layers:
            times = [milliseconds(pair) for pair in pairs(side, channels, width)]
            cells = [f"{theirs / ours:.2f} ({ours:.1f})" for ours, theirs in times]
            print(f"| {network} | {side}×{side}, {channels} to {width} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
