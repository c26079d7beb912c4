"""What a part is told, and what it says: rows, which are on disk as soon as they are measured."""

import dataclasses
import json
import math
import time
from pathlib import Path
from typing import Any

import jax
import table  # of the folder above
from machine import machine

from experiment_jax.files import write_text
from parts import Part


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all parts share.

    Attributes:
        out: the folder of the results.
        tiny: sizes of a test.
        device: that is measured, the first.
    """

    out: Path
    tiny: bool
    device: jax.Device

    @property
    def accelerated(self) -> bool:
        """Whether the device is an accelerator."""
        return self.device.platform != "cpu"


class Report:
    """What one part found, in OUT/<letter>.json after every row.

    Attributes:
        part: which.
        status: "running", "done", "failed" or "skipped".
        rows: of its table: column -> number or text.
        faults: what the project did not compute that it should have.
    """

    def __init__(self, part: Part, setting: Setting, seconds: float) -> None:
        self.part, self.status, self.rows, self.faults = part, "running", [], []
        self._setting, self._begun, self._seconds = setting, time.monotonic(), seconds
        self._reason, self._notes, self._more, self._over = "", [], {}, None

    @property
    def left(self) -> float:
        """Seconds of the part's time that are left; below 0: it is late."""
        return self._begun + self._seconds - time.monotonic()

    def late(self, what: str) -> bool:
        """Whether the part's time is used up; then a note says that `what` is left out."""
        if self.left > 0:
            return False
        self.note(f"No time was left for {what}.")
        return True

    def row(self, **values: object) -> dict[str, object]:
        """Adds a row. The row may be changed later; `save` writes it again."""
        self.rows.append({name.replace("_", " "): value for name, value in values.items()})
        self.save()
        return self.rows[-1]

    def note(self, line: str) -> None:
        """Adds a line below the table, once."""
        if line not in self._notes:
            self._notes.append(line)
        self.save()

    def fault(self, line: str) -> None:
        """Adds a line below the table, of what the project itself did not compute: the part has failed, and goes on."""
        self.faults.append(line)
        self.note(f"{line}.")

    def keep(self, **more: Any) -> None:
        """Adds what the JSON alone has."""
        self._more.update(more)
        self.save()

    def end(self, status: str, reason: str = "") -> None:
        """The part is over; a reason is one line."""
        self.status, self._reason, self._over = status, reason, time.monotonic()
        self.save()

    @property
    def taken(self) -> float:
        """Seconds, so far."""
        return (self._over or time.monotonic()) - self._begun

    def save(self) -> None:
        """Writes the JSON, whole or not at all; raises Unwritable where the system refuses it."""
        told = dict(
            part=self.part.letter,
            title=self.part.title,
            status=self.status,
            reason=self._reason,
            seconds=round(self.taken, 1),
            tiny=self._setting.tiny,
            machine=machine(),
            rows=self.rows,
            notes=self._notes,
            **self._more,
        )
        write_text(self._setting.out / f"{self.part.letter}.json", json.dumps(_plain(told), indent=1))

    def markdown(self) -> str:
        """The part's section of the table."""
        over = f"{self.status}: {self._reason}" if self._reason else self.status
        taken = "" if self.status == "skipped" else f" ({self.taken:.0f} s)"
        head = f"## ({self.part.letter}) {self.part.title}\n\n{over[0].upper()}{over[1:]}{taken}."
        return "\n\n".join(filter(None, [head, "\n".join(table.lines(self.rows)), "\n".join(self._notes)]))


def _plain(value: Any) -> Any:
    """As JSON has it: no NaN, no infinity, no number of NumPy's."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
