"""The matchers that train no one-step generator by transport: `prior`, `gmm` and the `vae` of latents."""

import dataclasses
import shutil
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from experiment_jax import evaluate, load_config, load_run, train
from experiment_jax.data import load
from experiment_jax.data.split import View
from experiment_jax.evaluation.shown import summary
from experiment_jax.method.build import build
from experiment_jax.method.stage import Context, Model
from experiment_jax.runs.verified import digest
from experiment_jax.sweep import members
from lsdm_jax import matching, sections
from lsdm_jax.matchers import MATCHERS, gmm, vae
from lsdm_jax.matchers.matcher import Term

LATENT, CLASSES = 3, 2
WEIGHTS = np.full(CLASSES, 1 / CLASSES, np.float32)


def context(steps=0, counts=(400, 400), **model):
    model = Model(latent_size=LATENT, **model)
    return Context("matching", (8, 8, 1), CLASSES, WEIGHTS, np.array(counts), steps, model)


def settings(name, **own):
    """The matcher's section with a mixture of one component, and networks that train in a second."""
    of_gmm = dict(components=1, covariance_floor=0.0, iterations=200, conditional=True)
    of_gmm |= {key: own.pop(key) for key in of_gmm if key in own}
    network = dict(noise_size=LATENT, width=32, depth=1, ema_decay=0.9, optimiser=dict(learning_rate=1e-2, b1=0.9))
    return sections.matching(matcher=name, gmm=of_gmm, **network, **own)


def make(name, where, **own):
    """A matcher whose settings were looked at."""
    matcher = MATCHERS[name](settings(name, **own), where)
    matcher.check()
    return matcher


def draw(matcher, params, label, count=20_000):
    keys = jax.random.split(jax.random.key(3), count)
    return np.asarray(jax.jit(jax.vmap(lambda key: matcher.sample(params, key, jnp.int32(label))))(keys))


def planted(seed=0, count=400):
    """Latents `[2 count, 3]` and labels: two classes of different place and shape."""
    generator = np.random.default_rng(seed)
    roots = np.array([[[1, 0, 0], [0.8, 0.5, 0], [0, 0, 0.2]], [[0.3, 0, 0], [0, 0.3, 0], [-0.5, 0, 1]]])
    z = generator.normal(size=(CLASSES, count, LATENT)) @ roots.transpose(0, 2, 1)
    z += np.array([[0.0, 1.0, 2.0], [3.0, -1.0, 0.0]])[:, None]
    return z.reshape(-1, LATENT).astype(np.float32), np.repeat(np.arange(CLASSES), count)


