"""(f) Seeds trained in one program beside the same one after another; see `sweep_together.py`."""

import sweep_together  # of the folder above

from experiment_jax import load_config
from parts.report import Report, Setting

CONFIG, SEEDS, DISPATCHES = "configs/lsdm_digits.py", 8, 100
SMALL = {"matching.batch_size": 40, "representation.widths": (8,), "matching.width": 16, "matching.depth": 1}


def run(setting: Setting, report: Report) -> None:
    """A row for each trained stage."""
    seeds, dispatches, changes = (2, 2, SMALL) if setting.tiny else (SEEDS, DISPATCHES, {})
    members = [load_config(CONFIG, {**changes, "seed": seed}) for seed in range(seeds)]
    report.note(f"{seeds} seeds of `{CONFIG}`, {dispatches} dispatches; compilation is left out.")
    for row in sweep_together.measured(members, dispatches):
        report.row(
            **{
                "stage": row.stage,
                "one by one / together": float(row.apart / row.together),
                "one by one, ms a step of all": float(row.apart),
                "together, ms": float(row.together),
            }
        )
        if report.late("the stages after it"):
            return
