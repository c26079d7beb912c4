import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import ot
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.distance import cdist

from experiment_jax import load_run, train
from lsdm_jax import bound
from lsdm_jax.bound import Cloud

ROUNDING = 1e-5  # relative, of images that were decoded in float32
N, LATENT, PIXELS = 33, 3, 7
LABELS = np.repeat([0, 2, 3], [16, 12, 5])  # shares that differ, and a class that has none
PHI = np.eye(4)[LABELS] / np.sqrt(2.0)


def linear(a):
    """D(z) = z Aᵀ, as latents -> the cloud that they decode to."""
    return lambda z: Cloud(z, z @ a.T)


def points(seed, shift=0.0, size=LATENT):
    return np.random.default_rng(seed).normal(size=(N, size)) + shift


def isometry(seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(PIXELS, LATENT)))[0]


@pytest.mark.parametrize("beta", [0.0, 0.7, 5.0])
def test_a_finite_beta_is_transport_with_classes_so_far_apart(beta):
    x, y = points(0), points(1, 0.5)
    cost = np.sqrt(cdist(x, y) ** 2 + (beta * (LABELS[:, None] != LABELS[None])) ** 2)
    np.testing.assert_allclose(bound.joint_w1(x, y, PHI, beta), ot.emd2([], [], cost), rtol=1e-9)


def test_an_infinite_beta_weighs_the_classes_by_their_shares_and_is_the_limit():
    x, y = points(0), points(1, 0.5)
    each = [ot.emd2([], [], cdist(x[label == LABELS], y[label == LABELS])) for label in (0, 2, 3)]
    limit = bound.joint_w1(x, y, PHI, np.inf)
    np.testing.assert_allclose(limit, np.dot([16, 12, 5], each) / N, rtol=1e-9)
    values = [bound.joint_w1(x, y, PHI, beta) for beta in (0.0, 1.0, 3.0, 100.0)]
    assert np.all(np.diff(values) >= -1e-12) and values[0] < limit
    np.testing.assert_allclose(values[-1], limit, rtol=1e-9)


def test_conditions_that_are_all_different_never_mix_at_an_infinite_beta():
    x, y = points(0), points(1, 0.5)
    own = points(2) * 1e-3
    paired = np.mean(np.linalg.norm(x - y, axis=1))
    np.testing.assert_allclose(bound.joint_w1(x, y, own, np.inf), paired, rtol=1e-12)
    np.testing.assert_allclose(bound.joint_w1(x, y, own, 1e7), paired, rtol=1e-6)


def test_the_slope_of_a_linear_decoder_is_its_largest_singular_value_where_latents_lie_along_it():
    a = isometry() * np.array([0.5, 3.0, 1.0])
    real, generated = linear(a)(points(0)), linear(a)(points(1))
    assert 1.0 < bound.lipschitz(real, generated) < 3.0
    along = real.latents + np.outer(np.arange(1, N + 1), [0.0, 1.0, 0.0])
    np.testing.assert_allclose(bound.lipschitz(real, linear(a)(along)), 3.0, rtol=1e-9)
    assert bound.lipschitz(*[linear(a)(np.ones((N, LATENT)))] * 2) == 0.0  # no two different latents


@examples(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    steepness=st.floats(0.01, 20.0),
    error=st.floats(0.0, 3.0),
    shift=st.floats(-2.0, 2.0),
    beta=st.sampled_from([0.1, 1.0, 10.0, np.inf]),
)
def test_the_inequality_holds_for_planted_decoders(seed, steepness, error, shift, beta):
    """Known: the reconstruction error, and L at most the largest singular value."""
    a = isometry(seed) * np.array([0.1, 1.0, 0.3]) * steepness
    real, generated = linear(a)(points(seed)), linear(a)(points(seed + 1, shift))
    noise = points(seed + 2, size=PIXELS)
    noise *= error / np.linalg.norm(noise, axis=1, keepdims=True)
    found = bound.measure(real.decoded + noise, real, generated, PHI, beta)
    np.testing.assert_allclose(found.reconstruction, error, atol=1e-12)
    assert found.lipschitz <= steepness * (1 + 1e-9)
    assert found.w1_image <= found.right * (1 + 1e-9)


@pytest.mark.parametrize("factor", [0.2, 1.0, 3.0])
def test_the_inequality_is_an_equality_for_a_multiple_of_an_isometry(factor):
    decode = linear(factor * isometry())
    real, generated = decode(points(0)), decode(points(1, 0.5))
    found = bound.measure(real.decoded, real, generated, PHI, np.inf)
    np.testing.assert_allclose(found.lipschitz, factor, rtol=1e-9)
    np.testing.assert_allclose(found.w1_image, factor * found.w1_latent, rtol=1e-9)
    np.testing.assert_allclose(found.right, max(1.0, factor) * found.w1_latent, rtol=1e-9)


UNTRAINED = dict(representation__steps=0, matching__steps=0)  # the bound holds whatever the networks are
RUNS = {  # and that of `finished`, an autoencoder with a matcher, both trained
    "vae with a mixture": dict(representation__kind="vae", matching__matcher="gmm", matching__gmm__components=1),
    "identity with the prior": dict(representation__kind="identity", matching__matcher="prior"),
    "rae with a second vae": dict(representation__kind="rae", matching__matcher="vae", matching__beta=2.0),
}


@pytest.mark.parametrize("name", ["autoencoder with sinkhorn", *RUNS])
def test_the_inequality_holds_on_runs(name, tiny, one, finished, tmp_path):
    workdir = finished[1] if name not in RUNS else tmp_path
    if name in RUNS:
        train(tiny(**UNTRAINED, **RUNS[name]), workdir, one)
    run = load_run(workdir)
    results, drawn = bound.figure(run, SimpleNamespace(compared=run.test))
    assert results["bound_samples"] == len(run.test.images) == 450
    assert 0 < results["bound_w1_image"] <= results["bound_right"] * (1 + ROUNDING)
    slope = max(1.0, results["bound_lipschitz"])
    expected = results["bound_reconstruction"] + slope * results["bound_w1_latent"]
    np.testing.assert_allclose(results["bound_right"], expected)
    assert drawn["bound"].dtype == np.uint8 and drawn["bound"].shape[2] == 3
    if "identity" in name:  # the decoder is a multiple of an isometry: the scale of the latents
        np.testing.assert_allclose(results["bound_reconstruction"], 0.0, atol=1e-5)
        scale = float(run.model.params["representation"].scale)
        np.testing.assert_allclose(results["bound_lipschitz"], scale, rtol=1e-4)
        np.testing.assert_allclose(results["bound_w1_image"], scale * results["bound_w1_latent"], rtol=1e-4)


def test_eval_prints_the_bound_and_draws_it(script, finished, tmp_path):
    workdir = Path(shutil.copytree(finished[1], tmp_path / "run"))
    status, output, error = script("eval.py", "--workdir", workdir, "--bound", "--num_samples", 70)
    assert status == 0, error
    found = json.loads(output.splitlines()[-1])
    assert found["bound_w1_image"] <= found["bound_right"] and found["accuracy_gen"] >= 0
    assert json.loads((workdir / "eval" / "4" / "metrics.json").read_text()) == found
    with Image.open(workdir / "eval" / "4" / "bound.png") as picture:
        assert picture.size == (600, 400)


def test_a_run_that_does_not_sample_has_no_bound(finished, tiny, one, tmp_path, refused):
    train(tiny(stages=("representation",), representation__from_run=str(finished[1])), tmp_path, one)
    run = load_run(tmp_path)
    assert "do not sample" in refused(bound.figure, run, SimpleNamespace(compared=run.test))
