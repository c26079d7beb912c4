"""Reference statistics in files: of real images, in one network's features, with what they were made of.

An .npz with `mu` `[features]` and `sigma` `[features, features]`, float64, the names that FID implementations use, and
`about`: JSON with the network and its digest, the resize, N, the split, and the digest of the images.
"""

import json
import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiment_jax.config.places import place
from experiment_jax.data.split import Split
from experiment_jax.errors import UserError
from experiment_jax.extractors.extractor import Extractor
from experiment_jax.extractors.space import INCEPTION
from experiment_jax.files import replacing
from experiment_jax.metrics import frechet
from experiment_jax.runs.verified import digest

log = logging.getLogger(__name__)


class Statistics(NamedTuple):
    """The moments in a file and what it says of them; nothing, where another project wrote it."""

    path: str
    moments: frechet.Moments
    about: Mapping[str, Any]


def write(network: Extractor, real: Split, split: str, name: str, path: str | Path) -> dict[str, Any]:
    """Writes the statistics of real images in a network's features, and returns what the file says of them.

    Args:
        network: whose features.
        real: all images of a split.
        split: what it is called.
        name: of the data set.
        path: the .npz to write.

    Raises:
        UserError: fewer images than features, or another ending than .npz.
    """
    path = place(path, "--save_reference")
    if path.suffix != ".npz" or not path.parent.is_dir():
        raise UserError(f"--save_reference {path}: give a name that ends in .npz, in a folder that is there")
    moments = frechet.moments([network.features(real.images)])
    if moments.count <= network.size:
        raise UserError(f"--save_reference: {moments.count} images are too few for {network.size} features")
    about = {**_about(network), **_about_images(real, split), "data": name, "images": moments.count}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, mu=moments.mean, sigma=moments.covariance, about=json.dumps(about))
    return about


def read_all(paths: Sequence[str], real: Split, split: str) -> list[Statistics]:
    """The statistics in files, each checked to be of the images that samples are compared with.

    Args:
        paths: of the files.
        real: the images.
        split: what they are called.

    Raises:
        UserError: no such file, one that holds no statistics, or statistics of other images.
    """
    found = [read(path) for path in paths]
    images = _about_images(real, split) if any(each.about for each in found) else {}
    for statistics in found:
        for key, here in images.items() if statistics.about else ():
            if (there := statistics.about[key]) != here:
                raise UserError(
                    f"--reference {statistics.path}: is of other images ({key}: {there}, not {here}); "
                    f"make one with --save_reference, or leave it out"
                )
    return found


def read(path: str) -> Statistics:
    """The statistics in one file; see `read_all`."""
    file_path = place(path, "--reference")
    try:
        with np.load(file_path, allow_pickle=False) as file:
            mean, covariance = (np.asarray(file[key], np.float64) for key in ("mu", "sigma"))
            about = json.loads(str(file["about"])) if "about" in file else {}
    except FileNotFoundError:
        raise UserError(f"--reference {path}: there is no such file; make one with --save_reference") from None
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise UserError(
            f"--reference {path}: holds no mu and sigma ({error}); make one with --save_reference"
        ) from None
    if mean.ndim != 1 or covariance.shape != 2 * mean.shape or not np.isfinite(covariance).all():
        raise UserError(f"--reference {path}: mu {mean.shape} and sigma {covariance.shape} are no moments")
    return Statistics(path, frechet.Moments(about.get("images", 0), mean, covariance), about)


def given_of(found: Sequence[Statistics], network: Extractor) -> frechet.Moments | None:
    """The moments among these that are a network's; None: there are none.

    Raises:
        UserError: moments of the same network with other weights, another resize or another number of features.
    """
    for statistics in found:
        path, moments, about = statistics
        if not about and network.name == INCEPTION:
            log.warning("--reference %s: says neither its images nor its network; taken for Inception's of these", path)
        elif about.get("extractor") != network.name:
            continue
        for key, here in _about(network).items() if about else ():
            if about[key] != here:
                raise UserError(f"--reference {path}: is in other features ({key}: {about[key]}, not {here})")
        if moments.mean.shape != (network.size,):
            raise UserError(f"--reference {path}: has {len(moments.mean)} features, {network.name} has {network.size}")
        return moments
    return None


def check_used(found: Sequence[Statistics], networks: Sequence[Extractor]) -> None:
    """Raises UserError where a file is of a network that is not asked."""
    names = {network.name for network in networks}
    for path, _, about in found:
        name = about.get("extractor", INCEPTION)
        if name not in names:
            raise UserError(f"--reference {path}: is in {name}'s features; type --extractor {name} too")


def _about(network: Extractor) -> dict[str, Any]:
    return dict(extractor=network.name, extractor_digest=network.digest, resize=network.resize)


def _about_images(real: Split, split: str) -> dict[str, Any]:
    return dict(split=split, shape=list(real.images.shape[1:]), digest=digest({"images": real.images}))
