"""Data sets read as uint8 arrays, whatever they are kept in: brought to some channels, cropped, resized and joined.

Raw images are held one at a time and thread, so that a large set costs the memory of its cropped and resized images
only; and one that is not resident costs the memory of its labels.
"""

import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from experiment_jax.data import folders, hugging_face, npz
from experiment_jax.data import tfds as prepared
from experiment_jax.data.decoding import as_channels, decode
from experiment_jax.data.fit import check_sides, common_shape, examples, scattered
from experiment_jax.data.lazy_images import Images, ahead
from experiment_jax.data.names import kind, members, root
from experiment_jax.data.names import title as title_of_one
from experiment_jax.data.source import CHUNK, Source, chunks, held_out, of_arrays
from experiment_jax.data.split import Dataset, Split, choose, divide
from experiment_jax.errors import UserError

log = logging.getLogger(__name__)

RESIDENT = ("auto", "true", "false")
LARGEST = 2 * 1024**3  # bytes of images that "auto" holds in memory, and on the device in training
ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")


class Wanted(NamedTuple):
    """The settings of a data section that decide what its images and classes are; see `config.sections`."""

    crop: int | None
    size: int | None
    channels: int | None
    image: str | None
    label: str | None
    test: float | None


def read(config: ConfigDict, split: str) -> tuple[Split, tuple[str, ...]]:
    """One split ("train" or "test") of a data set, whole, and its class names.

    Args:
        config: the data section. `name` is "digits", a TFDS name, or the path of a prepared TFDS directory, of a folder
            of images, an .npz or a Hugging Face set, or several of these joined with "+": then each is one class,
            called as the set is, and labels of its own are ignored.
            `channels`: see `as_channels`; `crop` and `size`: see `fit`. `resident`: whether images are read now, and
            held in memory, or when they are asked for (`data.lazy_images`); "auto": those of up to LARGEST bytes are.
            `image`, `label`: the features or columns that are the image and the class; None: those called so.
            `test`: the share of a set without test images that becomes these, see `held_out`.
        split: "train" or "test".

    Raises:
        UserError: a missing or unreadable set or split, or images that do not end up alike.
    """
    if config.resident not in RESIDENT:
        raise UserError(f"data.resident={config.resident}: choose one of {', '.join(RESIDENT)}")
    wanted = Wanted(*(config.get(key) for key in Wanted._fields))  # configs of older runs lack some
    return _read(config.name, split, root(), wanted, config.resident)


def title(name: str) -> str:
    """What a data set is called, wherever its folder lies; joined sets with "+" between."""
    return "+".join(title_of_one(each) for each in members(name))


def load(config: ConfigDict, seed: int) -> Dataset:
    """Train and validation of the data set that a config's data section names; never opens the test split.

    Args:
        config: the data section.
        seed: chooses the validation images and the paired ones.

    Raises:
        UserError: a missing or unreadable set, or a split that the set is too small for.
    """
    train, class_names = read(config, "train")
    return divide(train, class_names, config, seed, joined=len(members(config.name)) > 1)


@functools.cache
def _read(name: str, split: str, root: str, wanted: Wanted, resident: str) -> tuple[Split, tuple[str, ...]]:
    names, titles = _checked(name, wanted)
    joined, crop, size = len(names) > 1, wanted.crop, wanted.size
    sources = [_part(each, split, root, wanted, joined) for each in names]
    shape = common_shape(name, sources, crop, size)
    titles = titles if joined else sources[0].class_names
    count = sum(source.count for source in sources)
    if resident == "false" or (resident == "auto" and count * math.prod(shape) > LARGEST):
        images = Images(functools.partial(scattered, sources, crop, size, shape), shape, np.arange(count))
        return Split(images, _labels(sources)), titles
    images, labels, at = np.empty((count, *shape), np.uint8), np.empty(count, np.int32), 0
    for number, source in enumerate(sources):
        read = functools.partial(_chunk, source, crop, size, shape)
        for chunk, own in ahead(read, range(0, source.count, CHUNK)):
            images[at : at + len(chunk)] = chunk
            labels[at : at + len(chunk)] = number if joined else own
            at += len(chunk)
    return Split(images, labels), titles


def _chunk(
    source: Source, crop: int | None, size: int | None, shape: tuple[int, int, int], start: int
) -> tuple[list[np.ndarray], list[int]]:
    return examples(source, range(start, min(start + CHUNK, source.count)), crop, size, shape)


def _labels(sources: list[Source]) -> np.ndarray:
    """Labels int32 `[N]` of a set or of joined ones, for which no image is decoded."""
    if len(sources) > 1:
        return np.repeat(np.arange(len(sources), dtype=np.int32), [source.count for source in sources])
    [source] = sources
    return np.concatenate([np.asarray(source.labels(index), np.int32) for index in chunks(source.count)])


