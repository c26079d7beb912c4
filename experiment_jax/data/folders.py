"""Folders of image files: all files in one, and a data set whose classes are folders.

    photos/cat/1.jpg  photos/dog/2.png                 classes cat and dog; test is a share of them, see `held_out`
    photos/train/cat/…  photos/test/cat/…              with test images of its own
    photos/unlabelled/3.png                            beside classes or beside train: images without a label, of train
    photos/1.jpg  photos/2.png                         one class, called as the folder

Images are in the order of their files' names, whatever folder they lie in: one that is given a label later, or another
class, keeps its place.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiment_jax.data.names import title
from experiment_jax.data.source import UNKNOWN, Decode, Source, of_contents
from experiment_jax.errors import UserError

LITTER = ("thumbs.db", "desktop.ini", "__macosx")  # of file managers; hidden files are passed over too (.DS_Store)
SPLITS = ("train", "test")
UNLABELLED = ("unlabelled", "unlabeled")
OTHER_SPLITS = ("val", "valid", "validation", "dev")  # that people have beside train, and nothing here reads


class Layout(NamedTuple):
    """Which folders hold what.

    Attributes:
        splits: split -> class -> its folder. Under the class "" are images without a label.
        class_names: in the order of the labels.
    """

    splits: dict[str, dict[str, Path]]
    class_names: tuple[str, ...]


def content(path: Path) -> bytes:
    """The bytes of a file.

    Raises:
        UserError: it is missing or cannot be read; the line begins with the path.
    """
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it readable") from None


def listed(folder: Path) -> list[Path]:
    """All files under a folder, however deep, in the order of their paths.

    Hidden files and folders (names that begin with a dot) and what file managers leave are passed over, nothing else.

    Raises:
        UserError: no file, something that is neither file nor folder, or a folder that cannot be listed.
    """
    files = sorted(_below(folder, ()))
    if not files:
        raise UserError(f"{folder}: holds no image; give a folder of image files")
    return files


def splits(name: str) -> tuple[str, ...]:
    """The splits that a folder has of its own.

    Raises:
        UserError: see `source`.
    """
    return tuple(_layout(name).splits)


def source(name: str, split: str, decode: Decode) -> Source:
    """One split of a folder of image files.

    Args:
        name: its path.
        split: one of `splits`.
        decode: `data.decoding.decode`.

    Raises:
        UserError: a folder without a class or an image, files beside folders of classes, a class that only test has,
            or what may not be read.
    """
    layout = _layout(name)
    label = {each: number for number, each in enumerate(layout.class_names)}
    root, found = Path(name).expanduser(), []
    for each, folder in layout.splits[split].items():
        files = _named(name, _files, folder, each)
        found += [(path.name, str(path.relative_to(root)), label.get(each, UNKNOWN)) for path in files]
    found.sort()
    paths = [path for _, path, _ in found]
    labels = np.array([number for *_, number in found], np.int32)

    def contents(index: Sequence[int]) -> Iterator[bytes]:
        return (_named(name, content, root / paths[i]) for i in index)

    def shown(i: int, encoded: bytes) -> np.ndarray:
        try:
            return decode(encoded, 0)
        except UserError as error:
            raise UserError(f"data.name={name}: {paths[i]}: {error}") from None

    return of_contents(name, layout.class_names, labels, contents, shown)


def _layout(name: str) -> Layout:
    root = Path(name).expanduser()
    return _named(name, _read_layout, root, title(name))


def _read_layout(root: Path, called: str) -> Layout:
    folders, files = _entries(root)
    names = [folder.name for folder in folders]
    if prepared := [folder for folder in folders if os.path.isfile(folder / "dataset_info.json")]:
        raise UserError(f"{root}: holds a prepared set; type --config.data.name={prepared[-1]}")
    if not _has_splits(root, folders):
        splits = {"train": _classes(root, folders, files, called)}
    else:
        if files:
            raise UserError(f"{files[0]}: lies beside the folder train; move it away")
        splits = {each: _classes(root / each, *_entries(root / each), called) for each in SPLITS if each in names}
        splits["train"] = _with_unlabelled(splits["train"], folders)
    class_names = tuple(filter(None, splits["train"]))
    if others := [each for each in splits.get("test", {}) if each not in splits["train"] and each]:
        raise UserError(f"{root / 'test' / others[0]}: is a class that train does not have; move it away")
    return Layout(splits, class_names)


def _has_splits(root: Path, folders: list[Path]) -> bool:
    """Whether `train` and `test` are splits. They are classes where they hold files, not folders, beside others."""
    names = {folder.name for folder in folders}
    if capital := [name for name in sorted(names) if name.lower() in (*SPLITS, *UNLABELLED) and name != name.lower()]:
        raise UserError(f"{root / capital[0]}: call it {capital[0].lower()}, or otherwise where it is a class")
    if "train" in names and names <= {*SPLITS, *UNLABELLED}:
        return True
    for each in SPLITS:
        others = sorted(names - {*SPLITS, *UNLABELLED})
        nested = each in names and bool(_entries(root / each)[0])
        if nested or (each in names and set(others) & {*OTHER_SPLITS}):
            beside = others[0] if others else "no folder train"
            raise UserError(
                f"{root}: holds {each} and {beside}; give train, test and unlabelled alone, each with folders of "
                "classes, or folders of classes alone"
            )
    return False


def _classes(root: Path, folders: list[Path], files: list[Path], called: str) -> dict[str, Path]:
    """class -> its folder, in the order of the labels; the whole folder is one class where there are files alone."""
    classes = [folder for folder in folders if folder.name not in UNLABELLED]
    if files and folders:
        raise UserError(f"{files[0]}: lies beside the folder {folders[0].name}; move it into a class, or away")
    if files:
        return {called: root}
    if not classes:
        held = f"holds {folders[0].name} and no folder of a class" if folders else "holds no image"
        raise UserError(f"{root}: {held}; put images into folders that are called as their classes")
    numbers = all(folder.name.isdecimal() for folder in classes)
    classes.sort(key=lambda folder: (int(folder.name) if numbers else 0, folder.name))
    return _with_unlabelled({folder.name: folder for folder in classes}, folders)


def _with_unlabelled(classes: dict[str, Path], folders: list[Path]) -> dict[str, Path]:
    """The classes, and the folder among others that holds images without a label."""
    unlabelled = [classes[""]] if "" in classes else []
    unlabelled += [folder for folder in folders if folder.name in UNLABELLED]
    if len(unlabelled) > 1:
        raise UserError(f"{unlabelled[0]}: is there, and {unlabelled[1]} too; put the images into one of them")
    return {**classes, "": unlabelled[0]} if unlabelled else classes


def _files(folder: Path, called: str) -> list[Path]:
    """The files of a class; of images without a label there may be none."""
    files = sorted(_below(folder, ()))
    if called and not files:
        raise UserError(f"{folder}: is a class without an image; put some into it, or remove it")
    return files


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """The folders and the files in a folder, but for what is passed over."""
    found = list(_visible(folder))
    return [path for path in found if os.path.isdir(path)], [path for path in found if not os.path.isdir(path)]


def _visible(folder: Path) -> Iterator[Path]:
    try:
        found = sorted(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: cannot be listed ({error.strerror}); make it readable") from None
    return (path for path in found if not path.name.startswith(".") and path.name.lower() not in LITTER)


def _below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """The files under a folder that is under the resolved folders `above`."""
    above = (*above, folder.resolve())
    for path in _visible(folder):
        if os.path.isfile(path):  # in place of Path.is_file, which raises where it may not look
            yield path
        elif os.path.isdir(path) and path.resolve() not in above:
            yield from _below(path, above)
        else:  # such as a link that leads nowhere, or back to a folder that holds it
            raise UserError(f"{path}: is neither a file nor a folder of its own, or may not be read; move it away")


def _named(name: str, call: Any, *arguments: Any) -> Any:
    """What a call returns; its UserError begins with the data set."""
    try:
        return call(*arguments)
    except UserError as error:
        raise UserError(f"data.name={name}: {error}") from None
