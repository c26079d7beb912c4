"""Samples as files: those of a run written, anybody's read."""

import logging
from pathlib import Path

import numpy as np

from experiment_jax.data import split as data
from experiment_jax.data.split import Split
from experiment_jax.drawing import pictures
from experiment_jax.errors import UserError
from experiment_jax.evaluation import reference as judged
from experiment_jax.evaluation import super_resolution as restoration
from experiment_jax.runs.run import Run

log = logging.getLogger(__name__)


def save_samples(run: Run, count: int, seed: int = 0) -> Path:
    """Writes `count` samples as uint8 images with their labels, and with the float32 low-resolution images `low` that
    they were found from where they were, to `DIR/eval/<step>/samples.npz`; the path."""
    chosen = judged.conditions(run.test, count, np.random.default_rng(seed))
    path = run.workdir / "eval" / str(run.step) / "samples.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    condition = restoration.condition(run, chosen, seed)
    low = {} if run.model.degrade is None else {"low": condition}
    np.savez_compressed(path, images=run.sample(condition, seed).images, labels=chosen.labels, **low)
    log.info("wrote %d samples to %s", count, path)
    return path


def read_images(path: str | Path) -> Split:
    """Images uint8 of an .npz (`images`, and `labels` where known) or of a folder of PNG files; label -1: unknown.

    Raises:
        UserError: neither, or images that are not uint8 `[N, height, width, channels]`.
    """
    path = Path(path)
    labels = None
    if path.is_dir():
        images = pictures.read_folder(path)
    elif path.suffix == ".npz" and path.is_file():
        with np.load(path) as archive:
            images = archive["images"] if "images" in archive else np.zeros(0)
            labels = archive["labels"].astype(np.int32) if "labels" in archive else None
    else:
        raise UserError(f"--images {path}: give an .npz that holds uint8 images, or a folder of PNGs")
    if images.ndim != 4 or images.dtype != np.uint8:
        shape = f"{images.dtype} {images.shape}"
        raise UserError(f"--images {path}: images must be uint8 [N, height, width, channels], not {shape}")
    return Split(images, np.full(len(images), data.UNPAIRED, np.int32) if labels is None else labels)
