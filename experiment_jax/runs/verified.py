"""Arrays and their record in one folder, each with a digest: what was damaged on disk is found when it is read.

Orbax writes the folder under a temporary name and renames it at the end. The record is a dictionary, written as JSON.
It holds `digest`, of the names, shapes, types and values of the arrays, and `proof`, of the record itself. `files.json`
beside them has the digests of the files that arrays are read from: TensorStore, which reads them, prints tracebacks of
its own threads where a file is damaged, so it is not given such a file.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from experiment_jax.data.lazy_images import CHUNK, Images, slices
from experiment_jax.errors import UserError

PyTree = Any
Record = dict[str, Any]
FILES = "files.json"


class Damaged(Exception):
    """A folder does not hold what was saved there; says why."""


def digest(tree: PyTree) -> str:
    """Twelve hexadecimal digits that identify the names, shapes, types and values of a pytree or a `Frozen`."""
    sha = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(fields(tree)):
        array = leaf if isinstance(leaf, Images) else np.asarray(leaf)
        sha.update(f"{jax.tree_util.keystr(path)}{array.shape}{array.dtype}".encode())
        for part in slices(array, CHUNK) if isinstance(array, Images) else (array,):
            sha.update(np.ascontiguousarray(part).tobytes())
    return sha.hexdigest()[:12]


def digests(upstream: Mapping[str, Any]) -> dict[str, str]:
    """The digests of frozen stages, by name."""
    return {name: digest(frozen) for name, frozen in upstream.items()}


def fields(frozen: Any) -> PyTree:
    """A stage's `Frozen` as a dictionary of its fields, without those that are None."""
    if not dataclasses.is_dataclass(frozen):
        return frozen
    named = {field.name: getattr(frozen, field.name) for field in dataclasses.fields(frozen)}
    return {name: value for name, value in named.items() if value is not None}


def contents(name: str, tree: PyTree, record: Mapping[str, Any]) -> ocp.args.Composite:
    """What Orbax is to save.

    Args:
        name: what the arrays are called in the folder.
        tree: arrays on the host.
        record: about them; the digests are added.
    """
    whole = {**record, "digest": digest(tree)}
    items = {"record": ocp.args.JsonSave({**whole, "proof": _proof(whole)})}
    if jax.tree.leaves(tree):  # Orbax writes no empty tree
        items[name] = ocp.args.StandardSave(tree)
    return ocp.args.Composite(**items)


def seal(folder: Path) -> None:
    """Notes the digests of the files that arrays are read from; the last thing that is written in a folder."""
    # What lies in ocdbt.process_N was copied from there, and is not read.
    found = [path for pattern in ("*/_METADATA", "*/manifest.ocdbt", "*/d/*") for path in sorted(folder.glob(pattern))]
    (folder / FILES).write_text(json.dumps({str(path.relative_to(folder)): _sha256(path) for path in found}, indent=2))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_files(folder: Path) -> None:
    """Raises Damaged where a file is not the one that `seal` saw; a folder that was not sealed is not looked at."""
    if not (folder / FILES).exists():
        return
    try:
        digests = json.loads((folder / FILES).read_text())
        changed = [name for name, value in digests.items() if _sha256(folder / name) != value]
    except PermissionError as error:
        raise _unreadable(folder, error) from error
    except (OSError, ValueError, AttributeError) as error:
        raise Damaged("its files cannot be read") from error
    if changed:
        raise Damaged(f"{changed[0]} is not what was saved")


def read_record(path: Path, expected: Mapping[str, Any]) -> Record:
    """The record of a folder.

    Args:
        path: the folder.
        expected: what it should say; keys that it does not have, because an older version wrote it, are passed over.

    Raises:
        Damaged: it cannot be read, is not what was saved, or says something else.
    """
    if not path.is_dir():
        raise Damaged("it is no folder")
    record = _restore(path, record=ocp.args.JsonRestore())["record"]
    if not isinstance(record, dict) or record.get("proof", _proof(record)) != _proof(record):
        raise Damaged("its record is not what was saved")
    for key, value in expected.items():
        _check_same(key, record.get(key, value), value)
    return record


def _check_same(key: str, found: Any, value: Any) -> None:
    if isinstance(found, Mapping) and isinstance(value, Mapping) and key == "settings":
        for name in sorted(found.keys() & value.keys()):
            _check_same(name, found[name], value[name])
    elif found != value:
        raise Damaged(f"another run or step saved it: {key} is {found}, not {value}")


def read(path: Path, name: str, record: Record, like: PyTree | None) -> PyTree:
    """The arrays of a folder, on the host.

    Args:
        path: the folder.
        name: what the arrays are called in it.
        record: of the folder.
        like: arrays or abstract arrays of the same structure; None: dictionaries, as they were saved.

    Raises:
        Damaged: they cannot be read, or are not what was saved.
    """
    _check_files(path)
    tree = {}
    if (path / name).is_dir():
        tree = _restore(path, **{name: ocp.args.StandardRestore(on_host(like))})[name]
    if record.get("digest", digest(tree)) != digest(tree):
        raise Damaged("its arrays are not what was saved")
    return tree


def on_host(like: PyTree | None) -> PyTree | None:
    """Arrays of the host that have the shapes and types of `like`, and take no memory."""
    return jax.tree.map(lambda leaf: np.broadcast_to(np.zeros((), leaf.dtype), leaf.shape), like)


def _restore(path: Path, **items: Any) -> Mapping[str, Any]:
    try:
        with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
            return checkpointer.restore(path, args=ocp.args.Composite(**items))
    except MemoryError:
        raise
    except PermissionError as error:
        raise _unreadable(path, error) from error
    except Exception as error:  # whatever a damaged file makes of its readers
        raise Damaged("it cannot be read") from error


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: may not be read ({error.strerror}); ask its owner for leave to read it")


def _proof(record: Mapping[str, Any]) -> str:
    content = {key: value for key, value in record.items() if key != "proof"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
