"""Generators of latents with places: shapes, that all places move with the noise and the label, and what is refused."""

import types

import jax
import numpy as np
import pytest

from experiment_jax import load_run, train
from experiment_jax.method.stage import Model
from lsdm_jax.matchers.places import MIXINGS, Blocks, PlacesCritic, PlacesGenerator, in_places
from lsdm_jax.matchers.score import Network

SHAPE = (3, 5, 2)


def made(network, *inputs):
    """(output, the network as a compiled function of inputs) with parameters of one key."""
    output, variables = jax.jit(network.init_with_output)(jax.random.key(0), *inputs)
    return output, jax.jit(lambda *others: network.apply(variables, *others))


def test_a_token_of_an_image_has_the_pixels_that_lie_in_its_place():
    images = np.random.default_rng(0).normal(size=(2, 6, 10, 3)).astype(np.float32)
    tokens = in_places(images, (3, 5))
    assert tokens.shape == (2, 15, 12)
    np.testing.assert_allclose(np.sort(tokens[1, 7]), np.sort(images[1, 2:4, 4:6].ravel()), atol=1e-6)
    assert in_places(images[:, :5, :7], (3, 5)).shape == (2, 15, 12)  # enlarged to 6×10
    np.testing.assert_allclose(in_places(np.ones((1, 2, 2, 3)), (3, 5)), np.ones((1, 15, 3)), atol=1e-6)


def test_a_place_is_drawn_for_the_part_of_a_low_resolution_image_that_lies_there():
    network = PlacesGenerator("mixer", 10, 0, 0, SHAPE, low_shape=(6, 10, 2))
    noise, low = np.zeros((1, 30), np.float32), np.random.default_rng(0).normal(size=(1, 120)).astype(np.float32)
    latents, apply = made(network, noise, low)
    changed = low.reshape(1, 6, 10, 2).copy()
    changed[:, 2:4, 4:6] += 1.0
    moved = np.abs(apply(noise, changed.reshape(1, 120)) - latents).reshape(2, 3, 5) > 1e-6
    assert moved[:, 1, 2].all() and moved.sum() == 2
    noise[0, 14:16] = 1.0, -2.0  # the place's own part of the noise
    np.testing.assert_array_equal(np.abs(apply(noise, low) - latents).reshape(2, 3, 5) > 1e-6, moved)


PLACES = {"representation.widths": (4, 8), "representation.latent_shape": (2, 2, 3), "matching.width": 10}


@pytest.mark.parametrize("mixing", MIXINGS)
def test_every_place_depends_on_the_noise_and_on_the_label(mixing):
    network = PlacesGenerator(mixing, 10, 2, 4, SHAPE)
    noise, labels = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32), np.arange(7) % 4
    latents, apply = made(network, noise, labels)
    assert latents.shape == (7, 30)
    for other in (apply(-noise, labels), apply(noise, (labels + 1) % 4)):
        assert np.abs(other - latents).min(axis=0).max() > 0
        assert np.abs(other - latents).max(axis=0).min() > 1e-4
    alone = apply(noise[2:3], labels[2:3])
    np.testing.assert_allclose(alone[0], latents[2], atol=1e-5)


@pytest.mark.parametrize("mixing", MIXINGS)
def test_blocks_mix_places(mixing):
    tokens = np.random.default_rng(0).normal(size=(2, 15, 6)).astype(np.float32)
    seen = np.ones((2, 3), np.float32)
    blocks = Blocks(mixing, 4 if mixing == "convolution" else 1, (3, 5))
    out, apply = made(blocks, tokens, seen)
    changed = tokens.copy()
    changed[:, 0] *= -1.0
    assert np.abs(apply(changed, seen) - out).max(axis=(0, 2)).min() > 1e-6


@pytest.mark.parametrize("mixing", MIXINGS)
def test_a_critic_sees_every_place_and_the_condition(mixing):
    network = PlacesCritic(mixing, 10, 1, SHAPE)
    points = np.random.default_rng(0).normal(size=(7, 4 + 30)).astype(np.float32)
    values, apply = made(network, points)
    assert values.shape == (7,)
    slopes = jax.jit(jax.grad(lambda rows: apply(rows).sum()))(points)
    assert np.abs(slopes).max(axis=0).min() > 1e-6
    np.testing.assert_allclose(apply(points[2:3])[0], values[2], atol=1e-5)


