"""Prepared TFDS data sets, read without TensorFlow. Every error is one line: what is wrong, what to type.

Images are decoded by `data.decoding`, not by TFDS: that takes OpenCV where it is installed and Pillow where it is
not, and the two do not give the same arrays.
"""

import dataclasses
import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiment_jax.data.names import is_prepared, missing, title
from experiment_jax.data.source import UNKNOWN, Decode, Source
from experiment_jax.errors import UserError


def splits(name: str, root: str) -> tuple[str, ...]:
    """The splits that a prepared set has; for what it raises see `source`."""
    import tensorflow_datasets as tfds

    return tuple(_builder(tfds, name, root).info.splits)


def source(name: str, split: str, root: str, image: str | None, label: str | None, decode: Decode) -> Source:
    """One split of a prepared set.

    Args:
        name: a TFDS name, or the path of a prepared TFDS directory.
        split: one that it has.
        root: where sets are looked for by name.
        image: the feature that is the image; None: the one called so.
        label: the feature that is the class, a ClassLabel or a truth value, of a nested one with slashes, as in
            attributes/Smiling; None: labels do not matter.
        decode: `data.decoding.decode`.

    Raises:
        UserError: no such set or split or feature, images or labels of a kind that is not read, or files that cannot
            be read.
    """
    import tensorflow_datasets as tfds

    builder = _builder(tfds, name, root)
    features, image = builder.info.features or {}, image or "image"
    if image not in features:
        raise UserError(
            f"data.name={name}: has no feature {image}; type --config.data.image=FEATURE: it has {', '.join(features)}"
        )
    encoded = _is_encoded(tfds, features[image], name)
    names = () if label is None else _class_names(tfds, features, label, name)
    if split not in builder.info.splits:
        raise UserError(f"data.name={name}: has no split {split}; it has {', '.join(builder.info.splits)}")
    if builder.info.file_format.value != "array_record":
        raise UserError(
            f"data.name={name}: is prepared as {builder.info.file_format.value}, which cannot be read at random; "
            f"type: {_prepare(name)}"
        )
    decoders = {image: tfds.decode.SkipDecoding()} if encoded else None
    read = _reading(name, lambda: builder.as_data_source(split, decoders=decoders)).__getitems__
    channels = (features[image].shape[-1] or 0) if encoded else None
    records = _Records(name, split, image, label, len(names), channels, read, decode)
    count = builder.info.splits[split].num_examples
    return Source(name, count, names, records.rows, records.labels, records.contents)


@dataclasses.dataclass(frozen=True)
class _Records:
    """The records of one split of a prepared set.

    Attributes:
        name: of the set, as it was given.
        split: of the set.
        image: the feature that is the image.
        label: the feature that is the class; None: labels do not matter.
        classes: how many there are.
        channels: that the set says its images have, 0 where it does not; None: its images are arrays already.
        read: the records at some indices, images not decoded.
        decode: see `source`.
    """

    name: str
    split: str
    image: str
    label: str | None
    classes: int
    channels: int | None
    read: Callable[[Sequence[int]], list[dict[str, Any]]]
    decode: Decode

    def rows(self, index: Sequence[int]) -> Iterator[dict[str, Any]]:
        """See `Source`."""
        return (dict(image=self._image(i, row), label=self._class(i, row)) for i, row in self._found(index))

    def labels(self, index: Sequence[int]) -> list[int]:
        """See `Source`."""
        return [self._class(i, row) for i, row in self._found(index)]

    def contents(self, index: Sequence[int]) -> Iterator[bytes]:
        """See `Source`."""
        return (bytes(row[self.image]) for _, row in self._found(index))

    def _found(self, index: Sequence[int]) -> list[tuple[int, dict[str, Any]]]:
        found = list(zip(index, _reading(self.name, lambda: self.read(index)), strict=True))
        for number, row in found:
            if row[self.image] is None or not len(
                row[self.image]
            ):  # what is read behind the end of a file that was cut off
                reason = f"record {number} of {self.split} is empty"
                raise UserError(f"data.name={self.name}: {reason}; prepare it again: {_prepare(self.name)}")
        return found

    def _image(self, number: int, row: dict[str, Any]) -> np.ndarray:
        if self.channels is None:
            return row[self.image]
        try:
            return self.decode(row[self.image], self.channels)
        except UserError as error:
            raise UserError(f"data.name={self.name}: image {number} of {self.split}: {error}") from None

    def _class(self, number: int, row: dict[str, Any]) -> int:
        if self.label is None:
            return 0
        for part in self.label.split("/"):
            row = row[part]
        if not UNKNOWN <= row < self.classes:
            raise UserError(
                f"data.name={self.name}: {self.label} of image {number} of {self.split} is {row}; its {self.classes} "
                f"classes are 0 to {self.classes - 1}, and -1 is none; prepare it again: {_prepare(self.name)}"
            )
        return int(row)


