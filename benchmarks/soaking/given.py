"""What people give: images for `--images`, an image for `--input`, a prepared data set, conditions of samples.

They are written from known pixels, and most are then broken. What is read is what was written, what another plain
reader finds in the same bytes, or a refusal in one line.
"""

import functools
import io
import shutil
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from experiment_jax import UserError, load_config, load_run
from experiment_jax.data import load
from experiment_jax.evaluation import enlarge
from experiment_jax.evaluation.files import read_images
from soaking import Wrong
from soaking.ground import PROJECT, Ground
from soaking.typed import patience

MODES = {
    "PNG": ("L", "1", "P", "LA", "RGB", "RGBA", "I;16"),
    "GIF": ("L", "P"),
    "WEBP": ("RGB", "RGBA"),
    "JPEG": ("L", "RGB", "CMYK"),
}
SET = PROJECT / "tests" / "data" / "tiny_digits" / "1.0.0"
LEVELS = 2  # by which channels of a compressed grey image may differ, and so its grey


def trial(ground: Ground, rng: Any, number: int) -> str:
    act = (folder, archive, one_image, prepared_set, conditions)[number % 5]
    with ground.place() as place, patience(act.__name__), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about what is broken
        place.mkdir(parents=True)
        try:
            act(ground, place, rng)
        except UserError as error:
            if "\n" in str(error) or not str(error).strip():
                raise Wrong(f"{act.__name__}: {error}") from None
            return "refused"
        except Exception as error:
            error.add_note(act.__name__)
            raise
    return "right"


def images(rng: Any, count: int, side: int) -> np.ndarray:
    """Grey images uint8 `[count, side, side, 1]`, of 0 and 255 alone half of the time."""
    values = rng.integers(0, 256, (count, side, side, 1))
    return np.uint8(np.where(values < 128, 0, 255) if rng.random() < 0.5 else values)


def encoded(image: np.ndarray, kind: str, mode: str) -> bytes:
    """The content of an image file that shows a grey image, in one of MODES."""
    grey = Image.fromarray(image[..., 0])
    if mode == "I;16":
        shown = Image.fromarray(image[..., 0].astype(np.uint16) * 257)
    elif mode == "CMYK":
        shown = Image.merge(
            "CMYK", [Image.fromarray(np.zeros_like(image[..., 0]))] * 3 + [Image.fromarray(255 - image[..., 0])]
        )
    else:
        shown = grey.convert(mode)
    with io.BytesIO() as file:
        shown.save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
        return file.getvalue()


def broken(content: bytes, rng: Any) -> bytes:
    """A file as a disk, a transfer or a person leaves it."""
    changed, at = bytearray(content), int(rng.integers(len(content)))
    what = rng.integers(6)
    if what == 0:
        return content[:at]
    if what == 1:
        changed[at : at + 64] = bytes(len(changed[at : at + 64]))
    elif what == 2:
        changed[at] ^= 1 << int(rng.integers(8))
    elif what == 3:
        return b""
    elif what == 4:
        return rng.bytes(len(content))
    else:
        changed[at:at] = rng.bytes(int(rng.integers(1, 9)))
    return bytes(changed)


def _data() -> Any:
    return load_config("lsdm_digits:smoke").data


def folder(ground: Ground, place: Path, rng: Any) -> None:
    """A folder of image files for `--images`, in folders of classes or not."""
    shown, by_class, expected, names = images(rng, int(rng.integers(3, 12)), 8), rng.random() < 0.5, [], []
    labels = np.sort(rng.integers(0, 10, len(shown)))
    kinds = [list(MODES)[rng.integers(len(MODES))] for _ in shown]
    breaks = rng.random() < 0.6
    for number, (image, kind, label) in enumerate(zip(shown, kinds, labels, strict=True)):
        mode = MODES[kind][rng.integers(len(MODES[kind]))]
        content = encoded(image, kind, mode)
        changed = breaks and rng.random() < 0.3
        content = broken(content, rng) if changed else content
        path = (
            place / (str(label) if by_class else "") / f"{number:02d}.{('png', kind.lower(), 'jpg')[rng.integers(3)]}"
        )
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        names.append(path)
        expected.append(image if not changed and _is_lossless(kind, mode, image) else content)
    found = read_images(place, _data())
    if len(found.images) != len(names):
        raise Wrong(f"{len(found.images)} of {len(names)} images were read")
    if by_class and not np.array_equal(found.labels, labels):
        raise Wrong(f"labels are {found.labels}, not {labels}")
    check_shown(found.images, expected)


def _is_lossless(kind: str, mode: str, image: np.ndarray) -> bool:
    """Whether a file shows the very pixels that were written; bilevel and palettes are, if there are two levels."""
    return kind != "JPEG" and (
        mode not in ("1", "P") or set(np.unique(image)) <= {0, 255} or (kind, mode) == ("GIF", "L")
    )


