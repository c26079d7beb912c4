"""Sharpening: what it trains and what it leaves, the weight that holds the error, and that nothing gets worse."""

import dataclasses
import re

import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax.config.sections import sharpening as section
from experiment_jax.method.stage import Context, Model, Samples
from experiment_jax.networks import sharpening

SIDE, STEPS = 6, 80


@flax.struct.dataclass
class Base:
    decoder: dict
    scale: jax.Array


def decode(params, latents):
    base = params["base"]
    return jnp.tanh(base.scale * latents @ base.decoder["w"]).reshape(-1, SIDE, SIDE, 1)


MODEL = Model(
    encode=lambda params, images: images.reshape(len(images), -1)[:, ::3],
    decode=decode,
    decoder="base",
    features=lambda params, images: [images],
    latent_size=12,
)
SAMPLER = dataclasses.replace(
    MODEL, sample=lambda params, keys, labels: Samples.untested(decode(params, jnp.ones((len(keys), 12))), labels)
)
UPSTREAM = {"base": Base({"w": 0.1 * np.random.default_rng(0).normal(size=(12, 36)).astype(np.float32)}, jnp.ones(()))}


def settings(**own):
    return section(**{"steps": STEPS, "adversary": dict(widths=(4,)), **own})


def context(model=MODEL, shape=(SIDE, SIDE, 1)):
    return Context("sharpening", shape, 10, np.full(10, 0.1, np.float32), np.full(10, 100), STEPS, model)


def walk(stage, steps=STEPS, upstream=UPSTREAM):
    """(final state, metrics of each step) on one batch."""
    batch = stage.inputs(np.random.default_rng(1).uniform(-1, 1, (16, SIDE, SIDE, 1)).astype(np.float32), upstream)
    state = jax.jit(stage.init)(jax.random.key(0), batch, upstream)
    update = jax.jit(lambda state: stage.update(state, batch, jax.random.key(0), upstream))
    rows = []
    for _ in range(steps):
        state, metrics = update(state)
        rows.append(jax.device_get(metrics))
    return state, rows


def test_it_begins_with_the_decoder_that_it_is_given_and_the_adversary_pulls_it():
    own = dict(l1=0.0, perceptual=0.0, weight=1.0, error_rise=1e9)
    stage = sharpening.stage(settings(**own), context())
    state, rows = walk(stage)
    first, frozen = stage.finish(walk(stage, 0)[0], None, {}), stage.finish(state, None, {})
    np.testing.assert_array_equal(first.decoder["w"], UPSTREAM["base"].decoder["w"])
    latents = np.ones((2, 12), np.float32)
    ours = stage.provides["decode"]({**UPSTREAM, "sharpening": frozen}, latents)
    np.testing.assert_allclose(ours, decode({"base": Base(frozen.decoder, jnp.ones(()))}, latents), rtol=1e-6)
    # The frozen scale of the stage before is used, and what the adversary sees decides how the decoder moves.
    assert (
        rows[0]["error_ratio"] == pytest.approx(1.0, abs=1e-2)
        and {"score_real", "score_decoded", "adversary_loss"} <= rows[0].keys()
    )
    assert np.abs(frozen.decoder["w"] - first.decoder["w"]).max() > 1e-3


def test_without_an_adversary_it_only_lowers_the_error():
    _, rows = walk(sharpening.stage(settings(weight=0.0), context()))
    errors = [row["l1"] for row in rows]
    assert errors[-1] < errors[0] and rows[-1]["error_ratio"] < 1.0
    assert {float(row["adversary_weight"]) for row in rows} == {0.0}


def test_the_weight_falls_while_the_error_is_too_large_and_is_never_more_than_asked():
    fitted, _ = walk(sharpening.stage(settings(weight=0.0, optimiser=dict(learning_rate=0.1)), context()))
    given = {"base": Base(fitted.decoder.params, jnp.ones(()))}
    own = dict(weight=20.0, perceptual=0.0, optimiser=dict(learning_rate=1e-2))
    _, held = walk(sharpening.stage(settings(**own, error_rise=0.01), context()), upstream=given)
    over = [row["error_ratio"] > 1.01 for row in held]
    weights = [20.0, *(float(row["adversary_weight"]) for row in held)]
    assert any(over) and max(weights) == 20.0
    for before, after, risen in zip(weights, weights[1:], over, strict=False):
        assert (after < before) if risen else (after > before or after == 20.0)
    _, free = walk(sharpening.stage(settings(**own, error_rise=1e9), context()), upstream=given)
    assert free[-1]["error_ratio"] > held[-1]["error_ratio"]


def test_a_sampler_before_it_draws_the_same_latents_and_decodes_them_anew():
    stage = sharpening.stage(settings(), context(SAMPLER))
    w = np.random.default_rng(2).normal(size=(12, 36)).astype(np.float32)
    params = {**UPSTREAM, "sharpening": stage.Frozen({"w": w})}
    drawn = stage.provides["sample"](params, jax.random.split(jax.random.key(0), 3), jnp.arange(3))
    np.testing.assert_array_equal(drawn.latents, np.arange(3))
    np.testing.assert_allclose(drawn.images[0, :, :, 0], np.tanh(w.sum(0)).reshape(SIDE, SIDE), rtol=1e-5)
    assert "sample" not in sharpening.stage(settings(), context()).provides


@pytest.mark.parametrize(
    ("own", "model", "shape", "message"),
    [
        ({}, Model(), (6, 6, 1), "such as representation"),
        ({}, dataclasses.replace(MODEL, decoder=None), (6, 6, 1), "such as representation"),
        ({}, dataclasses.replace(MODEL, features=None), (6, 6, 1), "name perceptual first"),
        (dict(weight=-0.1), MODEL, (6, 6, 1), r"--config\.sharpening\.weight=0\.1"),
        (dict(error_rise=0.0), MODEL, (6, 6, 1), r"--config\.sharpening\.error_rise"),
        (dict(perceptual=-1.0), MODEL, (6, 6, 1), r"--config\.sharpening\.perceptual"),
        (dict(best=""), MODEL, (6, 6, 1), r"--config\.sharpening\.best=recon_frechet"),
        (dict(adversary=dict(widths=(4, 4))), MODEL, (8, 8, 1), r"field of view.*--config\.sharpening\.adversary"),
        (dict(adversary=dict(widths=(4,))), MODEL, (4, 12, 1), "leave sharpening out"),
        (dict(adversary=dict(widths=())), MODEL, (6, 6, 1), r"--config\.sharpening\.adversary\.widths"),
    ],
)
def test_what_cannot_be_sharpened_is_refused(own, model, shape, message, refused):
    assert re.search(message, refused(sharpening.stage, settings(**own), context(model, shape)))
