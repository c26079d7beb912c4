"""Whether distances see faults: real images that are spoilt on purpose, each fault in three strengths.

    python benchmarks/planted_faults.py --config configs/lsdm_fashion_mnist.py --extractor judge,vgg16 --count 1000

Parts of the training images, disjoint and of one size, stand for samples and are compared with as many test images (a
judge with all of them). Untouched, they give the floor and its noise: mean and standard deviation over the parts. A
fault is seen if it lifts the mean by more than three standard errors of the difference; its distances must rise with
its strength. PSNR says how large a fault is to the eye.
"""

import argparse
import io
import math
from collections.abc import Callable, Sequence

import numpy as np
from machine import machine
from PIL import Image, ImageFilter
from table import head

from experiment_jax import load_config, train
from experiment_jax.data.load import read
from experiment_jax.data.split import Split
from experiment_jax.extractors import judges, public
from experiment_jax.extractors.space import Space
from experiment_jax.metrics import frechet

Fault = Callable[[Split, float, np.random.Generator], Split]


def pillow(change: Callable[[Image.Image, float], Image.Image]) -> Fault:
    """A fault of each image by itself."""

    def each(image: np.ndarray, strength: float) -> np.ndarray:
        plane = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
        return np.asarray(change(plane, strength)).reshape(image.shape)

    return lambda part, strength, _: Split(np.stack([each(image, strength) for image in part.images]), part.labels)


def jpeg(image: Image.Image, quality: float) -> Image.Image:
    file = io.BytesIO()
    image.save(file, format="JPEG", quality=int(quality))
    return Image.open(file)


def noise(part: Split, strength: float, generator: np.random.Generator) -> Split:
    noisy = part.images + generator.normal(scale=strength, size=part.images.shape)
    return Split(np.clip(np.rint(noisy), 0, 255).astype(np.uint8), part.labels)


def shift(part: Split, pixels: float, _: np.random.Generator) -> Split:
    """To the right; the edge is repeated."""
    padded = np.pad(part.images, ((0, 0), (0, 0), (int(pixels), 0), (0, 0)), mode="edge")
    return Split(padded[:, :, : part.images.shape[2]], part.labels)


def class_share(part: Split, share: float, generator: np.random.Generator) -> Split:
    """The first class has `share` of its images, the others make up the number."""
    first, others = np.flatnonzero(part.labels == 0), np.flatnonzero(part.labels != 0)
    wanted = round(share * len(first))
    index = np.concatenate([np.resize(first, wanted), np.resize(generator.permutation(others), len(part) - wanted)])
    return part.take(index)


FAULTS: dict[str, tuple[Fault, Sequence[float], str]] = {
    "blur": (
        pillow(lambda image, size: image.filter(ImageFilter.GaussianBlur(size))),
        (0.4, 0.7, 1.0),
        "σ {:g} pixels",
    ),
    "noise": (noise, (4, 8, 16), "σ {:g} of 255"),
    "missing class": (class_share, (0.5, 0.25, 0.0), "{:.0%} of it"),
    "doubled class": (class_share, (1.5, 2.0, 3.0), "{:g} times"),
    "shift": (shift, (1, 2, 3), "{:g} pixels"),
    "JPEG": (pillow(jpeg), (75, 40, 10), "quality {:g}"),
}


def distances(space: Space, parts: Sequence[Split]) -> np.ndarray:
    """Fréchet distance of each part to the reference."""
    features = [space.extractor.features(part.images) for part in parts]
    return np.array([frechet.frechet_distance(frechet.moments([each]), space.moments) for each in features])


def psnr(spoilt: Split, whole: Split) -> str:
    """In decibels, where an image of one is an image of the other."""
    if not np.array_equal(spoilt.labels, whole.labels):
        return ""
    error = np.mean((spoilt.images.astype(float) - whole.images) ** 2)
    return f"{10 * math.log10(255**2 / error):.1f}"


def measure(space: Space, parts: Sequence[Split]) -> None:
    """Prints the rows of one network."""
    name = space.extractor.name
    floor = distances(space, parts)
    print(f"| {name} | floor |  |  | {floor.mean():.3f} | {floor.std(ddof=1):.3f} |  |  |", flush=True)
    for title, (fault, strengths, form) in FAULTS.items():
        before = floor.mean()
        for strength in strengths:
            spoilt = [fault(part, strength, np.random.default_rng(number)) for number, part in enumerate(parts)]
            found = distances(space, spoilt)
            error = math.hypot(found.std(ddof=1), floor.std(ddof=1)) / math.sqrt(len(parts))
            lift = (found.mean() - floor.mean()) / error
            seen = "yes" if lift > 3 else "no"
            rises = "yes" if found.mean() > before else "no"
            before = found.mean()
            cells = [name, title, form.format(strength), psnr(spoilt[0], parts[0])]
            cells += [f"{found.mean():.3f}", f"{found.std(ddof=1):.3f}", f"{seen} ({lift:.1f})", rises]
            print(f"| {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/lsdm_fashion_mnist.py")
    parser.add_argument("--extractor", default="judge", help="judge,vgg16,…")
    parser.add_argument("--count", type=int, default=1000, help="images in a part")
    parser.add_argument("--parts", type=int, default=4)
    flags = parser.parse_args()
    config = load_config(flags.config)
    training, test = (read(config.data, split)[0] for split in ("train", "test"))
    order = np.random.default_rng(0).permutation(len(training))
    parts = [training.take(order[start * flags.count :][: flags.count]) for start in range(flags.parts)]
    title = f"{config.data.name}, {flags.parts} parts of {flags.count}; {machine()}"
    print(f"{title}\n")
    head("network", "fault", "strength", "PSNR", "distance", "deviation", "seen (standard errors)", "rises")
    for name in flags.extractor.split(","):
        if name == "judge":
            network = judges.find(config.judge, config.data, train).extractor
            real = test.images
        else:
            network = public.find(name)
            real = test.images[: flags.count]
        measure(Space(network, real, None), parts)


if __name__ == "__main__":
    main()
