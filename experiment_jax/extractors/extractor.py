"""What a network is to an evaluation: features of images, and what tells it from others."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]  # of pairs: two sets uint8 `[N, …]` -> `[N]`


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A network whose features distances are taken in.

    Attributes:
        name: as in the names of metrics.
        digest: the first twelve hexadecimal digits of the sha256 of the file of its weights.
        size: how many features it has.
        resize: how images come to the size that it sees, in words.
        features: (images uint8 `[N, height, width, 1 or 3]`) -> float32 `[N, size]`, on the host. Raises ValueError for
            images of another type, UserError for another number of channels.
    """

    name: str
    digest: str
    size: int
    resize: str
    features: Callable[[Any], np.ndarray]
