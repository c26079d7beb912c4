"""Figure 7, right: how much of the distance to real images, and of the accuracy, the decoder alone costs."""

import numpy as np

from experiment_jax.drawing import plots
from experiment_jax.evaluation.reference import Reference
from experiment_jax.metrics import frechet
from experiment_jax.runs.run import Run

RATIOS = tuple(round(0.1 * number, 1) for number in range(11))


def mixing(run: Run, reference: Reference) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """`fd_mix_α` and `accuracy_mix_α` of the images α · reconstruction + (1 − α) · original, α = 0.0, 0.1 … 1.0.

    The Fréchet distance is to the originals, all in the judge's features; so α = 0 has distance 0 and the accuracy of
    real images, α = 1 has `fd_recon` and `accuracy_recon`. The images are the reference (the paper's: those
    that its neutral classifier was trained on, so that its accuracy starts at 1). The picture `mixing` draws both.
    """
    images, labels = reference.compared.images, reference.compared.labels
    recon = run.decode(run.encode(images)).astype(np.float32)
    distances, accuracies = [], []
    for ratio in RATIOS:
        mixed = np.rint(ratio * recon + (1 - ratio) * images).astype(np.uint8)
        features = reference.judge.encode(mixed)
        distances.append(frechet.frechet_distance(frechet.moments([features]), reference.space.moments))
        accuracies.append(reference.accuracy(features, labels))
    results = {f"fd_mix_{ratio}": value for ratio, value in zip(RATIOS, distances, strict=True)}
    if None not in accuracies:  # some image has a label
        results |= {f"accuracy_mix_{ratio}": value for ratio, value in zip(RATIOS, accuracies, strict=True)}
    return results, {"mixing": _plot(distances, accuracies)}


def _plot(distances: list[float], accuracies: list[float | None]) -> np.ndarray:
    figure = plots.figure(6, 4)
    left = figure.add_subplot()
    right = left.twinx()
    left.plot(RATIOS, distances, "o-", color="tab:blue")
    right.plot(RATIOS, accuracies, "s-", color="tab:orange")
    left.set_xlabel("share of the reconstruction in the image, α")
    left.set_ylabel("Fréchet distance to the originals", color="tab:blue")
    right.set_ylabel("accuracy by the judge", color="tab:orange")
    return plots.image(figure)