def check_shown(found: np.ndarray, expected: Sequence[np.ndarray | bytes]) -> None:
    """Raises Wrong where an image is not the one that was written or, of bytes, not what Pillow alone makes of them."""
    for image, wanted in zip(found, expected, strict=True):
        near = 0
        if isinstance(wanted, bytes):
            wanted, near = plain(wanted), LEVELS
        if image.shape != wanted.shape or np.abs(image.astype(int) - wanted).max() > near:
            raise Wrong(f"an image was read as {image.ravel()[:8]}, not {wanted.ravel()[:8]}")


def plain(content: bytes) -> np.ndarray:
    """What Pillow alone makes of a file: uint8 `[height, width, 1]`."""
    with Image.open(io.BytesIO(content)) as image:
        if image.mode.startswith("I"):
            return np.uint8(np.rint(np.asarray(image).astype(float) / 257))[..., None]
        return np.asarray(image.convert("RGB"))[..., 1:2]


def archive(ground: Ground, place: Path, rng: Any) -> None:
    """An .npz for `--images`: of bytes or of floats, named as ours or as numpy's."""
    shown = images(rng, int(rng.integers(3, 12)), 8)
    labels = rng.integers(-1, 11, len(shown)) if rng.random() < 0.5 else rng.integers(0, 10, len(shown))
    wanted = np.where(labels < 0, labels, labels - (labels.max() == 10))  # numbered from 1, as a warning says
    kind = rng.integers(5)
    values = (shown, shown / 255.0, shown / np.float32(127.5) - 1, shown[..., 0], shown.astype(np.int64))[kind]
    path = place / "samples.npz"
    if rng.random() < 0.5:
        np.savez(path, images=values, labels=labels)
    else:
        np.savez_compressed(path, values, labels)
    changed = rng.random() < 0.6
    if changed:
        path.write_bytes(broken(path.read_bytes(), rng))
    found = read_images(path, _data())
    check_shown(found.images, shown)
    with np.load(path) as again:
        named = {"labels", "arr_1"} & set(again.files)  # names have no checksum; a warning tells of others
    if not np.array_equal(found.labels, wanted if named else np.full(len(shown), -1)):
        raise Wrong(f"labels are {found.labels}, not {wanted}")


def one_image(ground: Ground, place: Path, rng: Any) -> None:
    """An image of the low resolution for `--input`."""
    kind = ("PNG", "JPEG")[rng.integers(2)]
    mode = MODES[kind][rng.integers(len(MODES[kind]))]
    side = 4 if rng.random() < 0.9 else int(rng.integers(1, 9))
    [image] = images(rng, 1, side)
    content = encoded(image, kind, mode)
    changed = rng.random() < 0.6
    (place / "low").write_bytes(broken(content, rng) if changed else content)
    found = enlarge.read(place / "low", (4, 4, 1))
    lossless = not changed and _is_lossless(kind, mode, image)
    check_shown([found], [image if lossless else (place / "low").read_bytes()])


def prepared_set(ground: Ground, place: Path, rng: Any) -> None:
    """A prepared data set of which a file is broken."""
    name = place / "tiny_digits" / "1.0.0"
    shutil.copytree(SET, name)
    files = sorted(path for path in name.iterdir())
    path = files[rng.integers(len(files))]
    path.write_bytes(broken(path.read_bytes(), rng))
    config = load_config("lsdm_digits:smoke", {"data.name": str(name)})
    for split in ("train", "test"):
        (found, _), (whole, _) = load.read(config.data, split), _set(split)
        if not np.array_equal(found.images, whole.images) or not np.array_equal(found.labels, whole.labels):
            raise Wrong(f"{path.name}: of {split} {len(found.images)} images or labels are not what was written")


@functools.cache
def _set(split: str) -> Any:
    return load.read(load_config("lsdm_digits:smoke", {"data.name": str(SET)}).data, split)


def conditions(ground: Ground, place: Path, rng: Any) -> None:
    """Labels and seeds of samples."""
    run = _run(ground.trained(0))
    pool: list[Callable[[], Any]] = [
        lambda: rng.integers(0, 10, 5),
        lambda: rng.integers(-3, 13, 5),
        lambda: rng.integers(0, 10, (2, 3)),
        lambda: rng.normal(size=4),
        lambda: list("abc"),
        lambda: rng.integers(0, 10, 5).astype(np.float16),
        lambda: [rng.integers(0, 10, 2).tolist(), [1]],
        lambda: (None, [], 3, "3", {"a": 1}, [True], [None], [np.nan], [1e30], [2**70], np.uint8([255]))[
            rng.integers(11)
        ],
    ]
    condition = pool[rng.integers(len(pool))]()
    seed = (0, 1, 7, -1, 2**32, 2**70, 1.5, "1", None, True)[rng.integers(10)]
    found = run.sample(condition, seed)
    labels = np.asarray(condition).astype(int)
    if not isinstance(seed, int) or found.images.shape != (len(labels), 8, 8, 1) or found.images.dtype != np.uint8:
        raise Wrong(f"{condition!r}, seed {seed!r}: samples of shape {found.images.shape}")
    if not (np.asarray(condition) == labels).all() or not ((labels >= 0) & (labels < 10)).all():
        raise Wrong(f"{condition!r}: was taken for labels")


@functools.cache
def _run(workdir: Path) -> Any:
    return load_run(workdir)
