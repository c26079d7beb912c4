"""The same numbers on any number of devices, under `jit` and under `pmap`, for stages that train."""

import jax
import numpy as np
import pytest

from experiment_jax import train
from experiment_jax.config.judges import judge_config
from experiment_jax.devices import pmap
from experiment_jax.devices.batch_axis import WHOLE, BatchAxis
from experiment_jax.runs import directory
from experiment_jax.sweep.members import define
from experiment_jax.sweep.train import train_together
from experiment_jax.training.logger import read_metrics

WAYS = [
    *(
        (case, "pmap", 4)  # where each device computes all of a batch's transport, eight take twice as long
        for case in ("autoencoder", "wae", "decoder", "sharpening", "sinkhorn", "labeller", "posterior")
    ),
    *(("batchnorm", *way) for way in (("jit", 2), ("jit", 8), ("pmap", 2), ("pmap", 8))),
    ("sinkhorn", "jit", 8),
]


@pytest.mark.parametrize(("case", "parallel", "count"), WAYS)
def test_gradients_and_losses_are_those_of_one_device(case, parallel, count, cases):
    cases.assert_close(case, parallel, count, cases.outcome(case, parallel, count))


@pytest.mark.parametrize("shape", [(3,), (3, 5)])
def test_each_device_draws_its_rows_of_what_one_would_draw(shape):
    key, axis = jax.random.key(3), BatchAxis("batch")
    drawn = jax.pmap(lambda _: axis.draw(jax.random.bits, key, shape), axis_name="batch")(np.zeros(8))
    whole = WHOLE.draw(jax.random.bits, key, (24, *shape[1:]))
    np.testing.assert_array_equal(np.concatenate(np.asarray(drawn)), whole)
    np.testing.assert_array_equal(whole, jax.random.bits(key, (24, *shape[1:])))


def test_a_run_trains_under_pmap_and_goes_on_under_jit(finished, tiny, tmp_path):
    train(tiny(parallel="pmap"), tmp_path, jax.devices())
    for one, eight in zip(read_metrics(finished[1]), read_metrics(tmp_path), strict=True):
        assert one.keys() == eight.keys()
        for name in one.keys() & {"loss", "parameter_norm"}:
            np.testing.assert_allclose(eight[name], one[name], rtol=1e-4)
    assert directory.check(tmp_path, tiny(data__resident="false")) == [
        "data.resident: auto -> false",
        "parallel: pmap -> jit",
    ]
    fingerprint = directory.fingerprint(tiny())
    assert fingerprint == directory.fingerprint(tiny(parallel="pmap", data__resident="false"))


def test_a_way_that_nobody_knows_is_refused(tiny, one, tmp_path, refused):
    assert refused(train, tiny(parallel="xmap"), tmp_path / "run", one) == "parallel=xmap: choose jit or pmap"
    assert not (tmp_path / "run").exists()


def test_pmap_serves_one_process(monkeypatch, refused):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    message = refused(pmap.choose, "pmap")
    assert "one process, not of 2" in message and message.endswith("type --config.parallel=jit")
    assert pmap.choose("jit").axis.name is None


def test_dropout_under_pmap_is_refused(one, tmp_path, refused):
    config = judge_config("digits")
    config.parallel = "pmap"
    message = refused(train, config, tmp_path / "run", one)
    assert "classifier.dropout=0.2" in message and message.endswith("type --config.parallel=jit")


@pytest.mark.parametrize(
    ("setting", "value", "advice"), [("parallel", "pmap", "parallel=jit"), ("data.resident", "false", "resident=true")]
)
def test_a_sweep_in_one_program_maps_over_runs_and_holds_the_images(setting, value, advice, tmp_path, one, refused):
    overrides = {setting: value, "data.validation": 20}
    sweep = define("configs/lsdm_digits.py", overrides, tmp_path / "sweep", seeds=2, members=False)
    assert advice in refused(train_together, sweep, one)
    assert not (tmp_path / "sweep").exists()
