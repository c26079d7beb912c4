"""Super-resolution of one image file: `eval.py --workdir DIR --input PATH --output PATH`."""

from pathlib import Path

import numpy as np
from PIL import Image

from experiment_jax.config.places import place
from experiment_jax.data import decoding, image_files
from experiment_jax.errors import UserError
from experiment_jax.files import replacing
from experiment_jax.runs.run import Run

FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
MODES = {1: "L", 3: "RGB"}  # Pillow's names, by channels
CALLED = {"L": "grey", "RGB": "RGB"}


def enlarge(run: Run, source: str | Path, target: str | Path, seed: int = 0) -> np.ndarray:
    """One sample of the high-resolution image, written to `target` and returned: uint8 `[height, width, channels]`.

    Args:
        run: one that finds high-resolution images.
        source: a PNG or JPEG of the run's low resolution.
        target: a PNG or JPEG to write.
        seed: of the noise; another seed is another sample.

    Raises:
        UserError: a run of another kind, a source that is not an image of its size and mode, or a target of another
            format or in no folder; nothing is written.
    """
    if run.model.degrade is None or run.model.sample is None:
        raise UserError(f"--input: the run in {run.workdir} enlarges no images; take one such as lsdm_sr_digits")
    source, target = place(source, "--input"), place(target, "--output")
    if target.suffix.lower() not in FORMATS:
        raise UserError(f"--output {target}: is written as PNG or JPEG; end its name in .png or .jpg")
    if not target.parent.is_dir():
        raise UserError(f"--output {target}: there is no folder {target.parent}; make it first")
    image = run.sample(read(source, run.model.low_shape)[None], seed).images[0]
    with replacing(target) as temporary:
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(
            temporary, FORMATS[target.suffix.lower()]
        )
    return image


def read(path: str | Path, shape: tuple[int, int, int]) -> np.ndarray:
    """What an image file of just `shape` (height, width, channels) shows, as uint8; its size is looked at before it is
    decoded.

    Raises:
        UserError: what `data.image_files` refuses, or an image of another size or mode.
    """
    height, width, channels = shape
    wanted = f"the run enlarges {width}x{height}"
    try:
        with image_files.opened(path, wanted) as image:
            shown = decoding.pixels(image, (height, width), wanted)
            if image.mode != MODES[channels]:
                raise UserError(
                    f"is of mode {image.mode}; the run enlarges {CALLED[MODES[channels]]} images: convert it to "
                    f"{MODES[channels]}"
                )
            return shown
    except UserError as error:
        raise UserError(f"--input {error}") from None
