"""The PyTorch side of `benchmarks/training_step.py` computes what ours does: same weights, same outputs."""

import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from experiment_jax.networks import autoencoder, losses, self_supervised, ssim
from lsdm_jax.matchers import critic, generator
from regene_jax import classifier

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -r requirements-bench.txt")
sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import twins  # noqa: E402

SHAPE, WIDTHS, LATENT, BATCH = (12, 12, 3), (8, 12), 7, 5


def images(seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (BATCH, *SHAPE)).astype(np.float32)


def to_torch(maps):
    return torch.tensor(np.asarray(maps).transpose(0, 3, 1, 2))


def weights(network, *inputs, **options):
    """Parameters that are nothing special: no zeros, no ones."""
    variables = network.init(jax.random.key(0), *inputs, **options)
    shift = lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(leaf.size), leaf.shape)  # noqa: E731
    return jax.tree.map(shift, variables["params"]), {key: variables[key] for key in variables if key != "params"}


def same(ours, theirs):
    np.testing.assert_allclose(np.asarray(theirs.detach()), ours, rtol=1e-4, atol=1e-5)


def test_encoder():
    network = autoencoder.Encoder(WIDTHS, LATENT)
    params, _ = weights(network, images())
    same(
        network.apply({"params": params}, images()),
        twins.Encoder(WIDTHS, LATENT, SHAPE).load(params)(to_torch(images())),
    )


def test_decoder():
    network, z = autoencoder.Decoder(WIDTHS, SHAPE), images()[:, 0, :7, 0]
    params, _ = weights(network, z)
    decoded = twins.Decoder(WIDTHS, LATENT, SHAPE).load(params)(torch.tensor(z))
    same(network.apply({"params": params}, z).transpose(0, 3, 1, 2), decoded)


def test_perceptual_features_and_their_distance():
    network = self_supervised.Features(WIDTHS)
    params, _ = weights(network, images())
    twin = twins.Features(WIDTHS, 3).load(params)
    ours = [network.apply({"params": params}, images(seed)) for seed in (0, 1)]
    theirs = [twin(to_torch(images(seed))) for seed in (0, 1)]
    for level, other in zip(ours[0], theirs[0], strict=True):
        same(level.transpose(0, 3, 1, 2), other)
    same(losses.feature_distance(*ours), twins.perceptual(*theirs))


def test_classifier_in_training():
    network = classifier.Encoder(WIDTHS, 1, LATENT, "linear")
    params, statistics = weights(network, images(), train=False)
    (z, maps), _ = network.apply({"params": params, **statistics}, images(), train=True, mutable=["batch_stats"])
    found, levels = twins.Classifier(WIDTHS, LATENT, SHAPE).load(params)(to_torch(images()))
    same(z, found)
    same(maps[1].transpose(0, 3, 1, 2), levels[1])


def test_generator_and_critic():
    noise, labels = images()[:, 0, :4, 0], np.arange(5) % 3
    network = generator.Generator(width=11, depth=2, num_classes=3, latent_size=LATENT)
    params, _ = weights(network, noise, labels)
    inputs = torch.tensor(np.concatenate([noise, np.eye(3, dtype=np.float32)[labels]], axis=1))
    same(network.apply({"params": params}, noise, labels), twins.MLP(7, 11, 2, LATENT, norms=True).load(params)(inputs))
    network = critic.Critic(11, 2)
    params, _ = weights(network, noise)
    same(
        network.apply({"params": params}, noise),
        twins.MLP(4, 11, 2, 1, norms=False).load(params)(torch.tensor(noise))[:, 0],
    )


def test_ssim():
    same(ssim.ssim(images(), images(1)), twins.ssim(to_torch(images()), to_torch(images(1))))
