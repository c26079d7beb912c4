"""Files that are there whole or not at all, and what is said where they cannot be written."""

import contextlib
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from experiment_jax.errors import Unwritable


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raises Unwritable, which names `path`, where the system refuses what is written inside."""
    try:
        yield
    except OSError as error:
        raise _unwritable(path, error.strerror or str(error)) from error
    except ValueError as error:
        # TensorStore, which writes the arrays of checkpoints, gives the number of the system's error as text; a write
        # that fails because one before it has failed has no number.
        number = re.search(r"os_error_code='(\d+)'", str(error))
        if number is None and "Error writing" not in str(error):
            raise
        raise _unwritable(path, os.strerror(int(number[1])) if number else "an earlier write failed") from error


def _unwritable(path: Path, reason: str) -> Unwritable:
    return Unwritable(
        f"{path}: cannot be written ({reason}); free space there, or make it a folder that you may write to, then type "
        f"the same command again"
    )


def check_room(path: Path, size: int) -> None:
    """Raises OSError where fewer than `size` bytes are free on the disk of `path`, before anything is begun there."""
    if shutil.disk_usage(next(each for each in (path, *path.absolute().parents) if each.exists())).free < size:
        raise OSError(None, f"{size / 1e6:.0f} MB are needed, and fewer are free")


@contextlib.contextmanager
def replacing(path: Path, aside: str = "") -> Iterator[Path]:
    """A temporary path in the folder of `path`, which takes its place at the end; the folder is made if need be.

    Args:
        path: to be written.
        aside: see `set_aside`; what was there is then kept under that name, once the new file is whole.

    Raises:
        Unwritable: the system refuses it; what was there stays.
    """
    temporary = path.with_name(f".{os.getpid()}.{uuid.uuid4().hex[:8]}.{path.name}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            if aside:
                set_aside([path], aside)
            temporary.replace(path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str, aside: str = "") -> None:
    """Writes a text file, whole or not at all; see `replacing`."""
    with replacing(path, aside) as temporary:
        temporary.write_text(text)


def remove(path: Path) -> None:
    """Removes a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


class Lines:
    """A text file that grows by lines, each written through to the system at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with writing(path):
            self._file = path.open("a")

    def write(self, line: str) -> None:
        """Raises Unwritable where the system refuses the line; a part of it may be there."""
        with writing(self._path):
            self._file.write(line + "\n")
            self._file.flush()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what was refused before is refused again
            self._file.close()


def set_aside(paths: Iterable[Path], tag: str) -> None:
    """Renames files that are there from NAME.ENDING to NAME-<tag>.ENDING, before poorer ones take their places."""
    for path in paths:
        if path.is_file():
            with writing(path):
                path.replace(path.with_name(f"{path.stem}-{tag}{path.suffix}"))


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
