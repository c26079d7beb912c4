"""Whole runs of super-resolution on digits, and what a person can get wrong."""

import dataclasses
import shutil
import struct
import zlib
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from experiment_jax import evaluate, load_config, load_run, train
from experiment_jax.comparison import sample_row
from experiment_jax.evaluation import super_resolution
from experiment_jax.evaluation.enlarge import enlarge
from experiment_jax.evaluation.evaluate import reference_of
from experiment_jax.evaluation.files import save_samples
from experiment_jax.evaluation.plan import Plan
from experiment_jax.method.stage import Context, Model
from experiment_jax.training.train import prepare
from lsdm_jax import bound, matching, regression, sections
from lsdm_jax.matchers import MATCHERS

SMALL = {
    "data.validation": 20,
    "evaluation.protocol": "test_70",
    "degradation.noise": 0.05,
    "representation.widths": (4,),
    "representation.latent_size": 3,
    "regression.width": 8,
    "regression.depth": 1,
    "regression.latent_size": 3,
    "regression.widths": (4,),
    "matching.width": 8,
    "matching.depth": 1,
    "matching.noise_size": 2,
    "matching.critic.width": 8,
    "matching.sinkhorn.max_iterations": 20,
    "matching.flow.max_iterations": 20,
    "matching.score.sampling_steps": 3,
    "matching.log_steps": 1,
}


def small(**overrides):
    changed = {key.replace("__", "."): value for key, value in overrides.items()}
    return load_config("configs/lsdm_sr_digits.py:smoke", {**SMALL, **changed})


@pytest.fixture(scope="module")
def trained(tmp_path_factory, one):
    workdir = tmp_path_factory.mktemp("sr") / "run"
    train(small(), workdir, one)
    return load_run(workdir)


@pytest.fixture(scope="module")
def evaluated(trained, tmp_path_factory):
    """(run, metrics) of a copy of the run, with what evaluation wrote there and with seven saved samples."""
    workdir = shutil.copytree(trained.workdir, tmp_path_factory.mktemp("evaluated") / "run")
    run = dataclasses.replace(trained, workdir=workdir)
    metrics = evaluate(run)
    save_samples(run, 7)
    return run, metrics


def test_latents_with_places_are_drawn_for_the_places_of_the_condition(tmp_path, one):
    places = dict(
        representation__latent_shape=(4, 4, 2), regression__latent_shape=(4, 4, 3), matching__generator="mixer"
    )
    train(small(**places, matching__noise_size=32, matching__steps_per_dispatch=1), tmp_path, one)
    run = load_run(tmp_path)
    low = run.degrade(run.test.images[:7])
    assert run.model.low_shape == low.shape[1:] and run.regress(low).shape == (7, 8, 8, 1)
    samples = run.sample(low, seed=0)
    assert samples.images.shape == (7, 8, 8, 1) and samples.latents.shape == (7, 32)
    np.testing.assert_array_equal(run.sample(low[:3], seed=0).images, samples.images[:3])


def test_stages_that_froze_alike_under_other_settings_are_not_taken_for_each_other(trained, one, tmp_path, refused):
    source = str(trained.workdir)
    names = ("representation", "degradation", "regression", "matching")
    taking = {f"{name}__from_run": source for name in names}
    assert prepare(small(**taking), tmp_path / "run", one).taken.keys() == {*names}
    first = {f"{name}__from_run": source for name in names[:2]}  # of other noise, only what does not depend on it
    assert prepare(small(**first, degradation__noise=0.1), tmp_path / "run", one).taken.keys() == {*names[:2]}
    error = refused(prepare, small(**taking, degradation__noise=0.1), tmp_path / "run", one)
    assert error.startswith(f"--config.regression.from_run={source}: ")
    assert "was trained with degradation.noise=0.05; type --config.degradation" in error
    assert not (tmp_path / "run").exists()


@pytest.fixture
def not_enlarged(refused, trained, tmp_path, tree):
    """`not_enlarged(source)` -> the one line that a person reads, when nothing was written."""

    def attempt(source, target="out.png"):
        before = tree(tmp_path), tree(trained.workdir)
        error = refused(enlarge, trained, source, tmp_path / target)
        assert before == (tree(tmp_path), tree(trained.workdir))
        return error

    return attempt


def picture(path, size=(4, 4), mode="L"):
    colours = np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8)
    Image.fromarray(colours).convert(mode).save(path)
    return path


def test_evaluation_measures_samples_and_their_rivals(evaluated):
    run, found = evaluated
    for name in ("psnr", "ssim", "lr_consistency", "perceptual"):
        assert all(np.isfinite(found[f"{rival}{name}"]) for rival in ("", "bicubic_", "regression_", "recon_"))
    assert {"fd_gen", "bicubic_fd_gen", "regression_fd_gen", "fd_recon", "spread_skill", "mean_psnr"} <= set(found)
    drawn = np.asarray(Image.open(run.workdir / "eval" / "2" / "samples.png"))
    assert drawn.shape[0] == 9 * (32 + 2) + 2  # low, bicubic, regression, four samples, deviation, truth
    # What bicubic interpolation misses of x is the noise's and rounding's, less than the noise of 0.05 and the kernel.
    assert found["bicubic_lr_consistency"] < 0.3


