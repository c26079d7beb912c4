"""TensorBoard's file of one stage, written by the thread that trains, so that a full disk is noticed there."""

import socket
import time
from pathlib import Path

import numpy as np
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.proto.summary_pb2 import Summary
from tensorboardX.record_writer import RecordWriter

from experiment_jax.files import writing

FLUSH = 60  # seconds after which what was written is in the file


class Board:
    """An events file; every method raises Unwritable where the system refuses what is written."""

    def __init__(self, folder: Path, first: int) -> None:
        """Begins a file; what earlier files hold from the step `first` on counts no more."""
        self._folder, self._flushed = folder, time.monotonic()
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._file = RecordWriter(str(folder / f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}"))
        self._write(Event(file_version="brain.Event:2", wall_time=time.time()))
        self._write(Event(file_version="brain.Event:2", step=first))
        self._write(Event(session_log=SessionLog(status=SessionLog.START), step=first))

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self._add(summary.scalar(name, value), step)

    def add_image(self, name: str, image: np.ndarray, step: int) -> None:
        """An image uint8 `[height, width, 3]`."""
        self._add(summary.image(name, image, dataformats="HWC"), step)

    def _add(self, content: Summary, step: int) -> None:
        self._write(Event(summary=content, step=step, wall_time=time.time()))

    def _write(self, event: Event) -> None:
        with writing(self._folder):
            self._file.write(event.SerializeToString())
            if time.monotonic() - self._flushed > FLUSH:
                self._file.flush()
                self._flushed = time.monotonic()

    def close(self) -> None:
        with writing(self._folder):
            self._file.close()
