"""A judge that is not shipped and trains in a second, so that two evaluations can both find that there is none."""

from experiment_jax import load_config


def get_config():
    return load_config(
        "configs/judge_digits.py",
        {"classifier.steps": 20, "classifier.widths": (4,), "classifier.features": 5, "data.validation": 20},
    )
