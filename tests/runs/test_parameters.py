"""How many numbers drawing a sample reads."""

import jax
import numpy as np

from experiment_jax import load_run
from experiment_jax.runs import parameters


def size(tree):
    return sum(np.size(leaf) for leaf in jax.tree.leaves(tree))


def test_they_are_those_of_generator_and_decoder_and_what_latents_are_standardised_by(finished):
    run = load_run(finished[1])
    own = run.model.params["representation"]
    expected = size(run.model.params["matching"]) + size(own.decoder) + size(own.mean) + size(own.scale)
    assert parameters.count(run) == expected < expected + size(own.encoder)


def test_what_a_function_does_not_read_it_does_not_need(finished):
    run = load_run(finished[1])
    arrays = parameters.named(run.model.params)
    latents = jax.ShapeDtypeStruct((2, run.model.latent_size), np.float32)
    decode = parameters.of_named(run.model.decode, run.model.params)
    read = parameters.read(decode, parameters.shapes_of(arrays), (latents,))
    assert {name.split("/")[1] for name in read} == {"decoder", "mean", "scale"}
    needed = {name: arrays[name] for name in read}
    np.testing.assert_array_equal(
        decode(needed, np.ones(latents.shape, np.float32)),
        run.model.decode(run.model.params, np.ones(latents.shape, np.float32)),
    )
