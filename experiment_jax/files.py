"""Files that are there whole or not at all, and the files that come with the packages."""

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path in the folder of `path`, which takes its place at the end; the folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text)


def set_aside(paths: Iterable[Path], tag: str) -> None:
    """Renames files that are there from NAME.ENDING to NAME-<tag>.ENDING, before poorer ones take their places."""
    for path in paths:
        if path.is_file():
            path.replace(path.with_name(f"{path.stem}-{tag}{path.suffix}"))


def shipped(name: str) -> Path:
    """The folder `configs` or `judges`: in an installed wheel within this package, in a checkout beside it."""
    here = Path(__file__).resolve().parent
    installed = here / "shipped" / name
    return installed if installed.is_dir() else here.parent / name


def sha256(path: Path) -> str:
    """Of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
