import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from experiment_jax import UserError, load_run, train
from experiment_jax.config import sections
from experiment_jax.data import passes
from experiment_jax.data import split as data
from experiment_jax.method.stage import Context, Model
from experiment_jax.runs import checkpoints
from experiment_jax.runs import directory as run_directory
from lsdm_jax import representation
from lsdm_jax.kinds import KINDS

ALL = (*KINDS, "identity")


def settings(**own):
    defaults = dict(
        kind="autoencoder",
        latent_size=5,
        widths=(6,),
        noise=0.1,
        kl=0.1,
        mmd=10.0,
        l2=0.1,
        l1=1.0,
        ssim=0.5,
        perceptual=0.0,
        optimiser=sections.optimiser(learning_rate=2e-3),
        ema_decay=0.9,
    )
    return ConfigDict({**defaults, **own})


def context(shape=(8, 8, 1)):
    return Context("representation", shape, 10, np.full(10, 0.1, np.float32), 20, Model())


@pytest.fixture(scope="module", params=ALL)
def finished(request):
    """A stage, its frozen part (untrained: latents are standardised whatever the encoder) and its view."""
    dataset = data.load(sections.experiment("lsdm", "digits", stages=()).data, seed=0)
    stage, view = representation.stage(settings(kind=request.param), context()), data.view(dataset, "all")
    batch = {"images": passes.to_float(jnp.asarray(view.images[:20]))}
    return stage, stage.finish(jax.jit(stage.init)(jax.random.key(0), batch, {}), view, {}), view


def test_latents_are_standardised_over_the_whole_view(finished):
    stage, frozen, view = finished
    encode = jax.jit(lambda images: stage.provides["encode"]({"representation": frozen}, passes.to_float(images)))
    latents = passes.over(encode, view.images, batch_size=400).astype(np.float64)
    assert latents.shape == (len(view), stage.provides["latent_size"])
    np.testing.assert_allclose(latents.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(np.mean(latents**2), 1.0, rtol=1e-5)


def test_standardising_moves_latents_and_leaves_reconstructions(finished):
    stage, frozen, view = finished
    images = passes.to_float(jnp.asarray(view.images[:11]))
    other = {**frozen, "mean": frozen["mean"] + 3.0, "scale": frozen["scale"] * 7.0}
    encode, decode = stage.provides["encode"], stage.provides["decode"]
    latents, moved = (jax.jit(encode)({"representation": each}, images) for each in (frozen, other))
    pictures = [jax.jit(decode)({"representation": each}, z) for each, z in ((frozen, latents), (other, moved))]
    assert np.abs(latents - moved).max() > 0.1
    np.testing.assert_allclose(*pictures, atol=1e-4)


def test_what_latents_were_trained_towards_is_standardised_as_they_are(finished):
    stage, frozen, _ = finished
    params = {"representation": frozen}
    if "prior" not in stage.provides:
        return
    mean, deviation = stage.provides["prior"](params)
    origin, unit = (np.full((1, 5), value, np.float32) for value in (0.0, 1.0))  # as D takes them
    decode = lambda z: stage.provides["decode"](params, z)  # noqa: E731
    for point, where in ((origin, mean[None]), (origin + 2.0 * unit, mean[None] + 2.0 * deviation)):
        np.testing.assert_allclose(where * frozen["scale"] + frozen["mean"], point, atol=1e-5)
        assert np.all(np.isfinite(decode(where)))


def test_the_pixels_themselves_come_back_from_the_identity():
    dataset = data.load(sections.experiment("lsdm", "digits", stages=()).data, seed=0)
    stage, view = representation.stage(settings(kind="identity"), context()), data.view(dataset, "all")
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
    rows = [run_directory.read_metrics(tmp_path / name) for name in ("one", "eight")]
    for one, eight in zip(*rows, strict=True):
        assert one.keys() == eight.keys()
        for name in one.keys() & {"loss", "kl", "mmd", "latent_half_square", "parameter_norm"}:
            np.testing.assert_allclose(eight[name], one[name], rtol=1e-3, atol=1e-5)
    run = load_run(tmp_path / "one")
    assert checkpoints.digest(run.model.params["representation"]) == checkpoints.digest(alone)
    assert np.all(np.isfinite(run.encode(run.dataset.validation.images)))


def test_bad_settings_are_refused():
    with pytest.raises(UserError, match=f"kind=nonsense: choose one of {', '.join(ALL)}$"):
        representation.stage(settings(kind="nonsense"), context())
    for kind, weight in (("vae", "kl"), ("wae", "mmd"), ("rae", "l2")):
        with pytest.raises(UserError, match=rf"representation\.{weight}=-1.0: give 0 or more"):
            representation.stage(settings(**{"kind": kind, weight: -1.0}), context())
    with pytest.raises(UserError, match="28x28 images cannot be halved 3 times"):
        representation.stage(settings(widths=(4, 6, 8)), context((28, 28, 1)))


def test_a_perceptual_loss_without_features_is_refused():
    with pytest.raises(UserError, match=r"representation\.perceptual=0\.7: needs a stage before it"):
        representation.stage(settings(perceptual=0.7), context())
