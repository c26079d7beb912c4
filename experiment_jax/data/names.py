"""What the name of a data set stands for: digits, a TFDS name, or the path of a set on disk.

A path is told from a name by what lies there: a word that is a set prepared under TFDS's root is that set, whatever
lies in the working folder.
"""

import os
import re
from pathlib import Path

DIGITS = "digits"
VERSION = re.compile(r"\d+\.\d+\.\d+")  # the folder of a prepared set, in a folder called as the set
TABLES = (".parquet",)


def root() -> str:
    """Where prepared TFDS sets are looked for by name."""
    return os.path.expanduser(os.environ.get("TFDS_DATA_DIR", "~/tensorflow_datasets"))


def kind(name: str) -> str:
    """What reads a set: "digits", "tfds", "folder" (of image files), "npz", "hugging_face", or "file", which none does.

    Args:
        name: of one set; of any text, also one that is no path.
    """
    path = os.path.expanduser(name)
    if name == DIGITS:
        return "digits"
    if os.sep not in name and os.path.isdir(os.path.join(root(), name)):
        return "tfds"
    if os.path.isfile(path):
        return "npz" if path.endswith(".npz") else "hugging_face" if path.endswith(TABLES) else "file"
    if not os.path.isdir(path):
        return "tfds"
    if is_saved(path):
        return "hugging_face"
    if is_prepared(path):
        return "tfds"
    return "hugging_face" if tables(Path(path)) else "folder"


def missing(name: str) -> str:
    """What to say of one set whose name is a path where nothing is; "" of any other."""
    if os.sep not in name or kind(name) != "tfds" or is_prepared(name):
        return ""
    return (
        f"data.name={name}: there is no such folder or file; give a folder of images, an .npz, or the folder of a "
        "prepared set, which holds dataset_info.json"
    )


def is_saved(folder: str | Path) -> bool:
    """Whether a folder holds a set that `datasets` saved, or several splits of one."""
    folder = os.path.expanduser(folder)
    return any(os.path.isfile(os.path.join(folder, name)) for name in ("state.json", "dataset_dict.json"))


def tables(folder: Path) -> list[Path]:
    """The tables in a folder or in its folder `data`, as sets on the Hugging Face Hub have them; [] of one that may not
    be looked into."""
    found = []
    for place in (folder, folder / "data"):
        try:
            found += sorted(path for path in place.iterdir() if path.suffix in TABLES)
        except OSError:
            continue
    return found


def is_path(name: str) -> bool:
    """Whether a set is one on disk that is given by its path."""
    return kind(name) not in ("digits", "tfds") or is_prepared(name)


def is_prepared(name: str) -> bool:
    """Whether a name is the path of a prepared TFDS set."""
    return os.path.isfile(os.path.join(os.path.expanduser(name), "dataset_info.json")) and not is_saved(name)


def members(name: str) -> list[str]:
    """The sets that `name` joins with "+"; one, where that is part of its own path."""
    return [name] if is_path(name) else name.split("+")


def title(name: str) -> str:
    """What a set is called: itself, its file or its folder, of NAME/VERSION or NAME/CONFIG/VERSION the one above."""
    path = Path(name)
    return path.parent.name if os.sep in name and VERSION.fullmatch(path.name) else path.name
