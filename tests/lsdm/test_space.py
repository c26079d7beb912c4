"""Distances between features of decoded images: φ by hand, the drift in it, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax.data import passes
from experiment_jax.data.split import View
from experiment_jax.method.stage import Context, Model
from lsdm_jax import matching, sections, space
from lsdm_jax.matchers.matcher import Term

SHAPE, LATENT = (4, 6, 1), 5
W = np.random.default_rng(0).normal(size=(LATENT, 24)).astype(np.float32)
MODEL = Model(
    encode=lambda params, images: images.reshape(images.shape[0], -1)[:, :LATENT],
    decode=lambda params, latents: jnp.tanh(latents @ W).reshape(-1, *SHAPE),
    features=lambda params, images: [images, images[:, ::2, ::2] ** 2],
    latent_size=LATENT,
)


def context(model=MODEL, name="space", steps=0):
    return Context(name, SHAPE, 3, np.full(3, 1 / 3, np.float32), np.full(3, 7), steps, model)


def images(count=21):
    return passes.to_float(np.random.default_rng(1).integers(0, 256, (count, *SHAPE), dtype=np.uint8))


def made(**own):
    stage = space.stage(sections.space(**own), context())
    return stage, {"space": stage.finish({}, View(passes.to_uint8(images()), np.zeros(21, np.int32)), {})}


def test_maps_are_averaged_over_fields():
    maps = np.arange(2 * 4 * 6, dtype=np.float32).reshape(1, 4, 6, 2)
    found = space.averaged(maps, 2)
    parts = [
        maps[0, rows, columns].mean(axis=(0, 1))
        for rows in (slice(2), slice(2, 4))
        for columns in (slice(3), slice(3, 6))
    ]
    np.testing.assert_allclose(found[0], np.concatenate(parts))
    np.testing.assert_allclose(space.averaged(maps, 1)[0], maps[0].mean(axis=(0, 1)))
    np.testing.assert_allclose(space.averaged(maps, 100)[0], maps[0].ravel())
    assert space.averaged(np.ones((1, 7, 7, 3), np.float32), 2).shape == (1, 12)  # sides that fields do not divide


def test_both_parts_have_the_same_mean_square_at_equal_weights():
    stage, params = made(fields=2)
    latents = MODEL.encode({}, images())
    points = stage.points(params, latents)
    np.testing.assert_array_equal(points[:, :LATENT], latents)
    features = points[:, LATENT:]
    np.testing.assert_allclose(np.mean(np.sum(features**2, axis=1)), LATENT, rtol=1e-4)
    maps = MODEL.features({}, MODEL.decode({}, latents))
    by_hand = np.concatenate([space.averaged(each, 2) for each in maps], axis=1)
    centred = by_hand - by_hand.mean(axis=0)
    np.testing.assert_allclose(features, centred * np.sqrt(LATENT / np.sum(np.mean(centred**2, axis=0))), atol=1e-5)


def test_weights_stretch_the_parts():
    plain, params = made()
    latents = MODEL.encode({}, images())
    points = plain.points(params, latents)
    stage, params = made(latents=2.0, features=3.0)
    np.testing.assert_allclose(stage.points(params, latents)[:, :LATENT], 2.0 * latents, rtol=1e-6)
    np.testing.assert_allclose(stage.points(params, latents)[:, LATENT:], 3.0 * points[:, LATENT:], rtol=1e-5)
    stage, params = made(latents=0.0)
    np.testing.assert_allclose(stage.points(params, latents), points[:, LATENT:], rtol=1e-5)


@pytest.mark.parametrize("matcher", ["flow", "sinkhorn", "critic", "energy"])
def test_a_matcher_compares_points_and_moves_latents(matcher):
    own = dict(width=8, depth=1, noise_size=3, batch_size=21, matcher=matcher, draws=2 if matcher == "energy" else 1)
    model = MODEL.extend(made()[0])
    stage = matching.stage(
        sections.matching(**own, beta=1.0 if matcher == "energy" else float("inf")), context(model, "matching", 5)
    )
    batch = {"labels": np.repeat(np.arange(3), 7).astype(np.int32)}
    params = made()[1]
    found = stage.inputs(images(), params)
    assert found["latents"].shape == (21, len(model.space(params, np.zeros((1, LATENT), np.float32))[0]))
    state = jax.jit(stage.init)(jax.random.key(0), {**found, **batch}, params)
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        after, metrics = jax.jit(stage.update)(state, {**found, **batch}, jax.random.key(1), params)
    assert np.isfinite(metrics["loss"])
    frozen = stage.finish(after, None, params)
    assert stage.matcher.sample(frozen.sampler, jax.random.key(2), jnp.asarray(1)).shape == (LATENT,)


def test_the_loss_in_a_space_is_that_of_points():
    """`sinkhorn` of a generator's samples with a space is `sinkhorn` of their points without one."""
    labels = jnp.repeat(jnp.arange(3), 7)
    latents = jnp.asarray(MODEL.encode({}, images()))

    def loss(epsilon, scale):
        own = dict(matcher="sinkhorn", sinkhorn=dict(epsilon=epsilon))
        config = sections.matching(**own, width=8, depth=1, noise_size=3, batch_size=21)
        matcher = matching.stage(config, context(MODEL, "matching", 5)).matcher
        state = matcher.init(jax.random.key(0), latents, labels)
        term = Term(scale * latents, labels, space=lambda z: scale * z)
        return jax.jit(lambda params: matcher.loss(params, term, jax.random.key(1)))(state.params)[0]

    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        plain, twice = (loss(epsilon, scale) for epsilon, scale in ((5.0, 1.0), (10.0, 2.0)))
    np.testing.assert_allclose(twice, 2.0 * plain, rtol=1e-4)


@pytest.mark.parametrize(
    ("own", "model", "message"),
    [
        ({}, Model(encode=MODEL.encode, decode=MODEL.decode), "name perceptual and representation first"),
        ({}, Model(features=MODEL.features), "leave space out"),
        (dict(features=0.0), MODEL, "--config.space.features=1.0"),
        (dict(latents=-1.0), MODEL, "--config.space.latents=1.0"),
        (dict(fields=0), MODEL, "--config.space.fields=2"),
    ],
)
def test_mistakes_are_refused(own, model, message, refused):
    assert message in refused(space.stage, sections.space(**own), context(model))


def test_a_matcher_that_takes_no_distances_is_refused(refused):
    config = sections.matching(matcher="score")
    error = refused(matching.stage, config, context(MODEL.extend(made()[0]), "matching", 5))
    assert "leave the stage space out" in error and "flow" in error
