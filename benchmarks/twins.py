"""The project's networks in PyTorch, layer for layer, and what their weights are copied by (`load`).

Images are `[batch, channels, height, width]` here. PyTorch orders the channels of `pixel_unshuffle`, and a feature map
that is flattened, in its own way: a layer's `order` says which of Flax's inputs or outputs stands where.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from experiment_jax.networks import ssim as ours


def conv(channels: int, width: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(channels, width, 3, padding=1, bias=bias)


def group_norm(width: int, groups: int | None = None) -> nn.GroupNorm:
    return nn.GroupNorm(groups or next(n for n in (8, 4, 2, 1) if width % n == 0), width, eps=1e-6)


def blocks(channels: int) -> np.ndarray:
    """Flax's place of each of the 4 · channels that `pixel_unshuffle` makes of 2×2 pixels."""
    return np.arange(4 * channels).reshape(4, channels).T.ravel()


def flat(height: int, width: int, channels: int) -> np.ndarray:
    """Flax's place of each value of a flattened feature map."""
    return np.arange(height * width * channels).reshape(height, width, channels).transpose(2, 0, 1).ravel()


class Twin(nn.Module):
    """A module that knows its layers by Flax's names: `name(layer)` numbers them as Flax does."""

    def __init__(self) -> None:
        super().__init__()
        self.layers: dict[str, tuple[nn.Module, np.ndarray | None, np.ndarray | None]] = {}

    def name(self, layer: nn.Module, inputs: np.ndarray | None = None, outputs: np.ndarray | None = None) -> nn.Module:
        kinds = {"Conv2d": "Conv", "Linear": "Dense", "BatchNorm2d": "BatchNorm"}
        kind = kinds.get(type(layer).__name__, type(layer).__name__)
        number = sum(known.startswith(kind) for known in self.layers)
        self.add_module(f"{kind}_{number}", layer)
        self.layers[f"{kind}_{number}"] = layer, inputs, outputs
        return layer

    def load(self, params: Mapping[str, Mapping[str, np.ndarray]]) -> "Twin":
        """Flax's parameters."""
        assert params.keys() == self.layers.keys(), (params.keys(), self.layers.keys())
        for name, (layer, inputs, outputs) in self.layers.items():
            own = {key: np.asarray(value) for key, value in params[name].items()}
            weight = own.pop("kernel", own.get("scale"))
            if weight.ndim > 1:
                weight = weight if inputs is None else weight[..., inputs, :]
                weight = weight if outputs is None else weight[..., outputs]
                weight = weight.transpose((3, 2, 0, 1) if weight.ndim == 4 else (1, 0))
            with torch.no_grad():
                layer.weight.copy_(torch.tensor(weight))
                if layer.bias is not None:
                    layer.bias.copy_(torch.tensor(own["bias"] if outputs is None else own["bias"][outputs]))
        return self


