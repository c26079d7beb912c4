"""What a judge says of images: accuracies, and distances in its features. Pure in the images; nothing is written."""

import dataclasses
import functools
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from experiment_jax import metrics
from experiment_jax.data import split as data
from experiment_jax.data.split import Split
from experiment_jax.errors import UserError
from experiment_jax.evaluation import judges as judge
from experiment_jax.runs import checkpoints
from experiment_jax.runs.run import Run, load_run

log = logging.getLogger(__name__)


def parse_protocol(name: str) -> tuple[str, int]:
    """ "test_10k" -> ("test", 10_000): the real images that samples are compared with, and how many samples.

    "validation" is the part of train that the run held out: what hyper-parameters are chosen by.

    Raises:
        UserError: not SPLIT_COUNT with the split test, train or validation.
    """
    split, _, count = name.partition("_")
    digits, thousands = (count[:-1], 1000) if count.endswith("k") else (count, 1)
    if split not in ("test", "train", "validation") or not digits.isdecimal() or not int(digits):
        raise UserError(f"protocol={name}: type test_10k, train_50k or validation_1k, or another number")
    return split, int(digits) * thousands


def protocol_name(split: str, count: int) -> str:
    """The inverse of `parse_protocol`."""
    return f"{split}_{count // 1000}k" if count % 1000 == 0 else f"{split}_{count}"


@dataclasses.dataclass(frozen=True)
class Bench:
    """A judge and the real images that it compares with.

    Attributes:
        judge: the run of the neutral classifier.
        train: all of it; under the split "validation", without the images that the run held out.
        test: all of it; under the split "validation", the held-out images in its place.
        split: "test", "validation" or "train": what samples are compared with.
        other: of train, or of test where train is the reference, as many images of each class as samples are asked for,
            or all where there are fewer.
        witnesses: runs of further classifiers by title, which are asked for accuracies only.
        matched: whether `other` has as many of each class. If so it is what real images would get, the floor of every
            distance that depends on the counts; if not there is no floor.
    """

    judge: Run
    train: Split
    test: Split
    split: str
    other: Split
    witnesses: Mapping[str, Run] = dataclasses.field(default_factory=dict)
    matched: bool = True

    @property
    def reference(self) -> Split:
        return self.train if self.split == "train" else self.test

    @functools.cached_property
    def reference_features(self) -> np.ndarray:
        return self.judge.encode(self.reference.images)

    @functools.cached_property
    def reference_moments(self) -> metrics.Moments:
        return metrics.moments([self.reference_features])

    @functools.cached_property
    def other_features(self) -> np.ndarray:
        return self.judge.encode(self.other.images)

    def features(self, images: np.ndarray) -> np.ndarray:
        """The judge's features `[N, features]` of samples uint8 `[N, height, width, channels]`.

        Raises:
            UserError: images of another shape than the real ones, too few, or all the same.
        """
        expected = self.reference.images.shape[1:]
        if images.shape[1:] != expected:
            raise UserError(f"images are {images.shape[1:]}, the data set's are {expected}; resize them")
        metrics.check_points(images, "samples", 4)
        return self.judge.encode(images)


def conditions(real: Split, count: int, generator: np.random.Generator) -> Split:
    """The real images `[count]` to draw samples for, by their labels or from what a degradation leaves of them: all in
    an order chosen by seed, over and over."""
    return real.take(np.resize(generator.permutation(len(real)), count))


def bench(config: ConfigDict, protocol: str, num_samples: int | None, seed: int = 0) -> tuple[Bench, Split]:
    """The judge (trained now if it was not yet), the real images, and those `[N]` to draw samples for.

    Args:
        config: a run's; its judge must be of its data set, cropped and resized alike.
        protocol: see `parse_protocol`.
        num_samples: N in place of the protocol's.
        seed: of the order, and of the choice of the other split's images.

    Raises:
        UserError: an unknown protocol, a judge or witness of other images, or a run without validation images.
    """
    split, count = parse_protocol(protocol)
    judge_config = judge.config_for(config.judge, config.data)
    witness_configs = judge.witnesses(config.witnesses, config.data)
    train, test = _real_images(config, split)
    judge_run = load_run(judge.trained(judge_config))
    witnesses = {title: load_run(judge.trained(each)) for title, each in witness_configs.items()}
    reference, other = (train, test) if split == "train" else (test, train)
    generator = np.random.default_rng(seed)
    chosen = conditions(reference, num_samples or count, generator)
    enough = matchable(chosen.labels, other.labels)
    if enough < len(chosen):
        log.warning(
            "no floor: %s has too few images of a class to stand for %d samples; up to %d samples have a floor",
            *("test" if split == "train" else "train", len(chosen), enough),
        )
    like = []
    for label, wanted in zip(*np.unique(chosen.labels, return_counts=True), strict=True):
        like.append(generator.permutation(np.flatnonzero(other.labels == label))[:wanted])
    other = other.take(np.sort(np.concatenate(like)))
    return Bench(judge_run, train, test, split, other, witnesses, enough == len(chosen)), chosen


