"""What a pickle may hold: arrays come out as they went in, and nothing else is let in, run or half read."""

import io
import os
import pickle
import struct
import sys
import types
from collections import OrderedDict

import numpy as np
import pytest

from experiment_jax.networks.pretrained import arrays

ADVICE = "do without"


class Call:
    """Pickles as a call of a function: what a hostile file does."""

    def __init__(self, function, *arguments):
        self.said = function, arguments

    def __reduce__(self):
        return self.said


@pytest.fixture
def write(tmp_path):
    def to_file(content):
        (tmp_path / "weights").write_bytes(content)
        return tmp_path / "weights"

    return to_file


@pytest.fixture
def torch_file(monkeypatch):
    """`torch_file({name: (storage's key, offset, shape, strides)}, {key: array})` -> bytes as PyTorch wrote them."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    rebuild = types.FunctionType((lambda *said: None).__code__, {}, "_rebuild_tensor_v2")
    rebuild.__module__, rebuild.__qualname__, utils._rebuild_tensor_v2 = "torch._utils", "_rebuild_tensor_v2", rebuild
    kinds = {}
    for number, name in (("f4", "FloatStorage"), ("i8", "LongStorage")):
        kinds[number] = type(name, (), {"__module__": "torch"})
        setattr(torch, name, kinds[number])
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Storage:
        def __init__(self, key, values):
            self.key, self.values = key, values

    class Pickler(pickle.Pickler):
        def persistent_id(self, each):
            if isinstance(each, Storage):
                return "storage", kinds[each.values.dtype.str[1:]], each.key, "cpu", each.values.size, None

    def content(tensors, storages, **more):
        held = {key: Storage(key, values) for key, values in storages.items()}
        state = OrderedDict(more)
        for name, (key, *place) in tensors.items():
            state[name] = Call(rebuild, held[key], *place, False, OrderedDict())
        state._metadata = OrderedDict(version=1)
        file = io.BytesIO()
        for each in (arrays.MAGIC, 1001, {"little_endian": True}, state, list(storages)):
            Pickler(file, protocol=2).dump(each)
        for values in storages.values():
            file.write(struct.pack("<q", values.size) + values.tobytes())
        return file.getvalue()

    return content


@pytest.mark.parametrize("protocol", [3, 4])
def test_arrays_come_out_as_they_went_in(protocol, write):
    rows = np.arange(12, dtype=np.float32).reshape(3, 4)
    tree = {"a": {"rows": rows, "columns": np.asfortranarray(rows), "turned": rows.astype(">f8")}, "b": np.int8([[-3]])}
    tree["scalar"], tree["empty"] = np.array(2.5), np.zeros((0, 3), np.uint8)
    found = arrays.read_numpy(write(pickle.dumps(tree, protocol)), ADVICE)
    assert found.keys() == tree.keys() and found["a"].keys() == tree["a"].keys()
    for name, array in (*found["a"].items(), *found.items()):
        if name != "a":
            expected = tree["a"].get(name, tree.get(name))
            np.testing.assert_array_equal(array, expected, strict=True)
            assert array.dtype == expected.dtype


def test_tensors_are_parts_of_storages_in_any_order_of_axes(write, torch_file):
    values, count = np.arange(20, dtype=np.float32), np.int64([7])
    place = {
        "rows": ("1", 2, (2, 3), (3, 1)),
        "turned": ("1", 8, (3, 4), (1, 3)),
        "same": ("1", 0, (20,), (1,)),
        "count": ("2", 0, (), ()),
    }
    found = arrays.read_torch(write(torch_file(place, {"1": values, "2": count})), ADVICE)
    np.testing.assert_array_equal(found["rows"], values[2:8].reshape(2, 3), strict=True)
    np.testing.assert_array_equal(found["turned"], values[8:].reshape(4, 3).T, strict=True)
    np.testing.assert_array_equal(found["same"], values, strict=True)
    np.testing.assert_array_equal(found["count"], np.int64(7), strict=True)


@pytest.mark.parametrize(
    ("function", "arguments", "name"),
    [
        (os.system, ("touch TOUCHED",), "system"),
        (eval, ("open('TOUCHED', 'w')",), "eval"),
        (getattr, ("text", "join"), "getattr"),
        (np.fromfile, ("TOUCHED",), "fromfile"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_whatever_else_a_pickle_names_is_refused_and_not_run(
    function, arguments, name, write, torch_file, tmp_path, monkeypatch, refused
):
    monkeypatch.chdir(tmp_path)
    hostile = {"kernel": np.ones(3), "bias": Call(function, *arguments)}
    message = refused(arrays.read_numpy, write(pickle.dumps(hostile, 3)), ADVICE)
    assert f".{name}, which is no array; nothing of it was run; do without" in message
    tensors = torch_file({"a": ("1", 0, (3,), (1,))}, {"1": np.ones(3, np.float32)}, bias=Call(function, *arguments))
    assert f".{name}, which is no array;" in refused(arrays.read_torch, write(tensors), ADVICE)
    assert not (tmp_path / "TOUCHED").exists()


def test_arrays_of_objects_and_other_things_are_refused(write, refused):
    objects, text = np.array([{}], object), np.array("b")
    for tree in ({"a": objects}, {"a": text}, {"a": "text"}, {"a": 3.0}, [np.ones(3)], np.ones(3)):
        assert "not a file of arrays" in refused(arrays.read_numpy, write(pickle.dumps(tree, 3)), ADVICE)


def test_a_tensor_reaches_nowhere_beyond_its_storage(write, torch_file, refused):
    for place in ((18, (2, 3), (3, 1)), (-1, (3,), (1,)), (5, (3,), (-1,)), (0, (-2,), (1,)), (0, (2**40,), (2**40,))):
        content = torch_file({"a": ("1", *place)}, {"1": np.ones(20, np.float32)})
        assert "a tensor beyond its storage" in refused(arrays.read_torch, write(content), ADVICE)


def test_a_file_that_ends_early_is_called_broken_wherever_it_ends(write, torch_file, refused):
    whole = pickle.dumps({"a": {"b": np.arange(5.0)}}, 3)
    tensors = torch_file({"a": ("1", 0, (3,), (1,))}, {"1": np.ones(3, np.float32)})
    for content, read in ((whole, arrays.read_numpy), (tensors, arrays.read_torch)):
        assert read(write(content), ADVICE)
        for length in range(0, len(content), 7):
            assert "not a file of arrays (" in refused(read, write(content[:length]), ADVICE)


def test_a_format_is_not_taken_for_the_other(write, torch_file, refused):
    assert "not a file of arrays" in refused(arrays.read_torch, write(pickle.dumps({"a": np.ones(2)}, 3)), ADVICE)
    assert "not a file of arrays" in refused(arrays.read_torch, write(b"PK\x03\x04 a zip archive"), ADVICE)
    tensors = torch_file({}, {})
    assert "not a file of arrays" in refused(arrays.read_numpy, write(tensors), ADVICE)