def _checked(name: str, wanted: Wanted) -> tuple[list[str], tuple[str, ...]]:
    """The sets that are joined and what they are called; refuses what can be seen to be wrong before reading."""
    check_sides(wanted.crop, wanted.size)
    if wanted.channels not in (None, 1, 3):
        raise UserError(f"data.channels={wanted.channels}: type --config.data.channels=1 for grey, or 3 for colours")
    if wanted.test is not None and not 0 < wanted.test < 1:
        raise UserError(f"data.test={wanted.test}: is a share of the images; type --config.data.test=0.1")
    if not name:
        raise UserError("data.name=: the recipe is for any set; type --config.data.name=PATH/OF/A/FOLDER")
    names = members(name)
    titles = tuple(title_of_one(each) for each in names)
    if not all(names) or len(set(titles)) < len(titles):
        raise UserError(f"data.name={name}: each set is a class called as the set is; join different ones, as in a+b")
    for key in ("image", "label"):
        if getattr(wanted, key) not in (None, key):
            _check_feature(names, key, getattr(wanted, key))
    return names, titles


def _check_feature(names: list[str], key: str, value: str) -> None:
    """Raises UserError where a feature is named as the image or the class, and there is none to choose."""
    kinds = {kind(each) for each in names}
    if key == "label" and len(names) > 1:
        reason = "each joined set is a class"
    elif "digits" in kinds:
        reason = f"digits have one feature that is {'a class' if key == 'label' else 'an image'}, {key}"
    elif "folder" in kinds:
        reason = "the classes of a folder of images are its folders, and its images its files"
    else:
        return
    raise UserError(f"data.{key}={value}: {reason}; type --config.data.{key}=None")


def _part(name: str, split: str, root: str, wanted: Wanted, joined: bool) -> Source:
    """A split of one set, its images of the channels that are wanted."""
    own, source = _reader(name, root, wanted, None if joined else wanted.label or "label")
    share = wanted.test
    if "test" in own and share is not None:
        log.info("%s has test images of its own: data.test=%g is not used", title_of_one(name), share)
    elif "test" not in own and split == "test" and share is None:
        raise UserError(
            f"data.name={name}: has no split test; it has {', '.join(own)}; train with --config.data.test=0.1, or "
            "compare with images held out of train: type --config.evaluation.protocol=validation_1k"
        )
    if "test" in own or share is None:
        found = source(split)
        _check_count(found, f"data.name={name}: has {found.count} images in {split}; give 2 or more")
    else:
        found = held_out(source("train"), share, split)
        has = f"data.test={share:g}: leaves {found.count} images of {title_of_one(name)} in {split}"
        _check_count(found, f"{has}; type another share, or give more images")
        if split == "train" and not joined:
            _check_classes(found, share)

    def rows(index: Sequence[int]) -> Iterator[dict[str, Any]]:
        return (row | {"image": shown(row["image"], i)} for i, row in zip(index, found.rows(index), strict=True))

    def shown(image: np.ndarray, number: int) -> np.ndarray:
        try:
            return as_channels(image, wanted.channels)
        except UserError as error:
            raise UserError(f"data.name={name}: image {number} of {split}: {error}") from None

    return dataclasses.replace(found, rows=rows)


def _reader(name: str, root: str, wanted: Wanted, label: str | None) -> tuple[tuple[str, ...], Callable[[str], Source]]:
    """The splits that a set has of its own, and what opens one; label: None where labels do not matter."""
    match kind(name):
        case "digits":
            return ("train", "test"), _digits
        case "folder":
            return folders.splits(name), lambda split: folders.source(name, split, decode)
        case "npz":
            return ("train",), lambda _: npz.source(name, wanted.image, label)
        case "hugging_face":
            splits = hugging_face.splits(name)
            return splits, lambda split: hugging_face.source(name, split, wanted.image, label, decode)
        case "tfds":
            splits = prepared.splits(name, root)
            return splits, lambda split: prepared.source(name, split, root, wanted.image, label, decode)
    if name.endswith(ARCHIVES):
        raise UserError(f"data.name={name}: is an archive; unpack it, and give the folder")
    raise UserError(f"data.name={name}: is a file; give a folder of images, an .npz or a Parquet file")


def _check_count(source: Source, message: str) -> None:
    if source.count < 2:
        raise UserError(message.replace("1 images", "1 image"))


def _check_classes(source: Source, share: float) -> None:
    """Raises UserError where the share of test leaves a class without an image in train."""
    counts = np.bincount([each for each in _labels([source]) if each >= 0], minlength=len(source.class_names))
    if source.class_names and not counts.min():
        raise UserError(
            f"data.test={share:g}: leaves the class {source.class_names[counts.argmin()]} no image in train; give it "
            "more images, or type a smaller share"
        )


@functools.cache
def _digits(split: str) -> Source:
    """scikit-learn's 1,797 scanned 8×8 digits; 45 of each class, fixed, are the test split."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    labels = bunch.target.astype(np.int32)
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
    test = choose(labels, 45, 10, 0)
    index = test if split == "test" else np.setdiff1d(np.arange(len(labels)), test)
    names = tuple(str(name) for name in bunch.target_names)
    return of_arrays("digits", images[index], labels[index], names)
