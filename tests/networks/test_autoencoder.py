import jax
import jax.numpy as jnp
import pytest

from experiment_jax.networks.autoencoder import Decoder, Encoder, check_sides

SIZES = [
    ((8, 8), (6,)),
    ((8, 8), (6, 10)),
    ((12, 20), (6, 10)),
    ((28, 28), (6, 10)),
    ((32, 32), (4, 6, 10)),
    ((64, 64), (4, 6, 10, 12)),
    ((128, 128), (4, 6, 8, 10, 12)),
    ((128, 128), (4, 6, 8, 10, 12, 14, 16)),
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("sides", "widths"), SIZES)
def test_images_of_every_size_come_back_in_their_shape(sides, widths, channels):
    shape = (*sides, channels)
    encoder, decoder = Encoder(widths, 7), Decoder(widths, shape)
    key, images = jax.random.key(0), jax.ShapeDtypeStruct((5, *shape), jnp.float32)
    check_sides(shape, widths, "representation")
    latents, _ = jax.eval_shape(encoder.init_with_output, key, images)
    decoded, _ = jax.eval_shape(decoder.init_with_output, key, latents)
    assert latents.shape == (5, 7) and decoded.shape == images.shape


@pytest.mark.parametrize(
    ("shape", "widths", "advice"),
    [
        ((28, 28, 1), (8, 16, 32), "give 2, as in --config.representation.widths=(8,16)"),
        ((12, 20, 1), (8, 16, 32), "give 2, as in --config.representation.widths=(8,16)"),
        ((6, 8, 1), (8, 16), "give 1, as in --config.representation.widths=(8,)"),
        ((7, 8, 1), (8,), "use images with even sides"),
        ((32, 32, 1), (), "give 1, as in --config.representation.widths=(32,)"),
    ],
)
def test_sides_that_cannot_be_halved_name_the_widths_that_fit(shape, widths, advice, refused):
    message = refused(check_sides, shape, widths, "representation")
    assert advice in message and f"{shape[0]}x{shape[1]}" in message
