"""Data sets as uint8 arrays, the semi-supervised split, and the views that stages train on.

`load` returns images uint8 `[N, height, width, channels]` and labels int32 `[N]`. What a stage may see of them is a
`View`: "all" holds images and no label, "paired" holds the images whose label may be used, and those labels,
"validation" the images cut from train and their labels. The label of an unpaired image is overwritten with -1 as soon
as the split is made, so nothing downstream can read it.
"""

import dataclasses
import functools
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiment_jax.errors import UserError

UNPAIRED = -1


@dataclasses.dataclass(frozen=True)
class Split:
    """Images uint8 `[N, height, width, channels]` and labels int32 `[N]`; -1 stands for a label that is not given."""

    images: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, index: np.ndarray) -> "Split":
        return Split(self.images[index], self.labels[index])


@dataclasses.dataclass(frozen=True)
class Dataset:
    """A data set after the splits: `train` and `validation` are parts of what the set calls train."""

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        return self.train.images.shape[1:]


@dataclasses.dataclass(frozen=True)
class View:
    """What one stage sees.

    Attributes:
        images: uint8 `[N, height, width, channels]`.
        labels: int32 `[N]`, or None where the stage may not see any.
    """

    images: np.ndarray
    labels: np.ndarray | None

    def __len__(self) -> int:
        return len(self.images)


def load(config: ConfigDict, seed: int) -> Dataset:
    """Train and validation of `config.name`; never opens the test split.

    Args:
        config: the data section.
        seed: chooses the validation images and the paired ones.

    Raises:
        UserError: a missing or unreadable set, or a split that the set is too small for.
    """
    train, class_names = read(config.name, "train")
    classes = len(class_names)
    held_out = _balanced(train.labels, config.validation, classes, seed, "data.validation", leave=1)
    rest = np.setdiff1d(np.arange(len(train)), held_out)
    validation, train = train.take(held_out), train.take(rest)
    if config.paired is not None:
        paired = choose_paired(train.labels, config.paired, classes, seed)
        train = Split(train.images, hide_labels(train.labels, paired))
    return Dataset(config.name, class_names, train, validation)


def read(name: str, split: str) -> tuple[Split, tuple[str, ...]]:
    """One split ("train" or "test") of a data set, whole, and its class names.

    Args:
        name: "digits", a TFDS name, or the path of a prepared TFDS directory.
        split: "train" or "test".
    """
    return _digits(split) if name == "digits" else _tfds(name, split, _tfds_root())


def choose_paired(labels: np.ndarray, count: int, num_classes: int, seed: int) -> np.ndarray:
    """Indices int64 `[count]` of the images whose labels may be used: the same number of every class, by seed."""
    return _balanced(labels, count, num_classes, seed + 1, "data.paired", least=1)


def hide_labels(labels: np.ndarray, paired: np.ndarray) -> np.ndarray:
    """Labels int32 `[N]` with -1 everywhere but at the indices `paired`."""
    hidden = np.full_like(labels, UNPAIRED)
    hidden[paired] = labels[paired]
    return hidden