# --- gmm -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flips", [False, True])
def test_mixtures_are_of_mirrored_images_too_where_training_images_are_mirrored(flips):
    def flat(params, images):
        return images.reshape(images.shape[0], -1)

    images = np.random.default_rng(0).integers(0, 255, (80, 1, 3, 1), dtype=np.uint8)
    labels = np.repeat(np.arange(CLASSES), 40)
    where = dataclasses.replace(context(encode=flat, decode=flat), flips=flips)
    fitted = matching.stage(settings("gmm"), where).finish({}, View(images, labels), {}).sampler
    seen = images.reshape(-1, 3) / 127.5 - 1.0
    for label in range(CLASSES):
        own = seen[labels == label]
        own = np.vstack([own, own[:, ::-1]]) if flips else own
        root = fitted["roots"][label, 0]
        np.testing.assert_allclose(fitted["means"][label, 0], own.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(root @ root.T, np.cov(own.T, ddof=0), atol=1e-5)


def test_clusters_have_the_mean_and_covariance_of_their_class_together():
    latents, labels = planted()
    fitted = make("gmm", context(), components=7, covariance_floor=0.25, iterations=0).fit(latents, labels, {})
    for label in range(CLASSES):
        own = latents[labels == label].astype(np.float64)
        weights, means, roots = (fitted[name][label].astype(np.float64) for name in ("weights", "means", "roots"))
        mean = weights @ means
        within = np.einsum("k,kij,klj->il", weights, roots, roots)
        between = np.einsum("k,ki,kj->ij", weights, means - mean, means - mean)
        np.testing.assert_allclose(mean, own.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(within + between, np.cov(own.T, ddof=0) + 0.25 * np.eye(LATENT), atol=1e-5)


def test_more_clusters_than_places_leave_some_without_a_share():
    points = np.repeat([[0.0, 1.0, 2.0], [1.0, 0.0, 0.0]], 10, axis=0).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = gmm.clusters(points, 4, 0.5)
    np.testing.assert_allclose(np.sort(found.weights), [0, 0, 0.5, 0.5])
    np.testing.assert_allclose(found.covariances[found.weights > 0], np.stack([0.5 * np.eye(3)] * 2), atol=1e-12)
    assert np.isfinite(found.means).all()


@pytest.mark.parametrize("floor", [0.0, 0.25])
def test_one_component_has_the_mean_and_covariance_of_its_class(floor):
    latents, labels = planted()
    matcher = make("gmm", context(), covariance_floor=floor)
    fitted = matcher.fit(latents, labels, {})
    for label in range(CLASSES):
        own = latents[labels == label].astype(np.float64)
        root = fitted["roots"][label, 0].astype(np.float64)
        covariance = np.cov(own.T, ddof=0) + floor * np.eye(LATENT)
        np.testing.assert_allclose(fitted["means"][label, 0], own.mean(axis=0), atol=1e-5)
        np.testing.assert_allclose(root @ root.T, covariance, atol=1e-5)
        drawn = draw(matcher, fitted, label)
        np.testing.assert_allclose(drawn.mean(axis=0), own.mean(axis=0), atol=0.04)
        np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.05)


def test_a_view_that_a_labeller_completes_is_counted_when_its_labels_are_known(refused):
    latents, labels = planted(count=6)
    pairs = context(counts=(3, 2))
    error = refused(make, "gmm", pairs, components=5, labels="pairs")
    assert "matching.gmm.components=5: class 1 has 2 latents; type --config.matching.gmm.components=2" in error
    matcher = make("gmm", pairs, components=5, labels="pseudo", covariance_floor=0.1)
    assert matcher.fit(latents, labels, {})["weights"].shape == (CLASSES, 5)
    error = refused(matcher.fit, latents[:-2], labels[:-2], {})
    assert "matching.gmm.components=5: class 1 has 4 latents" in error


def test_samples_are_as_likely_as_scikit_learns_own():
    generator = np.random.default_rng(0)
    latents = generator.normal(size=(600, LATENT)) * 0.3 + 3.0 * generator.integers(0, 3, 600)[:, None] ** 2
    labels = np.arange(600) % CLASSES
    matcher = make("gmm", context(), components=3)
    fitted = matcher.fit(latents, labels, {})
    np.testing.assert_allclose(fitted["weights"].sum(axis=1), 1.0, rtol=1e-5)
    reference = GaussianMixture(3, reg_covar=0.0, max_iter=200, random_state=0).fit(latents[labels == 1])
    np.testing.assert_allclose(fitted["weights"][1], reference.weights_, rtol=1e-3)
    theirs, ours = reference.sample(20_000)[0], draw(matcher, fitted, 1)
    np.testing.assert_allclose(reference.score(ours), reference.score(theirs), atol=0.05)
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), rtol=0.02)


def test_mixtures_that_no_class_can_fill_are_refused(refused):
    assert "matching.gmm.components=0: give 1 or more" in refused(make, "gmm", context(), components=0)
    assert "covariance_floor=-1.0: give 0 or more" in refused(make, "gmm", context(), covariance_floor=-1.0)
    error = refused(make, "gmm", context(counts=(9, 4)), components=5)
    assert "class 1 has 4 latents; type --config.matching.gmm.components=4" in error


