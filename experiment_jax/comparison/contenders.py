"""What a comparison is of: runs and samples in files, found, named and checked before anything is measured."""

import collections
import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from experiment_jax.config.places import place
from experiment_jax.data.split import Split
from experiment_jax.errors import UserError
from experiment_jax.runs import directory
from experiment_jax.runs.finished import finished_record


@dataclasses.dataclass(frozen=True)
class Contender:
    """One of those that are compared.

    Attributes:
        name: of its row.
        path: a run's directory, or the file or folder of samples.
        config: a run's own; None: samples.
        samples: images uint8 `[N, height, width, channels]` and labels int32 `[N]`, -1 unknown; None: a run, or not
            read yet.
    """

    name: str
    path: Path
    config: ConfigDict | None
    samples: Split | None = None


def find(paths: Sequence[str | Path]) -> list[Contender]:
    """The contenders at these paths, in their order; no sample is read.

    Raises:
        UserError: a path that is not there or is given twice, a folder of runs, or a run that is not finished.
    """
    if not paths:
        raise UserError("--compare: nothing is given; give runs' directories, and folders or .npz files of samples")
    paths = [place(path, "--compare") for path in paths]
    for same, count in collections.Counter(path.resolve() for path in paths).items():
        if count > 1:
            raise UserError(f"--compare {same}: is given {count} times; give each once")
    return [_contender(name, path) for name, path in zip(names(paths), paths, strict=True)]


def names(paths: Sequence[Path]) -> list[str]:
    """What each path is called: its last part, with as many folders before it as set it apart from the others."""
    parts = [Path(os.path.abspath(path)).parts for path in paths]
    lengths = [1] * len(paths)
    while True:
        found = ["/".join(part[-length:]) for part, length in zip(parts, lengths, strict=True)]
        again = [
            number
            for number, name in enumerate(found)
            if found.count(name) > 1 and lengths[number] < len(parts[number])
        ]
        if not again:
            return found
        for number in again:
            lengths[number] += 1


def _contender(name: str, path: Path) -> Contender:
    if not path.exists():
        raise UserError(f"--compare {path}: is not there; give runs' directories, and folders or .npz files of samples")
    if not (path / "config.json").is_file():
        if path.is_dir() and any(path.glob("*/config.json")):
            raise UserError(f"--compare {path}: is no run but holds runs; name those, as in --compare {path}/*/")
        return Contender(name, path, None)
    config = directory.read_config(path)
    if finished_record(path, config.stages[-1]) is None:
        raise UserError(f"--compare {path}: is not trained to the end; finish it with train.py, or leave it out")
    return Contender(name, path, config)


def choose(samples: Split, count: int) -> Split:
    """`count` of the samples, chosen by chance but always the same, in their order."""
    if len(samples.images) == count:
        return samples
    return samples.take(np.sort(np.random.default_rng(0).permutation(len(samples.images))[:count]))
