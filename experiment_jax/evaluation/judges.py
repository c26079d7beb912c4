"""The neutral classifier: trained once a data set on its real images and labels, by a config and a run of its own.

Fréchet distances are taken in its features and accuracies are its verdicts, so its hash stands beside every such
number, and numbers of different judges are not comparable. No method trains on it or on its features.
"""

import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
from ml_collections import ConfigDict

from experiment_jax.config import checks as settings
from experiment_jax.config import load as configs
from experiment_jax.config import sections
from experiment_jax.data import sources
from experiment_jax.devices import cache
from experiment_jax.errors import UserError
from experiment_jax.method.stage import Context, Stage
from experiment_jax.networks import classifier
from experiment_jax.networks.norms import group_norm
from experiment_jax.runs import checkpoints
from experiment_jax.runs import directory as run_directory

log = logging.getLogger(__name__)


class Features(nn.Module):
    """A small residual-free convolutional network: `[batch, height, width, channels]` -> `[batch, features]`.

    Attributes:
        widths: channels of each block; every block but the first halves the image (rounding up).
        convolutions: in each block.
        features: size of the penultimate layer.
        dropout: share of features dropped in training.
    """

    widths: tuple[int, ...]
    convolutions: int
    features: int
    dropout: float

    @nn.compact
    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        x = images
        for block, width in enumerate(self.widths):
            if block:
                x = nn.avg_pool(x, (2, 2), (2, 2), padding="SAME")
            for _ in range(self.convolutions):
                x = nn.silu(group_norm(width)(nn.Conv(width, (3, 3))(x)))
        x = nn.Dense(self.features)(x.reshape(len(x), -1))
        x = nn.silu(nn.LayerNorm()(x))
        return nn.Dropout(self.dropout, deterministic=not train)(x)


def stage(config: ConfigDict, context: Context) -> Stage:
    """The stage of a judge, see `experiment_jax.networks.classifier`.

    Args:
        config: widths, convolutions, features, dropout, shift, label_smoothing, optimiser, ema_decay.
        context: see `Context`.

    Raises:
        UserError: widths or features that are not positive, or dropout under pmap.
    """
    settings.check_widths(config.widths, context.name)
    settings.check_positive(config, context.name, features=64)
    if context.axis_name is not None and config.dropout:
        raise UserError(
            f"{context.name}.dropout={config.dropout}: under pmap each device would drop what it likes; "
            f"type --config.parallel=jit"
        )
    network = Features(config.widths, config.convolutions, config.features, config.dropout)
    return classifier.stage(network, config.features, config, context)


def judge_config(dataset: str, **own: Any) -> ConfigDict:
    """A judge's config: every setting with its default, so that `configs/judge_NAME.py` names only what differs."""
    config = sections.experiment("judge", dataset, stages=("classifier",))
    defaults = dict(
        view="paired",
        batch_size=128,
        steps=6000,
        optimiser=dict(learning_rate=2e-3, weight_decay=1e-3),
        widths=(32, 64, 128),
        convolutions=1,
        features=64,
        dropout=0.2,
        shift=2,
        label_smoothing=0.05,
    )
    config.classifier = sections.stage("experiment_jax.evaluation.judges:stage", **defaults | own)
    return config


def variants(cas_steps: int) -> dict[str, dict[str, Any]]:
    """A judge's variants: `smoke`, and `cas`, the recipe of the classification accuracy score, `cas_steps` long."""
    return {
        "smoke": {"classifier.steps": 2, "classifier.batch_size": 20},
        "cas": {"data.validation": 0, "classifier.steps": cas_steps},
    }


def trained(config: ConfigDict) -> Path:
    """The run directory of the judge that `config` describes, trained now if the cache does not hold it.

    The name of the directory carries a hash of the config, so that a changed recipe is another judge.
    """
    from experiment_jax.training.train import train  # the judge is itself a run; at the top this would be a circle

    name = sources.title(config.data.name)
    place = cache.folder("judges") / f"{name}-{run_directory.fingerprint(config)}"
    if not place.is_dir():
        log.info("training the neutral classifier of %s, once, into %s", name, place)
        place.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        try:
            train(config, beside / "run", jax.devices()[:1])  # the same judge, however many devices there are
            if not place.is_dir():  # another process may have been faster; both trained the same judge
                (beside / "run").rename(place)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    return place


def title(config: ConfigDict) -> str:
    """What a neutral classifier is called in the names of metrics: its last stage's module, and depth if it has one."""
    section = config[config.stages[-1]]
    return f"{section.build.partition(':')[0].rpartition('.')[2]}{section.get('depth', '')}"


def witnesses(names: Sequence[str], data: ConfigDict) -> dict[str, ConfigDict]:
    """The configs of the classifiers that a run calls as witnesses, by title; refused as in `config_for`."""
    found = {}
    for name in names:
        config = config_for(name, data, "witnesses")
        if title(config) in found:
            raise UserError(f"witnesses={tuple(names)}: two of them are called {title(config)}; name one of each kind")
        found[title(config)] = config
    return found


def digests(config: ConfigDict) -> dict[str, str]:
    """The digests of the judge and the witnesses that a run's config names now, by the keys under which an evaluation
    writes them. One that is not trained yet is trained now; refused as in `config_for`."""
    named = {"judge": config_for(config.judge, config.data)}
    named |= {f"witness_{title}": each for title, each in witnesses(config.witnesses, config.data).items()}
    found = {}
    for key, each in named.items():
        place = trained(each)
        params = {stage: checkpoints.load_finished(place, stage)[0] for stage in each.stages}
        found[key] = checkpoints.digest(params)
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
    if sources.title(config.data.name) != sources.title(data.name):
        raise UserError(f"{setting}={judge}: judges {config.data.name}, not {data.name}; name a judge of {data.name}")
    for key in ("crop", "size", "label"):
        if config.data[key] != data[key]:
            raise UserError(
                f"{setting}={judge}: sees data.{key}={config.data[key]}, not {data[key]}; name a judge "
                f"whose config sets data.{key}={data[key]}"
            )
    return config
