"""Places that a person types: paths of files and folders of this machine, and what keeps them the same elsewhere."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from experiment_jax.config.types import flat
from experiment_jax.data.names import is_path, members
from experiment_jax.errors import UserError

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")  # as in gs://bucket; a folder of a drive, as in C:/, is none


def place(text: Any, flag: str) -> Path:
    """The path that a person means, `~` expanded; whether anything is there is not looked at.

    Args:
        text: a path, as text or as a path object.
        flag: what was typed before it, for messages, such as `--workdir`.

    Raises:
        UserError: no path, one of another file system such as gs://, another person's home that is not there, or one
            that this file system cannot hold.
    """
    if not isinstance(text, str | os.PathLike) or not os.fspath(text):
        raise UserError(f"{flag} {text!r}: is no path; give that of a file or a folder")
    path = os.fspath(text)
    if not isinstance(path, str):
        raise UserError(f"{flag} {text!r}: is bytes; give the path as text")
    if SCHEME.match(path):
        raise UserError(
            f"{flag} {path}: is on another file system, and no scheme is read, gs://, s3:// and file:// alike; give a "
            "folder of this machine, such as one where that is mounted"
        )
    if path.startswith("~") and os.path.expanduser(path) == path:
        raise UserError(f"{flag} {path}: there is no such person's home; give the whole path")
    path = os.path.expanduser(path)
    try:
        os.stat(path)
    except FileNotFoundError:
        pass
    except NotADirectoryError:
        raise UserError(f"{flag} {path}: lies below a file; choose another place") from None
    except (OSError, ValueError) as error:  # a name that is too long, or a folder above that may not be looked into
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"{flag} {path!r}: cannot be looked at ({reason}); choose another place") from None
    return Path(path)


def settle(config: ConfigDict) -> None:
    """Makes the paths in a config absolute, in place, so that they name the same files from every folder.

    What a config names without a path stays a name: a TFDS set, a shipped recipe.

    Raises:
        UserError: what `place` refuses, or a witness that is no text.
    """
    replace(config, lasting_data, lasting, lambda key, value: os.path.abspath(place(value, f"--config.{key}")))


def replace(
    config: ConfigDict,
    data: Callable[[str], str],
    recipe: Callable[[str], str],
    path: Callable[[str, str], str],
) -> None:
    """Replaces what a config names, in place.

    Args:
        config: with the settings below.
        data: of `data.name`.
        recipe: of the judge and the witnesses.
        path: (key, value) of everything else that is a path.

    Raises:
        UserError: a witness that is no text.
    """
    for key, value in flat(config).items():
        section, name = config, key
        while "." in name:
            head, _, name = name.partition(".")
            section = section[head]
        if key == "data.name":
            section[name] = data(value)
        elif key == "judge":
            section[name] = recipe(value)
        elif key == "witnesses":
            if not all(isinstance(each, str) for each in value):
                raise UserError(f"--config.witnesses={tuple(value)}: give names, as in ('configs/resnet_digits.py',)")
            section[name] = tuple(map(recipe, value))
        elif value and (name == "from_run" or key in ("evaluation.autoencoder", "perceptual.weights")):
            section[name] = path(key, value)


def lasting(spec: str) -> str:
    """A file, `FILE:VARIANT` or folder by its absolute path; as it is where it is shipped, or there is none."""
    path, colon, variant = spec.partition(":")
    path = os.path.expanduser(path)
    own = shipped("configs") / os.path.basename(path)
    if not path or not os.path.exists(path) or (own.is_file() and os.path.samefile(path, own)):
        return spec
    return os.path.abspath(path) + colon + variant


def lasting_data(name: str) -> str:
    """A data set, or several joined with "+", each that is on disk by its absolute path.

    Raises:
        UserError: what `place` refuses.
    """
    return "+".join(map(_lasting_set, members(name)))


def _lasting_set(name: str) -> str:
    if os.sep in name or name.startswith("~"):
        name = str(place(name, "data.name"))
    return os.path.abspath(name) if is_path(name) else name


def relative(text: str, folder: str) -> str:
    """An absolute path as it leads there from a folder, beginning with a dot; as it is where they share only the root,
    or where it is a name."""
    if not os.path.isabs(text) or os.path.dirname(shared := os.path.commonpath([text, folder])) == shared:
        return text
    path = os.path.relpath(text, folder)
    return path if path.startswith(os.pardir) else os.path.join(os.curdir, path)


def found(text: str, absolute: Mapping[str, str], folder: Path) -> str:
    """The inverse of `relative`: the absolute path from where the folder lies now or, where nothing is there, from
    where it lay.

    Args:
        text: a path from `relative`, a name, or several of these joined with "+".
        absolute: what `relative` was given, by what it returned.
        folder: where the folder is now.
    """
    if text not in absolute:
        return "+".join(found(each, absolute, folder) for each in text.split("+")) if "+" in text else text
    path = os.path.abspath(os.path.join(folder, text))
    return path if os.path.exists(path.partition(":")[0]) else absolute[text]


def shipped(name: str) -> Path:
    """The folder `configs` or `judges`: in an installed wheel within this package, in a checkout beside it."""
    here = Path(__file__).resolve().parents[1]
    installed = here / "shipped" / name
    return installed if installed.is_dir() else here.parent / name
