"""LPIPS of uint8 images on the host, and its absence where its weights are."""

import logging

import jax
import numpy as np

from experiment_jax.evaluation import similarity
from experiment_jax.networks.pretrained import lpips, weights


def test_it_is_lpips_of_images_at_64x64(installed):
    installed(weights.ALEXNET)
    first, second = np.random.default_rng(0).integers(0, 256, (2, 3, 10, 10, 1), np.uint8)
    found = similarity.find()(first, second)
    assert isinstance(found, np.ndarray) and found.shape == (3,) and found.dtype == np.float32
    params, _ = lpips.from_package("", "")
    resized = [jax.image.resize(np.float32(each) / 127.5 - 1, (3, 64, 64, 1), "bilinear") for each in (first, second)]
    np.testing.assert_allclose(found, lpips.lpips(params, *resized), rtol=1e-4)
    np.testing.assert_array_equal(similarity.find()(first, first), 0)


def test_without_the_package_there_is_none(monkeypatch):
    monkeypatch.setattr(weights, "installed", lambda source: None)
    assert similarity.find() is None


def test_with_other_weights_there_is_none_and_a_warning(tmp_path, monkeypatch, caplog):
    (tmp_path / "alexnet.ckpt").write_bytes(b"other")
    monkeypatch.setattr(weights, "installed", lambda source: tmp_path / "alexnet.ckpt")
    with caplog.at_level(logging.WARNING):
        assert similarity.find() is None
    assert "alexnet.ckpt: not LPIPS 0.1, so no lpips; type pip install" in caplog.text
