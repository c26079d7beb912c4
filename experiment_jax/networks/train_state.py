"""One trained network: its parameters, their moving average, its optimiser; and one step of gradient descent."""

from collections.abc import Callable, Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax

from experiment_jax.devices import placement as parallel

PyTree = Any
Loss = Callable[[PyTree, PyTree], tuple[jax.Array, tuple[PyTree, Mapping[str, jax.Array]]]]


@flax.struct.dataclass
class TrainState:
    """Everything that training one network changes.

    Attributes:
        step: int32 scalar, the number of steps done.
        params: what the optimiser moves.
        statistics: what the forward pass moves (BatchNorm's running mean and variance); {} where there is none.
        average: exponential moving average of {"params": params, "statistics": statistics}.
        optimiser: optax's state.
    """

    step: jax.Array
    params: PyTree
    statistics: PyTree
    average: PyTree
    optimiser: optax.OptState


def create(params: PyTree, optimiser: optax.GradientTransformation, statistics: PyTree | None = None) -> TrainState:
    """The state before the first step."""
    statistics = {} if statistics is None else statistics
    average = jax.tree.map(jnp.copy, {"params": params, "statistics": statistics})
    return TrainState(jnp.zeros((), jnp.int32), params, statistics, average, optimiser.init(params))


def descend(
    state: TrainState,
    loss: Loss,
    optimiser: optax.GradientTransformation,
    ema_decay: float,
    axis_name: str | None = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
    """One step of `optimiser` on `loss(params, statistics) -> (scalar, (statistics, metrics))`.

    The moving average starts fast, with decay (1 + t) / (10 + t) until that exceeds `ema_decay`, so that short
    trainings are not averages of their own initialisation.

    Returns:
        The new state and `loss`'s metrics, with the loss and the norms of gradient, update and parameters.
    """
    (value, (statistics, metrics)), gradient = jax.value_and_grad(loss, has_aux=True)(state.params, state.statistics)
    gradient, value, statistics, metrics = parallel.mean((gradient, value, statistics, metrics), axis_name)
    updates, optimiser_state = optimiser.update(gradient, state.optimiser, state.params)
    params = optax.apply_updates(state.params, updates)
    t = state.step.astype(jnp.float32)
    decay = jnp.minimum(ema_decay, (1 + t) / (10 + t))
    average = optax.incremental_update({"params": params, "statistics": statistics}, state.average, 1 - decay)
    evidence = {
        "loss": value,
        "gradient_norm": optax.global_norm(gradient),
        "update_norm": optax.global_norm(updates),
        "parameter_norm": optax.global_norm(params),
    }
    return TrainState(state.step + 1, params, statistics, average, optimiser_state), {**evidence, **metrics}
