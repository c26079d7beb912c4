"""Says what one training step costs, in the log and in DIR/analysis.json. How it is counted: `training.cost`."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

from experiment_jax.devices import processes
from experiment_jax.devices.mesh import Program
from experiment_jax.files import write_text
from experiment_jax.training import cost
from experiment_jax.training.cost import MACHINES, Cost, roofline

log = logging.getLogger(__name__)
FILE = "analysis.json"


def report(name: str, batch_size: int, program: Program, workdir: Path) -> None:
    """Logs what one step of a stage costs, and writes it to DIR/analysis.json; the first of several processes does.

    Args:
        name: of the stage.
        batch_size: over all devices.
        program: one step, from `training.step.Steps.lower`.
        workdir: the run's directory.

    Raises:
        Unwritable: the system refuses the file.
    """
    found = cost.of(program)  # on every process: they compile one program together
    if processes.is_first():
        log.info("%s", "\n  ".join([f"{name}: one step, batch {batch_size}, {_where(found)}", *lines(found)]))
        path = Path(workdir) / FILE
        write_text(path, json.dumps(read(workdir) | {name: as_json(found, batch_size)}, indent=2) + "\n")


def read(workdir: Path) -> dict[str, Any]:
    """DIR/analysis.json by stage; {} where there is none, or a damaged one."""
    try:
        found = json.loads((Path(workdir) / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def as_json(found: Cost, batch_size: int) -> dict[str, Any]:
    """A cost with its rooflines, as JSON holds them; null is unknown, times are in seconds."""
    machines = [
        dataclasses.asdict(each) | dataclasses.asdict(bound) | {"at_least": bound.seconds, "bound_by": bound.by}
        for each, bound in ((each, roofline(found, each)) for each in MACHINES)
    ]
    return {"batch_size": batch_size, **dataclasses.asdict(found), "intensity": found.intensity, "machines": machines}


def lines(found: Cost) -> list[str]:
    """A cost and its rooflines in words, and what the counts leave out."""
    said = [
        f"{scaled(found.flops, 'FLOP')}, {scaled(found.bytes, 'B')} read and written, "
        f"{'unknown' if found.intensity is None else f'{found.intensity:.3g}'} FLOP a byte, "
        f"{scaled(found.peak, 'B')} held at once"
    ]
    for machine in MACHINES:
        bound = roofline(found, machine)
        said.append(
            f"{machine.name}, {machine.precision}: at least {milliseconds(bound.seconds)}, bound by "
            f"{bound.by or 'what is unknown'} (arithmetic {milliseconds(bound.arithmetic)}, "
            f"memory {milliseconds(bound.memory)})"
        )
    return said + notes(found)


def notes(found: Cost) -> list[str]:
    """What the counts of a cost leave out."""
    said, unknown = [], sum(length is None for length in found.loops)
    if unknown:
        said.append(f"{unknown} loops whose length is found while they run: the counts have one round of each")
    if known := [length for length in found.loops if length is not None]:
        said.append(f"loops of {', '.join(map(str, known))} rounds: the counts have one round of each")
    if found.libraries:
        said.append(
            f"library calls ({', '.join(found.libraries)}): FLOPs are counted before optimisation, bytes without them"
        )
    if found.platform == "cpu":
        said.append(
            "bytes are those of a program for CPUs, which fuses less than an accelerator's: its memory time is less"
        )
    if not found.text:
        said.append("the backend does not show its program: whether it has loops or library calls is unknown")
    return said


def scaled(value: float | None, unit: str) -> str:
    """Three digits with a prefix, such as 1.23 GB; "unknown" of None."""
    if value is None:
        return "unknown"
    for prefix in ("", "k", "M", "G", "T"):
        if value < 999.5 or prefix == "T":
            return f"{value:.3g} {prefix}{unit}"
        value /= 1000
    raise AssertionError


def milliseconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{1e3 * seconds:.3g} ms"


def _where(found: Cost) -> str:
    devices = f"each of {found.devices} devices" if found.devices > 1 else "one device"
    return f"{devices}, as compiled for {found.platform}"
