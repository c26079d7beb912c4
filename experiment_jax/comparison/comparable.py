"""Whether the numbers of several runs compare: the same images, the same judge, the same protocol."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from experiment_jax.data.load import Wanted
from experiment_jax.data.load import title as title_of_data
from experiment_jax.errors import UserError
from experiment_jax.evaluation.plan import Plan
from experiment_jax.extractors import judges
from experiment_jax.training.train import train


class Measured(NamedTuple):
    """What is measured by a config.

    Attributes:
        name: as messages call it.
        path: a run's directory, or a config file.
        config: of it.
    """

    name: str
    path: Path
    config: ConfigDict


def check(flag: str, entries: Sequence[Measured], plan: Plan) -> None:
    """Refuses entries whose numbers would not compare with those of the first.

    Args:
        flag: what the person typed, in front of the message.
        entries: what is measured.
        plan: how it is measured.

    Raises:
        UserError: two differ in data set, crop, size, label, judge or protocol; or a config names no judge.
    """
    for entry in entries[1:]:
        first = entries[0]
        numbers = f"{flag}: the numbers of {first.name} and {entry.name} do not compare,"
        alone = f"evaluate each by itself, as in eval.py --workdir {entry.path}"
        for key, one, two in zip(("name", *Wanted._fields), _data(first), _data(entry), strict=True):
            if one != two:
                raise UserError(f"{numbers} their data.{key} are {one} and {two}; {alone}")
        if judge_of(first.config, plan) != judge_of(entry.config, plan):
            raise UserError(f"{numbers} their judges are {first.config.judge} and {entry.config.judge}; {alone}")
        one, two = (plan.protocol_of(each.config) for each in (first, entry))
        if one != two:
            raise UserError(f"{numbers} their protocols are {one} and {two}; type --protocol {one}")


def judge_of(config: ConfigDict, plan: Plan) -> str:
    """The digest of the judge that measures by a config; one that is not there yet is trained now.

    Raises:
        UserError: no judge is named, or one of other images.
    """
    return judges.find(plan.judge or config.judge, config.data, train).digest


def _data(entry: Measured) -> list[object]:
    data = entry.config.data
    return [title_of_data(data.name), *(data.get(key) for key in Wanted._fields)]
