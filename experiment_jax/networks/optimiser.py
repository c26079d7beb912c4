"""Optimisers from a config section, out of optax's parts."""

import optax
from ml_collections import ConfigDict

from experiment_jax.config import durations
from experiment_jax.errors import UserError


def build(section: ConfigDict, total_steps: int) -> optax.GradientTransformation:
    """The optimiser of a stage's `optimiser` section, its schedule stretched over `total_steps`.

    Raises:
        UserError: a name or schedule that is not offered.
    """
    warmup = durations.to_steps(section, "warmup", total=total_steps)
    rate = _schedule(section, min(warmup, max(total_steps - 1, 0)), total_steps)
    moments = dict(b1=section.b1, b2=section.b2)
    if section.name == "adam":
        step = optax.adamw(rate, weight_decay=section.weight_decay, **moments)
    elif section.name == "sgd":
        step = optax.chain(optax.add_decayed_weights(section.weight_decay), optax.sgd(rate, momentum=section.b1))
    else:
        raise UserError(f"optimiser.name={section.name}: choose adam or sgd")
    return optax.chain(optax.clip_by_global_norm(section.clip), step) if section.clip else step


def _schedule(section: ConfigDict, warmup: int, total: int) -> optax.Schedule:
    rate = section.learning_rate
    if section.schedule == "constant":
        after = optax.constant_schedule(rate)
    elif section.schedule == "cosine":
        after = optax.cosine_decay_schedule(rate, max(total - warmup, 1))
    else:
        raise UserError(f"optimiser.schedule={section.schedule}: choose cosine or constant")
    return optax.join_schedules([optax.linear_schedule(rate / (warmup + 1), rate, warmup), after], [warmup])
