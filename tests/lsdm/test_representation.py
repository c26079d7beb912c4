import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiment_jax import load_run, train
from experiment_jax.config.sections import experiment
from experiment_jax.data import load, passes
from experiment_jax.data.split import view as view_of
from experiment_jax.method.stage import Context, Model
from experiment_jax.runs.verified import digest
from experiment_jax.training.logger import read_metrics
from lsdm_jax import representation, sections
from lsdm_jax.kinds import KINDS

ALL = (*KINDS, "identity")


def settings(**own):
    return sections.representation(**{**dict(latent_size=5, widths=(6,), ssim=0.5), **own})


def context(shape=(8, 8, 1)):
    return Context("representation", shape, 10, np.full(10, 0.1, np.float32), np.full(10, 100), 20, Model())


@pytest.fixture(scope="module")
def view():
    """All training images."""
    return view_of(load.load(experiment("lsdm", "digits", stages=()).data, seed=0), "all")


@pytest.fixture(scope="module", params=ALL)
def untrained(request, view):
    """A stage, its frozen part (latents are standardised whatever the encoder) and its view."""
    stage = representation.stage(settings(kind=request.param), context())
    batch = {"images": passes.to_float(jnp.asarray(view.images[:20]))}
    return stage, stage.finish(jax.jit(stage.init)(jax.random.key(0), batch, {}), view, {}), view


def test_latents_are_standardised_over_the_whole_view(untrained):
    stage, frozen, view = untrained
    encode = jax.jit(lambda images: stage.provides["encode"]({"representation": frozen}, passes.to_float(images)))
    latents = passes.over(encode, view.images, batch_size=400).astype(np.float64)
    assert latents.shape == (len(view), stage.provides["latent_size"])
    np.testing.assert_allclose(latents.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(np.mean(latents**2), 1.0, rtol=1e-5)


def test_standardising_moves_latents_and_leaves_reconstructions(untrained):
    stage, frozen, view = untrained
    images = passes.to_float(jnp.asarray(view.images[:11]))
    other = frozen.replace(mean=frozen.mean + 3.0, scale=frozen.scale * 7.0)
    encode, decode = stage.provides["encode"], stage.provides["decode"]
    latents, moved = (jax.jit(encode)({"representation": each}, images) for each in (frozen, other))
    pictures = [jax.jit(decode)({"representation": each}, z) for each, z in ((frozen, latents), (other, moved))]
    assert np.abs(latents - moved).max() > 0.1
    np.testing.assert_allclose(*pictures, atol=1e-4)


def test_what_latents_were_trained_towards_is_standardised_as_they_are(untrained):
    stage, frozen, _ = untrained
    params = {"representation": frozen}
    if "prior" not in stage.provides:
        return
    mean, deviation = stage.provides["prior"](params)
    origin, unit = (np.full((1, 5), value, np.float32) for value in (0.0, 1.0))  # as D takes them
    decode = lambda z: stage.provides["decode"](params, z)  # noqa: E731
    for point, where in ((origin, mean[None]), (origin + 2.0 * unit, mean[None] + 2.0 * deviation)):
        np.testing.assert_allclose(where * frozen.scale + frozen.mean, point, atol=1e-5)
        assert np.all(np.isfinite(decode(where)))


def test_the_pixels_themselves_come_back_from_the_identity(view):
    stage = representation.stage(settings(kind="identity"), context())
    params = {"representation": stage.finish({}, view, {})}
    images = passes.to_float(jnp.asarray(view.images[:11]))
    latents = stage.provides["encode"](params, images)
    assert stage.update is None and latents.shape == (11, 64)
    np.testing.assert_allclose(stage.provides["decode"](params, latents), images, atol=1e-6)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "autoencoder"])  # which all other tests train
def test_every_kind_trains_on_eight_devices_what_it_does_on_one(kind, tiny, one, tmp_path):
    config = tiny(stages=("representation",), representation__kind=kind)
    alone = train(config, tmp_path / "one", one)["representation"]
    train(config, tmp_path / "eight")
    rows = [read_metrics(tmp_path / name) for name in ("one", "eight")]
    for one, eight in zip(*rows, strict=True):
        assert one.keys() == eight.keys()
        for name in one.keys() & {"loss", "kl", "mmd", "latent_half_square", "parameter_norm"}:
            np.testing.assert_allclose(eight[name], one[name], rtol=1e-3, atol=1e-5)
    run = load_run(tmp_path / "one")
    assert digest(run.model.params["representation"]) == digest(alone)
    assert np.all(np.isfinite(run.encode(run.dataset.validation.images)))


def test_bad_settings_are_refused(refused):
    error = refused(representation.stage, settings(kind="nonsense"), context())
    assert error.endswith(f"kind=nonsense: choose one of {', '.join(ALL)}")
    for kind, weight in (("vae", "kl"), ("wae", "mmd"), ("rae", "l2")):
        error = refused(representation.stage, settings(**{"kind": kind, kind: {weight: -1.0}}), context())
        assert f"representation.{kind}.{weight}=-1.0: give 0 or more" in error
    error = refused(representation.stage, settings(widths=(4, 6, 8)), context((28, 28, 1)))
    assert "28x28 images cannot be halved 3 times" in error


def test_a_perceptual_loss_without_features_is_refused(refused):
    error = refused(representation.stage, settings(perceptual=0.7), context())
    assert "representation.perceptual=0.7: needs a stage before it" in error