def test_measuring_again_compiles_nothing_again(trained):
    traced = []

    def counted(name):
        def function(*arguments):
            traced.append(name)
            return getattr(trained.model, name)(*arguments)

        return function

    names = ("degrade", "noise", "regress", "encode", "sample")
    model = dataclasses.replace(trained.model, **{name: counted(name) for name in names})
    run = dataclasses.replace(trained, model=model)
    real = run.test.take(np.arange(40))
    reference = reference_of(run.config, Plan(protocol="test_70"))[0]

    def measured():
        low = super_resolution.condition(run, real)
        drawn = run.sample(low).images
        features = reference.judge.encode(drawn)
        samples = super_resolution.measure_samples(run, reference.judge, real, low, drawn, features, 0)
        rivals = super_resolution.measure_rivals(run, reference.judge, reference.space.moments, real, low)
        return low, rivals | samples

    low, first = measured()
    before = list(traced)
    again, second = measured()
    assert traced == before and first == second
    np.testing.assert_array_equal(low, again)


def test_the_mean_of_draws_is_nearer_than_a_draw_where_draws_differ(evaluated):
    found = evaluated[1]
    assert found["mean_psnr"] >= found["psnr"] - 0.1


def test_a_sample_depends_on_its_own_key_and_image(trained):
    low = np.random.default_rng(1).uniform(-1, 1, (11, 4, 4, 1)).astype(np.float32)
    whole = trained.sample(low, seed=2)
    np.testing.assert_allclose(trained.sample(low[:5], seed=2).latents, whole.latents[:5], rtol=1e-5, atol=1e-6)
    moved = np.concatenate([low[:1] + 0.5, low[1:]])
    changed = trained.sample(moved, seed=2).latents
    np.testing.assert_array_equal(changed[1:], whole.latents[1:])
    assert np.abs(changed[0] - whole.latents[0]).max() > 1e-5
    assert np.abs(trained.sample(low, seed=3).latents - whole.latents).max() > 1e-5


def test_bytes_and_floats_are_the_same_low_resolution(trained):
    low = np.random.default_rng(1).integers(0, 256, (3, 4, 4, 1), dtype=np.uint8)
    np.testing.assert_array_equal(trained.sample(low).images, trained.sample(low / np.float32(127.5) - 1.0).images)


@pytest.mark.parametrize("kind", [None, "labels", "integers", "scale", "nan"])
def test_other_conditions_than_low_resolution_images_are_refused(kind, trained, refused):
    low = np.full((2, 4, 4, 1), 100.0)
    given = {"labels": [3, 4], "integers": low.astype(int), "scale": low, "nan": low * np.nan}
    for draw in (trained.sample, trained.sample_latents):
        assert refused(draw, given.get(kind)).startswith("condition: ")


def test_saved_samples_can_be_drawn_again_from_what_is_saved(evaluated, trained):
    with np.load(evaluated[0].workdir / "eval" / "2" / "samples.npz") as saved:
        assert saved["images"].shape == (7, 8, 8, 1)
        np.testing.assert_array_equal(trained.sample(saved["low"]).images, saved["images"])


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_persons_own_image_is_enlarged(trained, script, tmp_path, ending):
    source, target = picture(tmp_path / "low.png"), tmp_path / f"high.{ending}"
    assert script("eval.py", "--workdir", trained.workdir, "--input", source, "--output", target)[0] in (0, None)
    with Image.open(target) as image:
        assert image.size == (8, 8) and image.mode == "L"
        if ending == "png":
            expected = trained.sample(np.asarray(Image.open(source))[None, ..., None]).images[0, ..., 0]
            np.testing.assert_array_equal(np.asarray(image), expected)


@pytest.mark.parametrize("size", [(8, 8), (5, 4), (2, 2)])
def test_an_image_of_another_size_is_refused_with_the_size_that_fits(not_enlarged, tmp_path, size):
    error = not_enlarged(picture(tmp_path / "low.png", size))
    assert f"is {size[0]}x{size[1]} pixels; the run enlarges 4x4" in error


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "1"])
def test_an_image_of_another_mode_is_refused(not_enlarged, tmp_path, mode):
    assert f"is of mode {mode}; the run enlarges grey images" in not_enlarged(picture(tmp_path / "low.png", mode=mode))


def test_an_image_with_transparent_pixels_is_refused(not_enlarged, tmp_path):
    Image.fromarray(np.eye(4, dtype=np.uint8)).save(tmp_path / "low.png", transparency=1)
    assert "4 of 16 pixels are transparent" in not_enlarged(tmp_path / "low.png")


def test_what_is_no_image_is_refused(not_enlarged, tmp_path):
    (tmp_path / "text.png").write_text("no image")
    assert "is no PNG, JPEG" in not_enlarged(tmp_path / "text.png")
    assert "there is no such file" in not_enlarged(tmp_path / "absent.png")
    assert "cannot be read" in not_enlarged(tmp_path)  # a folder


