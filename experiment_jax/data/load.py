"""Data sets read as uint8 arrays: scikit-learn's digits and prepared TFDS sets, cropped, resized and joined.

Raw images are held a chunk at a time, so that a large set costs the memory of its cropped and resized images only; and
one that is not resident costs the memory of its labels.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict
from PIL import Image

from experiment_jax.data import tfds as prepared
from experiment_jax.data.decoding import decode
from experiment_jax.data.lazy_images import Images
from experiment_jax.data.split import Dataset, Split, choose, divide
from experiment_jax.data.tfds import Source
from experiment_jax.errors import UserError

CHUNK = 1024  # raw images held at once
RESIDENT = ("auto", "true", "false")
LARGEST_SIDE = 8192  # pixels
LARGEST = 2 * 1024**3  # bytes of images that "auto" holds in memory, and on the device in training


def read(config: ConfigDict, split: str) -> tuple[Split, tuple[str, ...]]:
    """One split ("train" or "test") of a data set, whole, and its class names.

    Args:
        config: the data section. `name` is "digits", a TFDS name, or the path of a prepared TFDS directory, or several
            of these joined with "+": then each is one class, called as the set is, and labels of its own are ignored.
            `crop` and `size`: see `fit`. `resident`: whether images are read now, and held in memory, or when they
            are asked for (`data.lazy_images`); "auto": those of up to LARGEST bytes are. `label`: the feature of a TFDS
            set that is its class; None: the one called so.
        split: "train" or "test".

    Raises:
        UserError: a missing or unreadable set or split, or images that do not end up alike.
    """
    if config.resident not in RESIDENT:
        raise UserError(f"data.resident={config.resident}: choose one of {', '.join(RESIDENT)}")
    return _read(config.name, split, prepared.root(), config.crop, config.size, config.label, config.resident)


def members(name: str) -> list[str]:
    """The sets that `name` joins with "+"; one, where that is part of a prepared folder's own path."""
    return [name] if prepared.is_folder(name) else name.split("+")


def title(name: str) -> str:
    """What a data set is called, wherever its folder lies; joined sets with "+" between."""
    return "+".join(prepared.title(each) for each in members(name))


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


def fit(image: np.ndarray, crop: int | None, size: int | None) -> np.ndarray:
    """An image uint8 `[height, width, channels]`, cropped, then resized.

    Args:
        image: at least `crop` pixels high and wide.
        crop: side of the central square that is kept (the odd pixel is cut below and to the right); None: all.
        size: side of the square that it becomes, by Pillow's bicubic filter, which widens as it reduces and so does not
            alias; an oblong image is squeezed. None: as it is.
    """
    if crop is not None:
        top, left = (image.shape[0] - crop) // 2, (image.shape[1] - crop) // 2
        image = image[top : top + crop, left : left + crop]
    if size is not None and image.shape[:2] != (size, size):
        plane = image[..., 0] if image.shape[-1] == 1 else image
        resized = Image.fromarray(plane).resize((size, size), Image.Resampling.BICUBIC)
        image = np.asarray(resized).reshape(size, size, image.shape[-1])
    return image


@functools.cache
def _read(
    name: str, split: str, root: str, crop: int | None, size: int | None, label: str | None, resident: str
) -> tuple[Split, tuple[str, ...]]:
    names, titles = _checked(name, crop, size)
    if label not in (None, "label") and (len(names) > 1 or names == ["digits"]):
        reason = "each joined set is a class" if len(names) > 1 else "digits have one feature that is a class, label"
        raise UserError(f"data.label={label}: {reason}; type --config.data.label=None")
    joined = len(names) > 1
    wanted = None if joined else label or "label"
    sources = [
        _digits(split) if each == "digits" else prepared.source(each, split, root, wanted, decode) for each in names
    ]
    shape = _common_shape(name, sources, crop, size)
    titles = titles if joined else sources[0].class_names
    count = sum(source.count for source in sources)
    if resident == "false" or (resident == "auto" and count * math.prod(shape) > LARGEST):
        images = Images(functools.partial(_scattered, sources, crop, size, shape), shape, np.arange(count))
        return Split(images, _labels(sources)), titles
    images, labels, at = np.empty((count, *shape), np.uint8), np.empty(count, np.int32), 0
    for number, source in enumerate(sources):
        for start in range(0, source.count, CHUNK):
            chunk, own = _examples(source, range(start, min(start + CHUNK, source.count)), crop, size, shape)
            images[at : at + len(chunk)] = chunk
            labels[at : at + len(chunk)] = number if joined else own
            at += len(chunk)
    return Split(images, labels), titles


