"""Grids of images, as uint8 arrays and PNG files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from experiment_jax.files import replacing

GAP = 2
PAPER, INK = 255, 40


def grid(images: np.ndarray, scale: int | None = None) -> np.ndarray:
    """Rows and columns of images on white: uint8 `[rows, columns, height, width, channels]` -> `[h, w, 3]`.

    Args:
        images: with 1 or 3 channels.
        scale: each pixel becomes scale × scale; by default images get at least 32 pixels high.
    """
    rows, columns, height, width, channels = images.shape
    scale = max(1, -(-32 // height)) if scale is None else scale
    images = np.repeat(np.repeat(images, scale, axis=2), scale, axis=3)
    images = np.broadcast_to(images, (*images.shape[:-1], 3)) if channels == 1 else images
    cell_height, cell_width = height * scale + GAP, width * scale + GAP
    canvas = np.full((rows * cell_height + GAP, columns * cell_width + GAP, 3), PAPER, np.uint8)
    for row in range(rows):
        for column in range(columns):
            top, left = row * cell_height + GAP, column * cell_width + GAP
            canvas[top : top + cell_height - GAP, left : left + cell_width - GAP] = images[row, column]
    return canvas


def label_rows(picture: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """A grid of `len(names)` rows, uint8 `[h, w, 3]`, with the name of each row in a margin at its left."""
    font = ImageFont.load_default(size=12)
    margin = int(max(font.getlength(name) for name in names)) + 4 * GAP
    paper = Image.new("RGB", (margin, len(picture)), (PAPER,) * 3)
    pen, height = ImageDraw.Draw(paper), (len(picture) - GAP) / len(names)
    for row, name in enumerate(names):
        pen.text((margin - 2 * GAP, GAP / 2 + (row + 0.5) * height), name, (INK,) * 3, font, anchor="rm")
    return np.concatenate([np.asarray(paper), picture], axis=1)


def stack(*parts: np.ndarray) -> np.ndarray:
    """Grids of the same width, one below the other, with a rule between."""
    width = parts[0].shape[1]
    rule = np.full((3 * GAP, width, 3), PAPER, np.uint8)
    rule[GAP:-GAP] = INK
    rows = [parts[0]]
    for part in parts[1:]:
        rows += [rule, part]
    return np.concatenate(rows)


def alternate(above: np.ndarray, below: np.ndarray, columns: int) -> np.ndarray:
    """Two sets uint8 `[N, height, width, channels]` as rows, each image of `below` under its own of `above`."""
    count = len(above) // columns * columns
    shape = (count // columns, columns, *above.shape[1:])
    pairs = np.stack([above[:count].reshape(shape), below[:count].reshape(shape)], axis=1)
    return pairs.reshape(-1, *shape[1:])


def read(path: Path) -> np.ndarray:
    """A picture that `save` wrote: uint8 `[height, width, 3]`."""
    return np.asarray(Image.open(path))


def save(path: Path, picture: np.ndarray) -> None:
    """Writes a PNG, whole or not at all."""
    with replacing(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
