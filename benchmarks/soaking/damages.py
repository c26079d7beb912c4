"""What a disk or a person makes of a folder of arrays and their record.

Each takes the folder, the name of its arrays, the same folder of another run, and a generator.
"""

import os
import shutil
from pathlib import Path
from typing import Any


def _arrays(folder: Path, part: str) -> Path:
    """The file that holds most of what is read."""
    return max((folder / part / "d").iterdir(), key=lambda path: path.stat().st_size)


def truncated(folder: Path, part: str, other: Path, rng: Any) -> None:
    file = _arrays(folder, part)
    os.truncate(file, rng.integers(file.stat().st_size))


def zeroed(folder: Path, part: str, other: Path, rng: Any) -> None:
    file = _arrays(folder, part)
    content = bytearray(file.read_bytes())
    start = int(rng.integers(len(content) // 2))
    content[start : start + 512] = bytes(len(content[start : start + 512]))
    file.write_bytes(content)


def flipped(folder: Path, part: str, other: Path, rng: Any) -> None:
    _flip(_arrays(folder, part), rng)


def flipped_anywhere(folder: Path, part: str, other: Path, rng: Any) -> None:
    """In the record too, or in a file that nobody reads."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    _flip(files[rng.integers(len(files))], rng)


def _flip(file: Path, rng: Any) -> None:
    content = bytearray(file.read_bytes())
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    file.write_bytes(content)


def without_a_folder(folder: Path, part: str, other: Path, rng: Any) -> None:
    shutil.rmtree(folder / part / "d")


def without_arrays(folder: Path, part: str, other: Path, rng: Any) -> None:
    shutil.rmtree(folder / part)


def without_a_record(folder: Path, part: str, other: Path, rng: Any) -> None:
    shutil.rmtree(folder / "record")


def emptied(folder: Path, part: str, other: Path, rng: Any) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def a_foreign_file(folder: Path, part: str, other: Path, rng: Any) -> None:
    shutil.rmtree(folder)
    folder.write_text("notes")


def of_another_run(folder: Path, part: str, other: Path, rng: Any) -> None:
    shutil.rmtree(folder)
    shutil.copytree(other, folder)


def with_another_record(folder: Path, part: str, other: Path, rng: Any) -> None:
    path = folder / "record" / "metadata"
    path.write_text(path.read_text().replace('"step": ', '"step": 1'))


def of_other_arrays(folder: Path, part: str, other: Path, rng: Any) -> None:
    """Whole files, and a record that is not theirs."""
    shutil.rmtree(folder / part)
    shutil.copytree(other / part, folder / part)
    shutil.copy(other / "files.json", folder)


ALL = [
    truncated,
    zeroed,
    flipped,
    without_a_folder,
    without_arrays,
    without_a_record,
    emptied,
    a_foreign_file,
    of_another_run,
    with_another_record,
    of_other_arrays,
]
