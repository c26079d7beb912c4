"""A run's hull with another number of sources, as the paper's figures 4 and 5 compare them."""

from experiment_jax.errors import UserError
from experiment_jax.runs.run import Run

NUMBERS = (2, 3, 5)


def combining(run: Run, number: int) -> Run:
    """The run with `number` latents in every convex combination; a fixed ratio, which belongs to one n, becomes 1/n.

    Raises:
        UserError: the run has no hull.
    """
    if "hull" not in run.config.stages:
        stages = ", ".join(run.config.stages)
        raise UserError(f"--workdir {run.workdir}: its stages {stages} hold no hull; take a run with a stage hull")
    overrides = {"hull.n": number}
    if run.config.hull.weights == "ratio":
        overrides["hull.weights"] = "uniform"
    return run.with_settings(overrides)