def _is_encoded(tfds: Any, feature: Any, name: str) -> bool:
    """Whether images are kept as the content of image files, not as arrays.

    Raises:
        UserError: they are not images of whole numbers; of float32 a PNG holds the bits, not the values.
    """
    if isinstance(feature, tfds.features.Image):
        if np.dtype(feature.np_dtype) not in (np.uint8, np.uint16):
            raise UserError(f"data.name={name}: has images of {np.dtype(feature.np_dtype)}; prepare them as uint8")
        return True
    plain = type(feature) is tfds.features.Tensor and np.dtype(feature.np_dtype) == np.uint8
    if not plain or len(feature.shape) != 3 or feature.shape[-1] not in (1, 3):
        raise UserError(
            f"data.name={name}: image is {feature}; prepare it as tfds.features.Image, or as an array of uint8 "
            "[height, width, 1 or 3]"
        )
    return False


def _class_names(tfds: Any, features: Any, label: str, name: str) -> tuple[str, ...]:
    """The classes of a feature, "not Smiling" and "Smiling" of a truth value."""
    found = features
    for part in label.split("/"):
        if part not in getattr(found, "keys", tuple)():
            raise UserError(
                f"data.name={name}: has no feature {label} for a class; type --config.data.label=FEATURE: it has "
                f"{', '.join(sorted(_leaves(features)))}"
            )
        found = found[part]
    if type(found) is tfds.features.ClassLabel and found.num_classes:  # a sequence of these has the same attributes
        return tuple(found.names)
    of_truth = isinstance(found, tfds.features.Tensor) and found.shape == () and np.dtype(found.np_dtype) == bool
    if not of_truth:
        raise UserError(f"data.label={label}: is neither a class label nor a truth value; choose another feature")
    last = label.rpartition("/")[2]
    return f"not {last}", last


def _leaves(features: Any, path: str = "") -> list[str]:
    if not hasattr(features, "keys"):
        return [path]
    return [leaf for key in features for leaf in _leaves(features[key], f"{path}/{key}" if path else key)]


def _builder(tfds: Any, name: str, root: str) -> Any:
    """The builder of a prepared directory, or of a set prepared under `root`."""
    if is_prepared(name):
        return _reading(name, lambda: tfds.builder_from_directory(Path(name).expanduser()))
    if nothing := missing(name):
        raise UserError(nothing)
    try:
        builder = _reading(name, lambda: tfds.builder(name, data_dir=root), tfds.core.DatasetNotFoundError)
    except tfds.core.DatasetNotFoundError as error:
        raise UserError(
            f"data.name={name}: {str(error).splitlines()[0]} Looked in {root} and in TFDS's own list; give digits, a "
            "TFDS name, or the path of a folder of images, of an .npz or of a prepared set"
        ) from None
    if not builder.info.splits:
        raise UserError(f"data.name={name}: is not prepared in {root}; type: {_prepare(name)}")
    return builder


def _reading(name: str, read: Callable[[], Any], *but: type[Exception]) -> Any:
    """Calls `read` and turns any error of the reader into a one-line UserError that names the data set."""
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
    """The command that prepares a data set in the format that is read here. Only that needs TensorFlow."""
    install = "" if importlib.util.find_spec("tensorflow") else "pip install tensorflow-cpu && "
    return f"{install}tfds build {title(name)} --file_format=array_record --overwrite"
