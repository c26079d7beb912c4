"""The real images that an evaluation compares with, and those that samples are drawn for."""

import dataclasses
import logging

import numpy as np
from ml_collections import ConfigDict

from experiment_jax.data import load
from experiment_jax.data.split import UNPAIRED, Split
from experiment_jax.errors import UserError

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class RealImages:
    """The real images of an evaluation.

    Attributes:
        split: "test", "validation" or "train": which of them samples are compared with.
        train: all of it; under the split "validation", without the images that the run held out. Images without a
            label are left out of what goes by class alone.
        test: all of it; under the split "validation", the held-out images in its place.
        other: images of the split that is not compared with, as many of each class as samples are asked for, or all
            where there are fewer.
        matched: whether `other` has as many of each class. If so it is what real images would get, the floor of every
            distance that depends on the counts; if not there is no floor.
    """

    split: str
    train: Split
    test: Split
    other: Split
    matched: bool = True

    @property
    def compared(self) -> Split:
        """Those that samples are compared with."""
        return self.train if self.split == "train" else self.test


def conditions(real: Split, count: int, generator: np.random.Generator) -> Split:
    """The real images `[count]` to draw samples for, by their labels or from what a degradation leaves of them: all in
    an order chosen by seed, over and over. Images without a label are left out, where others have one."""
    real = real.labelled if (real.labels != UNPAIRED).any() else real
    return real.take(np.resize(generator.permutation(len(real)), count))


def real_images(config: ConfigDict, split: str, num_samples: int, seed: int = 0) -> tuple[RealImages, Split]:
    """The real images that samples are compared with, and those `[N]` to draw samples for.

    Args:
        config: a run's.
        split: "test", "train" or "validation"; see `protocol.parse`.
        num_samples: N.
        seed: of the order, and of the choice of the other split's images.

    Raises:
        UserError: a run without validation images.
    """
    train, test = train_and_test(config, split)
    compared, other = (train, test) if split == "train" else (test, train)
    generator = np.random.default_rng(seed)
    chosen = conditions(compared, num_samples, generator)
    enough = matchable(chosen.labels, other.labels)
    if enough < len(chosen):
        log.warning(
            "no floor: %s has too few images of a class to stand for %d samples; up to %d samples have a floor",
            *("test" if split == "train" else "train", len(chosen), enough),
        )
    like = []
    for label, wanted in zip(*np.unique(chosen.labels, return_counts=True), strict=True):
        like.append(generator.permutation(np.flatnonzero(other.labels == label))[:wanted])
    other = other.take(np.sort(np.concatenate(like)))
    return RealImages(split, train, test, other, matched=enough == len(chosen)), chosen


def matchable(labels: np.ndarray, others: np.ndarray) -> int:
    """How many of `labels` int `[N]`, from the first on, have each a label of its own like them among `others`."""
    limits = [len(labels)]
    for label in np.unique(labels):
        limits += np.flatnonzero(labels == label)[np.sum(others == label) :][:1].tolist()
    return min(limits)


def train_and_test(config: ConfigDict, split: str) -> tuple[Split, Split]:
    """Train and test, or train without the validation part and that; all with their labels."""
    if split != "validation":
        return tuple(load.read(config.data, name)[0] for name in ("train", "test"))
    section = config.data.copy_and_resolve_references()
    section.paired = section.unpaired = None
    parts = load.load(section, config.seed)
    if not len(parts.validation):
        raise UserError(
            "protocol=validation: the run held out no images; train one with "
            f"--config.data.validation={100 * parts.num_classes}"
        )
    return parts.train, parts.validation
