"""Names of protocols."""

import pytest

from experiment_jax.evaluation import protocol


@pytest.mark.parametrize(
    ("name", "parsed"), [("test_10k", ("test", 10_000)), ("train_50k", ("train", 50_000)), ("test_450", ("test", 450))]
)
def test_protocols_have_names(name, parsed):
    assert protocol.parse(name) == parsed
    assert protocol.name_of(*parsed) == name


@pytest.mark.parametrize("name", ["test", "10k", "held_10k", "test_0", "test_k", "test_-5", "test_1.5k"])
def test_an_unknown_protocol_names_those_that_there_are(name, refused):
    assert "test_10k, train_50k or validation_1k" in refused(protocol.parse, name)
