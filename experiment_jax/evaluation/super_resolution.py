"""Metrics of super-resolution: of samples and of baselines, from the same low-resolution images.

    psnr            mean over images, in decibels
    ssim            likewise
    lr_consistency  root mean square of A(image) − x, x the low-resolution image, in units of [-1, 1]
    perceptual      mean distance to the true image in the judge's features
    lpips           mean LPIPS to the true image, where it is asked for
    fd_gen          Fréchet distance in the judge's features, to all real images
    spread_skill    see `metrics.restoration.spread_skill`; of samples alone

of samples; with `bicubic_`, `regression_`, `recon_` (reconstructions D(E(Y)), what the representation allows) and
`mean_` (mean of a few samples) in front, of these.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from experiment_jax.data import passes
from experiment_jax.data.split import UNPAIRED, Split
from experiment_jax.drawing import pictures
from experiment_jax.errors import UserError
from experiment_jax.extractors.extractor import Distance
from experiment_jax.extractors.judge import Judge
from experiment_jax.metrics import frechet, restoration
from experiment_jax.networks.ssim import ssim
from experiment_jax.runs.run import Run

ENSEMBLE, CASES = 8, 500  # draws for each x, and how many x, of what needs several draws
SHOWN, DRAWS = 8, 4


def condition(run: Run, real: Split, seed: int = 0) -> np.ndarray:
    """What to sample for, given real images: their low resolution where the run starts from that, else their labels.

    Raises:
        UserError: images without a label, where labels are what samples are drawn for.
    """
    if run.model.sample is not None and run.model.degrade is None and (real.labels == UNPAIRED).any():
        raise UserError(
            f"data.name={run.config.data.name}: none of these images has a label to draw samples for; compare with "
            "others, as in --protocol train_1k or validation_1k"
        )
    return real.labels if run.model.degrade is None else run.observe(real.images, seed)


def bicubic(run: Run, low: np.ndarray) -> np.ndarray:
    """Low-resolution images `[N, *low_shape]` -> uint8 images of the run's size, by Keys' cubic."""
    enlarge = partial(_cubic, shape=run.dataset.image_shape)
    return passes.over(enlarge, low, batch_size=run.config.evaluation.batch_size)


@partial(jax.jit, static_argnames="shape")
def _cubic(low: jax.Array, shape: tuple[int, int, int]) -> jax.Array:
    return passes.to_uint8(jax.image.resize(low, (len(low), *shape), "cubic", antialias=True))


@jax.jit
def _similarity(images: jax.Array, truth: jax.Array) -> jax.Array:
    return ssim(passes.to_float(images), passes.to_float(truth))


def measure_rivals(
    run: Run, judge: Judge, moments: frechet.Moments, real: Split, low: np.ndarray, lpips: Distance | None = None
) -> dict[str, float]:
    """The metrics of the table above of the baselines and of reconstructions, which no seed changes.

    Args:
        run: the sampler that they are baselines of.
        judge: whose features distances are taken in.
        moments: of its features of all real images.
        real: the true images.
        low: x of each, `[N, *low_shape]`.
        lpips: two sets of images uint8 -> distances `[N]`; None: it is not measured.
    """
    rivals = {"bicubic_": bicubic(run, low), "recon_": run.decode(run.encode(real.images))}
    if run.model.regress is not None:
        rivals["regression_"] = run.regress(low)
    results: dict[str, float] = {}
    true = judge.encode(real.images)
    for prefix, images in rivals.items():
        own = judge.encode(images)
        found = _measure(run, images, own, real.images, true, low, lpips)
        if prefix != "recon_":  # that is measured for every run, as fd_recon
            found["fd_gen"] = frechet.frechet_distance(frechet.moments([own]), moments)
        results |= {f"{prefix}{name}": value for name, value in found.items()}
    return results


def measure_samples(
    run: Run,
    judge: Judge,
    real: Split,
    low: np.ndarray,
    samples: np.ndarray,
    features: np.ndarray,
    seed: int,
    lpips: Distance | None = None,
) -> dict[str, float]:
    """The metrics of the table above of samples, uint8 `[N, height, width, channels]`; see `measure_rivals`.

    `features` are the judge's of the samples; `seed` is of the further samples of the first images.
    """
    results = _measure(run, samples, features, real.images, judge.encode(real.images), low, lpips)
    few, true = low[:CASES], real.images[:CASES].astype(np.float64)
    draws = np.stack([run.sample(few, seed + 1 + number).images for number in range(ENSEMBLE)])
    results["spread_skill"] = restoration.spread_skill(draws, true)
    results["mean_psnr"] = float(np.mean(restoration.psnr(draws.mean(axis=0), real.images[:CASES])))
    return results


def _measure(
    run: Run,
    images: np.ndarray,
    features: np.ndarray,
    truth: np.ndarray,
    true_features: np.ndarray,
    low: np.ndarray,
    lpips: Distance | None,
) -> dict[str, float]:
    """psnr, ssim, lr_consistency, perceptual and lpips of uint8 images that were found from `low`; the judge's features
    of both sets are given."""
    found = pixel_metrics(run, images, truth, low)
    found["perceptual"] = float(np.mean(np.linalg.norm(features - true_features, axis=1)))
    if lpips is not None:
        found["lpips"] = float(np.mean(lpips(images, truth)))
    return found


def pixel_metrics(run: Run, images: np.ndarray, truth: np.ndarray, low: np.ndarray) -> dict[str, float]:
    """psnr, ssim and lr_consistency of uint8 images that were found from `low` `[N, *low_shape]`."""
    similarity = passes.over(_similarity, images, truth, batch_size=run.config.evaluation.batch_size)
    return {
        "psnr": float(np.mean(restoration.psnr(images, truth))),
        "ssim": float(np.mean(similarity)),
        "lr_consistency": restoration.root_mean_square(run.degrade(images) - low),
    }


def picture(run: Run, real: Split, low: np.ndarray, seed: int) -> np.ndarray:
    """A column for each of a few images: x, the rivals, samples, their pixel-wise deviation, and the truth."""
    true, low = real.images[:SHOWN], low[:SHOWN]
    draws = np.stack([run.sample(low, seed + 1 + number).images for number in range(ENSEMBLE)])
    deviation = draws.astype(np.float64).std(axis=0, ddof=1)
    nearest = passes.to_uint8(jax.image.resize(jnp.asarray(low), true.shape, "nearest"))
    rows = {"low resolution": nearest, "bicubic": bicubic(run, low)}
    if run.model.regress is not None:
        rows["L1 regression"] = run.regress(low)
    rows |= {f"sample {number + 1}": draws[number] for number in range(DRAWS)}
    rows["deviation x3"] = np.clip(3.0 * deviation, 0, 255).astype(np.uint8)
    rows["truth"] = true
    return pictures.label_rows(pictures.grid(np.stack([np.asarray(row) for row in rows.values()])), tuple(rows))
