"""What an evaluation is asked to measure, and what its metrics say of that."""

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from experiment_jax.config import numbers
from experiment_jax.errors import UserError
from experiment_jax.evaluation import protocol as protocols

LARGEST_SEED = 2**31  # of an evaluation


@dataclasses.dataclass(frozen=True)
class Plan:
    """The options of an evaluation.

    Attributes:
        protocol: "test_10k", "train_50k", "validation_1k", …; None: the config's `evaluation.protocol`.
        num_samples: N, in place of the protocol's.
        seed: of the samples' noise and of the choice of labels and training images.
        repeats: draw samples with so many seeds: each metric of samples is then the mean, KEY_se its standard error.
        judge: a judge's folder or recipe, in place of the one that the config names.
        extractors: public networks in whose features distances are taken too, as in ("vgg16",); "vgg16:2500" compares
            2,500 of the samples with as many real images.
        references: files of reference statistics, see `references`, in place of the real images' own.
        inception_weights: the file of Inception's weights, which are not part of any package.
        with_lpips: LPIPS of reconstructions, and of what super-resolution finds.
        with_cas: train a classifier on the samples too; it takes as long as that training.
    """

    protocol: str | None = None
    num_samples: int | None = None
    seed: int = 0
    repeats: int = 1
    judge: str = ""
    extractors: Sequence[str] = ()
    references: Sequence[str] = ()
    inception_weights: str = ""
    with_lpips: bool = False
    with_cas: bool = False

    def __post_init__(self) -> None:
        """Raises UserError where a number is none, or a name is no text; what is left is of the types above."""
        keep = functools.partial(object.__setattr__, self)
        if self.num_samples is not None:
            keep("num_samples", numbers.count(self.num_samples, "num_samples"))
        keep("repeats", numbers.whole(self.repeats, "repeats", 1, LARGEST_SEED))
        # Seeds after the first are those of repeats, and of the further samples that super-resolution takes.
        keep("seed", numbers.whole(self.seed, "seed", 0, LARGEST_SEED))
        for name in ("judge", "inception_weights"):
            keep(name, _text(getattr(self, name), name))
        for name in ("extractors", "references"):
            values = getattr(self, name)
            values = values.split(",") if isinstance(values, str) else values
            if not isinstance(values, Sequence):
                raise UserError(f"{name}={numbers.shown(values)}: give names, as in ('vgg16',)")
            keep(name, tuple(filter(None, (_text(value, name) for value in values))))
        if self.protocol is not None:
            protocols.parse(_text(self.protocol, "protocol"))

    def split_and_count(self, config: ConfigDict) -> tuple[str, int]:
        """The real images that samples of a run are compared with, and how many samples there are."""
        split, count = protocols.parse(self.protocol or config.evaluation.protocol)
        return split, self.num_samples or count

    def protocol_of(self, config: ConfigDict) -> str:
        """The protocol by which a run of that config is measured, as its metrics name it."""
        return protocols.name_of(*self.split_and_count(config))

    def networks(self) -> dict[str, int | None]:
        """The public networks by name, with how many samples each sees; None: all.

        Raises:
            UserError: a number that is none, or weights of a network that is not named.
        """
        found: dict[str, int | None] = {}
        for text in self.extractors:
            name, colon, count = text.partition(":")
            if colon and not (count.isdecimal() and int(count)):
                raise UserError(f"--extractor {text}: give the number of samples behind the colon, as in {name}:2500")
            if name != "judge":
                found[name] = int(count) if colon else None
        if self.inception_weights and "inception" not in found:
            raise UserError("--inception_weights: is of Inception; type --extractor inception too")
        return found

    def marks(self) -> dict[str, Any]:
        """What the metrics say of the options, beyond the networks' digests: an evaluation without these is another."""
        return {
            "evaluation_seed": self.seed,
            **({"repeats": self.repeats} if self.repeats > 1 else {}),
            **({"references": ", ".join(self.references)} if self.references else {}),
            **({"extractors": ", ".join(self.extractors)} if self.networks() else {}),
        }


def _text(value: Any, name: str) -> str:
    """A name or a path as text."""
    if not isinstance(value, str | os.PathLike):
        raise UserError(f"{name}={numbers.shown(value)}: give a name or a path")
    return os.fspath(value)
