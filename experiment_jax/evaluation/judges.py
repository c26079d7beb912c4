"""Judges: neutral classifiers, each trained once a data set on its real images and labels, as a run of its own.

Fréchet distances are taken in a judge's features and accuracies are its verdicts, so its digest stands with every such
number, and numbers of different judges are not comparable. No method trains on it or on its features.
"""

import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from experiment_jax.config import load as configs
from experiment_jax.data.load import title as title_of_data
from experiment_jax.devices import cache
from experiment_jax.errors import UserError
from experiment_jax.runs import directory
from experiment_jax.runs.run import Run, load_run

log = logging.getLogger(__name__)


def find(config: ConfigDict, train: Callable[..., Any]) -> Run:
    """The judge that `config` describes, trained now if the cache does not hold it.

    The name of its directory carries a hash of the config, so that a changed recipe is another judge.

    Args:
        config: of a neutral classifier.
        train: `experiment_jax.train`.
    """
    name = title_of_data(config.data.name)
    place = cache.folder("judges") / f"{name}-{directory.fingerprint(config)}"
    if not place.is_dir():
        log.info("training the neutral classifier of %s, once, into %s", name, place)
        place.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        try:
            train(config, temporary / "run", jax.devices()[:1])  # the same judge, however many devices there are
            if not place.is_dir():  # another process may have been faster; both trained the same judge
                (temporary / "run").rename(place)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return load_run(place)


def title(config: ConfigDict) -> str:
    """What a neutral classifier is called in the names of metrics: its last stage's module, and depth if it has one."""
    section = config[config.stages[-1]]
    return f"{section.build.partition(':')[0].rpartition('.')[2]}{section.get('depth', '')}"


def configs_of(config: ConfigDict) -> dict[str, ConfigDict]:
    """The configs of the judge and the witnesses that a run's config names: first "judge", then each witness by title.

    Raises:
        UserError: what `config_for` refuses, or two witnesses of one title.
    """
    found = {"judge": config_for(config.judge, config.data)}
    for name in config.witnesses:
        witness = config_for(name, config.data, "witnesses")
        if title(witness) in found:
            raise UserError(
                f"witnesses={tuple(config.witnesses)}: two of them are called {title(witness)}; name one of each kind"
            )
        found[title(witness)] = witness
    return found


def config_for(judge: str, data: ConfigDict, setting: str = "judge") -> ConfigDict:
    """The config of the judge that a run names, checked to see the images that the run sees.

    Args:
        judge: a config.
        data: the run's data section.
        setting: where it was named.

    Raises:
        UserError: none is named, or it judges another data set, or the same set cropped or resized otherwise.
    """
    if not judge:
        raise UserError("judge=: the config names no neutral classifier; type --config.judge=configs/judge_NAME.py")
    config = configs.load(judge)
    if title_of_data(config.data.name) != title_of_data(data.name):
        raise UserError(f"{setting}={judge}: judges {config.data.name}, not {data.name}; name a judge of {data.name}")
    for key in ("crop", "size", "label"):
        if config.data[key] != data[key]:
            raise UserError(
                f"{setting}={judge}: sees data.{key}={config.data[key]}, not {data[key]}; name a judge "
                f"whose config sets data.{key}={data[key]}"
            )
    return config
