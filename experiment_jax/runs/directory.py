"""A run's directory: its config, its metrics, and what may change when it is continued."""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from tensorboardX import SummaryWriter

from experiment_jax.config import durations, sections
from experiment_jax.config import load as configs
from experiment_jax.errors import UserError

LENGTHS = durations.LENGTHS
BOOKKEEPING = (
    *durations.keys("log", durations.UNITS),
    *durations.keys("checkpoint", durations.UNITS),
    "keep",
    "profile",
)
EVALUATION = ("judge", "witnesses", "evaluation")  # what a training does not depend on
MACHINE = ("parallel", "data.resident")  # how it is computed, not what
# Settings that came when judges were cached already: at None, which is what they did before, no fingerprint knows them.
LATER = ("data.crop", "data.size", "data.unpaired", "data.label")
LATER_OF_STAGES = ("compute",)  # likewise, of any stage, and no identity of a stage knows them (`reuse.identity`)


def check(workdir: Path, config: ConfigDict) -> list[str]:
    """What differs between the run in `workdir` and `config`, as lines for the log; [] for a new directory.

    The length of the last stage, the logging and keeping policies, the judge, the witnesses, the evaluation and how it
    is computed may change.

    Raises:
        UserError: anything else differs, or the directory holds something that is not a run.
    """
    workdir = Path(workdir)
    if not (workdir / "config.json").is_file():
        # A leading dot: what a kill during the very first write left behind.
        if workdir.is_file() or (workdir.is_dir() and any(not path.name.startswith(".") for path in workdir.iterdir())):
            raise UserError(f"--workdir {workdir}: is not empty and holds no run; choose another --workdir")
        return []
    old, new = configs.flat(read_config(workdir)), configs.flat(config)
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    last = config.stages[-1] if len(config.stages) else ""
    refused = [key for key in changed if not _may_change(key, last)]
    if refused:
        key = refused[0]
        more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
        raise UserError(
            f"--workdir {workdir}: holds a run with {key}={old.get(key)}, not {new.get(key)}{more}; "
            f"choose another --workdir, or type --config.{key}={old.get(key)}"
        )
    return [f"{key}: {old.get(key)} -> {new.get(key)}" for key in changed]


def _may_change(key: str, last_stage: str) -> bool:
    section, _, name = key.partition(".")
    return section in EVALUATION or name in BOOKKEEPING or key in MACHINE or (section == last_stage and name in LENGTHS)


def fingerprint(config: ConfigDict) -> str:
    """Twelve hexadecimal digits of the settings that decide what is trained; not bookkeeping, not evaluation.

    A setting in LATER counts only where it is not None.
    """
    decisive = {
        key: value
        for key, value in configs.flat(config).items()
        if key.partition(".")[0] not in EVALUATION
        and key.rpartition(".")[2] not in BOOKKEEPING
        and key not in MACHINE
        and not (key in LATER and value is None)
    }
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]


def write_config(workdir: Path, config: ConfigDict) -> None:
    """Writes config.json, at once or not at all."""
    write_text(Path(workdir) / "config.json", configs.to_json(config) + "\n")


def read_config(workdir: Path) -> ConfigDict:
    """The config of the run in `workdir`; what every config has and an older run's lacks, has its default.

    Raises:
        UserError: there is no run, or its config.json is damaged.
    """
    path = Path(workdir) / "config.json"
    if not path.is_file():
        raise UserError(
            f"--workdir {workdir}: holds no run; train one: python train.py --config ... --workdir {workdir}"
        )
    try:
        config = configs.from_json(path.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: is damaged ({error}); choose another --workdir") from None
    with config.unlocked():
        _complete(config, sections.experiment("", "", ()))
    return config


def _complete(config: ConfigDict, defaults: ConfigDict) -> None:
    for key, value in defaults.items(preserve_field_references=True):
        if key not in config:
            config[key] = value
        elif isinstance(value, ConfigDict):
            _complete(config[key], value)


def write_text(path: Path, text: str) -> None:
    """Writes a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_text(text)
    beside.replace(path)


class MetricsWriter:
    """Rows of one stage, to `DIR/metrics.jsonl` and as TensorBoard events under `DIR/tensorboard/<stage>`."""

    def __init__(self, workdir: Path, stage: str, resume_step: int) -> None:
        """Cuts the stage's rows past `resume_step`, the step of the restored checkpoint (-1: nothing was restored)."""
        path = Path(workdir) / "metrics.jsonl"
        rows = [row for row in read_metrics(workdir) if row["stage"] != stage or row["step"] <= resume_step]
        write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
        self._stage = stage
        self._file = path.open("a")
        self._board = SummaryWriter(str(Path(workdir) / "tensorboard" / stage), purge_step=resume_step + 1)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """One row: the metrics after `step` steps."""
        self._file.write(json.dumps({"stage": self._stage, "step": step, **metrics}) + "\n")
        self._file.flush()
        for name, value in metrics.items():
            self._board.add_scalar(name, value, step)

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """One picture, uint8 `[height, width, 3]`, as a TensorBoard event."""
        self._board.add_image(name, image, step, dataformats="HWC")

    def close(self) -> None:
        self._file.close()
        self._board.close()


def read_metrics(workdir: Path) -> list[dict[str, Any]]:
    """All complete rows of metrics.jsonl; a last line that a kill cut short is left out."""
    path = Path(workdir) / "metrics.jsonl"
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows
