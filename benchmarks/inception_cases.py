"""Weights and images, random and always the same, on which two implementations of FID's Inception are compared.

They come from NumPy's generators, seeded by names, so that 24 million weights need not be stored.
"""

import zlib
from collections.abc import Mapping

import numpy as np

SIDES, CHANNELS = (28, 32, 64, 299), (1, 3)
STORED = 16  # every 16th feature of a case is stored
RESIZED = ((28, 28, 1), (32, 32, 3), (64, 64, 3), (299, 299, 1), (178, 218, 3), (400, 320, 3))
ROWS, COLUMNS = slice(None, None, 23), slice(None, None, 19)  # of a resized image, stored


def weights(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Tensors named and laid out as in the file of weights: kernels He-normal, batch norms near the identity.

    Args:
        shapes: of all tensors, by name.
    """
    return {name: _tensor(name, shape) for name, shape in shapes.items()}


def _tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    generator = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith(("bn.weight", "bn.running_var")):
        return generator.uniform(0.5, 1.5, shape).astype(np.float32)
    scale = np.sqrt(2 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
    return generator.standard_normal(shape, np.float32) * np.float32(scale)


def images(height: int, width: int, channels: int) -> np.ndarray:
    """uint8 `[2, height, width, channels]`: random squares under noise."""
    generator = np.random.default_rng((height, width, channels))
    squares = generator.integers(0, 256, (2, 7, 7, channels))
    rows, columns = (np.arange(side) * 7 // side for side in (height, width))
    noise = generator.integers(-32, 33, (2, height, width, channels))
    return np.clip(squares[:, rows][:, :, columns] + noise, 0, 255).astype(np.uint8)
