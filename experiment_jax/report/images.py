"""Pictures of a run: samples, reconstructions, nearest training images, and how the pictures of training changed."""

import re
from pathlib import Path

import numpy as np

from experiment_jax.data.lazy_images import Images, slices
from experiment_jax.data.split import Split
from experiment_jax.drawing import pages, pictures
from experiment_jax.drawing.pages import Markup
from experiment_jax.evaluation import super_resolution
from experiment_jax.method.stage import Samples
from experiment_jax.metrics import neighbours
from experiment_jax.runs.run import Run

CLASSES, COLUMNS = 10, 10
NEAREST = 3
LONGEST = 16  # characters of a class's name in a picture
READ = 20_000  # training images that are looked at where they are on disk
BLOCK = 250
TIMES = 5  # pictures of one thing over time
NAME = re.compile(r"(\d+)_(\w+)\.png")


def drawn(run: Run, held_out: Split) -> Samples | None:
    """Ten samples of each of the first ten classes, or one for each of ten low-resolution images; None where the run
    does not sample."""
    if run.model.sample is None:
        return None
    if run.model.degrade is not None:
        return run.sample(run.observe(held_out.images[:CLASSES]))
    return run.sample(np.repeat(np.arange(min(run.dataset.num_classes, CLASSES), dtype=np.int32), COLUMNS))


def samples(run: Run, held_out: Split, found: Samples | None) -> Markup:
    """The samples, a row a class; of super-resolution beside what else is made of the same low-resolution images."""
    if found is None:
        return Markup()
    if run.model.degrade is not None:
        real = held_out.take(np.arange(min(len(held_out), super_resolution.SHOWN)))
        picture = super_resolution.picture(run, real, run.observe(real.images), seed=0)
        return pages.figure(picture, "samples of low-resolution images, with rivals and the truth")
    rows = found.images.reshape(-1, COLUMNS, *found.images.shape[1:])
    names = [name[:LONGEST] for name in run.dataset.class_names[: len(rows)]]
    if not run.model.conditional:
        said = pages.paragraph("The run heeds no class.")
        return pages.join([said, pages.figure(pictures.grid(rows), "samples, of no class in particular")])
    picture = pictures.label_rows(pictures.grid(rows), names)
    more = run.dataset.num_classes - len(rows)
    said = f"The first {len(rows)} of {run.dataset.num_classes} classes." if more else ""
    return pages.join([pages.paragraph(said), pages.figure(picture, "samples, a row a class")])


def reconstructions(run: Run, held_out: Split) -> Markup:
    """Images held out, and below each what the run makes of its latent; nothing where it does not reconstruct."""
    if not run.reconstructs:
        return Markup()
    originals = np.asarray(held_out.images[: 2 * COLUMNS])
    columns = min(COLUMNS, len(originals))
    pairs = pictures.alternate(originals, run.decode(run.encode(originals)), columns)
    return pages.figure(pictures.grid(pairs), "images held out, each with its reconstruction below")


def nearest(run: Run, found: Samples | None) -> Markup:
    """Ten samples, of all classes that were drawn, and below each the training images nearest to it in their pixels."""
    if found is None:
        return Markup()
    asked = found.images[np.linspace(0, len(found.images) - 1, COLUMNS).astype(int)]
    images, total = run.dataset.train.images, len(run.dataset.train)
    if isinstance(images, Images) and total > READ:
        images = images.take(np.arange(READ))
    index = neighbours.nearest(asked, slices(images, BLOCK), min(NEAREST, len(images)))
    names = ["sample", *("nearest", "second", "third")[: index.shape[1]]]
    whose = f"{total:,}" if len(images) == total else f"the first {len(images):,} of {total:,}"
    said = f"By the distance of pixels, among {whose} training images. What is too near is counted by copied."
    picture = pictures.label_rows(pictures.grid(np.stack([asked, *np.asarray(images[index.T])])), names)
    return pages.join(
        [pages.paragraph(said), pages.figure(picture, "samples, and the training images nearest to each")]
    )


def over_time(workdir: Path, stage: str) -> Markup:
    """The pictures that validation drew of a stage, a few of each thing; nothing where there are none."""
    found: dict[str, list[tuple[int, Path]]] = {}
    for path in sorted((workdir / "pictures" / stage).glob("*.png")):
        if match := NAME.fullmatch(path.name):
            found.setdefault(match[2], []).append((int(match[1]), path))
    rows = []
    for title, each in found.items():
        chosen = sorted(set(np.linspace(0, len(each) - 1, TIMES).round().astype(int)))
        drawn = [(f"{title}, step {each[i][0]:,}", pictures.read(each[i][1])) for i in chosen]
        figures = [pages.figure(picture, f"{stage}: {name}", name) for name, picture in drawn]
        rows.append(pages.series(figures, f"{title} of {stage} over time"))
    return pages.join(rows)
