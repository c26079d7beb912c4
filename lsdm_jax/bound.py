"""The bound that LSDM rests on, measured: how far images may be, given how far latents are.

With Euclidean norms and the same β on both sides, for a decoder with Lipschitz constant L

    W₁((X, Y), (X, D(Z′))) ≤ E‖Y − D(E(Y))‖ + max(1, L) · W₁((X, E(Y)), (X, Z′)),        Z′ = G(X, η):

(X, Y) and (X, D(E(Y))) are coupled as they come, which costs the reconstruction error; and a plan between (X, E(Y)) and
(X, Z′) is one between their decodings, each pair at most max(1, L) times as far. On one sample, with L the steepest
slope between a real and a generated latent of it, this is a theorem and not an estimate: only rounding can break it.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist

from experiment_jax.data import passes
from experiment_jax.data.split import Split
from experiment_jax.drawing import plots
from experiment_jax.errors import UserError
from experiment_jax.evaluation import super_resolution
from experiment_jax.evaluation.reference import Reference
from experiment_jax.metrics import transport
from experiment_jax.runs.run import Run
from lsdm_jax.condition import phi as condition_features

SAMPLES = 2000  # of each cloud: 32 MB for each matrix of distances, and exact transport between them in seconds


class Cloud(NamedTuple):
    """Latents and the images that they decode to. Row i belongs to condition i.

    Attributes:
        latents: `[n, latent]`.
        decoded: `[n, pixels]`, flat.
    """

    latents: np.ndarray
    decoded: np.ndarray


class Bound(NamedTuple):
    """The terms of the inequality. Distances are those of images in [-1, 1], but for `w1_latent`.

    Attributes:
        reconstruction: E‖Y − D(E(Y))‖.
        lipschitz: L.
        w1_latent: W₁((X, E(Y)), (X, Z′)).
        w1_image: W₁((X, Y), (X, D(Z′))), the left side.
    """

    reconstruction: float
    lipschitz: float
    w1_latent: float
    w1_image: float

    @property
    def transported(self) -> float:
        """max(1, L) · W₁ of the latents."""
        return max(1.0, self.lipschitz) * self.w1_latent

    @property
    def right(self) -> float:
        """The right side."""
        return self.reconstruction + self.transported


def lipschitz(real: Cloud, generated: Cloud) -> float:
    """L = max ‖D(zᵢ) − D(z′ⱼ)‖ / ‖zᵢ − z′ⱼ‖ over all pairs of different latents; 0 where there are none."""
    between, apart = cdist(real.latents, generated.latents), cdist(real.decoded, generated.decoded)
    return float(np.max(np.divide(apart, between, out=np.zeros_like(apart), where=between > 0)))


def joint_w1(x: np.ndarray, y: np.ndarray, phi: np.ndarray, beta: float) -> float:
    """Exact W₁ of the joint laws of (condition, x) and (condition, y), cost ‖(βφ, x) − (βφ′, y)‖₂.

    Args:
        x: points `[n, d]`.
        y: points `[n, d]`.
        phi: φ `[n, k]` of the condition of row i of both, see `lsdm_jax.condition.phi`.
        beta: distance between two classes; inf: conditions never mix, Σ_c p(c) W₁(x | c, y | c).
    """
    if np.isinf(beta):
        present, strata, counts = np.unique(phi, axis=0, return_inverse=True, return_counts=True)
        if len(present) == len(phi):  # an image each: its one x to its one y
            return float(np.mean(np.linalg.norm(x - y, axis=1)))
        return float(counts @ transport.w1_per_class(x, strata, y, strata, len(present)) / len(phi))
    return transport.w1_exact(np.hstack([beta * phi, x]), np.hstack([beta * phi, y]))


def measure(images: np.ndarray, real: Cloud, generated: Cloud, phi: np.ndarray, beta: float) -> Bound:
    """The terms on one sample.

    Args:
        images: Y `[n, pixels]`, flat.
        real: E(Y) and D(E(Y)).
        generated: Z′ and D(Z′).
        phi: φ(X) `[n, k]`, of row i of all of them.
        beta: of the joint cost.
    """
    return Bound(
        reconstruction=float(np.mean(np.linalg.norm(images - real.decoded, axis=1))),
        lipschitz=lipschitz(real, generated),
        w1_latent=joint_w1(real.latents, generated.latents, phi, beta),
        w1_image=joint_w1(images, generated.decoded, phi, beta),
    )


def of_run(run: Run, chosen: Split) -> Bound:
    """The terms for real images and as many samples of their labels, or of their low resolution.

    β is that of the run's own matching; a run that has none gets ∞. Images are floats in [-1, 1] as the decoder makes
    them: they are not rounded to bytes, and samples are not projected onto their condition.

    Raises:
        UserError: a run that does not encode, decode or sample.
    """
    if run.model.encode is None or run.model.decode is None:
        raise UserError(f"--workdir {run.workdir}: the bound needs stages that encode and decode; take such a run")
    decode = run.over(run.model.decode)

    def cloud(latents: np.ndarray) -> Cloud:
        return Cloud(*(rows.reshape(len(rows), -1).astype(np.float64) for rows in (latents, decode(latents))))

    condition = super_resolution.condition(run, chosen)
    seen = condition if run.model.degrade is None else run.over(run.model.embed)(condition)
    generated, real = cloud(run.sample(condition).latents), cloud(run.encode(chosen.images))
    betas = [run.config[stage].beta for stage in run.config.stages if "beta" in run.config[stage]]
    pixels = np.asarray(passes.to_float(chosen.images)).reshape(len(chosen), -1).astype(np.float64)
    phi = np.asarray(condition_features(jnp.asarray(seen), run.dataset.num_classes), np.float64)
    return measure(pixels, real, generated, phi, betas[-1] if betas else float("inf"))


def figure(run: Run, reference: Reference) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """The bound on SAMPLES of the reference's real images, or all if fewer: `bound_…`, and the picture `bound`."""
    real = reference.compared
    count = min(SAMPLES, len(real))
    chosen = real.take(np.random.default_rng(0).permutation(len(real))[:count])
    bound = of_run(run, chosen)
    measured = {**bound._asdict(), "right": bound.right, "samples": count}
    return {f"bound_{name}": value for name, value in measured.items()}, {"bound": _plot(bound)}


def _plot(bound: Bound) -> np.ndarray:
    """Three bars, the right side's two terms and their sum; and one, the left side."""
    canvas = plots.figure(6, 4)
    axes = canvas.add_subplot()
    terms = bound.reconstruction, bound.transported
    for place, bottom, height, colour in (
        (0, 0.0, terms[0], "tab:blue"),
        (1, 0.0, terms[1], "tab:orange"),
        (2, 0.0, terms[0], "tab:blue"),
        (2, terms[0], terms[1], "tab:orange"),
        (3.5, 0.0, bound.w1_image, "tab:green"),
    ):
        axes.bar(place, height, bottom=bottom, color=colour)
    for place, value in ((0, terms[0]), (1, terms[1]), (2, bound.right), (3.5, bound.w1_image)):
        axes.annotate(f"{value:.3g}", (place, value), ha="center", va="bottom")
    slope = f"max(1, L) · W₁\nof latents:\n{max(1.0, bound.lipschitz):.3g} · {bound.w1_latent:.3g}"
    axes.set_xticks((0, 1, 2, 3.5), ("reconstruction", slope, "their sum", "W₁ of images"))
    axes.set_ylabel("distance between images in [-1, 1]")
    axes.margins(y=0.1)
    return plots.image(canvas)
