"""Hugging Face data sets on disk, read by the optional package `datasets`: saved by `save_to_disk`, or Parquet files.

Of several Parquet files those whose names begin with `test` are the split test, those that begin with `val` or `dev`
are passed over, all others are train. `datasets` keeps what it makes of them in its own cache, in the user's cache
folder (`HF_HOME`). Images are decoded by `data.decoding`, not by `datasets`.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from experiment_jax.data.names import is_saved, tables
from experiment_jax.data.source import UNKNOWN, Decode, Source, classes_of, of_contents
from experiment_jax.errors import UserError

log = logging.getLogger(__name__)
OTHER_SPLITS = re.compile(r"(val|valid|validation|dev)(?![a-z])")


def splits(name: str) -> tuple[str, ...]:
    """The splits that a set has.

    Raises:
        UserError: see `source`.
    """
    return tuple(_tables(name))


def source(name: str, split: str, image: str | None, label: str | None, decode: Decode) -> Source:
    """One split of a set.

    Args:
        name: the folder of a set that was saved or of Parquet files, or one such file.
        split: one of `splits`.
        image: the column of images; None: image.
        label: the column of labels, class labels, numbers, truth values or words; None: labels do not matter.
        decode: `data.decoding.decode`.

    Raises:
        UserError: `datasets` is not installed, the set cannot be read, or a column is missing or of another kind.
    """
    found = _tables(name)
    table, train = found[split], found["train"]
    image = _column(name, table, image or "image", "image")
    labels, class_names = np.zeros(len(table), np.int32), ()
    if label is not None:
        label = _column(name, table, label, "label")
        try:
            labels, class_names = _classes(table, train, label)
        except ValueError as error:
            raise UserError(f"data.name={name}: column {label}: {error}") from None
    encoded = _datasets(name).Image(decode=False)
    table = _reading(name, lambda: table.select_columns(image).cast_column(image, encoded))

    def contents(index: Sequence[int]) -> Iterator[bytes]:
        return (_content(name, i, _reading(name, lambda i=i: table[int(i)][image])) for i in index)

    def shown(number: int, content: bytes) -> np.ndarray:
        try:
            return decode(content, 0)
        except UserError as error:
            raise UserError(f"data.name={name}: image {number} of {split}: {error}") from None

    return of_contents(name, class_names, labels, contents, shown)


def _tables(name: str) -> dict[str, Any]:
    """split -> its table, train first."""
    datasets = _datasets(name)
    path = Path(name).expanduser()
    if path.is_file() or not is_saved(path):
        files = _by_split([path] if path.is_file() else tables(path))
        found = _reading(name, lambda: datasets.load_dataset("parquet", data_files=files))
    else:
        found = _reading(name, lambda: datasets.load_from_disk(str(path)))
    found = found if isinstance(found, dict) else {"train": found}
    if "train" not in found:
        raise UserError(f"data.name={name}: has no split train; it has {', '.join(found)}")
    return {split: found[split] for split in ("train", "test") if split in found}


def _by_split(files: list[Path]) -> dict[str, list[str]]:
    """split -> its Parquet files; one file alone is train."""
    if len(files) == 1:
        return {"train": [str(files[0])]}
    parts: dict[str, list[str]] = {}
    for file in files:
        if OTHER_SPLITS.match(file.name):
            log.info("%s is not read: its images are neither train nor test", file)
        else:
            parts.setdefault("test" if file.name.startswith("test") else "train", []).append(str(file))
    return parts


def _datasets(name: str) -> Any:
    try:
        import datasets
    except ModuleNotFoundError:
        raise UserError(
            f"data.name={name}: is a Hugging Face data set, and the package datasets is not installed; type: pip "
            "install datasets"
        ) from None
    datasets.disable_progress_bars()
    return datasets


def _column(name: str, table: Any, column: str, setting: str) -> str:
    if column not in table.column_names:
        raise UserError(
            f"data.name={name}: has no column {column}; type --config.data.{setting}=COLUMN: it has "
            f"{', '.join(table.column_names)}"
        )
    feature = table.features[column]
    if setting == "image" and type(feature).__name__ != "Image" and getattr(feature, "dtype", "") != "binary":
        raise UserError(
            f"data.name={name}: {column} is {str(feature).splitlines()[0]}, not an image; type "
            "--config.data.image=COLUMN, or cast it to datasets.Image"
        )
    return column


def _classes(table: Any, train: Any, label: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels int32 `[N]` and class names: of a class label its own, else the values that occur in train."""
    feature, values = train.features[label], list(table[label])
    if type(feature).__name__ != "ClassLabel":
        return classes_of(values, classes_of(list(train[label]))[1])
    labels = np.array([UNKNOWN if value is None else value for value in values], np.int32)
    if not UNKNOWN <= labels.min() <= labels.max() < len(feature.names):
        raise ValueError(
            f"labels are from {labels.min()} to {labels.max()}; its classes are 0 to {len(feature.names) - 1}"
        )
    return labels, tuple(feature.names)


def _content(name: str, number: int, row: dict[str, Any] | None) -> bytes:
    """The bytes of an image, out of the table or of the file that it names."""
    content = (row or {}).get("bytes")
    if content is None and (row or {}).get("path") and os.path.isfile(row["path"]):
        content = Path(row["path"]).read_bytes()
    if content is None:
        raise UserError(f"data.name={name}: image {number} is neither in the table nor a file; save the set again")
    return content


def _reading(name: str, read: Callable[[], Any]) -> Any:
    """Calls `read` and turns any error of the reader into a one-line UserError that names the data set."""
    try:
        return read()
    except UserError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise UserError(f"data.name={name}: cannot be read ({reason[0]}); save it again") from error
