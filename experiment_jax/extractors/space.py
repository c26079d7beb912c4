"""Real images in the features of one network, and the distances of samples and reconstructions to them."""

import contextlib
import dataclasses
import functools
import logging
from typing import Any

import numpy as np

from experiment_jax.devices import cache
from experiment_jax.errors import Unwritable, UserError
from experiment_jax.extractors.extractor import Extractor
from experiment_jax.files import replacing
from experiment_jax.metrics import frechet, kid, neighbours
from experiment_jax.runs.verified import digest

log = logging.getLogger(__name__)
JUDGE, INCEPTION = "judge", "inception"
FEW = 10  # samples a feature; with fewer the bias of a Fréchet distance is told of


@dataclasses.dataclass(frozen=True)
class Space:
    """A reference in one network's features.

    Attributes:
        extractor: the network.
        images: the real images that are compared with, uint8 `[M, height, width, channels]`.
        other: other real images, which stand for samples in the floor; None: there is no floor.
        given: moments out of a file, in place of those of `images`; what needs more than moments is then absent.
        index: int `[N]`, which of the samples are compared here; None: all.
    """

    extractor: Extractor
    images: np.ndarray
    other: np.ndarray | None
    given: frechet.Moments | None = None
    index: np.ndarray | None = None

    def key(self, name: str) -> str:
        """A metric's key: `fd_gen` in a judge's features, `fd_gen_vgg16` in others; `fid_gen` is Inception's alone."""
        if self.extractor.name == JUDGE:
            return name
        if self.extractor.name == INCEPTION and name.startswith("fd_"):
            return f"fid_{name.removeprefix('fd_')}"
        return f"{name}_{self.extractor.name}"

    @functools.cached_property
    def features(self) -> np.ndarray:
        """Of the real images, `[M, features]`."""
        return self._remembered(self.images)

    @functools.cached_property
    def moments(self) -> frechet.Moments:
        """Of the reference."""
        return self.given or frechet.moments([self.features])

    def take(self, images: np.ndarray) -> np.ndarray:
        """Those of the samples, or of what belongs to them, that are compared here."""
        return images if self.index is None else images[self.index]

    def check(self, count: int) -> None:
        """Raises UserError where so many samples leave the covariance of their features without full rank."""
        name, size = self.extractor.name, self.extractor.size
        if count <= size:
            raise UserError(
                f"{count} samples are too few for a Fréchet distance in the {size} features of {name}; "
                f"take {size + 1} or more (--num_samples)"
            )

    def tell_if_few(self, count: int) -> None:
        """Logs that distances of so many samples are biased, where they are few."""
        name, size = self.extractor.name, self.extractor.size
        if count < FEW * size:
            log.info(
                "%d samples for the %d features of %s are few: distances are biased upwards; compare them with their "
                "floor, and with those of as many samples",
                *(count, size, name),
            )

    def floor(self) -> dict[str, float]:
        """The distance of other real images to the reference: what real images would get in place of samples."""
        if self.other is None:
            return {}
        other = frechet.moments([self._remembered(self.other)])
        return {self.key("fd_floor"): frechet.frechet_distance(other, self.moments)}

    def measure_samples(self, features: np.ndarray) -> dict[str, float]:
        """Distances and shares of samples, of which the `features` `[N, features]` are given."""
        results = {"fd_gen": frechet.frechet_distance(frechet.moments([features]), self.moments)}
        if self.given is None:
            count = min(len(features), len(self.features))  # both shares depend on the counts: both sides have the same
            real, generated = evenly(self.features, count), evenly(features, count)
            precision, recall = neighbours.precision_recall(real, generated)
            results["kid_gen"] = kid.kernel_distance(self.features, features)[0]
            results |= dict(precision=precision, recall=recall)
        return {self.key(name): value for name, value in results.items()}

    def measure_reconstructions(self, recon: frechet.Moments) -> dict[str, float]:
        """The distance of reconstructions, of which the moments are given, to the real images."""
        return {self.key("fd_recon"): frechet.frechet_distance(recon, self.moments)}

    def measure_against(self, recon: frechet.Moments, features: np.ndarray) -> dict[str, float]:
        """The distance of samples to reconstructions."""
        distance = frechet.frechet_distance(recon, frechet.moments([features]))
        return {self.key("fd_gen_vs_recon"): distance}

    def describe(self) -> dict[str, Any]:
        """What the numbers rest on: the network's weights, and how many samples it sees where not all."""
        if self.extractor.name == JUDGE:
            return {}
        found = {f"extractor_{self.extractor.name}": self.extractor.digest}
        return found if self.index is None else {**found, self.key("num_samples"): len(self.index)}

    def _remembered(self, images: np.ndarray) -> np.ndarray:
        """Features of real images; those of public networks, which are slow, are kept in the user's cache folder."""
        if self.extractor.name == JUDGE:
            return self.extractor.features(images)
        content = digest({"images": images, "resize": np.frombuffer(self.extractor.resize.encode(), np.uint8)})
        path = cache.folder("features") / f"{self.extractor.name}-{self.extractor.digest}-{content}.npy"
        with contextlib.suppress(OSError, ValueError, EOFError):  # none is there, or a damaged one
            return np.load(path)
        features = self.extractor.features(images)
        try:
            with replacing(path) as temporary, temporary.open("wb") as file:
                np.save(file, features)
        except Unwritable as error:
            log.warning("features of real images are not kept: %s", error)
        return features


def evenly(rows: np.ndarray, count: int) -> np.ndarray:
    """`count` rows of at least as many, spread evenly over all."""
    return rows[spread(len(rows), count)]


def spread(total: int, count: int) -> np.ndarray:
    """int `[count]`, indices of as many rows, spread evenly over `total`."""
    return np.linspace(0, total - 1, count).astype(int)
