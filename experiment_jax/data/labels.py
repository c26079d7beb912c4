"""What labels mean: labels of any shape, numbering or type as the classes of a data set, or refused."""

import logging
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

from experiment_jax.data.split import UNPAIRED
from experiment_jax.errors import UserError

log = logging.getLogger(__name__)

UNKNOWN = ("", str(UNPAIRED))  # words that stand for an unknown label
NUMBER = re.compile(r"\d+(\.0*)?")


def as_classes(labels: np.ndarray, count: int, class_names: Sequence[str]) -> np.ndarray:
    """Labels as classes of a data set, int32 `[count]`, -1 where a label is unknown.

    Args:
        labels: one an image, on one axis among others of length one, or one-hot rows `[count, classes]`. Whole numbers
            of any type, from 0 or from 1, unknown: -1 or NaN; truth values where there are two classes; or words, names
            of classes or numbers, unknown: empty or -1.
        count: how many images there are.
        class_names: in the order of the classes.

    Raises:
        UserError: another number of labels than images, or a label that is no class.
    """
    classes = len(class_names)
    if labels.shape == (count, classes) and classes > 1 and labels.dtype.kind in "buif":
        return _one_hot(labels)
    if labels.size != count or max(labels.shape, default=1) != count:
        raise UserError(
            f"labels are {list(labels.shape)} for {count} images; give one an image, [{count}], or one-hot rows, "
            f"[{count}, {classes}]"
        )
    labels = labels.reshape(count)
    if labels.dtype.kind in "SU":
        return _words(labels, class_names)
    if labels.dtype.kind not in "uif" and (labels.dtype.kind != "b" or classes != 2):
        raise UserError(
            f"labels are of type {labels.dtype}; give whole numbers from 0 to {classes - 1} or names of classes"
        )
    return _numbers(labels, classes)


def of_folders(files: Sequence[PurePath], class_names: Sequence[str]) -> np.ndarray | None:
    """The classes int32 `[N]` whose folders files lie in; None where they lie in folders of no class, or in none.

    Args:
        files: N paths, relative to the folder that holds the folders of classes.
        class_names: in the order of the classes.

    Raises:
        UserError: folders of classes beside others, or beside files.
    """
    beside = [file for file in files if len(file.parts) == 1]
    folders = sorted({file.parts[0] for file in files if len(file.parts) > 1})
    classes = [folder for folder in folders if _is_class(folder, class_names)]
    if not classes:
        if folders:
            log.warning("the folders %s are no classes of the data set: images have no labels", _some(folders))
        return None
    others = [folder for folder in folders if folder not in classes]
    if beside or others:
        other = f"the folder {others[0]}" if others else beside[0]
        raise UserError(f"holds {other} beside {classes[0]}, which is a class of the data set; move one of them away")
    log.info("labels are the names of the folders: %s", _some(folders))
    return as_classes(np.array([file.parts[0] for file in files]), len(files), class_names)


def _one_hot(labels: np.ndarray) -> np.ndarray:
    """Classes of rows that hold one 1 and else 0."""
    fits = ((labels == 0) | (labels == 1)).all(axis=1) & (np.count_nonzero(labels, axis=1) == 1)
    if not fits.all():
        raise UserError(
            f"row {np.argmin(fits)} of the labels {list(labels.shape)} is not one 1 and else 0; of probabilities give "
            "the classes that they stand for, as labels.argmax(1)"
        )
    return labels.argmax(axis=1).astype(np.int32)


def _numbers(labels: np.ndarray, classes: int) -> np.ndarray:
    """Classes of numbers `[N]`, from 0, or from 1 where that is the only way to read them."""
    unknown = np.isnan(labels) if labels.dtype.kind == "f" else np.zeros(len(labels), bool)
    unknown |= labels == UNPAIRED
    known = labels[~unknown]
    if known.dtype.kind == "f" and not np.array_equal(known, np.rint(known)):
        raise UserError(f"label {known[known != np.rint(known)][0]:g} is no whole number; give classes")
    result = np.full(len(labels), UNPAIRED, np.int32)
    if not len(known):
        return result
    low, high = known.min(), known.max()
    if low < 0 or high > classes or (low == 0 and high == classes):
        raise UserError(
            f"labels are from {low:g} to {high:g}; the data set's are from 0 to {classes - 1}, or from 1 to {classes}; "
            "-1: unknown"
        )
    first = int(high == classes)
    if first:
        log.warning("labels are up to %d: they are taken as numbered from 1", classes)
    elif low == 1:
        log.warning("labels are from 1 to %d: they are taken as numbered from 0, with none of the first class", high)
    result[~unknown] = known.astype(np.int32) - first
    return result


def _words(labels: np.ndarray, class_names: Sequence[str]) -> np.ndarray:
    """Classes of words `[N]`: names of classes, else numbers, else names of classes but for case and punctuation."""
    try:
        labels = np.strings.strip(np.strings.decode(labels, "utf-8") if labels.dtype.kind == "S" else labels)
    except UnicodeDecodeError:
        raise UserError("labels are bytes that are no text; give whole numbers or names of classes") from None
    known = ~np.isin(labels, [word for word in UNKNOWN if word not in class_names])
    words, which = np.unique(labels[known], return_inverse=True)
    exact, plain = _exact_names(class_names), _plain_names(class_names)
    if all(word in exact for word in words):
        found = np.array([exact[word] for word in words], np.int32)
    elif all(NUMBER.fullmatch(word) for word in words) and _takes_numbers(class_names):
        found = _numbers(words.astype(np.float64), len(class_names))
    else:
        other = next((word for word in words if _plain(word) not in plain), None)
        if other is not None:
            raise UserError(f"label {other} is no class of the data set; it has {_some(class_names)}; empty: unknown")
        found = np.array([plain[_plain(word)] for word in words], np.int32)
    result = np.full(len(labels), UNPAIRED, np.int32)
    result[known] = found[which]
    return result


def _is_class(folder: str, class_names: Sequence[str]) -> bool:
    """Whether a folder is called by a class. A number of more digits than classes need is of a part, as in 00000."""
    if folder in _exact_names(class_names) or _plain(folder) in _plain_names(class_names):
        return True
    digits = folder.isdecimal() and len(folder) <= len(str(len(class_names)))
    return digits and int(folder) <= len(class_names) and _takes_numbers(class_names)


def _takes_numbers(class_names: Sequence[str]) -> bool:
    """Whether a word that is a number can be a class: not where classes are called by numbers of their own."""
    return not any(NUMBER.fullmatch(name) and name != str(number) for number, name in enumerate(class_names))


def _exact_names(class_names: Sequence[str]) -> dict[str, int]:
    """The classes by their names, those left out that share one."""
    times = Counter(class_names)
    return {name: number for number, name in enumerate(class_names) if times[name] == 1}


def _plain_names(class_names: Sequence[str]) -> dict[str, int]:
    """The classes by their plain names; {} where these do not tell all of them apart."""
    names = {_plain(name): number for number, name in enumerate(class_names)}
    return names if len(names) == len(class_names) and "" not in names else {}


def _plain(name: str) -> str:
    """Letters and digits alone, in lower case: a folder cannot be called T-shirt/top."""
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def _some(names: Sequence[str]) -> str:
    """The first of them."""
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