def test_a_critic_tells_where_in_the_grid_a_number_is():
    network = PlacesCritic("attention", 10, 1, SHAPE)
    known, latents = np.ones((2, 1), np.float32), np.random.default_rng(0).normal(size=(2, 30)).astype(np.float32)
    turned = np.roll(latents.reshape(2, 2, 3, 5), 1, axis=-1).reshape(2, 30)
    values, apply = made(network, np.hstack([known, latents]))
    assert np.abs(apply(np.hstack([known, turned])) - values).min() > 1e-6


@pytest.mark.parametrize("mixing", MIXINGS)
def test_the_network_of_a_score_has_places_too(mixing):
    network = Network(10, 1, 4, 30, mixing, SHAPE)
    z, level = np.random.default_rng(0).normal(size=(7, 30)).astype(np.float32), np.linspace(-1, 1, 7, dtype=np.float32)
    labels, given = np.arange(7) % 4, np.ones(7, np.float32)
    out, apply = made(network, z, level, labels, given)
    assert out.shape == (7, 30)
    assert np.abs(apply(z, level, labels, 0 * given) - out).max(axis=0).min() > 1e-6
    assert np.abs(apply(z, -level, labels, given) - out).max(axis=0).min() > 1e-6


@pytest.mark.parametrize(("matcher", "mixing"), [("critic", "convolution"), ("score", "mixer")])
def test_a_run_with_places(matcher, mixing, tiny, one, tmp_path):
    own = {key.replace(".", "__"): value for key, value in PLACES.items()}
    more = dict(representation__blocks=1, representation__attention=True, matching__generator=mixing)
    more |= dict(
        matching__patch=2, matching__critic__network=mixing, matching__critic__width=6, matching__critic__depth=1
    )
    train(tiny(**own, **more, matching__matcher=matcher), tmp_path, one)
    run = load_run(tmp_path)
    assert run.model.latent_size == 12 and run.model.latent_shape == (2, 2, 3)
    samples = run.sample(np.arange(10), seed=1)
    assert samples.latents.shape == (10, 12) and samples.images.shape == (10, 8, 8, 1)
    latents = run.encode(run.test.images[:50])
    np.testing.assert_allclose(run.decode(latents).shape, (50, 8, 8, 1))


def test_what_has_no_places_is_refused(tiny, one, tmp_path, refused):
    error = refused(train, tiny(matching__generator="mixer"), tmp_path, one)
    assert "latents have no places; type --config.matching.generator=dense" in error
    own = {key.replace(".", "__"): value for key, value in PLACES.items()}
    of_critic = tiny(matching__matcher="critic", matching__critic__network="mixer")
    assert "type --config.matching.critic.network=dense" in refused(train, of_critic, tmp_path, one)
    patched = tiny(**own, matching__generator="mixer", matching__patch=3)
    assert "type --config.matching.patch=1" in refused(train, patched, tmp_path, one)
    fitted = tiny(**own, matching__generator="mixer", matching__matcher="gmm", matching__steps=0)
    assert "gmm has no such network" in refused(train, fitted, tmp_path, one)
    unfit = tiny(**own | {"representation__latent_shape": (4, 4, 3)})
    assert '--config.representation.latent_shape="(2,2,3)"' in refused(train, unfit, tmp_path, one)
    spectral = tiny(**own, representation__kind="rae", representation__blocks=1)
    assert "--config.representation.blocks=0" in refused(train, spectral, tmp_path, one)
    assert not any(tmp_path.iterdir())


def test_new_latents_have_no_places_unless_their_stage_says_so():
    class Vectors:
        provides = types.MappingProxyType(dict(latent_size=4))

    class Sampler:
        provides = types.MappingProxyType(dict(nfe=1))

    model = Model(latent_size=12, latent_shape=(2, 2, 3))
    assert model.extend(Sampler).latent_shape == (2, 2, 3)
    assert model.extend(Vectors).latent_shape == ()