def test_an_image_that_ends_too_soon_is_refused(not_enlarged, tmp_path):
    whole = picture(tmp_path / "low.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    assert "--input" in not_enlarged(tmp_path / "cut.png")


def test_absurd_dimensions_are_refused_before_anything_is_decoded(not_enlarged, tmp_path, monkeypatch):
    def loaded(*arguments):
        raise AssertionError("decoded")

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", 40_000, 30_000, 1, 0, 0, 0, 0)  # one bit a pixel, grey
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "huge.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", loaded)
    assert "the run enlarges 4x4" in not_enlarged(tmp_path / "huge.png")


def test_the_target_must_have_a_format_and_a_folder(not_enlarged, tmp_path):
    source = picture(tmp_path / "low.png")
    assert "end its name in .png or .jpg" in not_enlarged(source, "out.gif")
    assert "there is no folder" in not_enlarged(source, "absent/out.png")


def test_a_run_of_labels_enlarges_nothing(script, finished, tmp_path):
    source, target = picture(tmp_path / "low.png"), tmp_path / "o.png"
    status, _, error = script("eval.py", "--workdir", finished[1], "--input", source, "--output", target)
    assert status == 2 and "enlarges no images" in error and error.strip().count("\n") == 0
    assert script("eval.py", "--workdir", finished[1], "--input", source)[0] == 2
    assert not target.exists()


def test_the_bound_holds_with_images_for_conditions(trained):
    found = bound.figure(trained, SimpleNamespace(compared=trained.test))[0]
    assert 0 < found["bound_w1_image"] <= found["bound_right"] * (1 + 1e-5)


def test_a_sweep_shows_what_was_found_from_the_same_images(trained):
    assert sample_row.of_run(trained).shape == (32 + 4, 20 * (32 + 2) + 2, 3)


def section(**own):
    of_critic, of_score = dict(width=8, depth=1), dict(sampling_steps=3)
    settings = dict(batch_size=20, draws=2, width=8, depth=1, noise_size=2, critic=of_critic, score=of_score)
    return sections.matching(**{**settings, **own})


def context(**model):
    functions = dict(
        encode=lambda params, images: images.reshape(len(images), -1)[:, :3],
        decode=lambda params, z: jnp.pad(z, ((0, 0), (0, 1))).reshape(-1, 2, 2, 1),
        latent_size=3,
        degrade=lambda params, images: images[:, ::2, ::2],
        noise=lambda params, low, keys: low,
        embed=lambda params, low: low.reshape(len(low), -1),
    )
    weights, counts = np.full(5, 0.2, np.float32), np.full(5, 4)
    return Context("matching", (2, 2, 1), 5, weights, counts, 10, Model(**{**functions, **model}))


OF_IMAGES = sorted(name for name, matcher in MATCHERS.items() if matcher.IMAGES)


@pytest.mark.parametrize("name", OF_IMAGES)
@pytest.mark.parametrize("beta", [float("inf"), 2.0])
def test_every_matcher_of_images_keeps_the_form_of_its_state(name, beta, refused):
    if name in ("flow", "sinkhorn") and np.isinf(beta):
        error = refused(matching.stage, section(matcher=name, beta=beta), context())
        assert "type --config.matching.beta=1.0, or choose critic or energy" in error
        return
    stage = matching.stage(section(matcher=name, beta=beta), context())
    batch = {"latents": jnp.zeros((20, 3)), "low": jnp.zeros((20, 1, 1, 1)), "labels": jnp.zeros(20, jnp.int32)}
    state = jax.eval_shape(stage.init, jax.random.key(0), batch, {})
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
        after, metrics = jax.eval_shape(stage.update, state, batch, jax.random.key(1), {})
    assert after == state and stage.strata is None
    assert all(value.shape == () for value in metrics.values())


@pytest.mark.parametrize("name", sorted(set(MATCHERS) - set(OF_IMAGES)))
def test_a_matcher_of_labels_alone_is_refused_with_those_of_images(name, refused):
    error = refused(matching.stage, section(matcher=name), context())
    assert f"matcher={name}: takes a label " in error and " critic, energy, flow, score, sinkhorn" in error


def test_unpaired_images_are_no_pairs(refused):
    assert "type --config.matching.view=paired" in refused(matching.stage, section(view="mixed"), context())


def test_noise_that_places_cannot_share_is_refused(refused):
    places = context(latent_shape=(4, 4, 2), latent_size=32)
    error = refused(matching.stage, section(generator="mixer", noise_size=20), places)
    assert error.endswith("matching.noise_size=20: 16 places cannot share it; type --config.matching.noise_size=32")


def test_no_draw_is_refused(refused):
    assert "matching.draws=0: give 1 or more" in refused(matching.stage, section(draws=0), context())


def test_regression_needs_a_degradation(refused):
    error = refused(regression.stage, small().regression, context(degrade=None))
    assert "needs a stage before it that degrades" in error


def test_low_resolution_images_of_another_shape_are_refused(trained, refused):
    error = refused(trained.sample, np.zeros((2, 5, 4, 1), np.float32))
    assert "are (5, 4, 1), the run's are (4, 4, 1)" in error