def test_one_mixture_for_all_classes_is_fitted_to_all_latents_and_heeds_no_label():
    points = np.random.default_rng(3).normal(size=(60, LATENT)).astype(np.float32)
    labels = np.repeat([0, -1], 30).astype(np.int32)  # half of them are not known
    matcher = make("gmm", context(counts=(30, 0)), conditional=False, components=1, covariance_floor=0.0)
    fitted = matcher.fit(points, labels, {})
    np.testing.assert_allclose(fitted["means"][0, 0], points.mean(axis=0), atol=1e-5)
    root = fitted["roots"][0, 0]
    np.testing.assert_allclose(root @ root.T, np.cov(points.T, bias=True), atol=1e-5)
    assert not matcher.conditional
    np.testing.assert_array_equal(draw(matcher, fitted, 0), draw(matcher, fitted, 1))


def test_one_mixture_for_all_classes_takes_as_many_latents_as_it_has_components(refused):
    error = refused(make, "gmm", context(counts=(3, 1)), components=5, conditional=False)
    assert "there are 4 latents; type --config.matching.gmm.components=4" in error


# --- prior -----------------------------------------------------------------------------------------------------------


def test_the_prior_is_the_law_that_latents_were_trained_towards_as_they_are_standardised():
    mean, scale = np.array([1.0, -2.0, 0.5], np.float32), 0.5
    matcher = make("prior", context(prior=lambda params: (-mean / scale, 1 / scale)))
    assert not matcher.conditional
    drawn = scale * draw(matcher, matcher.fit(None, None, {}), 0) + mean  # as the decoder takes them
    np.testing.assert_allclose(drawn.mean(axis=0), 0.0, atol=0.03)
    np.testing.assert_allclose(np.cov(drawn.T), np.eye(LATENT), atol=0.04)


def test_without_such_a_law_the_prior_has_the_latents_mean_and_mean_square():
    matcher = make("prior", context())
    fitted = matcher.fit(None, None, {})
    drawn = draw(matcher, fitted, 0)
    np.testing.assert_allclose(drawn.mean(axis=0), 0.0, atol=0.03)
    np.testing.assert_allclose(np.mean(drawn**2), 1.0, rtol=0.02)
    np.testing.assert_array_equal(drawn, draw(matcher, fitted, 1))  # whatever the label


# --- vae -------------------------------------------------------------------------------------------------------------


def test_the_bound_of_a_linear_decoder_at_its_exact_posterior_is_the_likelihood():
    """z = A u + b + γ ε has the law N(b, A Aᵀ + γ² I); u given z is normal, here with a diagonal covariance."""
    generator = np.random.default_rng(0)
    scales, offset, gamma = np.array([2.0, 0.5, 1.0]), np.array([0.3, -1.0, 0.0]), 0.7
    rotation = np.linalg.qr(generator.normal(size=(LATENT, LATENT)))[0]
    a = rotation * scales  # orthogonal columns: the posterior's covariance is diagonal
    z = generator.normal(size=LATENT)
    variance = 1 / (1 + scales**2 / gamma**2)
    mu = variance * (a.T @ (z - offset)) / gamma**2
    u = mu + np.sqrt(variance) * generator.normal(size=(400_000, LATENT))
    rows = lambda row: np.tile(row, (len(u), 1)).astype(np.float32)  # noqa: E731
    decoded = (u @ a.T + offset).astype(np.float32)
    bound, terms = vae.evidence_bound(rows(z), decoded, rows(mu), rows(np.log(variance)), np.float32(np.log(gamma)))
    exact = scipy.stats.multivariate_normal(offset, a @ a.T + gamma**2 * np.eye(LATENT)).logpdf(z)
    np.testing.assert_allclose(bound, -exact, rtol=2e-3)
    np.testing.assert_allclose(terms["gamma"], gamma, rtol=1e-5)
    # Any other posterior is further from it.
    off = (u + 0.5) @ a.T + offset
    assert vae.evidence_bound(rows(z), off, rows(mu + 0.5), rows(np.log(variance)), np.log(gamma))[0] > bound + 0.05


