"""Samples in files: writing those of a run, reading those of anybody."""

import contextlib
import logging
import os
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config import numbers
from experiment_jax.config.places import place
from experiment_jax.data import image_files, load
from experiment_jax.data.folders import listed
from experiment_jax.data.image_arrays import as_shape
from experiment_jax.data.labels import as_classes, of_folders
from experiment_jax.data.npz import arrays, as_bytes
from experiment_jax.data.split import UNPAIRED, Split
from experiment_jax.errors import UserError
from experiment_jax.evaluation import protocol as protocols
from experiment_jax.evaluation import super_resolution
from experiment_jax.evaluation.real_images import conditions, train_and_test
from experiment_jax.files import replacing
from experiment_jax.runs.run import Run

log = logging.getLogger(__name__)

FEWEST = 4  # images that precision and recall can be taken of
Read = tuple[np.ndarray, np.ndarray | None]  # images uint8 [N, height, width, channels], labels int32 [N] or None


def save_samples(run: Run, count: int, protocol: str | None = None, seed: int = 0) -> Path:
    """Writes samples to `DIR/eval/<step>/samples.npz` and returns that path.

    The file holds `images` uint8 and their `labels`; where the run starts from low-resolution images, also those, as
    `low` float32. One that is there and holds more is kept beside it, as `samples-<count>.npz`.

    Args:
        run: from `load_run`.
        count: how many samples.
        protocol: says which real images' labels, or low resolution, samples are drawn for; by default the config's.
        seed: of the samples' noise and of the choice of real images.

    Raises:
        UserError: a count or a seed that is none, or what `Run.sample` refuses; nothing is written.
    """
    count, seed = numbers.count(count, "count"), numbers.seed(seed)
    split, _ = protocols.parse(protocol or run.config.evaluation.protocol)
    train, test = train_and_test(run.config, split)
    chosen = conditions(train if split == "train" else test, count, np.random.default_rng(seed))
    path = run.workdir / "eval" / str(run.step) / "samples.npz"
    condition = super_resolution.condition(run, chosen, seed)
    low = {} if run.model.degrade is None else {"low": condition}
    arrays = dict(images=run.sample(condition, seed).images, labels=chosen.labels, **low)
    more = (there := _count(path)) > count
    with replacing(path, aside=str(there) if more else "") as temporary:
        np.savez_compressed(temporary, **arrays)
    if more:
        log.warning("%s held %d samples: they are in %s-%d.npz now", path, there, path.stem, there)
    log.info("wrote %d samples to %s", count, path)
    return path


def _count(path: Path) -> int:
    """How many samples a file holds; 0 where there is none, or it is damaged."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return len(archive["labels"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return 0


def read_images(path: str | Path, data: ConfigDict, flag: str = "--images") -> Split:
    """Anybody's samples as images of a data set: uint8 `[N, height, width, channels]`, and labels, -1 where unknown.

    Args:
        path: a folder of image files, in folders of classes or not; or an .npz with arrays `images` and `labels`, or
            `arr_0` and `arr_1`, of which the second may be absent.
        data: a config's data section, which says what shape images have and what classes are called.
        flag: which names the path, for messages.

    Raises:
        UserError: neither, images of another size or in colours where the data set is grey, too few images or the same
            one again and again, or labels that are not classes; see `data.image_files`, `data.image_arrays` and
            `data.labels`.
    """
    path = place(path, flag)
    train, class_names = load.read(data, "train")
    read = _read_folder if os.path.isdir(path) else _read_npz  # in place of Path.is_dir, which raises of odd names
    try:
        images, labels = read(path, train.images.shape[1:], class_names)
        if len(images) < FEWEST:
            raise UserError(f"{path}: holds {len(images)} images; give {FEWEST} or more")
        if (images == images[:1]).all():
            raise UserError(f"{path}: all {len(images)} images are the same; give images that differ")
    except UserError as error:
        raise UserError(f"{flag} {error}") from None
    return Split(images, np.full(len(images), UNPAIRED, np.int32) if labels is None else labels)


def _read_folder(folder: Path, shape: tuple[int, int, int], class_names: Sequence[str]) -> Read:
    """The images of all files under a folder, and labels where the folders in it are classes."""
    files = listed(folder)
    images = image_files.read_all(files, shape, f"the data set's images are {shape[1]}x{shape[0]}")
    with _beginning(folder):
        return images, of_folders([file.relative_to(folder) for file in files], class_names)


def _read_npz(path: Path, shape: tuple[int, int, int], class_names: Sequence[str]) -> Read:
    """The images of an .npz, and its labels where it holds some."""
    if not os.path.isfile(path):
        raise UserError(f"{path}: there is no such file or folder")
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: is no .npz, or the beginning of one; give an .npz or a folder of images")
    with _beginning(path):
        images, labels = arrays(path)
        images = as_shape(as_bytes(images), shape)
        return images, None if labels is None else as_classes(labels, len(images), class_names)


@contextlib.contextmanager
def _beginning(path: Path) -> Iterator[None]:
    """Messages begin with the path of what they are about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
