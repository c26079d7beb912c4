"""(e) Samples a second, drawn in one step and in many, by the networks of CIFAR's recipe."""

import tempfile
from pathlib import Path

import cases  # of the folder above
import our_steps
import sampling

from experiment_jax import Run, load_config, load_run, train
from parts.report import Report, Setting

CONFIGS = {"many steps": "configs/lsdm_cifar10.py:score", "one step": "configs/lsdm_cifar10.py"}
# What drawing costs does not depend on training.
UNTRAINED = {
    "stages": ("representation", "matching"),
    "data.validation": 0,
    "representation.perceptual": 0.0,
    "representation.steps": 0,
    "matching.steps": 0,
}
SMALL = {"representation.widths": (8, 8), "matching.width": 16, "matching.depth": 1, "evaluation.batch_size": 20}


def run(setting: Setting, report: Report) -> None:
    """A row for each sampler; ratios are to the one of many steps."""
    count = 40 if setting.tiny else sampling.COUNT
    with tempfile.TemporaryDirectory() as folder:
        runs = _runs(Path(folder), setting)
        found = sampling.rates(runs, count, 2 if setting.tiny else sampling.ROUNDS)
    for name, run, (latents, images) in zip(CONFIGS, runs, found, strict=True):
        report.row(
            **{
                "sampler": name,
                "images/s, ratio": float(images / found[0, 1]),
                "latents/s, ratio": float(latents / found[0, 0]),
                "nfe": run.model.nfe,
                "images/s": float(images),
                "latents/s": float(latents),
            }
        )
    batch = runs[0].config.evaluation.batch_size
    report.note(f"{count:,} samples in batches of {batch}, brought to the host; networks of `{CONFIGS['one step']}`.")


def _runs(folder: Path, setting: Setting) -> list[Run]:
    """Both samplers, untrained, with one decoder."""
    data, runs, siblings = our_steps.dataset(cases.TINY), [], []
    for name, path in CONFIGS.items():
        config, workdir = (
            load_config(path, UNTRAINED | (SMALL if setting.tiny else {})),
            folder / name.replace(" ", "_"),
        )
        train(config, workdir, [setting.device], dataset=data, siblings=siblings)
        siblings.append(workdir)
        runs.append(load_run(workdir, dataset=data))
    return runs
