"""One writer in a folder: a lock that the death of its holder releases. Reading is free.

`FOLDER/.lock` names the holder. On one host the system's lock on that file (`flock`) decides, and a holder that was
killed has none. Not every shared file system passes such locks on to other hosts, so a holder also touches the file
now and then: a holder on another host lives while the file's time changes, whatever the hosts' clocks say.
"""

import contextlib
import fcntl
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from experiment_jax.errors import Busy
from experiment_jax.files import writing

log = logging.getLogger(__name__)
NAME = ".lock"
BEAT, PATIENCE = 15.0, 60.0  # seconds between two touches; how long an untouched file is watched


@contextlib.contextmanager
def hold(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Holds the lock of a folder, which is made if need be.

    Args:
        folder: to write into.
        wait: until its holder lets go.

    Raises:
        Busy: another process holds it, and nothing was changed.
        Unwritable: the folder may only be read, or its disk is full.
    """
    path = folder / NAME
    with writing(path):
        folder.mkdir(parents=True, exist_ok=True)
        file, local = _lock(path, wait)
    with file:
        while _is_another(_holder(path), local) and _lives(path):
            if not wait:
                raise Busy(_message(path))
        with writing(path):
            file.truncate(0)
            file.write(json.dumps({"host": socket.gethostname(), "pid": os.getpid()}))
            file.flush()
        stop = threading.Event()
        threading.Thread(target=_touch, args=(path, stop), daemon=True).start()
        try:
            yield
        finally:
            stop.set()
            with contextlib.suppress(OSError):
                path.unlink()


def _lock(path: Path, wait: bool) -> tuple[TextIO, bool]:
    """The open file, and whether the system has locked it; some file systems know no locks."""
    while True:
        file = path.open("a+")
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise Busy(_message(path)) from None
                log.info("waiting: %s", _message(path))
                fcntl.flock(file, fcntl.LOCK_EX)
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                return file, True
        except FileNotFoundError:  # whoever held it has let go and deleted it meanwhile
            pass
        except Busy:
            file.close()
            raise
        except OSError as error:
            log.warning("%s: this file system has no locks (%s); processes see each other by heartbeat", path, error)
            return file, False
        file.close()


def _holder(path: Path) -> dict[str, Any]:
    """What the file says; {}: nothing, as after a holder that let go."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_another(holder: dict[str, Any], local: bool) -> bool:
    """Whether the file names a process that the system's lock says nothing of."""
    return bool(holder) and not (local and holder.get("host") == socket.gethostname())


def _lives(path: Path) -> bool:
    """Whether the file is touched while it is watched."""
    log.info("%s; looking for %.0f seconds whether it is alive", _message(path), PATIENCE)
    before, end = _touched(path), time.monotonic() + PATIENCE
    while time.monotonic() < end:
        time.sleep(min(1.0, PATIENCE / 10))
        if _touched(path) != before:
            return True
    return False


def _touched(path: Path) -> int | None:
    try:
        with path.open() as file:  # opened anew: a network's file system then asks its server
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:
        return None


def _touch(path: Path, stop: threading.Event) -> None:
    while not stop.wait(BEAT):
        with contextlib.suppress(OSError):
            os.utime(path)


def _message(path: Path) -> str:
    holder = _holder(path)
    who = f"process {holder.get('pid')} on {holder.get('host')}" if holder else "another process"
    return f"{path.parent}: {who} writes there; wait until it has ended, or end it, then type the same command again"
