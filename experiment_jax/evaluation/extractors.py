"""Networks in whose features distances are taken."""

import dataclasses
from collections.abc import Callable

import numpy as np


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A fixed network."""

    name: str
    digest: str
    size: int
    resize: str
    features: Callable[[np.ndarray], np.ndarray]


def find(name, inception_weights=""):
    raise NotImplementedError


def lpips():
    raise NotImplementedError


def trained_on(config):
    return set()
