"""Samples in files: writing those of a run, reading those of anybody."""

import logging
from pathlib import Path

import numpy as np

from experiment_jax.data.split import UNPAIRED, Split
from experiment_jax.drawing import pictures
from experiment_jax.errors import UserError
from experiment_jax.evaluation import protocol as protocols
from experiment_jax.evaluation import super_resolution
from experiment_jax.evaluation.real_images import conditions, train_and_test
from experiment_jax.files import replacing
from experiment_jax.runs.run import Run

log = logging.getLogger(__name__)


def save_samples(run: Run, count: int, protocol: str | None = None, seed: int = 0) -> Path:
    """Writes samples to `DIR/eval/<step>/samples.npz` and returns that path.

    The file holds `images` uint8 and their `labels`; where the run starts from low-resolution images, also those, as
    `low` float32.

    Args:
        run: from `load_run`.
        count: how many samples.
        protocol: says which real images' labels, or low resolution, samples are drawn for; by default the config's.
        seed: of the samples' noise and of the choice of real images.
    """
    split, _ = protocols.parse(protocol or run.config.evaluation.protocol)
    train, test = train_and_test(run.config, split)
    chosen = conditions(train if split == "train" else test, count, np.random.default_rng(seed))
    path = run.workdir / "eval" / str(run.step) / "samples.npz"
    condition = super_resolution.condition(run, chosen, seed)
    low = {} if run.model.degrade is None else {"low": condition}
    arrays = dict(images=run.sample(condition, seed).images, labels=chosen.labels, **low)
    with replacing(path) as temporary:
        np.savez_compressed(temporary, **arrays)
    log.info("wrote %d samples to %s", count, path)
    return path


def read_images(path: str | Path) -> Split:
    """Images uint8 of an .npz (`images`, and `labels` where known) or of a folder of PNG files; label -1: unknown.

    Raises:
        UserError: neither, images that are not uint8 `[N, height, width, channels]`, or labels that are not one integer
            an image.
    """
    path = Path(path)
    labels = None
    if path.is_dir():
        images = pictures.read_folder(path)
    elif path.suffix == ".npz" and path.is_file():
        with np.load(path) as archive:
            images = archive["images"] if "images" in archive else np.zeros(0)
            labels = archive.get("labels")
    else:
        raise UserError(f"--images {path}: give an .npz that holds uint8 images, or a folder of PNGs")
    if images.ndim != 4 or images.dtype != np.uint8:
        shape = f"{images.dtype} {images.shape}"
        raise UserError(f"--images {path}: images must be uint8 [N, height, width, channels], not {shape}")
    if labels is None:
        return Split(images, np.full(len(images), UNPAIRED, np.int32))
    if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
        shape = f"{labels.dtype} {labels.shape}"
        raise UserError(f"--images {path}: labels must be one integer an image, [{len(images)}], not {shape}")
    return Split(images, labels.astype(np.int32))
