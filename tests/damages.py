"""What a disk or a person makes of a folder of arrays and their record."""

import os
import shutil


def _arrays(folder, part):
    """The file that holds most of what is read."""
    return max((folder / part / "d").iterdir(), key=lambda path: path.stat().st_size)


def truncated(folder, part, other):
    file = _arrays(folder, part)
    os.truncate(file, file.stat().st_size // 2)


def zeroed(folder, part, other):
    with _arrays(folder, part).open("r+b") as file:
        file.seek(64)
        file.write(bytes(512))


def flipped(folder, part, other):
    file = _arrays(folder, part)
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 4
    file.write_bytes(content)


def without_a_folder(folder, part, other):
    shutil.rmtree(folder / part / "d")


def without_arrays(folder, part, other):
    shutil.rmtree(folder / part)


def without_a_record(folder, part, other):
    shutil.rmtree(folder / "record")


def emptied(folder, part, other):
    shutil.rmtree(folder)
    folder.mkdir()


def a_foreign_file(folder, part, other):
    shutil.rmtree(folder)
    folder.write_text("notes")


def of_another_run(folder, part, other):
    shutil.rmtree(folder)
    shutil.copytree(other, folder)


def with_another_record(folder, part, other):
    path = folder / "record" / "metadata"
    path.write_text(path.read_text().replace('"step": ', '"step": 1'))


def of_other_arrays(folder, part, other):
    """Whole files, and a record that is not theirs."""
    for name in (part, "files.json"):
        of_another_run(folder / name, part, other / name) if name == part else shutil.copy(other / name, folder)


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
