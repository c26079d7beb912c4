"""Configs of neutral classifiers: the judges, by which every evaluation measures, and ResNets as witnesses."""

from typing import Any

from ml_collections import ConfigDict

from experiment_jax.config import sections


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
    config.classifier = sections.stage("experiment_jax.networks.convolutional:stage", **defaults | own)
    return config


def judge_variants(cas_steps: int) -> dict[str, dict[str, Any]]:
    """A judge's variants: `smoke`, and `cas`, the recipe of the classification accuracy score, `cas_steps` long."""
    return {
        "smoke": {"classifier.steps": 2, "classifier.batch_size": 20},
        "cas": {"data.validation": 0, "classifier.steps": cas_steps},
    }


def resnet_config(dataset: str, **own: Any) -> ConfigDict:
    """A ResNet's config: every setting with its default, so that `configs/resnet_NAME.py` names only what differs."""
    config = sections.experiment("judge", dataset, stages=("classifier",))
    defaults = dict(
        view="paired",
        batch_size=128,
        steps=64_000,
        optimiser=dict(name="sgd", learning_rate=0.1, b1=0.9, weight_decay=1e-4, clip=0.0),
        depth=56,
        shift=4,
        label_smoothing=0.0,
    )
    config.classifier = sections.stage("experiment_jax.networks.resnet:stage", **defaults | own)
    return config


def resnet_variants(cpu_steps: int) -> dict[str, dict[str, Any]]:
    """A ResNet's variants: `smoke`; `cpu`, which two cores can train, `cpu_steps` long; and `cas`, see the judge's."""
    return {
        "smoke": {"classifier.depth": 8, "classifier.steps": 2, "classifier.batch_size": 20},
        "cpu": {"classifier.depth": 8, "classifier.steps": cpu_steps},
        "cas": {"data.validation": 0},
    }
