"""Groups of GroupNorm, and networks of any width."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiment_jax import load_config
from experiment_jax.data import load
from experiment_jax.method.build import build
from experiment_jax.networks import autoencoder, convolutional, self_supervised
from experiment_jax.networks.norms import groups


@given(width=st.integers(1, 4096), most=st.sampled_from([1, 2, 4, 8]))
def test_groups_divide_the_width_and_no_larger_power_of_two_would(width, most):
    count = groups(width, most)
    assert count in (1, 2, 4, 8) and width % count == 0 and count <= most
    assert count == most or width % (2 * count)


@pytest.mark.parametrize("width", [16, 32, 64, 128, 256, 512])
def test_shipped_widths_have_eight_groups_and_perceptual_features_four(width):
    assert groups(width) == 8 and groups(width, most=4) == 4


@pytest.mark.parametrize("width", [1, 3, 4, 6, 12, 20])
def test_networks_of_any_width_can_be_made(width):
    key, images, latents = jax.random.key(0), jnp.zeros((2, 8, 8, 1)), jnp.zeros((2, 3))
    jax.eval_shape(partial(convolutional.Features((width,), 1, 5, 0.0).init, train=False), key, images)
    jax.eval_shape(self_supervised.Features((width,)).init, key, images)
    jax.eval_shape(autoencoder.Encoder((width,), 3).init, key, images)
    jax.eval_shape(autoencoder.Decoder((width,), (8, 8, 1)).init, key, latents)


STAGES = [
    ("configs/judge_digits.py", "classifier"),
    ("configs/lsdm_digits.py", "representation"),
    ("configs/lsdm_cifar10.py:jpeg_cpu", "perceptual"),
    ("configs/study_unpaired.py:digits", "labeller"),
    ("configs/lsdm_sr_digits.py", "regression"),
    ("configs/regene_digits.py", "classifier"),
    ("configs/regene_digits.py", "decoder"),
]


@pytest.mark.parametrize("widths", [(), (0,), (-4,), (8, 0)])
@pytest.mark.parametrize(("spec", "stage"), STAGES)
def test_widths_that_are_none_or_not_positive_are_refused_in_one_line(spec, stage, widths, refused):
    config = load_config(spec, {"data.name": "digits", f"{stage}.widths": widths})
    dataset = load.load(config.data, config.seed)
    message = refused(build, config, dataset)
    assert message.startswith(f"{stage}.widths={widths}: ")
    example = message.rpartition(f"--config.{stage}.widths=")[2]
    assert build(load_config(spec, {"data.name": "digits", f"{stage}.widths": example}), dataset)


@pytest.mark.parametrize(
    ("spec", "setting"),
    [
        ("configs/judge_digits.py", "classifier.features"),
        ("configs/lsdm_digits.py", "representation.latent_size"),
        ("configs/lsdm_sr_digits.py", "regression.latent_size"),
        ("configs/lsdm_sr_digits.py", "regression.width"),
        ("configs/regene_digits.py", "classifier.latent_size"),
    ],
)
def test_sizes_that_are_not_positive_are_refused(spec, setting, refused):
    config = load_config(spec, {setting: 0})
    message = refused(build, config, load.load(config.data, config.seed))
    assert f"{setting}=0: give a positive number" in message
