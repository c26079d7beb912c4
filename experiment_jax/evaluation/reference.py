"""The reference: real images as a judge and public networks see them, and the metrics of samples and reconstructions.

Pure in the images; nothing is written but the cache of real images' features.
"""

import dataclasses
import functools
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiment_jax.data.split import UNPAIRED, Split
from experiment_jax.errors import UserError
from experiment_jax.evaluation import protocol as protocols
from experiment_jax.evaluation.real_images import RealImages
from experiment_jax.extractors.extractor import Extractor
from experiment_jax.extractors.judge import Judge, digests
from experiment_jax.extractors.space import Space, evenly, spread
from experiment_jax.metrics import frechet, neighbours, variety
from experiment_jax.metrics.accuracy import share_right
from experiment_jax.metrics.checks import check_points

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Reference:
    """A judge and the real images that it compares with.

    Attributes:
        judge: the neutral classifier.
        real: the real images.
        witnesses: further classifiers by title, which are asked for accuracies only.
        public: the same real images in the features of public networks.
        given: moments out of a file, in place of those of the real images in the judge's features.
    """

    judge: Judge
    real: RealImages
    witnesses: Mapping[str, Judge] = dataclasses.field(default_factory=dict)
    public: Sequence[Space] = ()
    given: frechet.Moments | None = None

    @property
    def compared(self) -> Split:
        """The images that samples are compared with."""
        return self.real.compared

    @functools.cached_property
    def space(self) -> Space:
        """These images in the judge's features."""
        other = self.real.other.images if self.real.matched else None
        return Space(self.judge.extractor, self.compared.images, other, self.given)

    @property
    def spaces(self) -> tuple[Space, ...]:
        return (self.space, *self.public)

    @property
    def features(self) -> np.ndarray:
        """The judge's, of the images that samples are compared with: `[M, features]`."""
        return self.space.features

    def features_of(self, images: np.ndarray) -> np.ndarray:
        """The judge's features `[N, features]` of samples uint8 `[N, height, width, channels]`.

        Raises:
            UserError: images of another shape than the real ones, too few, or all the same.
        """
        expected = self.compared.images.shape[1:]
        if images.shape[1:] != expected:
            raise UserError(f"images are {images.shape[1:]}, the data set's are {expected}; resize them")
        check_points(images, "samples", 4)
        for space in self.spaces:
            space.check(len(space.take(images)))
        return self.judge.encode(images)

    def measure_real(self) -> dict[str, Any]:
        """The networks, the judge's accuracy on the real images, and the distance of as many real images as samples to
        them, where there are as many."""
        results = digests({"judge": self.judge, **self.witnesses})
        results["fd_extractor"] = f"judge of {self.judge.card['data']['title']}, {self.judge.size} features"
        for space in self.spaces:
            results |= space.describe() | space.floor()
        return results | self.accuracies("real", self.compared.images, self.features, self.compared.labels)

    def measure_samples(self, images: np.ndarray, features: np.ndarray, labels: np.ndarray | None) -> dict[str, Any]:
        """Metrics of samples.

        Args:
            images: samples, uint8 `[N, height, width, channels]`.
            features: `features_of(images)`.
            labels: what they should be, int32 `[N]`, -1 where that is not known: `accuracy_gen` is of the others, and
                `num_labelled` says how many they are; None: not known of any, and both are absent.
        """
        real = self.real
        training = real.train if real.split == "train" else real.other
        results = {
            "num_samples": len(images),
            "protocol": protocols.name_of(real.split, len(images)),
            **self.space.measure_samples(features),
            "pixel_spread": self._pixel_spread(images),
            "fidelity": neighbours.fidelity(images, training.images, real.test.images),
            **neighbours.memorisation(images, real.train.images, real.test.images),
        }
        known = np.flatnonzero([] if labels is None else labels != UNPAIRED)
        if len(known):
            results |= self.accuracies("gen", images[known], features[known], labels[known])
        if 0 < len(known) < len(images):
            results["num_labelled"] = len(known)
            log.warning("%d of %d labels are known; accuracies are of these images", len(known), len(images))
        return results

    def _pixel_spread(self, images: np.ndarray) -> float:
        """Of at most 1,000 samples and as many real images; see `variety`."""
        looked_at = (evenly(each, min(len(each), variety.LOOKED_AT)) for each in (images, self.compared.images))
        return variety.pixel_spread(*map(np.asarray, looked_at))

    def measure_reconstructions(self, recon: np.ndarray) -> tuple[dict[str, float], frechet.Moments]:
        """Metrics of the real images' reconstructions uint8 `[M, …]`, and their moments in the judge's features."""
        features, originals = self.judge.encode(recon), self.compared
        moments = frechet.moments([features])
        return {
            **self.accuracies("recon", recon, features, originals.labels),
            "mae_recon": float(np.mean(np.abs(recon.astype(np.float32) - originals.images)) / 127.5),
            **self.space.measure_reconstructions(moments),
        }, moments

    def accuracy(self, features: np.ndarray, labels: np.ndarray) -> float | None:
        """The judge's, on its features `[N, features]` of images that should be of the classes `labels` int32 `[N]`;
        see `share_right`."""
        return share_right(self.judge.classify(features), labels)

    def accuracies(self, kind: str, images: np.ndarray, features: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """`accuracy_<kind>` by the judge, and by each witness `accuracy_<kind>_<title>`; {} where no label is known.

        Args:
            kind: what the images are, for the keys.
            images: uint8 `[N, height, width, channels]`.
            features: the judge's features of the images.
            labels: what they should be, int32 `[N]`; -1: not known.
        """
        results = {f"accuracy_{kind}": self.accuracy(features, labels)}
        for title, witness in self.witnesses.items():
            verdicts = witness.classify(witness.encode(images))
            results[f"accuracy_{kind}_{title}"] = share_right(verdicts, labels)
        return {key: value for key, value in results.items() if value is not None}


def space_of(
    extractor: Extractor, count: int | None, real: RealImages, chosen: Split, given: frechet.Moments | None = None
) -> Space:
    """The space of a public network, in which `count` samples are compared with as many real images.

    Args:
        extractor: the network.
        count: how many; None, or as many as there are samples: all samples, with all real images.
        real: the real images.
        chosen: those that samples are drawn for, `[N]`. The real images that are compared with are those of the same
            samples, so that both sides have the same class shares.
        given: see `Space`.

    Raises:
        UserError: more samples than there are, or fewer than the network has features.
    """
    if count is not None and count > len(chosen):
        raise UserError(f"--extractor {extractor.name}:{count}: there are {len(chosen)} samples; name at most so many")
    if count is None or count == len(chosen):
        space = Space(extractor, real.compared.images, real.other.images if real.matched else None, given)
    else:
        index = spread(len(chosen), count)
        like = chosen.take(index)
        other = real.other.images[same_classes(like.labels, real.other.labels)] if real.matched else None
        space = Space(extractor, np.asarray(like.images), other, given, index)
    space.check(count or len(chosen))
    return space


def same_classes(labels: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Sorted indices of as many of `others` of each class as `labels` has, the first ones."""
    wanted = zip(*np.unique(labels, return_counts=True), strict=True)
    return np.sort(np.concatenate([np.flatnonzero(others == label)[:count] for label, count in wanted]))
