"""NaN and infinity in a training, and what a section's `on_nonfinite` makes of them.

"stop", the default, ends the run and costs nothing a step: metrics are looked at where they are fetched for a row, and
the state where it is measured or saved. So no row and no checkpoint is ever written that is not finite. A batch between
two rows goes unnoticed if all that it spoilt are its own metrics.

"skip" leaves the state as it was where a batch would make a metric or the state not finite. That is decided on the
device, at every step. After `MOST` such batches in a row the next one is not skipped, and ends the run as "stop" does.
How many were skipped is no part of a checkpoint, so a run may change from one to the other where it is resumed; the
count in a row then begins anew.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.devices.batch_axis import BatchAxis

PyTree = Any
MOST = 10  # batches in a row that are skipped
ENOUGH = f", after {MOST} batches in a row that were skipped"
TOTAL = "skipped_in_all"  # the metric that is no part of a row
Outcome = tuple[PyTree, Mapping[str, jax.Array]]  # a state and metrics
Steps = Callable[[PyTree, PyTree, Any], Outcome]  # of a state, rows and what all steps share


class Skipped(NamedTuple):
    """How many batches were skipped, int32 scalars: in a row up to this step, and since the training was started."""

    in_a_row: jax.Array
    total: jax.Array


def skipping(update: Callable[..., Outcome], axis: BatchAxis) -> Callable[..., Outcome]:
    """A stage's `update` that skips; its state is a pair of the stage's own and `Skipped`.

    Metrics of a batch that is skipped are NaN; the metric `skipped` is then 1, else 0.
    """

    def guarded(state: tuple[PyTree, Skipped], batch: Any, key: jax.Array, upstream: Any) -> Outcome:
        before, skipped = state
        after, metrics = update(before, batch, key, upstream)
        floats = [x for x in jax.tree.leaves((after, metrics)) if jnp.issubdtype(jnp.result_type(x), jnp.inexact)]
        finite = jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in floats]))
        finite = axis.mean(finite.astype(jnp.float32)) == 1.0  # on every device, so that all decide alike
        taken = finite | (skipped.in_a_row >= MOST)
        kept = jax.tree.map(lambda new, old: jnp.where(taken, new, old), after, before)
        count = Skipped(jnp.where(finite, 0, skipped.in_a_row + 1), skipped.total + jnp.where(taken, 0, 1))
        found = {name: jnp.where(taken, value, jnp.nan) for name, value in metrics.items()}
        return (kept, count), {**found, "skipped": 1.0 - taken.astype(jnp.float32)}

    return guarded


def compiled(
    steps: Steps,
    compile: Callable[[Steps], Steps],
    spread: Callable[[PyTree], PyTree],
    members: tuple[int, ...] = (),
) -> Steps:
    """Steps that skip, compiled; from the stage's own state to the next one, since the count is kept here.

    Args:
        steps: with states as `skipping` has them.
        compile: see `devices.mesh.Devices`.
        spread: the same.
        members: how many runs train together, as the shape of a scalar.
    """

    def counted(state: tuple[PyTree, Skipped], rows: PyTree, common: Any) -> Outcome:
        state, metrics = steps(state, rows, common)
        return state, {**metrics, TOTAL: state[1].total}

    program, skipped = compile(counted), spread(Skipped(*jnp.zeros((2, *members), jnp.int32)))

    def call(state: PyTree, rows: PyTree, common: Any) -> Outcome:
        nonlocal skipped
        (state, skipped), metrics = program((state, skipped), rows, common)
        return state, metrics

    return call


def abstract(like: PyTree) -> tuple[PyTree, Skipped]:
    """Shapes and types of a state as `skipping` has it, from those of the stage's own."""
    return like, Skipped(*[jax.ShapeDtypeStruct((), jnp.int32)] * 2)


def values(state: PyTree) -> dict[str, float]:
    """One number of each leaf of a state on the host: the first that is not finite, else 0; by the leaf's name."""

    def worst(leaf: Any) -> float:
        array = np.asarray(leaf)
        if not jnp.issubdtype(array.dtype, jnp.inexact) or (good := np.isfinite(array)).all():
            return 0.0
        return float(array[~good][0])

    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): worst(leaf) for path, leaf in leaves}