def test_it_learns_the_law_of_each_class():
    latents, labels = planted()
    matcher = make("vae", context(steps=400))
    state = jax.jit(matcher.init)(jax.random.key(0), latents, labels)

    def step(state, key):
        return matcher.update(state, [Term(latents, labels)], key)

    state, metrics = jax.jit(lambda s, keys: jax.lax.scan(step, s, keys))(
        state, jax.random.split(jax.random.key(1), 400)
    )
    assert metrics["loss"][-1] < metrics["loss"][0] - 1
    for label in range(CLASSES):
        own, drawn = latents[labels == label], draw(matcher, matcher.averaged(state), label)
        np.testing.assert_allclose(drawn.mean(axis=0), own.mean(axis=0), atol=0.15)
        np.testing.assert_allclose(np.cov(drawn.T), np.cov(own.T), atol=0.2)


# --- as stages -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted(finished, tiny):
    """`fitted("gmm", …)` -> a config with the representation of the finished tiny run and a matcher of no steps.

    There are no batches, so no class has to share one.
    """

    def config(name, **overrides):
        taken = dict(representation__from_run=str(finished[1]), matching__steps=0, matching__batch_size=17)
        return tiny(**{**taken, "matching__matcher": name, **overrides})

    return config


@pytest.fixture(scope="module")
def mixture(fitted, one, tmp_path_factory):
    """The directory of a finished run with a mixture, and what it froze; for tests that do not write there."""
    workdir = tmp_path_factory.mktemp("mixture") / "run"
    return workdir, train(fitted("gmm"), workdir, one)


def test_what_does_not_heed_labels_is_not_measured_by_class(fitted, mixture, one, tmp_path):
    train(fitted("prior"), tmp_path / "prior", one)
    run_of = {"prior": load_run(tmp_path / "prior"), "gmm": load_run(shutil.copytree(mixture[0], tmp_path / "gmm"))}
    by_class = {"accuracy_gen", "w1_latent", "w1_latent_floor", "spread"}
    found = {name: evaluate(run, num_samples=70) for name, run in run_of.items()}
    assert by_class <= found["gmm"].keys() and not by_class & found["prior"].keys()
    assert found["gmm"].keys() - by_class == found["prior"].keys()
    assert found["gmm"]["nfe"] == 0 and not run_of["prior"].model.conditional
    assert "accuracy by the judge" in summary(run_of["prior"], found["prior"])


def test_a_fitted_matcher_trains_nothing_and_can_be_taken_from_another_run(fitted, mixture, one, tmp_path, refused):
    error = refused(train, fitted("gmm", matching__steps=4), tmp_path / "run", one)
    assert "has nothing to train; type --config.matching.steps=0" in error
    workdir, frozen = mixture
    copied = train(fitted("gmm", matching__from_run=str(workdir)), tmp_path / "again", one)
    assert digest(copied) == digest(frozen)


def test_every_crossing_of_a_representation_and_a_sampler_can_be_built(tmp_path, request, monkeypatch):
    monkeypatch.chdir(request.config.rootpath)
    study = "configs/study_representations.py"
    planned = members.define(study, {}, tmp_path / "sweep", seeds=None, members=True)
    assert {"autoencoder-prior", "vae-gmm", "rae-vae", "identity-critic"} < {each.name for each in planned.members}
    dataset = load.load(load_config(study).data, 0)
    for member in planned.members:
        tasks = build(planned.config(member), dataset)
        trained = [task.name for task in tasks if task.stage.update is not None]
        fitted = member.name.partition("-")[2] in ("prior", "gmm")
        assert trained == ["representation"] * ("identity" not in member.name) + ["matching"] * (not fitted)


def test_latents_reach_the_fit_with_their_labels():
    model = dict(
        encode=lambda params, images: 2.0 * images.reshape(len(images), -1)[:, :LATENT],
        decode=lambda params, z: z,
    )
    images = np.random.default_rng(0).integers(0, 256, (1201, 2, 2, 1), dtype=np.uint8)
    labels = np.arange(1201) % CLASSES
    frozen = matching.stage(settings("gmm"), context(**model)).finish({}, View(images, labels), {})
    expected = [
        2.0 * (images[labels == c].reshape(-1, 4)[:, :LATENT] / 127.5 - 1.0).mean(axis=0) for c in range(CLASSES)
    ]
    np.testing.assert_allclose(frozen.sampler["means"][:, 0], expected, atol=1e-4)