def _labels(sources: list[Source]) -> np.ndarray:
    """Labels int32 `[N]` of a set or of joined ones, for which no image is decoded."""
    if len(sources) > 1:
        return np.repeat(np.arange(len(sources), dtype=np.int32), [source.count for source in sources])
    [source] = sources
    starts = range(0, source.count, CHUNK)
    chunks = [source.labels(range(start, min(start + CHUNK, source.count))) for start in starts]
    return np.concatenate([np.asarray(chunk, np.int32) for chunk in chunks])


def _scattered(
    sources: list[Source], crop: int | None, size: int | None, shape: tuple[int, int, int], index: np.ndarray
) -> np.ndarray:
    """Images uint8 `[n, …]` at int `[n]` of the whole: first those of the first source, then those of the next."""
    images, first = np.empty((len(index), *shape), np.uint8), 0
    for source in sources:
        own = np.flatnonzero((first <= index) & (index < first + source.count))
        if len(own):
            images[own] = _examples(source, (index[own] - first).tolist(), crop, size, shape)[0]
        first += source.count
    return images


def _checked(name: str, crop: int | None, size: int | None) -> tuple[list[str], tuple[str, ...]]:
    """The sets that are joined and what they are called; refuses what can be seen to be wrong before reading."""
    for key, side in (("crop", crop), ("size", size)):
        if side is not None and side < 1:
            raise UserError(f"data.{key}={side}: a side is one pixel or more; type --config.data.{key}=None")
        if side is not None and side > LARGEST_SIDE:
            raise UserError(
                f"data.{key}={side}: a side is {LARGEST_SIDE} pixels at most; type --config.data.{key}=None"
            )
    names = members(name)
    titles = tuple(prepared.title(each) for each in names)
    if not all(names) or len(set(titles)) < len(titles):
        raise UserError(f"data.name={name}: each set is a class called as the set is; join different ones, as in a+b")
    return names, titles


def _examples(
    source: Source, index: Sequence[int], crop: int | None, size: int | None, shape: tuple[int, int, int] | None
) -> tuple[list[np.ndarray], list[int]]:
    """Images, cropped and resized, and labels of some examples of a source; of `shape`, where that is given."""
    rows = source.rows(index)
    for row in rows:
        fits = min(row["image"].shape[:2])
        if crop is not None and crop > fits:
            raise UserError(
                f"data.crop={crop}: {prepared.title(source.name)} has images of {_text(row['image'].shape)}, which are "
                f"smaller; type --config.data.crop={fits}"
            )
    images = [fit(row["image"], crop, size) for row in rows]
    other = next((image.shape for image in images if shape not in (None, image.shape)), None)
    if other is not None:
        raise UserError(
            f"data.name={source.name}: images must be of one size; it has {_text(shape)} and {_text(other)}; "
            f"type --config.data.size={min(*shape[:2], *other[:2])}"
        )
    return images, [row.get("label", 0) for row in rows]


def _common_shape(name: str, sources: list[Source], crop: int | None, size: int | None) -> tuple[int, int, int]:
    """Of the first image of every set, looked at before any is read whole."""
    shapes = [_examples(source, range(1), crop, size, None)[0][0].shape for source in sources]
    if len(set(shapes)) == 1:
        return shapes[0]
    found = ", ".join(
        f"{prepared.title(source.name)} {_text(shape)}" for source, shape in zip(sources, shapes, strict=True)
    )
    if len({shape[-1] for shape in shapes}) > 1:
        advice = "choose sets of as many channels as each other"
    else:
        advice = f"type --config.data.size={min(min(shape[:2]) for shape in shapes)}"
    raise UserError(f"data.name={name}: joined images must be of one shape, not {found}; {advice}")


def _text(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


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
    return Source(
        "digits",
        len(index),
        names,
        lambda chosen: [dict(image=images[i], label=labels[i]) for i in index[chosen]],
        lambda chosen: labels[index[chosen]].tolist(),
    )
