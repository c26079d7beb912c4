"""Files of arrays that are pickles, read without running anything that they name.

A pickle names functions and says what to call them with; `pickle.load` calls them, whatever they are. Here a short list
of names stands for records of what a file says of its arrays, every other name is refused, and the arrays are made of
the records. Two kinds of file are read: NumPy arrays in dictionaries, and tensors as PyTorch wrote them before 1.6.
"""

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from experiment_jax.errors import UserError

NUMBERS = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")  # what arrays may hold, no objects
STORAGES = {"HalfStorage": "f2", "FloatStorage": "f4", "DoubleStorage": "f8", "IntStorage": "i4", "LongStorage": "i8"}
MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle in a file of PyTorch's


def read_numpy(path: Path, advice: str) -> dict[str, Any]:
    """Nested dictionaries of arrays, as `pickle.dump` wrote them.

    Args:
        path: the file.
        advice: what to do where it cannot be read, for messages.

    Raises:
        UserError: a broken file, or one that names anything but arrays of numbers.
    """
    return _read(path, advice, lambda file: _arrays(_Unpickler(file).load()))


def read_torch(path: Path, advice: str) -> dict[str, np.ndarray]:
    """The tensors of a state dictionary, by name; see `read_numpy` for the arguments and errors."""
    return _read(path, advice, _tensors)


def _read(path: Path, advice: str, content: Callable[[BinaryIO], Any]) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = content(file)
        if not isinstance(found, dict):
            raise ValueError("no dictionary")
        return found
    except _Forbidden as error:
        raise UserError(f"{path}: asks for {error}, which is no array; nothing of it was run; {advice}") from error
    except Exception as error:  # a broken pickle fails in whatever way its bytes happen to
        raise UserError(
            f"{path}: is broken, or not a file of arrays ({error!r}); {advice}".replace("\n", " ")
        ) from error


class _Forbidden(Exception):
    """A name that is not on the list."""


class _Dtype:
    """A NumPy type: its name, and the order of its bytes."""

    def __init__(self, name: str):
        self.name, self.order = name, "<"

    def __setstate__(self, state: tuple) -> None:
        self.order = state[1]

    @property
    def dtype(self) -> np.dtype:
        if self.name not in NUMBERS or self.order not in ("<", ">", "|"):
            raise ValueError(f"an array of {self.name}")
        return np.dtype(self.order + self.name)


class _Array:
    """A NumPy array: its shape, its type, whether columns are stored together, and its bytes."""

    def __setstate__(self, state: tuple) -> None:
        _, self.shape, self.type, self.columns, self.content = state

    @property
    def array(self) -> np.ndarray:
        values = np.frombuffer(self.content, self.type.dtype)
        return values.reshape(self.shape, order="F" if self.columns else "C")


class _Storage:
    """Numbers that tensors are parts of: their type, and how many. The numbers themselves come later in the file."""

    def __init__(self, dtype: str, count: int):
        self.dtype, self.count = np.dtype("<" + dtype), count


class _Tensor:
    """A tensor: its storage, where in it the tensor begins, its shape and its strides, both in numbers."""

    def __init__(self, storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]):
        self.storage, self.offset, self.shape, self.strides = storage, offset, shape, strides

    def of(self, values: np.ndarray) -> np.ndarray:
        """The array, given the numbers of its storage."""
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides)) < 0 or (math.prod(self.shape) and last >= len(values)):
            raise ValueError("a tensor beyond its storage")
        strides = [stride * values.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, strides).copy()


class _Unpickler(pickle.Unpickler):
    """Of all names that a pickle may give, only those of arrays and tensors.

    They stand for functions that make records, not for the classes themselves, which a pickle could change.
    """

    NAMES: ClassVar[Mapping[tuple[str, str], Any]] = {
        ("numpy", "dtype"): lambda name, align, copy: _Dtype(name),
        ("numpy", "ndarray"): "ndarray",
        ("numpy.core.multiarray", "_reconstruct"): lambda kind, shape, dtype: _Array(),
        ("numpy._core.multiarray", "_reconstruct"): lambda kind, shape, dtype: _Array(),
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): lambda *said: _Tensor(*said[:4]),
        **{("torch", name): dtype for name, dtype in STORAGES.items()},
    }

    def __init__(self, file: BinaryIO):
        super().__init__(file)
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.NAMES:
            raise _Forbidden(f"{module}.{name}")
        return self.NAMES[module, name]

    def persistent_load(self, said: tuple) -> _Storage:
        _, dtype, key, _, count, _ = said  # also: "storage", which device it was on, and what it was a view of
        return self.storages.setdefault(key, _Storage(dtype, count))


def _arrays(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _arrays(branch) for name, branch in tree.items()}
    return tree.array


def _tensors(file: BinaryIO) -> dict[str, np.ndarray]:
    """Of five pickles (a number, a version, the machine, the dictionary, the storages' names) and the storages."""
    magic, _, _ = (_Unpickler(file).load() for _ in range(3))
    if magic != MAGIC:
        raise ValueError("another format")
    main = _Unpickler(file)
    state, values = main.load(), {}
    for key in _Unpickler(file).load():
        storage = main.storages[key]
        if int.from_bytes(file.read(8), "little") != storage.count:
            raise ValueError("a storage of another size")
        values[storage] = np.frombuffer(file.read(storage.count * storage.dtype.itemsize), storage.dtype)
    return {name: tensor.of(values[tensor.storage]) for name, tensor in state.items()}
