"""(g) `configs/lsdm_cifar10.py:jpeg`, with as many steps as there is time for, trained and evaluated by its judge.

A rehearsal takes the smoke recipe of digits.
"""

import dataclasses
import shutil
import time

import clock  # of the folder above
import numpy as np
import our_steps
from ml_collections import ConfigDict

from experiment_jax import evaluate, files, load_config, load_run, train
from experiment_jax.data.load import load
from experiment_jax.data.split import Dataset
from parts.report import Report, Setting

RECIPE = "configs/lsdm_cifar10.py:jpeg"
SMOKE = "configs/lsdm_digits.py:smoke"  # which needs no prepared data set, and whose judge takes seconds
TRAINING = 0.6  # of the time that is left: for steps, beside compilation, passes, checkpoints and evaluation
LARGEST = 10.0  # times the recipe's steps
FIRST = 5120  # images that a step is measured on
SHOWN = "fd_gen", "fd_recon", "fd_floor", "accuracy_gen", "accuracy_recon", "accuracy_real", "spread"


def run(setting: Setting, report: Report) -> None:
    """A row for each trained stage; the metrics are in the JSON, the first of them in a note, the picture in OUT."""
    config = load_config(SMOKE if setting.tiny else RECIPE)
    data = load(config.data, config.seed)
    config = _scaled(config, data, setting, report)
    workdir = setting.out / "run"
    files.remove(workdir)  # of an earlier measurement, with other numbers of steps
    began = time.monotonic()
    train(config, workdir, [setting.device], dataset=data)
    trained = time.monotonic()
    metrics = evaluate(load_run(workdir, dataset=data))
    report.keep(metrics=metrics)
    report.note(f"Training took {trained - began:.0f} s, evaluation {time.monotonic() - trained:.0f} s.")
    found = ", ".join(f"`{name}` {metrics[name]:.3f}" for name in SHOWN if name in metrics)
    report.note(f"{found} ({config.evaluation.protocol}, {config.data.name}).")
    for picture in sorted(workdir.glob("eval/*/samples.png")):
        shutil.copy(picture, setting.out / "samples.png")
        report.note("The picture is samples.png.")


def _scaled(config: ConfigDict, data: Dataset, setting: Setting, report: Report) -> ConfigDict:
    """The config with as many steps as there is time for, each stage's share as the recipe has it."""
    rows, total = [], 0.0
    part = dataclasses.replace(data, train=data.train.take(np.arange(min(FIRST, len(data.train)))))
    for task, upstream in our_steps.stages(config, part):
        if not task.schedule.total:
            continue
        own = our_steps.step_of(task, upstream)
        spent = clock.milliseconds([own.dispatch], rounds=1, at_least=0.3)[0] / own.steps
        total += spent / 1e3 * task.schedule.total
        rows.append((task.name, own.steps, spent, task.schedule.total))
    factor = 1.0 if setting.tiny else min(LARGEST, max(report.left, 0.0) * TRAINING / total)
    overrides = {}
    for name, dispatch, spent, steps in rows:
        chosen = max(1, round(factor * steps / dispatch)) * dispatch
        overrides[f"{name}.steps"] = chosen
        report.row(**{"stage": name, "steps": chosen, "steps of the recipe": steps, "ms a step, before": float(spent)})
    return load_config(SMOKE if setting.tiny else RECIPE, overrides)