def _balanced(
    labels: np.ndarray, count: int, num_classes: int, seed: int, setting: str, *, least: int = 0, leave: int = 0
) -> np.ndarray:
    """Sorted indices `[count]`, equally many of every class: at least `least`, and `leave` of each are left over."""
    available = np.bincount(labels, minlength=num_classes).min() - leave
    if count % num_classes or not least <= count // num_classes <= available:
        fit = min(max(count // num_classes, least), available) * num_classes
        raise UserError(
            f"{setting}={count}: must be a multiple of the {num_classes} classes and at most {available} images of "
            f"each, which the smallest class can give; type --config.{setting}={fit}"
        )
    generator = np.random.default_rng([seed, num_classes])
    members = [generator.permutation(np.flatnonzero(labels == label)) for label in range(num_classes)]
    return np.sort(np.concatenate([rows[: count // num_classes] for rows in members]))


def view(dataset: Dataset, name: str) -> View:
    """The part of the training images that a stage named in its section.

    Raises:
        UserError: no view of that name, or "validation" where no images are held out.
    """
    if name == "all":
        return View(dataset.train.images, None)
    if name == "paired":
        paired = dataset.train.take(np.flatnonzero(dataset.train.labels != UNPAIRED))
        return View(paired.images, paired.labels)
    if name == "validation":
        if not len(dataset.validation):
            advice = f"type --config.data.validation={10 * dataset.num_classes}"
            raise UserError(f"view=validation: no images are held out of train; {advice}")
        return View(dataset.validation.images, dataset.validation.labels)
    raise UserError(
        f"view={name}: choose all (images without labels), paired (images with labels) or validation (held out)"
    )


@functools.cache
def _digits(split: str) -> tuple[Split, tuple[str, ...]]:
    """scikit-learn's 1,797 scanned 8×8 digits; 45 of each class, fixed, are the test split."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = bunch.target.astype(np.int32)
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    test = _balanced(labels, 450, 10, 0, "digits")
    index = test if split == "test" else np.setdiff1d(np.arange(len(labels)), test)
    return Split(images, labels).take(index), tuple(str(name) for name in bunch.target_names)


@functools.cache
def _tfds(name: str, split: str, root: str) -> tuple[Split, tuple[str, ...]]:
    """A prepared TFDS set with an `image` and a `label`; reading it needs no TensorFlow."""
    import tensorflow_datasets as tfds

    builder = _builder(tfds, name, root)
    features = builder.info.features
    if not {"image", "label"} <= set(features or {}):
        raise UserError(f"data.name={name}: needs the features image and label; it has {', '.join(features or {})}")
    if split not in builder.info.splits:
        raise UserError(f"data.name={name}: has no split {split}; it has {', '.join(builder.info.splits)}")
    if builder.info.file_format.value != "array_record":
        raise UserError(
            f"data.name={name}: is prepared as {builder.info.file_format.value}, which cannot be read at random; "
            f"type: {_prepare(name)}"
        )
    size = builder.info.splits[split].num_examples
    rows = _reading(name, lambda: builder.as_data_source(split).__getitems__(range(size)))
    shapes = {row["image"].shape for row in rows}
    if len(shapes) != 1:
        raise UserError(f"data.name={name}: images must be of one size; it has {len(shapes)} sizes")
    images = np.stack([row["image"] for row in rows])
    labels = np.asarray([row["label"] for row in rows], np.int32)
    return Split(images, labels), tuple(features["label"].names)


def _tfds_root() -> str:
    """Where prepared sets are looked for by name."""
    return os.environ.get("TFDS_DATA_DIR", str(Path("~/tensorflow_datasets").expanduser()))


def _builder(tfds: Any, name: str, root: str) -> Any:
    """The builder of a prepared directory, or of a set prepared under `root`."""
    path = Path(name).expanduser()
    if (path / "dataset_info.json").is_file():
        return _reading(name, lambda: tfds.builder_from_directory(path))
    if os.sep in name:
        raise UserError(f"data.name={name}: there is no prepared set; give the folder that holds dataset_info.json")
    try:
        builder = _reading(name, lambda: tfds.builder(name, data_dir=root), tfds.core.DatasetNotFoundError)
    except tfds.core.DatasetNotFoundError as error:
        raise UserError(
            f"data.name={name}: {str(error).splitlines()[0]} Looked in {root} and in TFDS's own list; give digits, a "
            f"TFDS name, or the folder of a prepared set"
        ) from None
    if not builder.info.splits:
        raise UserError(f"data.name={name}: is not prepared in {root}; type: {_prepare(name)}")
    return builder


def _reading(name: str, read: Callable[[], Any], *but: type[Exception]) -> Any:
    """Calls `read`; whatever the readers raise over the files of a set is one line for the person who named it."""
    try:
        return read()
    except but:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(
            f"data.name={name}: cannot be read ({reason[0]}); prepare it again: {_prepare(name)}"
        ) from error


def _prepare(name: str) -> str:
    """The command that prepares a set in the format that we read; only this needs TensorFlow."""
    install = "" if importlib.util.find_spec("tensorflow") else "pip install tensorflow-cpu && "
    path = Path(name)
    # The folder of a prepared set is NAME/VERSION or NAME/CONFIG/VERSION under TFDS's data directory.
    dataset = path.parent.name if os.sep in name and path.name[:1].isdigit() else path.name
    return f"{install}tfds build {dataset} --file_format=array_record --overwrite"
