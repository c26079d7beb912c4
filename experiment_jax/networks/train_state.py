"""One trained network: its parameters, their moving average, its optimiser; and one step of gradient descent."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax
import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiment_jax.devices.batch_axis import WHOLE, BatchAxis
from experiment_jax.method.stage import Context
from experiment_jax.networks import optimiser

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


@dataclasses.dataclass(frozen=True)
class Descent:
    """How one network is trained: gradient descent on the mean loss of the batch, and a moving average.

    Attributes:
        optimiser: optax's.
        ema_decay: of the moving average, once it is no longer young.
        axis: the batch over which gradients are averaged.
    """

    optimiser: optax.GradientTransformation
    ema_decay: float
    axis: BatchAxis = WHOLE

    @classmethod
    def of(cls, section: ConfigDict, context: Context) -> "Descent":
        """By a stage's settings optimiser and ema_decay."""
        return cls(optimiser.build(section.optimiser, context.total_steps), section.ema_decay, context.axis)

    def init(self, params: PyTree, statistics: PyTree | None = None) -> TrainState:
        """The state before the first step."""
        statistics = {} if statistics is None else statistics
        average = jax.tree.map(jnp.copy, {"params": params, "statistics": statistics})
        return TrainState(jnp.zeros((), jnp.int32), params, statistics, average, self.optimiser.init(params))

    def step(self, state: TrainState, loss: Loss) -> tuple[TrainState, dict[str, jax.Array]]:
        """One step on `loss(params, statistics) -> (scalar, (statistics, metrics))`: gradients, update, average.

        The moving average starts fast, with decay (1 + t) / (10 + t) until that exceeds `ema_decay`, so that short
        trainings are not averages of their own initialisation.

        Returns:
            The new state and `loss`'s metrics, with the loss and the norms of gradient, update and parameters.
        """
        differentiate = jax.value_and_grad(loss, has_aux=True)
        (value, (statistics, metrics)), gradient = differentiate(state.params, state.statistics)
        gradient, value, statistics, metrics = self.axis.mean((gradient, value, statistics, metrics))
        updates, optimiser_state = self.optimiser.update(gradient, state.optimiser, state.params)
        params = optax.apply_updates(state.params, updates)
        t = state.step.astype(jnp.float32)
        decay = jnp.minimum(self.ema_decay, (1 + t) / (10 + t))
        average = optax.incremental_update({"params": params, "statistics": statistics}, state.average, 1 - decay)
        norms = {
            "loss": value,
            "gradient_norm": optax.global_norm(gradient),
            "update_norm": optax.global_norm(updates),
            "parameter_norm": optax.global_norm(params),
        }
        return TrainState(state.step + 1, params, statistics, average, optimiser_state), {**norms, **metrics}
