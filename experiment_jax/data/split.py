"""The semi-supervised split of a data set, and the views that stages train on.

Images are uint8 `[N, height, width, channels]` and labels int32 `[N]`. What a stage may see of them is a
`View`: "all" holds images and no label, "paired" holds the images whose label may be used, and those labels, "mixed"
all images and those labels, "validation" the images cut from train and their labels. The label of an unpaired image is
overwritten with -1 as soon as the split is made, so nothing downstream can read it. A view that is called as one of
several joined sets holds the images of that set and no label. How sets are read: `data.load`.
"""

import dataclasses

import numpy as np
from ml_collections import ConfigDict

from experiment_jax.data.lazy_images import Images
from experiment_jax.data.source import UNKNOWN
from experiment_jax.errors import UserError

UNPAIRED = UNKNOWN


@dataclasses.dataclass(frozen=True)
class Split:
    """Images uint8 `[N, height, width, channels]` and labels int32 `[N]`; -1 stands for a label that is not given."""

    images: np.ndarray | Images
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> "Split":
        return Split(self.images.take(index, axis=0), self.labels[index])

    @property
    def labelled(self) -> "Split":
        """Those whose label is given; itself, where all are."""
        known = np.flatnonzero(self.labels != UNPAIRED)
        return self if len(known) == len(self) else self.take(known)


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set after the splits.

    Attributes:
        name: as the config gives it.
        class_names: in the order of the labels.
        train: a part of what the set calls train.
        validation: the other part.
        sources: int32 `[train]`, the set that each training image came from, as an index into `class_names`; None where
            the data set is not several sets joined. Only a view called as one of them may look at it: where sets are
            classes it says what labels are hidden.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    sources: np.ndarray | None = None

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.train.images.shape[1:]

    @property
    def arrays(self) -> dict[str, np.ndarray | Images]:
        """What tells it from other data sets, and other splits of the same."""
        train, validation = vars(self.train), vars(self.validation)
        return {**train, **{f"validation_{name}": array for name, array in validation.items()}}


@dataclasses.dataclass(frozen=True)
class View:
    """What one stage sees.

    Attributes:
        images: uint8 `[N, height, width, channels]`, in memory or on disk.
        labels: int32 `[N]`, -1 where one may not be used, or None where the stage may not see any.
        probabilities: of each class, float32 `[N, classes]`, where frozen networks give them (`Stage.relabel`).
    """

    images: np.ndarray | Images
    labels: np.ndarray | None
    probabilities: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def known(self) -> dict[str, np.ndarray]:
        """What the stage sees beside the images, by its name in a batch."""
        known = {"labels": self.labels, "probabilities": self.probabilities}
        return {name: values for name, values in known.items() if values is not None}


def divide(train: Split, class_names: tuple[str, ...], config: ConfigDict, seed: int, joined: bool = False) -> Dataset:
    """The data set that a config's data section makes of a train split.

    Args:
        train: all images that the set calls train, with all labels; -1: an unpaired image from the start.
        class_names: in the order of the labels.
        config: the data section.
        seed: chooses the validation images and the paired ones.
        joined: whether each class is a set of its own, see `Dataset.sources`.

    Raises:
        UserError: a split that the set is too small for.
    """
    classes = len(class_names)
    held_out = _balanced(train.labels, config.validation, classes, seed, "data.validation", leave=1)
    rest = np.setdiff1d(np.arange(len(train)), held_out)
    validation, train = train.take(held_out), train.take(rest)
    validation = Split(np.asarray(validation.images), validation.labels)  # few, and looked at again and again
    sources = train.labels.copy() if joined else None
    if config.paired is not None:
        paired = choose_paired(train.labels, config.paired, classes, seed)
        train = Split(train.images, hide_labels(train.labels, paired))
    if config.unpaired is not None:
        kept = _choose_unpaired(train.labels, config.unpaired, seed)
        train, sources = train.take(kept), None if sources is None else sources[kept]
    return Dataset(config.name, class_names, train, validation, sources)


def choose(labels: np.ndarray, each: int, num_classes: int, seed: int) -> np.ndarray:
    """Sorted indices of `each` examples of every class, by seed."""
    generator = np.random.default_rng([seed, num_classes])
    rows = [generator.permutation(np.flatnonzero(labels == label)) for label in range(num_classes)]
    return np.sort(np.concatenate([row[:each] for row in rows]))


def choose_paired(labels: np.ndarray, count: int, num_classes: int, seed: int) -> np.ndarray:
    """Indices int64 `[count]` of the images whose labels may be used: the same number of every class, by seed."""
    return _balanced(labels, count, num_classes, seed + 1, "data.paired", least=1)


def _choose_unpaired(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Sorted indices of all pairs and of `count` other images, whatever they show; more of them hold fewer of them."""
    hidden = np.flatnonzero(labels == UNPAIRED)
    if not 0 <= count <= len(hidden):
        fit = f"type --config.data.unpaired={len(hidden)} or less" if len(hidden) else "give data.paired too"
        raise UserError(f"data.unpaired={count}: there are {len(hidden)} images without a label; {fit}")
    chosen = np.random.default_rng(seed + 2).permutation(hidden)[:count]
    return np.sort(np.concatenate([np.flatnonzero(labels != UNPAIRED), chosen]))


def hide_labels(labels: np.ndarray, paired: np.ndarray) -> np.ndarray:
    """Labels int32 `[N]` with -1 everywhere but at the indices `paired`."""
    hidden = np.full_like(labels, UNPAIRED)
    hidden[paired] = labels[paired]
    return hidden


def _balanced(
    labels: np.ndarray, count: int, num_classes: int, seed: int, setting: str, *, least: int = 0, leave: int = 0
) -> np.ndarray:
    """Sorted indices `[count]`, equally many of every class: at least `least`, and `leave` of each are left over."""
    counts = np.bincount(labels[labels != UNPAIRED], minlength=num_classes)
    available = max(counts.min() - leave, 0)
    if available < least:
        raise UserError(
            f"{setting}={count}: class {counts.argmin()} has no image to give; type --config.{setting}=None"
        )
    if count % num_classes or not least <= count // num_classes <= available:
        fit = min(max(count // num_classes, least), available) * num_classes
        raise UserError(
            f"{setting}={count}: must be a multiple of the {num_classes} classes and at most {available} images of "
            f"each, which the smallest class can give; type --config.{setting}={fit}"
        )
    return choose(labels, count // num_classes, num_classes, seed)


def view(dataset: Dataset, name: str) -> View:
    """The images and labels of the view that a stage's section names.

    Raises:
        UserError: no view of that name, or "validation" where no images are held out.
    """
    if name == "all":
        return View(dataset.train.images, None)
    if name == "mixed":
        return View(dataset.train.images, dataset.train.labels)
    if name == "paired":
        paired = dataset.train.take(np.flatnonzero(dataset.train.labels != UNPAIRED))
        return View(paired.images, paired.labels)
    if name == "validation":
        if not len(dataset.validation):
            advice = f"type --config.data.validation={10 * dataset.num_classes}"
            raise UserError(f"view=validation: no images are held out of train; {advice}")
        return View(dataset.validation.images, dataset.validation.labels)
    sets = () if dataset.sources is None else dataset.class_names
    if name in sets:
        return View(dataset.train.images.take(np.flatnonzero(dataset.sources == sets.index(name)), axis=0), None)
    more = f", {', '.join(sets)} (that set's images without labels)" if sets else ""
    raise UserError(
        f"view={name}: choose all (images without labels), paired (images with labels), mixed (all, with the labels "
        f"of the pairs), validation (held out){more}"
    )
