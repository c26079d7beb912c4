"""Prepared TFDS data sets, read without TensorFlow. Every error is one line: what is wrong, what to type."""

import dataclasses
import importlib.util
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiment_jax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Source:
    """One split of one data set, open for reading a few examples at a time.

    Attributes:
        name: as it was given.
        count: of its examples.
        class_names: () where it has no labels, or where labels are not used.
        rows: the examples at some indices, dictionaries with an `image` uint8 `[height, width, channels]` and a
            `label`.
        labels: the labels at some indices; no image is decoded for them.
    """

    name: str
    count: int
    class_names: tuple[str, ...]
    rows: Callable[[Sequence[int]], list[dict[str, Any]]]
    labels: Callable[[Sequence[int]], list[int]]


def root() -> str:
    """Where prepared sets are looked for by name."""
    return os.environ.get("TFDS_DATA_DIR", str(Path("~/tensorflow_datasets").expanduser()))


def is_folder(name: str) -> bool:
    """Whether `name` is the path of a prepared TFDS directory."""
    return (Path(name).expanduser() / "dataset_info.json").is_file()


def title(name: str) -> str:
    """What a set is called: itself, or its folder, which is NAME/VERSION or NAME/CONFIG/VERSION."""
    path = Path(name)
    return path.parent.name if os.sep in name and path.name[:1].isdigit() else path.name


def source(name: str, split: str, root: str, label: str | None) -> Source:
    """One split of a prepared set.

    Args:
        name: a TFDS name, or the path of a prepared TFDS directory.
        split: one that it has.
        root: where sets are looked for by name.
        label: the feature that is the class, a ClassLabel or a truth value, of a nested one with slashes, as in
            attributes/Smiling; None: labels do not matter.

    Raises:
        UserError: no such set or split or feature, or files that cannot be read.
    """
    import tensorflow_datasets as tfds

    builder = _builder(tfds, name, root)
    features = builder.info.features or {}
    if "image" not in features:
        raise UserError(f"data.name={name}: needs the feature image; it has {', '.join(features)}")
    names = () if label is None else _class_names(features, label, name)
    if split not in builder.info.splits:
        advice = "; compare with images held out of train: type --config.evaluation.protocol=validation_1k"
        has = ", ".join(builder.info.splits)
        raise UserError(f"data.name={name}: has no split {split}; it has {has}{advice if split == 'test' else ''}")
    if builder.info.file_format.value != "array_record":
        raise UserError(
            f"data.name={name}: is prepared as {builder.info.file_format.value}, which cannot be read at random; "
            f"type: {_prepare(name)}"
        )
    decoders = {"image": tfds.decode.SkipDecoding()}
    rows = _reading(name, lambda: builder.as_data_source(split)).__getitems__
    bare = _reading(name, lambda: builder.as_data_source(split, decoders=decoders)).__getitems__
    count = builder.info.splits[split].num_examples
    return Source(
        name,
        count,
        names,
        lambda index: [
            dict(image=row["image"], label=_label(row, label)) for row in _reading(name, lambda: rows(index))
        ],
        lambda index: [_label(row, label) for row in _reading(name, lambda: bare(index))],
    )


def _class_names(features: Any, label: str, name: str) -> tuple[str, ...]:
    """The classes of a feature, "not Smiling" and "Smiling" of a truth value."""
    found = features
    for part in label.split("/"):
        if part not in getattr(found, "keys", tuple)():
            raise UserError(
                f"data.name={name}: has no feature {label} for a class; type --config.data.label=FEATURE: it has "
                f"{', '.join(sorted(_leaves(features)))}"
            )
        found = found[part]
    if hasattr(found, "names"):
        return tuple(found.names)
    if hasattr(found, "keys") or np.dtype(found.np_dtype) != bool:
        raise UserError(f"data.label={label}: is neither a class label nor a truth value; choose another feature")
    last = label.rpartition("/")[2]
    return f"not {last}", last


def _leaves(features: Any, path: str = "") -> list[str]:
    if not hasattr(features, "keys"):
        return [path]
    return [leaf for key in features for leaf in _leaves(features[key], f"{path}/{key}" if path else key)]


def _label(row: dict[str, Any], label: str | None) -> int:
    if label is None:
        return 0
    for part in label.split("/"):
        row = row[part]
    return int(row)


def _builder(tfds: Any, name: str, root: str) -> Any:
    """The builder of a prepared directory, or of a set prepared under `root`."""
    if is_folder(name):
        return _reading(name, lambda: tfds.builder_from_directory(Path(name).expanduser()))
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
