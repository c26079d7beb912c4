"""The same numbers on any number of devices, under `jit` and under `pmap`, for stages that train."""

import functools

import jax
import numpy as np
import optax
import pytest

from experiment_jax import UserError, sweep, train
from experiment_jax.config.sections import experiment
from experiment_jax.data import split as data
from experiment_jax.devices import placement as parallel
from experiment_jax.evaluation import judges as judge
from experiment_jax.method import build as method
from experiment_jax.runs import directory as run_directory
from experiment_jax.training import pmap as pmapped
from experiment_jax.training import step as program
from lsdm_jax import sections as lsdm
from regene_jax import sections as regene

STEPS = 20
NETWORK = dict(widths=(4,), latent_size=3)
SINKHORN = dict(batch_size=80, matcher="sinkhorn", epsilon=1.0, width=8, depth=1, noise_size=2, max_iterations=20)


def recipe(**sections):
    """A config of digits, mirrored half of the time, with stages of `STEPS` steps of 16 images."""
    config = experiment("test", "digits", stages=tuple(sections))
    config.data.flips = True
    for name, (section, settings) in sections.items():
        config[name] = section(**{"batch_size": 16, "steps": STEPS, **settings})
    return config


# What is random for each row or taken over the batch: noise of the latents and their scale; the law of all latents;
# BatchNorm's statistics; latents that were computed once, and noise on them; transport of the global batch.
CASES = {
    "autoencoder": recipe(representation=(lsdm.representation, NETWORK | dict(noise=0.3))),
    "wae": recipe(representation=(lsdm.representation, NETWORK | dict(kind="wae"))),
    "batchnorm": recipe(classifier=(regene.classifier, NETWORK)),
    "decoder": recipe(classifier=(regene.classifier, NETWORK), decoder=(regene.decoder, dict(widths=(4,), noise=0.3))),
    "sinkhorn": recipe(representation=(lsdm.representation, NETWORK), matching=(lsdm.matching, SINKHORN)),
}
WAYS = [
    *((case, "pmap", 8) for case in CASES),
    *(("batchnorm", *way) for way in (("jit", 2), ("jit", 8), ("pmap", 2))),
    ("sinkhorn", "jit", 8),
]


@functools.cache
def outcome(case, way, devices):
    """The gradient of a case's last stage at the first step, and its losses; the stages before it are untrained."""
    config = CASES[case].copy_and_resolve_references()
    config.parallel = way
    parts = method.build(config, data.load(config.data, config.seed))
    upstream = {}
    for part in parts[:-1]:
        state = program.single(method.job(part, config, parallel.mesh(jax.local_devices()[:1])), upstream).initial()
        upstream[part.name] = jax.tree.map(np.asarray, part.stage.finish(state, part.view, upstream))
    job = method.job(parts[-1], config, parallel.mesh(jax.devices()[:devices]))
    compiled = (pmapped if way == "pmap" else program).single(job, upstream)
    state, losses, gradient = compiled.initial(), [], None
    for step in range(STEPS):
        state, metrics = compiled.advance(state, step)
        if gradient is None:
            [first] = compiled.split(state)
            moment = optax.tree.get(first.optimiser, "mu")  # of Adam: (1 − b1) times the gradient
            gradient = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(moment)])
        losses.append(float(compiled.split(metrics)[0]["loss"]))
    return gradient, np.asarray(losses)


@pytest.mark.parametrize(("case", "way", "devices"), WAYS)
def test_gradients_and_losses_are_those_of_one_device(case, way, devices):
    (gradient, losses), (one, expected) = outcome(case, way, devices), outcome(case, "jit", 1)
    assert np.linalg.norm(one) > 0 and len(set(expected)) == STEPS
    relative = np.linalg.norm(gradient - one) / np.linalg.norm(one)
    difference = np.abs(losses - expected).max()
    print(f"{case}, {way} on {devices}: gradient {relative:.1e}, losses {difference:.1e}")  # pytest -s shows them
    assert relative < 1e-5 and difference < 1e-4


@pytest.mark.parametrize("shape", [(3,), (3, 5)])
def test_each_device_draws_its_rows_of_what_one_would_draw(shape):
    key = jax.random.key(3)
    drawn = jax.pmap(lambda _: parallel.draw(jax.random.normal, key, shape, "batch"), axis_name="batch")(np.zeros(8))
    whole = parallel.draw(jax.random.normal, key, (24, *shape[1:]), None)
    np.testing.assert_array_equal(np.concatenate(np.asarray(drawn)), whole)
    np.testing.assert_array_equal(whole, jax.random.normal(key, (24, *shape[1:])))


def test_a_run_trains_under_pmap_and_goes_on_under_jit(finished, tiny, tmp_path):
    train(tiny(parallel="pmap"), tmp_path, jax.devices())
    for one, eight in zip(run_directory.read_metrics(finished[1]), run_directory.read_metrics(tmp_path), strict=True):
        assert one.keys() == eight.keys()
        for name in one.keys() & {"loss", "parameter_norm"}:
            np.testing.assert_allclose(eight[name], one[name], rtol=1e-4)
    assert run_directory.check(tmp_path, tiny(data__resident="false")) == [
        "data.resident: auto -> false",
        "parallel: pmap -> jit",
    ]
    fingerprint = run_directory.fingerprint(tiny())
    assert fingerprint == run_directory.fingerprint(tiny(parallel="pmap", data__resident="false"))


def refused(call, *arguments):
    with pytest.raises(UserError) as error:
        call(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_way_that_nobody_knows_is_refused(tiny, one, tmp_path):
    assert refused(train, tiny(parallel="xmap"), tmp_path / "run", one) == "parallel=xmap: choose jit or pmap"
    assert not (tmp_path / "run").exists()


def test_pmap_serves_one_process(monkeypatch):
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    message = refused(parallel.axis_name, "pmap")
    assert "one process, not of 2" in message and message.endswith("type --config.parallel=jit")
    assert parallel.axis_name("jit") is None


def test_dropout_under_pmap_is_refused(one, tmp_path):
    config = judge.judge_config("digits")
    config.parallel = "pmap"
    message = refused(train, config, tmp_path / "run", one)
    assert "classifier.dropout=0.2" in message and message.endswith("type --config.parallel=jit")


@pytest.mark.parametrize(
    ("setting", "value", "advice"), [("parallel", "pmap", "parallel=jit"), ("data.resident", "false", "resident=true")]
)
def test_a_sweep_in_one_program_maps_over_runs_and_holds_the_images(setting, value, advice, tmp_path, one):
    overrides = {setting: value, "data.validation": 20}
    plan = sweep.plan("configs/lsdm_digits.py", overrides, tmp_path / "sweep", seeds=2, members=False)
    assert advice in refused(sweep.train_together, plan, one)
    assert not (tmp_path / "sweep").exists()
