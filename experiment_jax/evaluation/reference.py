"""The reference: real images in a judge's features, and the metrics of samples and reconstructions against them.

Pure in the images; nothing is written.
"""

import dataclasses
import functools
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from experiment_jax.data.split import UNPAIRED, Split
from experiment_jax.errors import UserError
from experiment_jax.evaluation import protocol as protocols
from experiment_jax.evaluation.real_images import RealImages
from experiment_jax.metrics import frechet, kid, neighbours
from experiment_jax.metrics.checks import check_points
from experiment_jax.runs.checkpoints import digest
from experiment_jax.runs.run import Run

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Reference:
    """A judge and the real images that it compares with.

    Attributes:
        judge: the run of the neutral classifier.
        real: the real images.
        witnesses: runs of further classifiers by title, which are asked for accuracies only.
    """

    judge: Run
    real: RealImages
    witnesses: Mapping[str, Run] = dataclasses.field(default_factory=dict)

    @property
    def compared(self) -> Split:
        """The images that samples are compared with."""
        return self.real.compared

    @functools.cached_property
    def features(self) -> np.ndarray:
        """The judge's, of the images that samples are compared with: `[M, features]`."""
        return self.judge.encode(self.compared.images)

    @functools.cached_property
    def moments(self) -> frechet.Moments:
        """Of these features."""
        return frechet.moments([self.features])

    def features_of(self, images: np.ndarray) -> np.ndarray:
        """The judge's features `[N, features]` of samples uint8 `[N, height, width, channels]`.

        Raises:
            UserError: images of another shape than the real ones, too few, or all the same.
        """
        expected = self.compared.images.shape[1:]
        if images.shape[1:] != expected:
            raise UserError(f"images are {images.shape[1:]}, the data set's are {expected}; resize them")
        check_points(images, "samples", 4)
        return self.judge.encode(images)

    def measure_real(self) -> dict[str, Any]:
        """The judge, its accuracy on the real images, and the distance of as many real images as samples to them, where
        there are as many."""
        floor = {}
        if self.real.matched:
            other = frechet.moments([self.judge.encode(self.real.other.images)])
            floor["fd_floor"] = frechet.frechet_distance(other, self.moments)
        return {
            "judge": digest(self.judge.model.params),
            **{f"witness_{title}": digest(each.model.params) for title, each in self.witnesses.items()},
            **self.accuracies("real", self.compared.images, self.features, self.compared.labels),
            **floor,
            "fd_extractor": f"judge of {self.judge.config.data.name}, {self.features.shape[1]} features",
        }

    def measure_samples(self, images: np.ndarray, features: np.ndarray, labels: np.ndarray | None) -> dict[str, Any]:
        """Metrics of samples.

        Args:
            images: samples, uint8 `[N, height, width, channels]`.
            features: `features_of(images)`.
            labels: what they should be, int32 `[N]`, -1 where that is not known: `accuracy_gen` is of the others, and
                `num_labelled` says how many they are; None: not known of any, and both are absent.
        """
        moments, real = frechet.moments([features]), self.real
        count = min(len(features), len(self.features))  # both shares depend on the counts, so both sides have the same
        precision, recall = neighbours.precision_recall(_evenly(self.features, count), _evenly(features, count))
        training = real.train if real.split == "train" else real.other
        results = {
            "num_samples": len(images),
            "protocol": protocols.name_of(real.split, len(images)),
            "fd_gen": frechet.frechet_distance(moments, self.moments),
            "kid_gen": kid.kernel_distance(self.features, features)[0],
            "precision": precision,
            "recall": recall,
            "fidelity": neighbours.fidelity(images, training.images, real.test.images),
            **neighbours.memorisation(images, real.train.images, real.test.images),
        }
        known = np.flatnonzero([] if labels is None else labels != UNPAIRED)
        if len(known):
            results |= self.accuracies("gen", images[known], features[known], labels[known])
        if 0 < len(known) < len(images):
            results["num_labelled"] = len(known)
            log.warning("%d of %d labels are known; accuracies are of these images", len(known), len(images))
        if frechet.rank_deficient(moments):
            count, size = features.shape
            results["fd_rank_deficient"] = True
            log.warning("%d samples for %d features: take at least --num_samples %d", count, size, size + 1)
        return results

    def measure_reconstructions(self, recon: np.ndarray, samples: np.ndarray | None) -> dict[str, float]:
        """Metrics of the real images' reconstructions uint8 `[M, …]`, and of samples against them where there are any.

        `samples` are `features_of` their images.
        """
        features, originals = self.judge.encode(recon), self.compared
        moments = frechet.moments([features])
        results = {
            **self.accuracies("recon", recon, features, originals.labels),
            "mae_recon": float(np.mean(np.abs(recon.astype(np.float32) - originals.images)) / 127.5),
            "fd_recon": frechet.frechet_distance(moments, self.moments),
        }
        if samples is not None:
            results["fd_gen_vs_recon"] = frechet.frechet_distance(moments, frechet.moments([samples]))
        return results

    def accuracy(self, features: np.ndarray, labels: np.ndarray) -> float:
        """The judge's, on its features `[N, features]` of images that should be of the classes `labels` int32 `[N]`."""
        return float(np.mean(self.judge.classify(features) == labels))

    def accuracies(self, kind: str, images: np.ndarray, features: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """`accuracy_<kind>` by the judge, and by each witness `accuracy_<kind>_<title>`.

        Args:
            kind: what the images are, for the keys.
            images: uint8 `[N, height, width, channels]`.
            features: the judge's features of the images.
            labels: what they should be, int32 `[N]`.
        """
        results = {f"accuracy_{kind}": self.accuracy(features, labels)}
        for title, witness in self.witnesses.items():
            verdicts = witness.classify(witness.encode(images))
            results[f"accuracy_{kind}_{title}"] = float(np.mean(verdicts == labels))
        return results


def _evenly(features: np.ndarray, count: int) -> np.ndarray:
    """`count` rows of at least as many, spread evenly over all."""
    return features[np.linspace(0, len(features) - 1, count).astype(int)]
