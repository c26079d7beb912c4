"""A step of every stage in PyTorch: batch, loss, gradient, clipping, Adam and moving average, as the project has it."""

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
import twins  # of this folder
from cases import CLASSES, Sizes
from geomloss import SamplesLoss
from torch import Tensor, nn

from experiment_jax.data.split import Dataset

Step = Callable[[], Tensor]
Build = Callable[[Callable], Step]  # of a compiler, such as torch.compile


def theirs(name: str, data: Dataset, sizes: Sizes, compute: str = "float32") -> Build:
    """The step of a stage on PyTorch's default device.

    Args:
        name: as in `cases`.
        data: whose training images it sees.
        sizes: of its networks and batch.
        compute: float32, or bfloat16 by autocast; for stages that see images.
    """
    device = torch.get_default_device()
    images = torch.tensor(data.train.images, device=device).permute(0, 3, 1, 2).contiguous()
    labels = torch.tensor(data.train.labels, device=device).long()

    def pairs() -> tuple[Tensor, Tensor]:
        count = sizes.pairs[name]
        return torch.randn(count, sizes.latent), torch.arange(CLASSES).repeat_interleave(count // CLASSES)

    return {
        "representation": lambda: representation(images, sizes, 0.0, compute),
        "representation, perceptual": lambda: representation(images, sizes, 3.0, compute),
        "critic": lambda: critic(*pairs()),
        "sinkhorn": lambda: sinkhorn(*pairs(), epsilon=5.0),
        "flow": lambda: flow(*pairs(), epsilon=0.3, thinning=4),
        "score": lambda: score(*pairs()),
        "regene: classifier": lambda: classifier(images, labels, sizes, compute),
        "regene: decoder": lambda: decoder(images, torch.randn(len(images), sizes.code), sizes, compute),
    }[name]()


def mixed(loss: Callable[..., Tensor], compute: str) -> Callable[..., Tensor]:
    """A loss in float32, or by autocast in bfloat16. Parameters are cast anew in every call, as they change."""
    if compute == "float32":
        return loss

    def cast(*inputs: Tensor) -> Tensor:
        with torch.autocast(inputs[0].device.type, torch.bfloat16):
            return loss(*inputs)

    return cast


class Descent:
    """Adam with weight decay, the gradient's norm clipped at 1, and the parameters' moving average."""

    def __init__(self, modules: Iterable[nn.Module], rate: float, b1: float = 0.9, decay: float = 0.0) -> None:
        self.parameters = [parameter for module in modules for parameter in module.parameters()]
        self.average = [parameter.detach().clone() for parameter in self.parameters]
        self.adam = torch.optim.AdamW(self.parameters, rate, betas=(b1, 0.999), weight_decay=decay, fused=True)

    def step(self, loss: Tensor) -> Tensor:
        gradients = torch.autograd.grad(loss, self.parameters)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.adam.step()
        with torch.no_grad():
            for average, parameter in zip(self.average, self.parameters, strict=True):
                average.lerp_(parameter, 1e-3)
        return loss.detach()


def representation(images: Tensor, sizes: Sizes, weight: float, compute: str) -> Build:
    """Step 1 of LSDM with noise 0.05; `weight` of the perceptual distance."""
    encoder, decoder, features = (
        twins.Encoder(sizes.widths, sizes.latent, sizes.shape),
        twins.Decoder(sizes.widths, sizes.latent, sizes.shape),
        twins.Features(sizes.features, sizes.shape[2]).requires_grad_(False),
    )
    descent = Descent((encoder, decoder), 2e-3)

    def loss(x: Tensor) -> Tensor:
        z = encoder(x)
        s = (z - z.mean(0)).square().mean().sqrt()
        decoded = decoder(z + 0.05 * s * torch.randn_like(z))
        value = (x - decoded).abs().mean()
        return value + weight * twins.perceptual(features(x), features(decoded)) if weight else value

    return _on_images(images, sizes.batch, mixed(loss, compute), descent)


def _on_images(images: Tensor, batch: int, loss: Callable, descent: Descent, *others: Tensor) -> Build:
    def build(compiled: Callable) -> Step:
        function = compiled(loss)

        def step() -> Tensor:
            rows = torch.randint(len(images), (batch,))
            return descent.step(function(images[rows].float() / 127.5 - 1.0, *(other[rows] for other in others)))

        return step

    return build


def generator(latent: int) -> nn.Module:
    return twins.MLP(64 + CLASSES, 512, 3, latent, norms=True)


def one_hot(labels: Tensor) -> Tensor:
    return F.one_hot(labels, CLASSES).float()


def drawn(network: nn.Module, labels: Tensor) -> Tensor:
    return network(torch.cat([torch.randn(len(labels), 64), one_hot(labels)], dim=1))


def critic(latents: Tensor, labels: Tensor) -> Build:
    """Three critic steps with the gradient penalty, then one of the generator."""
    latent = latents.shape[1]
    network, score = generator(latent), twins.MLP(latent + CLASSES, 512, 3, 1, norms=False)
    descents = Descent((network,), 5e-4, 0.0), Descent((score,), 5e-4, 0.0)

    def slope(z: Tensor, labels: Tensor) -> Tensor:
        fake = drawn(network, labels).detach()
        u = torch.rand(len(z), 1)
        between = (u * z + (1 - u) * fake).requires_grad_()
        condition = one_hot(labels)
        f = lambda rows: score(torch.cat([condition, rows], dim=1))  # noqa: E731
        gradient = torch.autograd.grad(f(between).sum(), between, create_graph=True)[0]
        return 10 * ((gradient.norm(dim=1) - 1) ** 2).mean() - (f(z).mean() - f(fake).mean())

    def value(z: Tensor, labels: Tensor) -> Tensor:
        condition = one_hot(labels)
        return (score(torch.cat([condition, z], 1)) - score(torch.cat([condition, drawn(network, labels)], 1))).mean()

    def build(compiled: Callable) -> Step:
        # torch.compile cannot differentiate twice: the penalty stays as it is.
        second = compiled(value)

        def step() -> Tensor:
            rows = torch.randint(len(latents), (len(latents),))
            for _ in range(3):
                descents[1].step(slope(latents[rows], labels))
            return descents[0].step(second(latents[rows], labels))

        return step

    return build


def sinkhorn(latents: Tensor, labels: Tensor, epsilon: float) -> Build:
    """Σ p(x) S_ε by geomloss, one problem a class; the network compiled, geomloss as it is."""
    network = generator(latents.shape[1])
    descent = Descent((network,), 1e-3)
    divergence = SamplesLoss("sinkhorn", p=1, blur=epsilon, debias=True, backend="tensorized")

    def build(compiled: Callable) -> Step:
        draw = compiled(lambda labels: drawn(network, labels))

        def step() -> Tensor:
            pair = (z.unflatten(0, (CLASSES, -1)) for z in (draw(labels), latents))
            return descent.step(divergence(*pair).mean())

        return step

    return build


def flow(latents: Tensor, labels: Tensor, epsilon: float, thinning: int) -> Build:
    """Regression onto the drift, with plans from geomloss's potentials."""
    network = generator(latents.shape[1])
    descent = Descent((network,), 1e-3)
    potentials = SamplesLoss("sinkhorn", p=1, blur=epsilon, debias=False, potentials=True, backend="tensorized")

    def pull(x: Tensor, y: Tensor) -> Tensor:
        f, g = potentials(x, y)
        cost = torch.cdist(x, y)
        unit = torch.exp((f[:, :, None] + g[:, None] - cost) / epsilon) / y.shape[1] / cost.clamp_min(1e-5)
        return unit @ y - unit.sum(2, keepdim=True) * x

    def build(compiled: Callable) -> Step:
        draw = compiled(lambda labels: drawn(network, labels))

        def step() -> Tensor:
            x = draw(labels[::thinning])
            with torch.no_grad():
                clouds = (z.unflatten(0, (CLASSES, -1)).contiguous() for z in (x, latents, drawn(network, labels)))
                x_, y, other = clouds
                target = x + (pull(x_, y) - pull(x_, other)).flatten(0, 1)
            return descent.step((x - target).square().sum(1).mean() / 2)

        return step

    return build


def score(latents: Tensor, labels: Tensor) -> Build:
    """Denoising score matching (EDM)."""
    network = twins.MLP(latents.shape[1] + 32 + CLASSES, 512, 3, latents.shape[1], norms=True)
    descent = Descent((network,), 1e-3)
    frequencies = torch.logspace(-1, 4, 16, base=2.0)

    def loss(z: Tensor, labels: Tensor) -> Tensor:
        sigma = torch.exp(-0.5 + 1.2 * torch.randn(len(z), 1))
        noised = z + sigma * torch.randn_like(z)
        total = sigma**2 + 1
        angles = torch.log(sigma) / 4 * frequencies
        condition = one_hot(labels) * (torch.rand(len(z), 1) > 0.1)
        found = network(torch.cat([noised / total.sqrt(), angles.sin(), angles.cos(), condition], dim=1))
        denoised = noised / total + sigma / total.sqrt() * found
        return (total / sigma**2 * (denoised - z).square().mean(1, keepdim=True)).mean()

    def build(compiled: Callable) -> Step:
        function = compiled(loss)
        return lambda: descent.step(function(latents, labels))

    return build


def classifier(images: Tensor, labels: Tensor, sizes: Sizes, compute: str) -> Build:
    """f_enc and f_dis of ReGene."""
    network, head = twins.Classifier(sizes.classifier, sizes.code, sizes.shape), nn.Linear(sizes.code, CLASSES)

    def loss(x: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(head(network(x)[0]), labels)

    descent = Descent((network, head), 2e-3, decay=1e-3)
    return _on_images(images, sizes.batch, mixed(loss, compute), descent, labels)


def decoder(images: Tensor, latents: Tensor, sizes: Sizes, compute: str) -> Build:
    """f_dec of ReGene: absolute error, SSIM and the classifier's features."""
    network = twins.Decoder(sizes.widths, sizes.code, sizes.shape)
    features = twins.Classifier(sizes.classifier, sizes.code, sizes.shape).requires_grad_(False).eval()

    def loss(x: Tensor, z: Tensor) -> Tensor:
        decoded = network(z + 0.05 * torch.randn_like(z)).float()
        with torch.autocast(x.device.type, enabled=False):  # windows of variances: float32, as ours
            value = (x - decoded).abs().mean() + 0.5 * (1 - twins.ssim(x, decoded).mean())
        return value + twins.perceptual(features(x)[1], features(decoded)[1])

    return _on_images(images, sizes.batch, mixed(loss, compute), Descent((network,), 2e-3), latents)