def matchable(labels: np.ndarray, others: np.ndarray) -> int:
    """How many of `labels` int `[N]`, from the first on, have each a label of its own like them among `others`."""
    limits = [len(labels)]
    for label in np.unique(labels):
        limits += np.flatnonzero(labels == label)[np.sum(others == label) :][:1].tolist()
    return min(limits)


def _real_images(config: ConfigDict, split: str) -> tuple[Split, Split]:
    """Train and test, or train without the validation part and that; all with their labels."""
    if split != "validation":
        return tuple(data.read(config.data, name)[0] for name in ("train", "test"))
    section = config.data.copy_and_resolve_references()
    section.paired = section.unpaired = None
    parts = data.load(section, config.seed)
    if not len(parts.validation):
        raise UserError(
            "protocol=validation: the run held out no images; train one with "
            f"--config.data.validation={100 * parts.num_classes}"
        )
    return parts.train, parts.validation


def measure_real(bench: Bench) -> dict[str, Any]:
    """What the bench itself is: the judge, its accuracy on the reference, and the distance of as many real images as
    samples to it, where there are as many."""
    floor = {}
    if bench.matched:
        floor["fd_floor"] = metrics.frechet_distance(metrics.moments([bench.other_features]), bench.reference_moments)
    return {
        "judge": checkpoints.digest(bench.judge.model.params),
        **{f"witness_{title}": checkpoints.digest(each.model.params) for title, each in bench.witnesses.items()},
        **accuracies(bench, "real", bench.reference.images, bench.reference_features, bench.reference.labels),
        **floor,
        "fd_extractor": f"judge of {bench.judge.config.data.name}, {bench.reference_features.shape[1]} features",
    }


def measure_samples(
    bench: Bench, images: np.ndarray, features: np.ndarray, labels: np.ndarray | None
) -> dict[str, Any]:
    """Metrics of samples under a bench.

    Args:
        bench: the judge and the real images.
        images: samples, uint8 `[N, height, width, channels]`.
        features: `bench.features(images)`.
        labels: what they should be, int32 `[N]`; None: unknown, and `accuracy_gen` is absent.
    """
    moments = metrics.moments([features])
    count = min(len(features), len(bench.reference))  # both shares depend on the counts, so both sides have the same
    precision, recall = metrics.precision_recall(_evenly(bench.reference_features, count), _evenly(features, count))
    real_train = bench.train if bench.split == "train" else bench.other
    results = {
        "num_samples": len(images),
        "protocol": protocol_name(bench.split, len(images)),
        "fd_gen": metrics.frechet_distance(moments, bench.reference_moments),
        "kid_gen": metrics.kernel_distance(bench.reference_features, features)[0],
        "precision": precision,
        "recall": recall,
        "fidelity": metrics.fidelity(images, real_train.images, bench.test.images),
        **metrics.memorisation(images, bench.train.images, bench.test.images),
    }
    if labels is not None:
        results |= accuracies(bench, "gen", images, features, labels)
    if metrics.rank_deficient(moments):
        count, size = features.shape
        results["fd_rank_deficient"] = True
        log.warning("%d samples for %d features: take at least --num_samples %d", count, size, size + 1)
    return results


def measure_reconstructions(bench: Bench, recon: np.ndarray, samples: np.ndarray | None) -> dict[str, float]:
    """Metrics of the reference's reconstructions uint8 `[N, …]`, and of samples against them where there are any.

    `samples` are `bench.features` of their images.
    """
    features = bench.judge.encode(recon)
    moments = metrics.moments([features])
    results = {
        **accuracies(bench, "recon", recon, features, bench.reference.labels),
        "mae_recon": float(np.mean(np.abs(recon.astype(np.float32) - bench.reference.images)) / 127.5),
        "fd_recon": metrics.frechet_distance(moments, bench.reference_moments),
    }
    if samples is not None:
        results["fd_gen_vs_recon"] = metrics.frechet_distance(moments, metrics.moments([samples]))
    return results


def accuracy(bench: Bench, features: np.ndarray, labels: np.ndarray) -> float:
    """The judge's, on its features `[N, features]` of images that should be of the classes `labels` int32 `[N]`."""
    return float(np.mean(bench.judge.classify(features) == labels))


def accuracies(bench: Bench, of: str, images: np.ndarray, features: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """`accuracy_<of>` by the judge, and by each witness `accuracy_<of>_<title>`.

    Args:
        bench: the judge and the witnesses.
        of: what the images are, for the keys.
        images: uint8 `[N, height, width, channels]`.
        features: `bench.judge`'s of the images.
        labels: what they should be, int32 `[N]`.
    """
    results = {f"accuracy_{of}": accuracy(bench, features, labels)}
    for title, witness in bench.witnesses.items():
        verdicts = witness.classify(witness.encode(images))
        results[f"accuracy_{of}_{title}"] = float(np.mean(verdicts == labels))
    return results


def _evenly(features: np.ndarray, count: int) -> np.ndarray:
    """`count` rows of at least as many, spread evenly over all."""
    return features[np.linspace(0, len(features) - 1, count).astype(int)]