class Encoder(Twin):
    """`experiment_jax.networks.autoencoder.Encoder`."""

    def __init__(self, widths: Sequence[int], latent_size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        side, channels = shape[0], shape[2]
        self.pairs = []
        for width in widths:
            layer = self.name(conv(4 * channels, width), inputs=blocks(channels))
            self.pairs.append((layer, self.name(group_norm(width))))
            side, channels = side // 2, width
        self.last = self.name(nn.Linear(side * side * channels, latent_size), inputs=flat(side, side, channels))

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in self.pairs:
            x = F.silu(norm(layer(F.pixel_unshuffle(x, 2))))
        return self.last(x.flatten(1))


class Decoder(Twin):
    """`experiment_jax.networks.autoencoder.Decoder`."""

    def __init__(self, widths: Sequence[int], latent_size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        side, deepest = shape[0] // 2 ** len(widths), widths[-1]
        self.start = (deepest, side, side)
        self.first = self.name(nn.Linear(latent_size, side * side * deepest), outputs=flat(side, side, deepest))
        self.norms = [self.name(group_norm(deepest))]
        self.convs = [self.name(conv(deepest, deepest))]
        self.norms.append(self.name(group_norm(deepest)))
        channels = deepest
        for out in reversed(widths[:-1]):
            self.convs.append(self.name(conv(channels, 4 * out), outputs=blocks(out)))
            self.norms.append(self.name(group_norm(out)))
            channels = out
        self.convs.append(self.name(conv(channels, 4 * shape[2]), outputs=blocks(shape[2])))

    def forward(self, z: Tensor) -> Tensor:
        x = F.silu(self.norms[0](self.first(z).unflatten(1, self.start)))
        x = F.silu(self.norms[1](self.convs[0](x)))
        for layer, norm in zip(self.convs[1:-1], self.norms[2:], strict=True):
            x = F.silu(norm(F.pixel_shuffle(layer(x), 2)))
        return torch.tanh(F.pixel_shuffle(self.convs[-1](x), 2))


class Features(Twin):
    """`experiment_jax.networks.self_supervised.Features`."""

    def __init__(self, widths: Sequence[int], channels: int) -> None:
        super().__init__()
        self.pairs = []
        for width in widths:
            layer = self.name(conv(4 * channels, width), inputs=blocks(channels))
            self.pairs.append((layer, self.name(group_norm(width, groups=4))))
            channels = width

    def forward(self, x: Tensor) -> list[Tensor]:
        levels = []
        for layer, norm in self.pairs:
            levels.append(norm(layer(F.pixel_unshuffle(x, 2))))
            x = F.silu(levels[-1])
        return levels


class Classifier(Twin):
    """`regene_jax.classifier.Encoder`, with linear latents."""

    def __init__(self, widths: Sequence[int], latent_size: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        side, channels = shape[0], shape[2]
        self.pairs = []
        for width in widths:
            layer = self.name(conv(channels, width, bias=False))
            self.pairs.append((layer, self.name(nn.BatchNorm2d(width))))
            side, channels = side // 2, width
        self.last = self.name(nn.Linear(side * side * channels, latent_size), inputs=flat(side, side, channels))

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = []
        for layer, norm in self.pairs:
            maps.append(F.leaky_relu(norm(layer(x))))
            x = F.max_pool2d(maps[-1], 2)
        return self.last(x.flatten(1)), maps


class MLP(Twin):
    """Hidden layers with SiLU: the critic's network, and with norms the generator's and the score's."""

    def __init__(self, inputs: int, width: int, depth: int, outputs: int, norms: bool) -> None:
        super().__init__()
        self.hidden = []
        for _ in range(depth):
            layer = self.name(nn.Linear(inputs, width))
            self.hidden.append((layer, self.name(nn.LayerNorm(width, eps=1e-6)) if norms else nn.Identity()))
            inputs = width
        self.last = self.name(nn.Linear(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in self.hidden:
            x = F.silu(norm(layer(x)))
        return self.last(x)


def perceptual(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """`experiment_jax.networks.losses.feature_distance`."""
    return torch.stack([(a - b).abs().mean() for a, b in zip(first, second, strict=True)]).mean()


def ssim(first: Tensor, second: Tensor) -> Tensor:
    """`experiment_jax.networks.ssim.ssim`, of images of 11 pixels or more: `[batch]`."""
    offsets = torch.arange(11, device=first.device, dtype=first.dtype) - 5
    window = torch.exp(-0.5 * (offsets / 1.5) ** 2)
    height, width = (torch.eye(side, device=first.device)[:, None] for side in first.shape[2:])
    down, across = (F.conv1d(side, (window / window.sum())[None, None])[:, 0] for side in (height, width))

    def mean(images: Tensor) -> Tensor:
        return down.T @ images @ across

    mean_1, mean_2 = mean(first), mean(second)
    variance_1, variance_2 = mean(first**2) - mean_1**2, mean(second**2) - mean_2**2
    covariance = mean(first * second) - mean_1 * mean_2
    c1, c2 = (0.01 * ours.RANGE) ** 2, (0.03 * ours.RANGE) ** 2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    return (luminance * (2 * covariance + c2) / (variance_1 + variance_2 + c2)).mean(dim=(1, 2, 3))
