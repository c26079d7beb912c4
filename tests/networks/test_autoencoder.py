import jax
import jax.numpy as jnp
import pytest

from experiment_jax.networks import grid
from experiment_jax.networks.autoencoder import UPSAMPLINGS, Decoder, Encoder, check_sides

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


@pytest.mark.parametrize("upsampling", UPSAMPLINGS)
def test_only_unfolded_pixels_have_a_pattern_of_their_own(upsampling):
    decoder = Decoder((4, 6), (32, 40, 3), (8, 10, 5), upsampling=upsampling)
    latents = grid.to_vectors(jnp.broadcast_to(jnp.linspace(-1.0, 1.0, 5), (1, 8, 10, 5)))
    images, _ = jax.jit(decoder.init_with_output)(jax.random.key(0), latents)
    assert images.shape == (1, 32, 40, 3)
    far_from_the_border = images[:, 12:20, 12:28]
    assert (jnp.ptp(far_from_the_border, axis=(1, 2)).max() > 1e-3) == (upsampling == "unfold")


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
